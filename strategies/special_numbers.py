"""Numbers that are not ordinary in the leaves and cotangents of a program."""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec.structs import replace

from strategies.around import Cell, every
from strategies.choices import Choose, Seeded, among, chance
from strategies.draft import check
from strategies.program import Backward, Data, Leaf, Number, Program, Step

SPECIAL: tuple[Number, ...] = (
    *("nan", "inf", "-inf"),
    *(0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0, 6.0, -3.0, 1e300, -1e300, 1e-300),
)
"""What formulas have branches for, and numbers whose products leave the range of float64.

Subnormal numbers are none of them: compiled for a CPU, the oracle takes them for zero.
"""
ORDINARY: tuple[Number, ...] = (1.0, 2.0, -1.0, 0.5)


def numbers(choose: Choose, count: int) -> list[Number]:
    """So many numbers of which many, or one and the same again and again, are special."""
    pool = SPECIAL if chance(choose, 50) else (among(choose, SPECIAL), *ORDINARY)
    return [among(choose, pool) for _ in range(count)]


def with_special_numbers(choose: Choose, program: Program) -> Program:
    """The same leaves and steps with other numbers in float64 leaves and cotangents."""
    roots = check(program).roots

    def leaf(one: Leaf) -> Leaf:
        if one.dtype != "float64":
            return one
        return replace(one, data=numbers(choose, math.prod(one.shape)))

    def step(index: int, one: Step) -> Step:
        if not isinstance(one, Backward):
            return one
        cotangents: tuple[Data | None, ...] = tuple(
            numbers(choose, layout.numel) for layout in roots[index]
        )
        return replace(one, cotangents=cotangents)

    leaves = tuple(map(leaf, program.leaves))
    return replace(
        program, leaves=leaves, steps=tuple(step(*each) for each in enumerate(program.steps))
    )


def every_with_special_numbers(count: int, seed: int) -> Iterator[tuple[Cell, Program]]:
    """So many programs around each operation, plain and in place, on a view and not.

    Raises LookupError as `strategies.around.every` does.
    """
    for number, (cell, program) in enumerate(every(count, seed)):
        yield cell, with_special_numbers(Seeded(seed, -1 - number), program)
