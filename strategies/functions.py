"""The functions of a program: runs of steps that a subject may compile or transform as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from msgspec.structs import replace

from strategies.choices import Choose, among, chance
from strategies.program import Apply, Mode, Program, ProgramError, Step

_OPAQUE = ("@no_grad", "@enable_grad", "inference_mode")
"""Modes that no step of a function may stand in: decorated functions would be nested in it, and an
inference tensor has no gradients to compare.
"""
AROUND = frozenset(
    {"set_", "resize_", "resize_as_", "data", "requires_grad_", "detach_", "squeeze_", "t_"}
)
"""Operations that are drawn outside of functions alone: most compilers break there."""


@dataclass(frozen=True, slots=True)
class Function:
    """Steps from `first` to `last`, the names that they take from before, and those that they give.

    Names that are used in the function alone stay inside.
    """

    number: int
    first: int
    last: int
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    again: int = 0
    """The number of the earlier function whose steps these are, but for the names; 0 for none."""
    modes: tuple[Mode, ...] = ()
    """The regions in which that one is called again."""


def functions_of(steps: Sequence[Step]) -> list[Function]:
    """The functions of a program's steps, in order; raises ProgramError where one is torn apart."""
    found, seen = list[Function](), set[int]()
    for number, group in groupby(enumerate(steps), key=lambda pair: _number(pair[1])):
        if not number:
            continue
        if number in seen:
            raise ProgramError(f"The steps of function {number} do not follow each other.")
        seen.add(number)
        places = [place for place, _ in group]
        found.append(_function(steps, number, places[0], places[-1]))
    return found


def with_calls_again(steps: Sequence[Step]) -> list[Function]:
    """The functions of a program, those among them marked that an earlier one is, called again.

    They have its steps with other names, and maybe regions around all of them.
    """
    found = list[Function]()
    known = dict[tuple[object, ...], int]()
    for function in functions_of(steps):
        inside = steps[function.first : function.last + 1]
        shared = _shared_modes(inside)
        for depth in range(len(shared) + 1):
            again = known.get(_form(function, inside, depth))
            if again is not None:
                function = dataclasses.replace(function, again=again, modes=shared[:depth])
                break
        else:
            known[_form(function, inside, 0)] = function.number
        found.append(function)
    return found


def _shared_modes(steps: Sequence[Step]) -> tuple[Mode, ...]:
    """The regions that all of the steps stand in, from the outermost on."""
    first, *others = (step.modes for step in steps)
    while not all(other[: len(first)] == first for other in others):
        first = first[:-1]
    return first


def _form(function: Function, steps: Sequence[Step], depth: int) -> tuple[object, ...]:
    """What a function does, whatever its tensors are called, without so many outer regions."""
    numbers = {name: place for place, name in enumerate(function.takes)}
    form: list[object] = [len(function.takes)]
    for step in steps:
        assert isinstance(step, Apply)
        args = [f"#{numbers[arg]}" if isinstance(arg, str) else repr(arg) for arg in step.args]
        numbers |= {name: len(numbers) + place for place, name in enumerate(step.to)}
        options = tuple(sorted((key, repr(value)) for key, value in step.params.items()))
        form.append((step.op, *args, options, step.via, step.modes[depth:], len(step.to)))
    return (*form, *(numbers[name] for name in function.gives))


def _number(step: Step) -> int:
    return step.function if isinstance(step, Apply) else 0


def _function(steps: Sequence[Step], number: int, first: int, last: int) -> Function:
    inside = steps[first : last + 1]
    made = [name for step in inside if isinstance(step, Apply) for name in step.to]
    used = dict.fromkeys(name for step in inside for name in _named(step))
    later = {name for step in steps[last + 1 :] for name in _named(step)}
    takes = tuple(name for name in used if name not in made)
    gives = tuple(name for name in made if name in later or name not in used)
    return Function(number, first, last, takes, gives)


def _named(step: Step) -> Iterator[str]:
    """The tensors that a step uses."""
    given = step.args if isinstance(step, Apply) else (*step.of, *step.inputs)
    return (name for name in given if isinstance(name, str))


def check_functions(steps: Sequence[Step]) -> None:
    """Raise ProgramError where the functions of a program cannot be."""
    functions_of(steps)
    for number, step in enumerate(steps, start=1):
        if _number(step) and any(mode in _OPAQUE for mode in step.modes):
            raise ProgramError(f"step {number} cannot be part of a function in {step.modes[-1]}.")
        if _number(step) < 0:
            raise ProgramError(f"step {number} has a negative function number; count from 1.")


def with_functions(choose: Choose, program: Program) -> Program:
    """The program with one or two runs of its steps as functions, if any of them can be.

    Examples shrink towards short functions at the start.
    """
    steps = list(program.steps)
    runs = [
        [place for place, _ in group]
        for fits, group in groupby(enumerate(steps), key=lambda pair: _fits(pair[1]))
        if fits
    ]
    number = 0
    while runs and number < 2 and (not number or chance(choose, 30)):
        run = among(choose, runs)
        runs.remove(run)
        number += 1
        first = 0 if chance(choose, 60) else choose.below(len(run))
        last = len(run) if chance(choose, 50) else first + 1 + choose.below(len(run) - first)
        for place in run[first:last]:
            step = steps[place]
            assert isinstance(step, Apply)
            steps[place] = replace(step, function=number)
    return replace(program, steps=renumbered(steps))


def _fits(step: Step) -> bool:
    if not isinstance(step, Apply) or any(mode in _OPAQUE for mode in step.modes):
        return False
    return step.op not in AROUND


def renumbered(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps with their functions numbered in the order in which they stand."""
    order = dict.fromkeys(_number(step) for step in steps if _number(step))
    numbers = {number: place for place, number in enumerate(order, start=1)}
    return tuple(
        replace(step, function=numbers[step.function])
        if isinstance(step, Apply) and step.function
        else step
        for step in steps
    )
