"""Every result lies where its row says, whatever order the elements of its operands lie in."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest
from msgspec.structs import replace

from strategies.around import CELLS, Cell, around
from strategies.choices import Seeded
from strategies.draft import check
from strategies.printer import print_body
from strategies.program import Apply, Leaf, Program, ProgramError, Step
from tests.on_torch import layout_of, placed, run

_SQUARE: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 2), (2, 3))
SHAPES = (
    *_SQUARE * 4,
    *list(product((1, 2, 3), repeat=3))[::3],
    *list(product((1, 2, 3), repeat=4))[::2],
    *list(product((1, 2), repeat=5))[::3],
)
"""Many with dimensions of size 1, whose strides place nothing and decide orders all the same."""
EACH = 30
TORN = frozenset({"triu_out", "tril_out"})
"""They write outside of their memory (register: triangle-out-of-bounds)."""
TRIED = [
    cell
    for cell in CELLS
    if cell.op not in TORN and not cell.on_view and not cell.row.outside_the_law
]


def permuted(random: Random, program: Program) -> Program:
    """The steps of a program on leaves of the same shapes whose dimensions are permuted."""
    leaves, before, renamed = list[Leaf](), list[Step](), dict[str, str]()
    for number, leaf in enumerate(program.leaves):
        order = list(range(len(leaf.shape)))
        random.shuffle(order)
        if len(order) < 2 or leaf.dtype != "float64":
            leaves.append(leaf)
            continue
        shape = tuple(leaf.shape[order.index(axis)] for axis in range(len(order)))
        leaves.append(replace(leaf, shape=shape, requires_grad=False))
        renamed[leaf.name] = f"x{900 + number}"
        before.append(Apply("permute", (leaf.name,), {"dims": order}, (renamed[leaf.name],)))
    after = [
        replace(step, args=tuple(renamed.get(arg, arg) for arg in step.args))  # type: ignore[arg-type]
        for step in program.steps
        if isinstance(step, Apply)
    ]
    return Program(tuple(leaves), (*before, *after))


@pytest.mark.parametrize("cell", TRIED, ids=lambda cell: cell.op)
def test_results_lie_where_the_row_says(cell: Cell) -> None:
    """Strides are compared in dimensions of several elements: others place none."""
    tried = 0
    for index in range(EACH):
        drawn = around(Seeded(26, index), cell, SHAPES)
        if drawn is None:
            continue
        try:
            draft = check(permuted(Random(index), drawn))
        except ProgramError:
            # The operation refuses some orders.
            continue
        ran = run(draft)
        if ran.error is not None:
            continue
        for name, value in draft.values.items():
            assert placed(layout_of(ran.names[name])) == placed(value.layout), print_body(
                draft
            ).text
        tried += 1
    assert tried
