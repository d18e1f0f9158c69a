"""A campaign from its first program to its report: chunks, failures, and how it ends."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from conformance.cells import Tally
from conformance.corpus.choosing import Cells, there_are
from conformance.examine import Examiner
from conformance.fuzz.chunks import WORDS, Chunk, Done, Task, chunks_of
from conformance.fuzz.display import FuzzProgress
from conformance.fuzz.journal import FORMAT, Header, Journal
from conformance.fuzz.shrinking import Shrinker
from conformance.ledger import Ledger
from conformance.oracle.machine import Machine
from conformance.profiles import Profile
from conformance.records import Detected, VerdictWord
from conformance.session import Session
from conformance.usage import UsageError, installed

CLAIM = "no-error-means-correct"
"""What a campaign puts on trial: the claim that the whole suite stands for."""
PROFILE = Profile("fuzz", examples=0, correctness=0, scripts=0, networks=0, turns=0)
_MOST_SHRUNK = 20
"""Programs that are shrunk; of others that deviate the numbers alone are told."""
_MOST_NAMED = 20
_PARTICULAR = re.compile(r"\b(x\d+|[a-h]|leaf\d+)\b|[-\d.e]+")
"""What two messages of one cause differ in: names and numbers."""


class Pool(Protocol):
    """What judges chunks, on this machine or elsewhere."""

    def run(self, task: Task, chunks: Iterable[Chunk]) -> Iterator[Done]: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Campaign:
    """A campaign in progress on an open session with one subject."""

    session: Session
    programs: int
    journal: Journal
    progress: FuzzProgress
    judged_now: int = 0
    """Programs that were judged since the campaign was begun, or resumed."""
    seconds: float = 0.0
    verdicts: Counter[VerdictWord] = field(default_factory=Counter)
    deviations: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    cells: Tally = field(default_factory=Tally)
    cpu_s: float = 0.0
    """CPU time of the processes that judged since then, workers of subjects not counted."""
    _there_are: Cells = field(default_factory=there_are)
    _frontier: int = 0
    """Every program below it is judged."""
    _alike: set[str] = field(default_factory=set)
    _started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        for done in self.journal.done.values():
            self._count(done)

    @property
    def covered(self) -> tuple[int, int]:
        """How many cells of the table are covered, and how many there are."""
        return len(self._there_are & self.cells.covered), len(self._there_are)

    @property
    def subject(self) -> str:
        (name,) = self.session.subjects
        return name

    def run(self, pool: Pool) -> None:
        """Judge what is left to judge, and shrink what deviates.

        Raises Stopped where the pool cannot go on, and UsageError if it runs another torch.
        """
        task = Task(self.subject, self.session.plan.in_process, self.session.seed)
        torch = self.session.subjects[self.subject].torch
        self._started = time.monotonic()
        self._show()
        self._tell()
        for done in pool.run(task, chunks_of(self.programs, self.journal.done.values())):
            if done.torch != torch:
                raise UsageError(
                    f"A process of the cluster runs torch {done.torch} and this machine {torch}; "
                    "give them the same one."
                )
            self.journal.chunk(done)
            self._count(done)
            self.judged_now += len(done.verdicts)
            self.cpu_s += done.cpu_s
            self.seconds = time.monotonic() - self._started
            self._show()
            self._tell()
            self.session.interrupts.check()

    def _count(self, done: Done) -> None:
        self.verdicts.update(WORDS[letter] for letter in done.verdicts)
        self.deviations.update(done.deviations)
        self.reasons.update(done.reasons)
        self.cells += done.cells

    def _show(self) -> None:
        self.progress.show(self.verdicts, *self.covered)

    # -- what deviates --------------------------------------------------------------------------

    @property
    def deviating(self) -> list[int]:
        """The numbers of the programs that deviate, in order."""
        return sorted(
            done.first + place
            for done in self.journal.done.values()
            for place, letter in enumerate(done.verdicts)
            if WORDS[letter] == "deviates"
        )

    def _tell(self) -> None:
        """Shrink and record what deviates, in order, so that it depends on the seed alone."""
        while self._frontier in self.journal.done:
            self._frontier += len(self.journal.done[self._frontier].verdicts)
        if not self.verdicts["deviates"]:
            return
        for index in self.deviating:
            if index < self._frontier and index not in self.journal.told:
                self._tell_of(index)

    def _tell_of(self, index: int) -> None:
        shrinker = self._shrinker()
        judged = shrinker.judged(index)
        findings = judged.findings if judged.verdict == "deviates" else ()
        looks = "".join(_PARTICULAR.sub("", f"{one.kind}: {one.message}") for one in findings[:1])
        shrunk = sum(map(bool, self.journal.told.values()))
        if looks in self._alike or shrunk >= _MOST_SHRUNK:
            self.journal.tell(index, "")
            return
        self.progress.say(f"Program {index} deviates; it is being shrunk.")
        found = shrinker.shrunk(index)
        if found is None:
            self.progress.say(f"Program {index} does not deviate when it is judged again.")
            self.journal.tell(index, "")
            return
        small, error, minimal = found
        self._alike.add(looks)
        if small.program.id not in self.journal.told.values():
            detected = Detected(index + 1, time.monotonic() - self._started)
            self._ledger().failure(small, error.finding, minimal=minimal, detected=detected)
        self.journal.tell(index, small.program.id)

    def _shrinker(self) -> Shrinker:
        session = self.session
        return Shrinker(
            Examiner(session.subjects[self.subject], Machine(self.progress.say)),
            seed=session.seed,
            claim=CLAIM,
            database=session.plan.out / "examples",
            shrink_s=session.plan.profile.shrink_s,
        )

    def _ledger(self) -> Ledger:
        device = self.session.subjects[self.subject].device
        return Ledger(self.session.writer, CLAIM, self.subject, device)

    # -- the end --------------------------------------------------------------------------------

    def finish(self) -> None:
        """Record how the campaign ended."""
        word = self._verdict()
        self._ledger().finish(
            word, self.verdicts, self.seconds, self._note(), None, self.cells.counted
        )
        self.session.verdicts[CLAIM, self.subject] = word

    def _verdict(self) -> VerdictWord:
        if self.verdicts["deviates"]:
            return "deviates"
        if (CLAIM, self.subject) in self.session.standing:
            return "known deviation"
        if self.verdicts["conforms"] or self.verdicts["known deviation"]:
            return "conforms"
        return "unspecified" if self.verdicts["unspecified"] else "not exercised"

    def _note(self) -> str:
        alike = [index for index in self.deviating if not self.journal.told.get(index)]
        if not alike:
            return ""
        named = ", ".join(map(str, alike[:_MOST_NAMED])) + (", …" * (len(alike) > _MOST_NAMED))
        return f"{len(alike)} more programs deviate and were not shrunk: {named}"


def header_of(session: Session) -> Header:
    """What the verdicts of a campaign depend on."""
    ((name, subject),) = session.subjects.items()
    return Header(FORMAT, name, subject.torch, installed("autograd-conformance"), session.seed)
