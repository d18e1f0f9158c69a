"""What a line of a corpus says, as the authorities that the judge asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conformance.corpus.schema import Line, Numbers, Raise, Said, Tensor
from conformance.corpus.versions import computes_otherwise, same_course
from conformance.model import Flags, Prediction, Raises, predict
from conformance.model.laws import broken_in
from conformance.model.prediction import Acted
from conformance.oracle.answers import Answer, Entries
from strategies.draft import Draft, check
from strategies.layout import contiguous
from strategies.program import Apply, Program, ProgramError, decode
from strategies.table.changes import changes_in

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

_KEPT_BITS = 8
_LOST = (1 << (52 - _KEPT_BITS)) - 1


def said(prediction: Prediction, answer: Answer) -> Said:
    """What both say of a program, as a corpus keeps it."""
    steps = len(prediction.acted) if prediction.unspecified else None
    if steps is not None:
        return Said(steps=steps, open=prediction.unspecified)
    raises = prediction.raises
    tensors = {
        name: _tensor(prediction, name, answer.values.get(name)) for name in prediction.flags
    }
    gradients: dict[str, Numbers | None] = {}
    if not answer.unspecified and not prediction.hidden:
        gradients = {
            name: _numbers(answer.gradients[name]) if there else None
            for name, there in prediction.graded.items()
        }
    return Said(
        tensors,
        gradients,
        None if raises is None else Raise(raises.step, raises.kind, raises.why),
        None,
        answer.unspecified,
        prediction.hidden,
    )


def _tensor(prediction: Prediction, name: str, entries: Entries | None) -> Tensor:
    flags, layout = prediction.flags[name], prediction.layouts[name]
    return Tensor(
        prediction.memory[name],
        flags.version,
        layout.shape,
        layout.offset,
        flags.requires_grad,
        flags.is_leaf,
        flags.grad_fn,
        flags.unreadable,
        None if entries is None else _numbers(entries),
    )


def _numbers(entries: Entries) -> Numbers:
    slack = coarser(np.broadcast_to(entries.slack, entries.values.shape))
    return Numbers(
        entries.values.shape, _bytes(entries.values), _bytes(slack) if slack.any() else b""
    )


def _bytes(array: NDArray[np.float64]) -> bytes:
    return np.ascontiguousarray(array, "<f8").tobytes()


def coarser(slack: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bounds, rounded up to nine significant bits: their other digits mean nothing, and fill most
    of a corpus.
    """
    bits = np.ascontiguousarray(slack, np.float64).view(np.int64)
    up = (bits + _LOST) & ~_LOST
    return np.where(np.isfinite(slack) & (slack > 0), up.view(np.float64), slack)


# -- back


@dataclass(frozen=True, slots=True)
class Recorded:
    """A program of a corpus, and the authorities that its line stands for."""

    program: Program
    draft: Draft
    line: Line
    under: dict[frozenset[str], Said]
    quirks: frozenset[str]
    """Those that change anything."""

    def predict(
        self, draft: Draft, *, quirks: frozenset[str] = frozenset(), watched: bool = False
    ) -> Prediction:
        """Errors, flags and memory: by the model where the torch has rules of its own.

        Nothing was recorded of what is seen between steps.
        """
        if self._has_other_rules(draft.torch):
            return predict(draft, quirks=quirks)
        return _prediction(self.draft, self._said(quirks))

    def answer(
        self,
        draft: Draft,
        prediction: Prediction,
        *,
        quirks: frozenset[str] = frozenset(),
        again: bool = False,
    ) -> Answer:
        """Values and gradients; recorded were the widest bounds, so that asking again is vain."""
        if self._has_other_rules(draft.torch):
            left_open = prediction.unspecified or prediction.open
            if left_open or not same_course(self._recorded(quirks), prediction):
                return Answer({}, {}, left_open or "nothing was recorded of what happens there")
        return _answer(self._said(quirks))

    def silent_on(self, torch: str) -> str:
        """Numbers were recorded by the table's own rows, and by the newest rules of autograd."""
        there = self.draft.as_in(torch)
        if not self._has_other_rules(torch):
            return ""
        if computes_otherwise(self.draft, there):
            return "an operation computes something else there than was recorded"
        if not same_course(self._recorded(frozenset()), predict(there)):
            return "autograd does something else there than was recorded"
        return ""

    def _has_other_rules(self, torch: str) -> bool:
        """Whether operations or autograd have other rules there than in the table's torch."""
        ours = self.draft.torch
        return bool(changes_in(torch)) or broken_in(torch) != broken_in(ours)

    def _recorded(self, quirks: frozenset[str]) -> Prediction:
        """What the model says where the numbers were recorded, with all that they depend on."""
        return predict(self.draft, quirks=quirks)

    def _said(self, quirks: frozenset[str]) -> Said:
        return self.under[quirks & self.quirks]


