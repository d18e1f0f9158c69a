"""Programs that apply rows one after the other, so that none is left to chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from strategies.build import Growth
from strategies.choices import Choose, chance, shuffled
from strategies.draft import Value
from strategies.program import Program
from strategies.staging import QUIET, Scene
from strategies.table import TABLE, Row

_SHAPES = ((2,), (2, 2), (1, 2, 2), (1, 1, 2, 2), (1, 1, 1, 1, 2), (), (2, 3))
"""Shapes of the leaves, so that every row finds operands among them."""
_MOST = 12
"""Rows of one program."""


def decks() -> Iterator[tuple[Row, ...]]:
    """All rows that have a plain form, a few at a time; those of one deck are of one kind."""
    for kind in dict.fromkeys(row.kind for row in TABLE.values()):
        rows = [row for row in TABLE.values() if row.plain and row.kind == kind]
        for at in range(0, len(rows), _MOST):
            yield tuple(rows[at : at + _MOST])


def each_of(rows: tuple[Row, ...]) -> Scene:
    """The scene in which every row is applied once, each to a leaf that fits it.

    Leaves hold positive numbers, on which every row is defined.
    """

    def scene(choose: Choose) -> Program:
        # Rows that want operands of other shapes get leaves of their own.
        growth = Growth(choose, replace(QUIET, most_leaves=len(_SHAPES) + 4 * _MOST))
        leaves = [_leaf(growth, shape) for shape in _SHAPES]
        growth.operation(leaves[1], (TABLE["gt"],), in_place=False)
        for row in rows:
            _apply(growth, row, leaves)
        return growth.draft.program()

    return scene


def _leaf(growth: Growth, shape: tuple[int, ...]) -> Value:
    grad = not chance(growth.choose, 40)
    return growth.leaf(requires_grad=grad, shape=shape, style="positive")


def _apply(growth: Growth, row: Row, leaves: list[Value]) -> None:
    """The row on one of the leaves that it fits; nothing if it fits none."""
    for leaf in shuffled(growth.choose, leaves):
        if growth.operation(leaf, (row,), in_place=False) is not None:
            return
