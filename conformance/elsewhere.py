"""Asking other subjects about the programs that deviated in runs that are over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from conformance.claims.catalogue import ABOUT_PROGRAMS
from conformance.examine import Examiner, Judged
from conformance.records import Elsewhere, RecordWriter, RunRecords
from strategies.draft import check
from strategies.program import Program, ProgramError, decode


@dataclass(frozen=True, slots=True)
class Question:
    """A program that deviated, and the subjects of the run on which it did."""

    program: Program
    found_on: set[str] = field(default_factory=set)


def questions(run: RunRecords) -> dict[str, Question]:
    """The programs that deviated in a run, by their ids.

    Left out are scripts, programs that this suite cannot read, and those of claims that are no
    claims about programs.
    """
    found: dict[str, Question] = {}
    for verdict in run.verdicts:
        deviates = verdict.verdict == "deviates" and verdict.claim in ABOUT_PROGRAMS
        if not deviates or verdict.source is None:
            continue
        try:
            program = decode(msgspec.json.encode(verdict.source))
            check(program)
        except ProgramError:
            continue
        found.setdefault(program.id, Question(program)).found_on.add(verdict.subject)
    return found


@dataclass(slots=True)
class Asking:
    """Puts programs to one subject, each once however many runs it deviated in."""

    examiner: Examiner
    _judged: dict[str, Judged] = field(default_factory=dict)

    def ask(self, run: RunRecords, asked: Mapping[str, Question]) -> int:
        """Append what becomes of the programs to the records of their run; how many there were.

        Raises SubjectError if the subject cannot be asked, RecordError if nothing can be written.
        """
        subject = self.examiner.subject
        wanted = {id: one for id, one in asked.items() if subject.name not in one.found_on}
        if not wanted:
            return 0
        with RecordWriter(run.path) as writer:
            for id, question in wanted.items():
                if id not in self._judged:
                    self._judged[id] = self.examiner.examine(question.program)
                judged = self._judged[id]
                writer.write(
                    Elsewhere(id, subject.name, subject.torch, judged.verdict, _said(judged))
                )
        return len(wanted)


def _said(judged: Judged) -> str:
    """What came out, or why nobody can tell."""
    return judged.gravest.message if judged.findings else judged.reason
