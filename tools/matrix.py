"""Judge the torch versions of tox.ini one after another, and merge what was seen into one report.

`python -m tools.matrix [LABEL]... [OPTIONS]`; without labels, every version of the table.
"""

from __future__ import annotations

import os
import platform
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance import records as rec
from conformance.claims.catalogue import CATALOGUE, find_claim
from conformance.claims.claim import UnknownClaim
from conformance.progress import Output
from conformance.session import find_profile
from conformance.subjects import SubjectError, open_subject
from conformance.subjects.environments import VARIABLE, Environment
from conformance.usage import UsageError, installed
from tools.workers import CannotMake, NoTox, Worker, workers

_COMMAND = (sys.executable, "-m", "conformance.cli")
_GRAVEST = (130, 1, 3, 2)
"""Exit codes of what the matrix calls, the one that it ends with first; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How every version is judged: by the same programs, on the same device."""

    out: Path
    profile: str
    device: str
    seed: int
    claims: tuple[str, ...] = ()
    programs: int | None = None

    def subject(self, name: str) -> str:
        return name if self.device == "cpu" else f"{name},device={self.device}"

    def replay(self, name: str) -> tuple[str, ...]:
        """The command that asks a subject what the shipped corpus says of its programs."""
        return (*_COMMAND, "replay", "--subject", name)

    def run(self, name: str, folder: Path) -> tuple[str, ...]:
        """The command that judges a subject and leaves its records in the folder."""
        options = ["--profile", self.profile, "--seed", str(self.seed), "--out", str(folder)]
        for claim in self.claims:
            options += ["--claim", claim]
        if self.programs is not None:
            options += ["--programs", str(self.programs)]
        return (*_COMMAND, "run", "--subject", name, *options)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.argument("labels", nargs=-1)
@click.option("--profile", default="default", show_default=True, help="quick, default or nightly.")
@click.option("--device", default="cpu", show_default=True, help="As torch names it.")
@click.option("--claim", "claims", multiple=True, help="Only this claim; may be repeated.")
@click.option(
    "--out",
    default="out/matrix",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder.",
)
@click.option("--seed", type=int, default=None, help="Repeat a run.  [default: a new one]")
@click.option(
    "--programs",
    type=click.IntRange(min=1),
    help="At least so many for each property of a claim.",
)
@click.option("--at-hand", is_flag=True, help="Make no environment: judge those that are there.")
def matrix(
    labels: tuple[str, ...],
    profile: str,
    device: str,
    claims: tuple[str, ...],
    out: Path,
    seed: int | None,
    programs: int | None,
    at_hand: bool,
) -> int:
    """Judge each torch of LABELS (all of tox.ini's versions), and write OUT/index.html.

    Each replays the suite's corpus first, unless a claim was chosen, and then is asked the claims.
    All are then asked about each program that deviated on one of them. The records of each are in
    OUT/LABEL. A torch that cannot be had here is not exercised, with the reason, which is no
    failure.
    """
    find_profile(profile)
    for claim in claims:
        find_claim(claim)
    chosen = _chosen(labels)
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    asked = Asked(out, profile, device, seed, claims, programs)
    console = Console(stderr=True)
    codes: list[int] = []
    judged: list[str] = []
    for number, worker in enumerate(chosen, start=1):
        _say(console, f"\n{worker.label} ({number} of {len(chosen)})")
        codes.append(_judged(worker, asked, console, judged, at_hand=at_hand))
        if codes[-1] == 130:
            break
    folders = [str(out / worker.label) for worker in chosen[: len(codes)]]
    if len(judged) > 1 and 130 not in codes:
        _say(console, "\nwhich versions are affected by what deviates")
        names = [word for name in judged for word in ("--subject", name)]
        codes.append(_wait((*_COMMAND, "affected", *folders, *names)))
    merged = _wait((*_COMMAND, "report", *folders, "--out", str(out)))
    print_outcomes(out, [worker.label for worker in chosen[: len(codes)]], Output())
    return _gravest(*codes, merged)


def _gravest(*codes: int) -> int:
    return next((code for code in _GRAVEST if code in codes), 0)


