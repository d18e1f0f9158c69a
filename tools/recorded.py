"""Keep runs as the records that the sample report is made of, and make it.

`python -m tools.recorded keep RUN... [--planted FOLDER] [--before RUN]...` packs runs into
`reports/recorded`; `python -m tools.recorded report` makes the sample of what is there.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from msgspec.structs import replace

from conformance._record_lines import encode
from conformance.records import (
    Claim,
    End,
    Finish,
    Record,
    RecordError,
    RunRecords,
    Start,
    Subject,
    read_run,
)
from reports.site import Sources, write_report

FOLDER = Path(__file__).parents[1] / "reports" / "recorded"
BEFORE = FOLDER / "before"
PLANTED = "planted.jsonl.gz"
_IN_FLIGHT = b'{"type":"in-flight"'


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """The records that ship, and the sample report."""


@commands.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--planted", type=click.Path(path_type=Path, exists=True))
@click.option("--before", multiple=True, type=click.Path(path_type=Path, exists=True))
def keep(runs: tuple[Path, ...], planted: Path | None, before: tuple[Path, ...]) -> None:
    """Pack RUNS, each the folder of one subject's run, under the torch and device that they had.

    The folder of planted faults holds a run of each, as `autograd-conformance faults`
    leaves them for each seed.
    """
    for folder, wanted in ((FOLDER, runs), (BEFORE, before)):
        for run in wanted:
            _pack(folder / f"{name_of(read_run(run))}.jsonl.gz", _lines(run))
    if planted is not None:
        merged = merge(read_run(run) for run in sorted(planted.iterdir()))
        _pack(FOLDER / PLANTED, (encode(record) + b"\n" for record in merged))


@commands.command()
@click.option(
    "--out",
    default="out/sample",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder.",
)
def report(out: Path) -> None:
    """Make the sample report of the records that ship."""
    click.echo(f"The sample report is {write_report(sources(), out)}.")


def sources() -> Sources:
    """The records that ship."""
    runs = tuple(path for path in sorted(FOLDER.glob("*.gz")) if path.name != PLANTED)
    return Sources(runs, tuple(sorted(BEFORE.glob("*.gz"))), tuple(FOLDER.glob(PLANTED)))


def name_of(records: RunRecords) -> str:
    """The torch and the device of a run of one subject."""
    subjects = records.run.subjects if records.run else ()
    there = [subject for subject in subjects if subject.status == "available"]
    if len(there) != 1:
        raise RecordError(f"{records.path} is no run of exactly one subject; name one that is.")
    torch = there[0].torch.partition("+")[0]
    return re.sub(r"[^\w.-]+", "-", f"torch-{torch}-{there[0].device}")


def merge(runs: Iterable[RunRecords]) -> Iterator[Record]:
    """Several runs as one, with what is needed to see how soon each subject failed, and no more."""
    read = [records for records in runs if records.run is not None]
    heads = [records.run for records in read if records.run is not None]
    claims: dict[str, Claim] = {claim.id: claim for head in heads for claim in head.claims}
    subjects: dict[str, Subject] = {s.name: s for head in heads for s in head.subjects}
    yield replace(
        heads[0],
        claims=tuple(claims.values()),
        subjects=tuple(subjects.values()),
        command="\n".join(head.command for head in heads),
        operations={},
    )
    for records in read:
        for attempt in records.attempts.values():
            yield Start(attempt.claim, attempt.subject, heads[0].seed)
            yield from (verdict for verdict in attempt.verdicts if verdict.verdict == "deviates")
            if attempt.finish is not None:
                finish: Finish = replace(attempt.finish, cells={})
                yield finish
    ends = [records.end for records in read if records.end is not None]
    yield End(ends[-1].finished, sum(end.seconds for end in ends), 1)


def _lines(run: Path) -> Iterator[bytes]:
    """The lines of a run but for those that name what was running: it is over."""
    with (run / "verdicts.jsonl").open("rb") as file:
        yield from (line for line in file if not line.startswith(_IN_FLIGHT))


def _pack(target: Path, lines: Iterable[bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without a time in it, so that the same records make the same file.
    target.write_bytes(gzip.compress(b"".join(lines), 9, mtime=0))
    click.echo(f"{target}: {target.stat().st_size:,} bytes")


def main() -> int:
    """Run the command; what cannot be done is one sentence on stderr, and 2."""
    try:
        return int(commands.main(standalone_mode=False) or 0)
    except (click.ClickException, RecordError) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"Error: {said}", err=True)
        return 2


if __name__ == "__main__":
    sys.exit(main())
