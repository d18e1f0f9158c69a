"""What a program would compute if one thing went wrong: does it tell a faulty autograd apart?

Three faults are computed by the oracle: the last write is ignored, the derivative of one operation
is taken at values from before a write, or one alias is a copy. A program *discriminates* if one of
them changes a gradient that a leaf is to hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conformance.model.prediction import Acted, Place, Prediction
from conformance.oracle.answering import found_by
from conformance.oracle.answers import Answer
from conformance.oracle.assembly import Handle
from conformance.oracle.interpret import Walk
from conformance.oracle.machine import Machine
from conformance.tolerances import close
from strategies.draft import Draft, Shaped, Value
from strategies.layout import Layout
from strategies.program import Backward

WRITE_IGNORED = "last write ignored"
SAVED_STALE = "one saved tensor stale"
ALIAS_CUT = "one alias cut"
KINDS = (WRITE_IGNORED, SAVED_STALE, ALIAS_CUT)

LEAST_CHANGE = 1e-3
"""A gradient entry that changes by no more than this does not count as changed."""

MOST_CANDIDATES = 8
"""Stale operands, and cut aliases, that are tried for one program, the latest first."""

_COPY = -1
"""The memory of a cut alias; a draft's memories count from 0."""


@dataclass(frozen=True, slots=True)
class IgnoredWrite:
    """The in-place step of this index writes nothing."""

    step: int


@dataclass(frozen=True, slots=True)
class StaleOperand:
    """The step has its value, and the derivative that it has at an operand's values before `since`.

    All three are indices: of the step, of its operand, of the step that wrote the operand.
    """

    step: int
    operand: int
    since: int


@dataclass(frozen=True, slots=True)
class CutAlias:
    """The first of `names`, which the step makes, is a copy; the others are made from it."""

    step: int
    names: tuple[str, ...]


Change = IgnoredWrite | StaleOperand | CutAlias


def variants(draft: Draft, prediction: Prediction) -> dict[str, tuple[Change, ...]]:
    """The changes of each of `KINDS` that may show in a gradient, the latest first.

    What happens after the last backward call cannot, nor can an alias whose memory nobody writes.
    """
    last = max(
        (i for i, step in enumerate(draft.shaped) if isinstance(step, Backward)),
        default=-1,
    )
    steps = [
        (number, step, acted)
        for number, (step, acted) in enumerate(zip(draft.shaped, prediction.acted, strict=False))
        if isinstance(step, Shaped)
    ]
    writes = [(number, step) for number, step, _ in steps if _writes(step)]
    before = [(number, step, acted) for number, step, acted in steps if number < last]
    ignored = [IgnoredWrite(number) for number, _ in writes[-1:] if number < last]
    stale = [
        change
        for number, step, acted in reversed(before)
        if acted.recorded and step.row.saved(step.in_place)
        for change in _stale(number, step, [w for w in writes if w[0] < number])
    ]
    cut = [
        change
        for number, step, _ in reversed(before)
        for change in _cut(number, step, draft, [w for w in writes if number < w[0] < last])
    ]
    found: tuple[tuple[Change, ...], ...] = (tuple(ignored), tuple(stale), tuple(cut))
    return dict(zip(KINDS, found, strict=True))


def _writes(step: Shaped) -> bool:
    """Whether it is an in-place step that writes elements."""
    row = step.row
    return step.in_place and not (row.inert or row.relabels or row.moves)


def _stale(number: int, step: Shaped, writes: list[tuple[int, Shaped]]) -> Iterator[StaleOperand]:
    """For each operand, the last write to cells that it reads."""
    for position, operand in enumerate(step.operands):
        if not isinstance(operand, Value) or operand.dtype != "float64":
            continue
        read = operand.layout if position or step.target is None else step.target
        for since, write in reversed(writes):
            written = write.operands[0]
            assert isinstance(written, Value) and write.target is not None
            if written.memory == operand.memory and _meet(read, write.target):
                yield StaleOperand(number, position, since)
                break


def _meet(one: Layout, two: Layout) -> bool:
    return bool(np.isin(one.cells(), two.cells()).any())


def _cut(
    number: int, step: Shaped, draft: Draft, writes: list[tuple[int, Shaped]]
) -> Iterator[CutAlias]:
    """Each result that lies in its operand's memory, if that is written later."""
    written = {o.memory for _, write in writes for o in write.operands[:1] if isinstance(o, Value)}
    for made, result in zip(step.made, step.results, strict=True):
        if made.how != "fresh" and result.memory in written:
            yield CutAlias(number, _family(result.name, draft, number))


