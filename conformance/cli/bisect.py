"""The command that says between which two versions of torch something changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance import bisection
from conformance.behaviour import behaviour_of, differences
from conformance.bisection import Answer, Bisected, TooFew, at_hand
from conformance.claims.catalogue import ABOUT_PROGRAMS, find_claim
from conformance.cli.programs import read_programs
from conformance.cli.prose import indented, say
from conformance.cli.verdicts import details
from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.progress import STYLES, Output, Progress, Remarks
from conformance.subjects import Availability, availability, open_subject, parse_subject
from conformance.usage import UsageError
from strategies.program import Apply, Program
from strategies.table import OPERATIONS
from strategies.table.change import within
from strategies.table.changes import CHANGES

_TOO_FEW = 3
_MOST_SEEN = 6
"""Lines of what is seen on each side of a change."""


@click.command()
@click.option(
    "--claim",
    "claim_id",
    default="no-error-means-correct",
    show_default=True,
    help="What the program is about; a claim that is put by programs.",
)
@click.option(
    "--program",
    "file",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="One program as JSON, as of `check`; - for standard input.",
)
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    help="Who runs it; may be repeated.  [default: all that are at hand]",
)
def bisect(claim_id: str, file: Path, subjects: tuple[str, ...]) -> int:
    """Say between which two versions of torch the verdict on a program, or what it does, changed.

    The subjects are sorted by their torch. The oldest and the newest are asked, then, if their
    answers differ, those between them by a binary search; each is judged as `check` judges. Where
    torch is right both times, by rules that have changed, errors, values and gradients tell.

    Ends with 0 when it found out, and with 3 if fewer than two subjects could be started.
    """
    claim = find_claim(claim_id)
    if claim.id not in ABOUT_PROGRAMS:
        raise UsageError(
            f"The claim {claim.id!r} runs scripts, and bisect needs a claim about programs: "
            f"{', '.join(sorted(ABOUT_PROGRAMS))}."
        )
    program = _only_program(file)
    if len(set(subjects)) != len(subjects):
        raise UsageError("A subject is named twice; name each once.")
    for name in subjects:
        parse_subject(name)
    try:
        with Progress(Remarks()) as progress:
            found = bisection.bisect(_candidates(subjects, progress), _Judge(program, progress).ask)
    except TooFew as error:
        click.echo(f"Error: {error}", err=True)
        return _TOO_FEW
    title = f"Program {program.id}, of: {claim.title}"
    print_bisected(found, title, Output(), rules(program, found))
    return 0


def _only_program(file: Path) -> Program:
    programs = list(read_programs(file))
    if len(programs) > 1:
        raise UsageError(
            f"{file} holds {len(programs)} programs and bisect is of one; put it into a file of "
            "its own."
        )
    return programs[0]


def _candidates(names: tuple[str, ...], progress: Progress) -> list[Availability]:
    """Each subject with the torch that it says it has."""
    if not names:
        progress.begin("looking for subjects", "")
        return at_hand()
    found = []
    for name in names:
        progress.begin(f"starting {name}", name)
        found.append(availability(name))
    return found


class _Judge:
    """Puts one program to one subject after the other."""

    def __init__(self, program: Program, progress: Progress) -> None:
        self._program = program
        self._progress = progress
        self._machine = Machine(progress.say)

    def ask(self, name: str) -> Answer:
        """Start the subject, and judge the program; raises SubjectError if it cannot be asked."""
        self._progress.begin(f"asking {name}", name)
        with open_subject(name) as subject:
            judged = Examiner(subject, self._machine).examine(self._program)
            self._progress.end(f"torch {subject.torch}, {name}", judged.verdict, 1)
            said = "\n".join(filter(None, (judged.reason, *details(judged))))
            return Answer(name, subject.torch, judged.verdict, said, behaviour_of(judged))


def rules(program: Program, found: Bisected) -> list[str]:
    """What is known to have changed of the program's operations where the answers change."""
    if found.boundary is None:
        return []
    last, first = found.boundary
    rows = {OPERATIONS[step.op][0].name for step in program.steps if isinstance(step, Apply)}
    return [
        f"{', '.join(sorted(rows.intersection(change.rows)))}, otherwise on torch {change.torch}: "
        f"{change.source}"
        for change in CHANGES
        if within(change.torch, last.torch) != within(change.torch, first.torch)
        and not rows.isdisjoint(change.rows)
    ]


def print_bisected(
    found: Bisected, title: str, console: Console, changed: Sequence[str] = ()
) -> None:
    """Who was asked and what came out, in at most 80 columns; then where that changes."""
    say(console, f"{title}\n")
    table = Table(box=None, pad_edge=False, show_edge=False)
    for header in ("torch", "verdict", "subject"):
        table.add_column(header, overflow="fold")
    for answer in found.answers:
        verdict = Text(answer.verdict, style=STYLES.get(answer.verdict, ""))
        table.add_row(Text(answer.torch), verdict, Text(answer.subject))
    console.print(table)
    say(console, f"\n{_asked(found)}\n\n{_conclusion(found)}")
    told = differences(*(answer.did for answer in found.boundary)) if found.boundary else []
    for answer in found.boundary or (found.oldest,):
        say(console, f"\ntorch {answer.torch}: {answer.verdict}")
        numbers = told or [name for name in answer.did.numbers if name.endswith(".grad")]
        seen = [answer.did.told(name) for name in numbers]
        for line in (*answer.message.splitlines(), *seen[:_MOST_SEEN]):
            say(console, indented(line))
    for rule in changed:
        say(console, f"\nWhat has changed, as far as the op table knows:\n{indented(rule)}")
    for sentence in found.left_out:
        say(console, f"\nnot asked, {sentence}", "dim")


def _asked(found: Bisected) -> str:
    between = found.subjects - len(found.answers)
    rest = f"; {between} between them need not be" if between else ""
    return f"{len(found.answers)} of {found.subjects} subjects were asked{rest}."


def _conclusion(found: Bisected) -> str:
    oldest, newest = found.oldest, found.newest
    if found.boundary is None:
        return (
            f"The verdict is the same from torch {oldest.torch} to torch {newest.torch}: "
            f"{oldest.verdict}."
        )
    last, first = found.boundary
    if last.verdict == first.verdict:
        same = " at both ends" if oldest.verdict == newest.verdict else ""
        return (
            f"The verdict is the same{same}: {first.verdict}. What torch does changes between "
            f"torch {last.torch} and torch {first.torch}."
        )
    again = ""
    if first.verdict != newest.verdict:
        again = f" Later, up to torch {newest.torch}, it becomes {newest.verdict}."
    return (
        f"The verdict changes between torch {last.torch} ({last.verdict}) and torch "
        f"{first.torch} ({first.verdict}).{again}"
    )
