"""A chunk of a campaign: programs that follow each other, and what became of them.

Program i depends on the campaign's seed, on i and on what the subject lacks, so that a chunk can be
judged anywhere, and again where it was lost.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from conformance import collecting
from conformance.abilities import Abilities
from conformance.cells import Tally, cells_at
from conformance.examine import Examiner
from conformance.model.interpreter import Interpreter
from conformance.oracle.machine import Machine
from conformance.records import Cells, VerdictWord
from conformance.subjects import open_subject
from strategies.build import grown
from strategies.choices import Seeded
from strategies.draft import Draft, Shaped, check
from strategies.lacking import drawing_without, suited

SIZE = 192
"""Programs of a chunk: a third of a second's work, which is what a killed process loses."""
_TOGETHER = 32
"""Programs that are judged together: more do not stay in a processor's caches."""
LETTERS: dict[VerdictWord, str] = {
    "conforms": "c",
    "known deviation": "k",
    "unspecified": "u",
    "not exercised": "n",
    "gave up": "g",
    "deviates": "d",
}
"""Verdict -> the letter that stands for it in the records of a campaign."""
WORDS = {letter: word for word, letter in LETTERS.items()}


class Task(Struct, frozen=True):
    """What all chunks of a campaign have in common."""

    subject: str
    in_process: bool
    seed: int


class Chunk(Struct, frozen=True, order=True):
    """The programs from `first` on, `count` of them."""

    first: int
    count: int


class Done(Struct, frozen=True, tag="chunk"):
    """What became of a chunk: a letter of `LETTERS` for each program, in order."""

    first: int
    verdicts: str
    programs: str
    """The start of the SHA-256 of the programs' ids: that the same ones were judged."""
    torch: str
    seconds: float
    cpu_s: float
    cells: dict[str, Cells] = {}
    deviations: dict[str, int] = {}
    """Registered deviation -> programs that show it."""
    reasons: dict[str, int] = {}
    """Why nothing is said, or asked -> programs."""


def chunks_of(programs: int, done: Iterable[Done]) -> Iterator[Chunk]:
    """What is left to do of so many programs, in order."""
    first = 0
    for one in sorted(done, key=lambda one: one.first):
        yield from _cut(first, min(one.first, programs))
        first = max(first, one.first + len(one.verdicts))
    yield from _cut(first, programs)


def _cut(first: int, end: int) -> Iterator[Chunk]:
    for start in range(first, end, SIZE):
        yield Chunk(start, min(SIZE, end - start))


class _Cells:
    """The cells that steps fall into, as the model comes to them, until it is known what counts."""

    def __init__(self) -> None:
        self._met: dict[int, list[tuple[str, str]]] = {}
        self.tally = Tally()

    def visit(self, interpreter: Interpreter, step: Shaped) -> None:
        self._met.setdefault(id(interpreter.draft), []).extend(cells_at(interpreter, step))

    def count(self, draft: Draft) -> None:
        self.tally.count(self._met.get(id(draft), ()))

    def forget(self) -> None:
        self._met.clear()


_RESULT = re.compile(r"\bx\d+\b| \(instruction \d+\)")
"""The name of a drawn result, or where in a program something is."""


def _general(reason: str) -> str:
    """A reason without what it says of its program alone."""
    return _RESULT.sub(lambda found: "x" if found[0][0] == "x" else "", reason)


_OPEN: dict[tuple[str, bool], Examiner] = {}
_ONE_AT_A_TIME = threading.Lock()
"""A worker of a cluster has several threads, and a subject runs one program."""


def drawn_for(abilities: Abilities, seed: int, index: int) -> Draft:
    """Program `index` of a stream, without what a subject's torch lacks and spelled as it can."""
    with drawing_without(abilities.lacking):
        draft = suited(Seeded(seed, index), grown)
    program = draft.program()
    respelled = abilities.respelled(program)
    return draft if respelled is program else check(respelled)


def judge_chunk(task: Task, chunk: Chunk) -> Done:
    """Judge a chunk in this process; raises SubjectError if there is nobody to run it."""
    with _ONE_AT_A_TIME, collecting.afterwards():
        return _judged(_examiner(task), task.seed, chunk)


def _examiner(task: Task) -> Examiner:
    """The process's own judge of a subject, which stays open until the process ends."""
    key = (task.subject, task.in_process)
    if key not in _OPEN:
        subject = open_subject(task.subject, in_process=task.in_process)
        _OPEN[key] = Examiner(subject, Machine())
    return _OPEN[key]


def _judged(examiner: Examiner, seed: int, chunk: Chunk) -> Done:
    started, cpu = time.monotonic(), time.process_time()
    cells = _Cells()
    examiner.authorities.visit = cells.visit
    ids = hashlib.sha256()
    letters = []
    deviations, reasons = Counter[str](), Counter[str]()
    for first in range(chunk.first, chunk.first + chunk.count, _TOGETHER):
        end = min(first + _TOGETHER, chunk.first + chunk.count)
        drafts = [drawn_for(examiner.abilities, seed, i) for i in range(first, end)]
        for judged in examiner.examine_all(drafts):
            ids.update(judged.program.id.encode())
            letters.append(LETTERS[judged.verdict])
            deviations.update(deviation.entry.id for deviation in judged.deviations)
            if judged.reason:
                reasons[_general(judged.reason)] += 1
            if judged.verdict != "not exercised":
                cells.count(judged.draft)
        cells.forget()
    return Done(
        chunk.first,
        "".join(letters),
        ids.hexdigest()[:16],
        examiner.subject.torch,
        time.monotonic() - started,
        time.process_time() - cpu,
        cells.tally.counted,
        dict(deviations),
        dict(reasons),
    )
