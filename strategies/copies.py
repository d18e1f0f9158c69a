"""A program several times over, side by side: what threads run at once and share nothing of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, count, groupby

from msgspec.structs import replace

from strategies.functions import renumbered
from strategies.program import Apply, Leaf, Program, Step, may_be_named


def in_copies(program: Program, number: int) -> Program:
    """So many copies of a program, of which each has leaves of its own and takes every step right
    after the one before it; the first has the program's own names.

    A function is one step in that. Where the steps are legal once, they are so several times.
    """
    taken = set(program.names)
    names = [_names(program.names, copy, taken) for copy in range(1, number + 1)]
    leaves = [_leaf(leaf, own) for leaf in program.leaves for own in names]
    most = max((s.function for s in program.steps if isinstance(s, Apply)), default=0)
    steps = [
        _step(step, own, copy * most)
        for block in _blocks(program.steps)
        for copy, own in enumerate(names)
        for step in block
    ]
    return replace(program, leaves=tuple(leaves), steps=renumbered(steps))


def _blocks(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    """The steps by themselves, but for those of a function, which stay together."""
    for function, group in groupby(steps, key=lambda s: isinstance(s, Apply) and s.function):
        block = list(group)
        yield from [block] if function else ([step] for step in block)


def _names(names: Sequence[str], copy: int, taken: set[str]) -> dict[str, str]:
    """Name -> what it is called in a copy, which is nobody else's name."""
    if copy == 1:
        return {name: name for name in names}
    return {name: _new(f"{name}_{copy}", taken) for name in names}


def _new(wished: str, taken: set[str]) -> str:
    others = (f"t{number}" for number in count())
    found = next(n for n in chain([wished], others) if n not in taken and may_be_named(n))
    taken.add(found)
    return found


def _leaf(leaf: Leaf, own: dict[str, str]) -> Leaf:
    return replace(leaf, name=own[leaf.name])


def _step(step: Step, own: dict[str, str], more: int) -> Step:
    """A step of a copy, in a function whose number nobody else has."""
    if not isinstance(step, Apply):
        of, inputs = (tuple(own[name] for name in names) for names in (step.of, step.inputs))
        return replace(step, of=of, inputs=inputs)
    args = tuple(own[arg] if isinstance(arg, str) else arg for arg in step.args)
    to = tuple(own[name] for name in step.to)
    return replace(step, args=args, to=to, function=step.function and step.function + more)
