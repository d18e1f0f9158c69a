"""Programs in which a function is called again, with other tensors: what guards are for.

A compiled function is made for the arguments that it was first called with. Called again it must
be made anew wherever these differ in what the graph relies on: who shares memory, what requires
grad, what is a leaf, the grad mode.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from strategies.choices import Choose, among, chance
from strategies.draft import Value, check
from strategies.functions import Function, functions_of, renumbered, with_calls_again
from strategies.program import (
    Apply,
    Backward,
    Generated,
    Leaf,
    Mode,
    Program,
    ProgramError,
    Step,
)

_REGIONS: tuple[tuple[Mode, ...], ...] = ((), (), ("no_grad",))


def with_a_call_again(choose: Choose, program: Program) -> Program:
    """The program with one of its functions called a second time, if any of them can be.

    Examples shrink towards the same tensors, and no region around the call.
    """
    functions = functions_of(program.steps)
    if not functions:
        return program
    function = among(choose, functions)
    values = check(program).values
    if not all(values[name].dtype == "float64" for name in function.gives) or not function.gives:
        return program
    new = _Again(choose, program, function, values).program()
    try:
        check(new)
    except ProgramError:
        return program
    return new if any(found.again for found in with_calls_again(new.steps)) else program


class _Again:
    """A program, one of its functions, and the tensors that it is called again with."""

    def __init__(
        self, choose: Choose, program: Program, function: Function, values: dict[str, Value]
    ) -> None:
        self._choose = choose
        self._program = program
        self._function = function
        self._values = values
        self._leaves = list(program.leaves)
        self._before: list[Step] = []
        taken = set(program.names)
        self._free = (name for number in range(10**6) if (name := f"y{number}") not in taken)

    def program(self) -> Program:
        """The steps of the function twice, the second time with other names; and one more loss."""
        function, steps = self._function, list(self._program.steps)
        named = {name: self._other(name) for name in function.takes}
        modes = among(self._choose, _REGIONS)
        number = max(found.number for found in functions_of(steps)) + 1
        again = []
        for step in steps[function.first : function.last + 1]:
            assert isinstance(step, Apply)
            named |= {name: next(self._free) for name in step.to}
            args = tuple(named[arg] if isinstance(arg, str) else arg for arg in step.args)
            to = tuple(named[name] for name in step.to)
            changed = replace(step, args=args, to=to, modes=(*modes, *step.modes), function=number)
            again.append(changed)
        roots = tuple(named[name] for name in function.gives)
        cotangents = tuple(Generated("dyadic", self._choose.below(1000)) for _ in roots)
        loss = Backward(roots, cotangents)
        end = function.last + 1
        all_steps = (*steps[:end], *self._before, *again, *steps[end:], loss)
        return Program(tuple(self._leaves), renumbered(all_steps))

    def _other(self, name: str) -> str:
        """The tensor in the place of another: itself, one like it, a view of it, or a new leaf."""
        value = self._values[name]
        kind = self._choose.below(4)
        if value.dtype != "float64" or kind == 0:
            return name
        if kind == 1:
            return among(self._choose, list(self._alike(name)))
        new = next(self._free)
        if kind == 2:
            self._before.append(Apply("view_as", (name, name), {}, (new,)))
            return new
        shape, data = value.layout.shape, Generated("dyadic", self._choose.below(1000))
        self._leaves.append(Leaf(new, shape, data, requires_grad=chance(self._choose, 60)))
        return new

    def _alike(self, name: str) -> Iterator[str]:
        """The tensors of the same shape that there are when the function has run."""
        yield name
        end = self._function.last + 1
        steps = [step for step in self._program.steps[:end] if isinstance(step, Apply)]
        inside = [name for s in steps if s.function == self._function.number for name in s.to]
        hidden = {*inside} - {*self._function.gives}
        shape = self._values[name].layout.shape
        leaves = [leaf.name for leaf in self._program.leaves]
        for other in (*leaves, *(made for step in steps for made in step.to)):
            value = self._values[other]
            fits = value.dtype == "float64" and value.layout.shape == shape
            if fits and other != name and other not in hidden:
                yield other
