"""The shortest program that still shows something: a reducer that works on programs themselves.

Hypothesis shrinks the choices that a program was drawn from. It cannot leave out a step in the
middle and name its operand in its place, since what a later choice means depends on the earlier
ones. Here a program is flat data, and every candidate is legal or is not tried.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from strategies.draft import Draft, check
from strategies.neighbours import (
    PLAIN_MODES,
    RANK,
    VALUES,
    called,
    made,
    neighbours,
    used,
)
from strategies.program import Apply, Backward, Data, Generated, Leaf, Program, ProgramError, encode

Still = Callable[[Program], bool]


@dataclass(frozen=True, slots=True)
class Reduced:
    """The smallest program that was found, and whether no smaller neighbour is left to try."""

    program: Program
    minimal: bool


def reduced(program: Program, still: Still, *, deadline: float = math.inf) -> Reduced:
    """The smallest program that can be reached from one for which `still` is true.

    Every accepted candidate is smaller by `size`, so the search ends. `deadline` is a time of
    `time.monotonic`. Examples shrink towards one leaf of shape (2,) or () with data 1, 2, and few
    steps with no grad-mode regions, no parameters, and the table's first way of writing.
    """
    tried = {encode(program)}
    found = True
    while found:
        found = False
        for candidate in neighbours(program):
            if time.monotonic() > deadline:
                return Reduced(tidied(program), False)
            mended = _mended(candidate)
            if mended is None or size(mended) >= size(program):
                continue
            text = encode(mended)
            if text not in tried:
                tried.add(text)
                if still(mended):
                    program, found = mended, True
                    break
    tidy = tidied(program)
    return Reduced(tidy if tidy == program or still(tidy) else program, True)


def size(program: Program) -> tuple[int, ...]:
    """What makes a program hard to read, the gravest first."""
    applied = [step for step in program.steps if isinstance(step, Apply)]
    backwards = [step for step in program.steps if isinstance(step, Backward)]
    cotangents = [data for step in backwards for data in step.cotangents]
    return (
        len(program.steps),
        len(program.leaves),
        sum(len(step.modes) for step in program.steps),
        sum(mode not in PLAIN_MODES for step in program.steps for mode in step.modes),
        sum(len(step.of) + len(step.inputs) for step in backwards)
        + sum(step.retain_graph + (step.via != "") for step in backwards),
        sum(len(step.to) for step in applied),
        sum(isinstance(argument, str) for step in applied for argument in step.args),
        sum(len(step.params) for step in applied) + sum(step.via != "" for step in applied),
        sum(RANK.get(step.op, len(RANK)) for step in applied),
        sum(value not in VALUES for step in applied for value in step.params.values()),
        # An empty tensor is stranger than one of one or two elements.
        sum(2 * len(leaf.shape) + (math.prod(leaf.shape) or 2) for leaf in program.leaves),
        sum(_strangeness_of_leaf(leaf) for leaf in program.leaves),
        sum(_strangeness(data) for data in cotangents if data is not None),
        sum(2 if leaf.dtype != "float64" else not leaf.requires_grad for leaf in program.leaves),
        sum(a != 2 for step in applied for a in step.args if not isinstance(a, str)),
        _reach(program),
        len(encode(program)),
    )


def _strangeness(data: Data) -> int:
    """0 for ones, 1 for counting up, more for other numbers."""
    if isinstance(data, Generated):
        return 1000
    if all(value == 1 for value in data):
        return 0
    counting = [float(i + 1) for i in range(len(data))]
    return 1 if data == counting else 2 + sum(value != 1 for value in data)


def _strangeness_of_leaf(leaf: Leaf) -> int:
    """As of its data; an index is simplest if it counts from 0, which is always a position."""
    if leaf.dtype != "int64":
        return _strangeness(leaf.data)
    return 0 if leaf.data == list(range(math.prod(leaf.shape))) else 1 + _strangeness(leaf.data)


def _reach(program: Program) -> int:
    """How late the tensors that steps refer to come to be: an earlier name is the simpler one."""
    place = {name: i for i, name in enumerate(program.names)}
    names = [n for step in program.steps for n in used(step)]
    return sum(place[name] for name in names)


def _mended(program: Program) -> Program | None:
    """The program with ones for cotangents that no longer fit; None if it cannot be."""
    draft = Draft()
    try:
        if not program.leaves:
            return None
        for leaf in program.leaves:
            draft.add_leaf(leaf)
        for step in program.steps:
            if isinstance(step, Apply):
                _add_operation(draft, step)
            else:
                _add_backward(draft, step)
    except ProgramError:
        return None
    return draft.program()


def _add_operation(draft: Draft, step: Apply) -> None:
    """Add the step, with fewer names if it gives fewer results than it did."""
    try:
        draft.add(step)
    except ProgramError:
        if len(step.to) < 2:
            raise
        _add_operation(draft, replace(step, to=step.to[:-1]))


def _add_backward(draft: Draft, step: Backward) -> None:
    try:
        draft.add_backward(step)
    except ProgramError:
        counts = [draft.values[n].layout.numel if n in draft.values else 0 for n in step.of]
        ones: tuple[Data | None, ...] = tuple(None if n == 1 else [1.0] * n for n in counts)
        draft.add_backward(
            replace(step, cotangents=() if all(one is None for one in ones) else ones)
        )


def tidied(program: Program) -> Program:
    """The program with leaves called a, b, ... and results x0, x1, ... in their order."""
    letters = "abcdefghijklmnopqrstuvw"
    if len(program.leaves) > len(letters):
        return program
    names = {leaf.name: letter for leaf, letter in zip(program.leaves, letters, strict=False)}
    names.update((name, f"x{i}") for i, name in enumerate(made(program.steps)))
    tidy = called(program, names)
    check(tidy)
    return tidy