def _prediction(draft: Draft, said: Said) -> Prediction:
    if said.steps is not None:
        return Prediction(unspecified=said.open, acted=[Acted() for _ in range(said.steps)])
    tensors, raises = said.tensors, said.raises
    return Prediction(
        raises=None if raises is None else Raises(raises.step, raises.kind, raises.why),
        hidden=said.hidden,
        flags={name: _flags(tensor) for name, tensor in tensors.items()},
        memory={name: tensor.memory for name, tensor in tensors.items()},
        layouts={name: contiguous(tensor.shape, tensor.offset) for name, tensor in tensors.items()},
        graded={name: numbers is not None for name, numbers in said.gradients.items()},
        sought=frozenset(draft.sought),
    )


def _flags(tensor: Tensor) -> Flags:
    version = tensor.version if isinstance(tensor.version, int) else None
    return Flags(
        tensor.requires_grad,
        "any" if tensor.version == "any" else version,
        tensor.is_leaf,
        tensor.grad_fn,
        tensor.unreadable,
    )


def _answer(said: Said) -> Answer:
    if said.open:
        return Answer({}, {}, said.open)
    return Answer(
        {name: _entries(t.numbers) for name, t in said.tensors.items() if t.numbers is not None},
        {name: _entries(n) for name, n in said.gradients.items() if n is not None},
    )


def _entries(numbers: Numbers) -> Entries:
    values = np.frombuffer(numbers.values, "<f8").reshape(numbers.shape)
    if not numbers.slack:
        return Entries(values, np.zeros(numbers.shape))
    return Entries(values, np.frombuffer(numbers.slack, "<f8").reshape(numbers.shape))


# -- checks


def recorded(line: Line) -> Recorded:
    """A line whose program is legal and of which it says what can be said of that program.

    Raises ProgramError, one sentence, if it does not.
    """
    program = decode(bytes(line.program))
    draft = check(program)
    under = {frozenset[str](): line.said}
    for case in line.under:
        under[frozenset(case.quirks)] = case.said
    quirks = frozenset[str]().union(*under)
    if len(under) != 1 << len(quirks) or len(under) != len(line.under) + 1:
        raise ProgramError(
            f"The quirks {', '.join(sorted(quirks))} need one prediction for each set of them."
        )
    for chosen, what in under.items():
        where = f"With {', '.join(sorted(chosen))}: " if chosen else ""
        _check(program, draft, what, where)
    if line.said.steps is not None or line.said.open or line.said.hidden:
        raise ProgramError("What is left open belongs into no corpus.")
    return Recorded(program, draft, line, under, quirks)


def _check(program: Program, draft: Draft, said: Said, where: str) -> None:
    """Raise ProgramError unless what is said is about the tensors that there are at the end."""
    ends = said.raises.step if said.raises is not None else len(program.steps)
    if not 0 <= ends <= len(program.steps) - (said.raises is not None):
        raise ProgramError(f"{where}step {ends} raises, and the program has no such step.")
    if said.steps is not None:
        if said.tensors or said.gradients or said.raises or not said.open:
            raise ProgramError(f"{where}a step is left open, and more is said of the end.")
        return
    before, after = _shapes(program, draft, ends)
    if said.tensors.keys() != before.keys():
        raise ProgramError(
            f"{where}the tensors are {_names(before)} and not {_names(said.tensors)}."
        )
    for name, tensor in said.tensors.items():
        if tensor.shape not in (before[name], after[name]):
            raise ProgramError(
                f"{where}{name} has shape {list(before[name])} and not {list(tensor.shape)}."
            )
        if (tensor.numbers is None) != bool(said.open):
            raise ProgramError(f"{where}{name} must have numbers, unless all of them are open.")
    if said.gradients and (said.open or said.hidden):
        raise ProgramError(f"{where}gradients are left open, and some are given.")
    for name, numbers in said.gradients.items():
        if name not in before:
            raise ProgramError(f"{where}{name}.grad is of no tensor of the program.")
        if numbers is not None and _sizes(numbers.shape) != _sizes(before[name]):
            raise ProgramError(
                f"{where}{name}.grad has shape {list(before[name])} and not {list(numbers.shape)}."
            )


def _shapes(program: Program, draft: Draft, ends: int) -> tuple[Shapes, Shapes]:
    """The shapes of what there is when so many steps have run, and those after one step more, which
    may change the shape of its target before it raises.
    """
    if ends == len(program.steps):
        shapes = {name: value.layout.shape for name, value in draft.values.items()}
        return shapes, shapes
    draft = check(Program(program.leaves, program.steps[:ends]))
    before = {name: value.layout.shape for name, value in draft.values.items()}
    step = program.steps[ends]
    if isinstance(step, Apply):
        draft.add(step)
    return before, {name: value.layout.shape for name, value in draft.values.items()}


def _sizes(shape: Shape) -> list[int]:
    """Sizes but for those of 1: a tensor may be squeezed or transposed after it got its `.grad`."""
    return sorted(size for size in shape if size != 1)


def _names(tensors: Iterable[str]) -> str:
    return ", ".join(sorted(tensors)) or "none"