def _family(name: str, draft: Draft, made_at: int) -> tuple[str, ...]:
    """An alias, and every alias that is made from it later."""
    names = [name]
    for step in draft.shaped[made_at + 1 :]:
        if isinstance(step, Backward):
            continue
        first = step.operands[0]
        if isinstance(first, Value) and first.name in names:
            names += [
                result.name
                for made, result in zip(step.made, step.results, strict=True)
                if made.how != "fresh"
            ]
    return tuple(names)


class _Changed(Walk):
    """A walk on which one thing goes wrong; what is recorded and what flows stays as predicted."""

    def __init__(self, draft: Draft, prediction: Prediction, change: Change) -> None:
        self.change = change
        self.number = -1
        self.old: Handle | None = None
        """The cells of the stale operand's memory before it was written."""
        self.sloping = False
        super().__init__(draft, prediction, {})

    def place(self, name: str) -> Place:
        memory, history = super().place(name)
        parted = isinstance(self.change, CutAlias) and name in self.change.names
        return (_COPY, history) if parted else (memory, history)

    def arrive(self, step: Shaped | Backward, acted: Acted) -> None:
        before = {name: self.place(name) for name in acted.places if name in self.places}
        super().arrive(step, acted)
        # A view takes the history that its base got since; a copy cannot find its cells there.
        for name, old in before.items():
            new = self.place(name)
            if new not in self.cells:
                self._carry_over(old, new)

    def step(self, step: Shaped | Backward, acted: Acted) -> None:
        self.number += 1
        change = self.change
        if isinstance(change, IgnoredWrite) and self.number == change.step:
            return
        if isinstance(change, StaleOperand) and self.number == change.since:
            assert isinstance(step, Shaped) and isinstance(step.operands[0], Value)
            self.old = self.assembly.snapshot(self.cells[self.place(step.operands[0].name)])
        if isinstance(change, CutAlias) and self.number == change.step:
            self._copy(change.names[0])
        super().step(step, acted)

    def _copy(self, name: str) -> None:
        """Give an alias cells of its own; one without a history gets them from its step."""
        origin = super().place(name)
        if origin in self.cells:
            self._carry_over(origin, self.place(name))

    def _carry_over(self, old: Place, new: Place) -> None:
        """Give a place cells of its own, with the values and derivatives of another one."""
        self.cells[new] = self.assembly.snapshot(self.cells[old])
        if old in self.live:
            self.live.add(new)

    def operands(self, step: Shaped, acted: Acted) -> list[Handle | float]:
        operands = super().operands(step, acted)
        if not self.sloping:
            return operands
        assert isinstance(self.change, StaleOperand) and self.old is not None
        position = self.change.operand
        given, now = step.operands[position], operands[position]
        assert isinstance(given, Value) and isinstance(now, np.ndarray)
        layout = step.target if position == 0 and step.target is not None else given.layout
        operands[position] = self.assembly.apply("carry", self.old[layout.cells()], now)
        return operands

    def mean(self, step: Shaped, acted: Acted) -> Handle:
        value = super().mean(step, acted)
        if not isinstance(self.change, StaleOperand) or self.number != self.change.step:
            return value
        self.sloping = True
        slope = super().mean(step, acted)
        self.sloping = False
        return self.assembly.apply("carry", value, slope)


def answer_under(change: Change, draft: Draft, prediction: Prediction, machine: Machine) -> Answer:
    """The oracle's answer for a program that does not raise, with one thing wrong."""
    return found_by(_Changed(draft, prediction, change), machine)


def discriminates(
    draft: Draft, prediction: Prediction, answer: Answer, machine: Machine
) -> frozenset[str]:
    """Which of `KINDS` change an entry of some leaf's `.grad` by more than `LEAST_CHANGE`.

    None do where the program raises or its answer is unspecified. Up to `MOST_CANDIDATES` changes
    of a kind are tried until one shows; one whose own answer is unspecified does not count.
    """
    if prediction.raises or prediction.unspecified or answer.unspecified:
        return frozenset()
    leaves = [name for name, graded in prediction.graded.items() if graded]
    return frozenset(
        kind
        for kind, changes in variants(draft, prediction).items()
        if any(
            _shows(answer, answer_under(change, draft, prediction, machine), leaves)
            for change in changes[:MOST_CANDIDATES]
        )
    )


def _shows(right: Answer, wrong: Answer, leaves: list[str]) -> bool:
    """Whether a judge would see the difference, in finite entries and beyond both bounds."""
    if wrong.unspecified:
        return False
    compared = [name for name in leaves if name in wrong.gradients]
    return any(_differ(right, wrong, name).any() for name in compared)


def _differ(right: Answer, wrong: Answer, name: str) -> NDArray[np.bool_]:
    one, two = right.gradients[name], wrong.gradients[name]
    with np.errstate(invalid="ignore"):
        change = np.abs(two.values - one.values)
    far = np.isfinite(change) & (change > LEAST_CHANGE)
    return np.asarray(far & ~close(two.values, one.values, one.slack + two.slack))
