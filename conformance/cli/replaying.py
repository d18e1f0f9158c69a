"""The command that judges by a corpus; it needs neither jax nor Hypothesis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from conformance.cli.tally import Tally
from conformance.cli.verdicts import as_json, say
from conformance.corpus.reading import Corpus, read, shipped
from conformance.deviations import register
from conformance.progress import Output, Remarks, counting
from conformance.subjects import Subject, open_subject, parse_subject
from conformance.transform_causes import CAUSES
from conformance.usage import UsageError
from conformance.verdict import Judged, Judging


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    default=("eager-cpu",),
    show_default=True,
    help="Who runs the programs; may be repeated.",
)
@click.option("--in-process", is_flag=True, help="Run eager-cpu in this process.")
@click.option("--json", "json_", is_flag=True, help="Print one line of JSON a program.")
def replay(file: Path | None, subjects: tuple[str, ...], in_process: bool, json_: bool) -> int:
    """Run the programs of a corpus, and judge them by what it says must become of them.

    FILE is what `record` made; the suite's own corpus, if it is left out. The verdicts are those of
    `check`, known deviations included, without the oracle. With --json, lines are as those of
    `check`, and name the subject.
    """
    for name in subjects:
        parse_subject(name)
    if len(set(subjects)) < len(subjects):
        raise UsageError("A subject is named twice; name each of them once.")
    file = file or shipped()
    remarks, output = Remarks(), Output()
    codes, broken = {0}, False
    for name in subjects:
        corpus = read(file)
        if not broken:
            _warn(corpus)
        with open_subject(name, in_process=in_process) as subject:
            tally = Tally(name, subject.torch)
            try:
                with counting(remarks, name, corpus.header.programs) as tick:
                    for judged in _judged(corpus, subject):
                        tally.add(judged)
                        _tell(judged, name, json_)
                        tick(1)
            finally:
                if not json_:
                    tally.print(output)
        codes.add(tally.code)
        if not broken:
            for error in corpus.broken:
                click.echo(f"Error: {error}", err=True)
        broken = broken or bool(corpus.broken)
    if broken:
        return 2
    return 1 if 1 in codes else max(codes)


def _judged(corpus: Corpus, subject: Subject) -> Iterator[Judged]:
    judging = Judging(subject)
    for one in corpus:
        yield judging.judged(one.program, one, draft=one.draft)


def _tell(judged: Judged, subject: str, json_: bool) -> None:
    """A line of JSON, or in words what deviates."""
    if json_:
        click.echo(msgspec.json.encode({"subject": subject, **as_json(judged)}))
    elif judged.verdict == "deviates":
        click.echo(f"{subject}: {say(judged)}")


def _warn(corpus: Corpus) -> None:
    """Say which registered deviations the corpus cannot tell."""
    unknown = [
        d.entry.id
        for d in register()
        if d.program and d.entry.quirk not in corpus.header.quirks | CAUSES.keys()
    ]
    if unknown:
        click.echo(
            f"{corpus.file} was made before these deviations were registered, and what shows them "
            f"deviates: {', '.join(unknown)}.",
            err=True,
        )