def _chosen(labels: Sequence[str]) -> list[Worker]:
    """The workers of these labels, or those of all versions; raises UsageError."""
    known = workers()
    for label in labels:
        if label not in known:
            raise UsageError(f"There is no torch {label!r} in tox.ini; use {', '.join(known)}.")
    # What has no version is whatever an index offers today, which must be asked for.
    wanted = labels or [label for label, worker in known.items() if worker.torch.specifier]
    return [known[label] for label in dict.fromkeys(wanted)]


def _judged(
    worker: Worker, asked: Asked, console: Console, judged: list[str], *, at_hand: bool
) -> int:
    """Judge one torch, and add its name, or record why it cannot be; the exit code of its run."""
    folder = asked.out / worker.label
    try:
        environment = _environment(worker, console, at_hand=at_hand)
        name = asked.subject(environment.subject)
        # The runs find this environment, and no other with the same torch.
        os.environ[VARIABLE] = str(worker.folder.parent)
        with open_subject(name):
            pass
    except (CannotMake, SubjectError) as error:
        why = str(error).rstrip(".")
        _say(console, f"{worker.label}: not exercised, {why}")
        record_absence(folder, asked, asked.subject(worker.subject), why)
        return 0
    judged.append(name)
    replayed = 0 if asked.claims else _wait(asked.replay(name))
    if replayed == 130:
        return 130
    return _gravest(replayed, _wait(asked.run(name, folder)))


def _environment(worker: Worker, console: Console, *, at_hand: bool) -> Environment:
    """The worker's environment; raises CannotMake where there is none and none can be made."""
    found = worker.present()
    if found is not None:
        return found
    if at_hand:
        raise CannotMake(f"there is no environment with it; `tox run -e {worker.label}` makes one")
    with console.status(f"making the environment of {worker.torch}: minutes, and some GB"):
        if not console.is_terminal:
            _say(console, f"making the environment of {worker.torch}")
        return worker.made()


def record_absence(folder: Path, asked: Asked, name: str, reason: str) -> None:
    """Write the records of a run in which a subject was not exercised, for this reason."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    subject = rec.Subject(name, device=asked.device, status="not exercised", reason=reason)
    with rec.RecordWriter(folder) as writer:
        writer.write(
            rec.Run(
                id=secrets.token_hex(8),
                started=now,
                suite=installed("autograd-conformance"),
                profile=asked.profile,
                seed=asked.seed,
                command=" ".join(("autograd-conformance", *asked.run(name, folder)[3:])),
                host=rec.Host(
                    platform.python_version(), f"{platform.system()} {platform.machine()}"
                ),
                subjects=(subject,),
                claims=tuple(
                    rec.Claim(c.id, c.title, c.sentence, c.articles, c.source, c.scope, c.law)
                    for c in CATALOGUE.values()
                ),
                schema=rec.SCHEMA,
            )
        )
        writer.write(rec.End(now, 0.0, 0))


def print_outcomes(out: Path, labels: Sequence[str], console: Console) -> None:
    """A line for each version: how many claims have which verdict, or why it was not exercised."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for header in ("", "torch", "claims"):
        table.add_column(header, overflow="fold")
    for label in labels:
        table.add_row(label, *map(Text, _outcome(out / label)))
    console.print()
    console.print(table)


def _outcome(folder: Path) -> tuple[str, str]:
    """The version that a run judged, and its verdicts in words."""
    try:
        records = rec.read_run(folder)
    except rec.RecordError:
        return "", "no records: its run could not begin"
    subjects = records.run.subjects if records.run else ()
    if not subjects or subjects[0].reason:
        return "", f"not exercised: {subjects[0].reason if subjects else 'it was not asked'}"
    counts = Counter(row.verdict for row in rec.summarise(records))
    return subjects[0].torch, ", ".join(f"{n} {verdict}" for verdict, n in counts.most_common())


def _wait(command: Sequence[str]) -> int:
    """The exit code of a command that shares this terminal, and its Ctrl-C."""
    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # It heard it too, and ends with its page and its table.
            continue


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)


def main() -> int:
    """Run the command; what cannot be done is one sentence on stderr, and 2."""
    try:
        return int(matrix.main(standalone_mode=False) or 0)
    except (click.ClickException, UsageError, UnknownClaim, NoTox, rec.RecordError) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"Error: {said}", err=True)
        return 2
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return 130


if __name__ == "__main__":
    sys.exit(main())
