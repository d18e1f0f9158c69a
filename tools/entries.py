"""Entries of the register from what a run has seen, and whether those that are there still show.

`python -m tools.entries RUN...` takes every program of these runs that deviates, puts it to its
subject again, shrinks it, and prints an entry for the register that lacks what only a person can
say: the cause, and how a finding tells it. Then it puts every registered entry of those subjects to
them. `--draw N --subject MODE` does the same with N drawn programs, each one that deviates taken,
where a run ends with the first. `--remove` takes entries out of the register that conform on every
subject that was asked. Ends with 1 if anything is to be done by hand.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click
from packaging.version import Version

from conformance.examine import Examiner, Judged
from conformance.oracle.machine import Machine
from conformance.records import RecordError, read_run
from conformance.standing import standing
from conformance.subjects import SubjectError, open_subject
from strategies.build import build
from strategies.choices import Seeded, chance
from strategies.novelty import novel
from strategies.program import Program, ProgramError, decode, encode
from strategies.recalls import with_a_call_again
from strategies.reducing import reduced

REGISTER = Path(__file__).parents[1] / "conformance" / "deviations.toml"
_HEADING = "[[deviation]]\n"
_CLAIM = "transformed-same"


@dataclass(frozen=True, slots=True)
class Seen:
    """A program that deviated, on which subject, and against which claim."""

    program: Program
    subject: str
    claim: str


def of_run(path: Path) -> Iterator[Seen]:
    """The programs of a run that deviate; raises RecordError if there is no run."""
    run = read_run(path)
    for verdict in run.verdicts:
        line = run.programs.get(verdict.program)
        if verdict.verdict == "deviates" and line is not None and not line.script:
            yield Seen(decode(bytes(line.program)), verdict.subject, verdict.claim)


def drawn(examiner: Examiner, seed: int, count: int) -> Iterator[Program]:
    """Programs with functions, of which one in three is called again."""
    for index in range(count):
        choose = Seeded(seed, index)
        program = novel(choose, build(choose))
        if chance(choose, 33):
            program = with_a_call_again(choose, program)
        yield examiner.abilities.respelled(program)


def smallest(examiner: Examiner, program: Program, seconds: float) -> Judged | None:
    """What is left of a program that deviates; None if it does not any more."""
    judged = examiner.examine(program)
    if judged.verdict != "deviates":
        return None
    kind = judged.gravest.kind

    def still(smaller: Program) -> bool:
        found = examiner.examine(smaller)
        return found.verdict == "deviates" and found.gravest.kind == kind

    left = reduced(program, still, deadline=time.monotonic() + seconds)
    found = examiner.examine(left.program)
    return found if found.verdict == "deviates" else judged


def identity(judged: Judged) -> str:
    """A first name for an entry: the mode, and the operations that are left."""
    ops = [step.op for step in judged.program.steps if hasattr(step, "op")]
    words = "-".join(dict.fromkeys(op.strip("_").replace("_", "-") for op in ops[-3:]))
    return re.sub(r"[^a-z0-9-]", "", words) or "unnamed"


def entry(judged: Judged, examiner: Examiner, claim: str) -> str:
    """An entry as it would stand in the register; a person must say the cause."""
    subject = examiner.subject
    mode = subject.mode
    message = re.sub(r'["\\]', "'", " ".join(judged.gravest.message.split()))[:300]
    version = Version(subject.torch)
    program = encode(judged.program).decode()
    return f"""{_HEADING}id = "{mode}-{identity(judged)}"
title = "SAY WHAT IS WRONG IN ONE SENTENCE"
kind = "{judged.gravest.kind}"
claim = "{claim}"
subjects = ["{mode}-{subject.device}"]
torch = ">={version.major}.{version.minor}"
quirk = "NAME HOW A FINDING TELLS IT, IN conformance/transform_causes.py"
cause = "SAY WHY. It was seen: {message}"
upstream = "NAME AN ISSUE, OR THE PAGE THAT SAYS OTHERWISE"
date = "{date.today().isoformat()}"
program = '{program}'
"""


def without(text: str, ids: frozenset[str]) -> str:
    """The register's text without these entries."""
    head, *blocks = text.split(_HEADING)
    kept = [block for block in blocks if not any(f'id = "{one}"\n' in block for one in ids)]
    return head + "".join(_HEADING + block for block in kept)


def statuses(examiner: Examiner) -> dict[str, str]:
    """What has become of each registered entry of a subject that has a program."""
    return {
        known.entry.id: standing(examiner, known).status
        for known in examiner.known
        if known.program is not None
    }


@click.command(help=__doc__)
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--draw", default=0)
@click.option("--subject", "subjects", multiple=True)
@click.option("--seed", default=0)
@click.option("--shrink-seconds", default=20.0)
@click.option("--remove", is_flag=True)
def main(
    runs: tuple[Path, ...],
    draw: int,
    subjects: tuple[str, ...],
    seed: int,
    shrink_seconds: float,
    remove: bool,
) -> None:
    """Propose entries, and check those that are there."""
    try:
        seen = [one for path in runs for one in of_run(path)]
    except (RecordError, ProgramError) as problem:
        raise click.UsageError(str(problem)) from None
    names = dict.fromkeys([*(one.subject for one in seen), *subjects])
    if not names:
        raise click.UsageError("No program deviates there; name a subject with --subject.")
    machine, todo = Machine(), 0
    conform, asked = Counter[str](), Counter[str]()
    for name in names:
        try:
            subject = open_subject(name)
        except SubjectError as problem:
            raise click.UsageError(str(problem)) from None
        with subject:
            examiner = Examiner(subject, machine)
            given = [one for one in seen if one.subject == name]
            given += [Seen(p, name, _CLAIM) for p in drawn(examiner, seed, draw)]
            for one in given:
                left = smallest(examiner, one.program, shrink_seconds)
                if left is not None:
                    todo += 1
                    click.echo(entry(left, examiner, one.claim))
            for id, status in statuses(examiner).items():
                asked[id] += 1
                conform[id] += status == "unexpectedly conforms"
                if status != "still":
                    todo += 1
                    click.echo(f"# {id} on {name}: {status}")
    gone = frozenset(id for id, count in conform.items() if count and count == asked[id])
    if remove and gone:
        text = REGISTER.read_text(encoding="utf-8")
        REGISTER.write_text(without(text, gone), encoding="utf-8")
        click.echo(f"# taken out: {', '.join(sorted(gone))}")
    click.echo(f"# {todo} to do; {sum(asked.values())} entries were asked for")
    sys.exit(1 if todo else 0)


if __name__ == "__main__":
    main()
