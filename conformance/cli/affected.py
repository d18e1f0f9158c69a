"""The command that asks other versions of torch about what deviated in a run."""

from __future__ import annotations

from pathlib import Path

import click

from conformance.bisection import at_hand
from conformance.elsewhere import Asking, questions
from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.progress import Progress, Remarks
from conformance.records import read_run
from conformance.subjects import SubjectError, open_subject, parse_subject
from conformance.usage import UsageError


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    help="Who is asked; may be repeated.  [default: all that are at hand]",
)
def affected(records: tuple[Path, ...], subjects: tuple[str, ...]) -> None:
    """Ask other versions of torch about the programs that deviated in RECORDS.

    RECORDS are folders of runs. The answers are added to their records, and the report then shows
    which versions are affected, and between which two of them that changes.
    """
    if len(set(subjects)) != len(subjects):
        raise UsageError("A subject is named twice; name each once.")
    for name in subjects:
        parse_subject(name)
    for folder in records:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder of a run, to which answers can be added.")
    runs = [read_run(folder) for folder in records]
    asked = [questions(run) for run in runs]
    programs = len({id for found in asked for id in found})
    if not programs:
        click.echo("No program deviates: there is nothing to ask.")
        return
    with Progress(Remarks()) as progress:
        machine = Machine(progress.say)
        for name in subjects or _names():
            try:
                with open_subject(name) as subject:
                    progress.begin(f"asking {name}", name)
                    asking = Asking(Examiner(subject, machine))
                    put = sum(map(asking.ask, runs, asked))
                    progress.end(f"torch {subject.torch}, {name}", "asked", put)
            except SubjectError as error:
                progress.say(f"not asked, {error}")
    noun = "program deviates" if programs == 1 else "programs deviate"
    click.echo(f"{programs} {noun}; the answers are in the records.")


def _names() -> list[str]:
    return [one.name for one in at_hand() if one.available]
