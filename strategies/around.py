"""Programs around one operation: each of the table gets its turn, plain and in place, on a view
and not, whatever chance would draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from strategies.build import finish
from strategies.choices import Choose, Seeded, chance, shuffled
from strategies.draft import Value
from strategies.growth import Growth
from strategies.outs import write_out
from strategies.pools import VIEWS
from strategies.program import Program
from strategies.recipe import DEFAULT, SHAPES
from strategies.table import OPERATIONS, TABLE, Row

ODD_ENDS = frozenset({"data", "resize", "resize_as", "set", "requires_grad", "detach"})
"""Rows that end the law, or that a view or a leaf refuses: random programs have them."""
_PURE = tuple(row for row in VIEWS if row.kind == "view" and not row.multi)
_SHAPES = tuple(shape for shape, _ in SHAPES)

_TRIES = 20
"""How often a program is begun anew until the operation suits what was drawn."""
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Cell:
    """An operation by its name in programs, and whether what it acts on is a view."""

    op: str
    on_view: bool

    @property
    def row(self) -> Row:
        return OPERATIONS[self.op][0]


CELLS: tuple[Cell, ...] = tuple(
    Cell(op, on_view)
    for op, (row, in_place) in OPERATIONS.items()
    if row.name not in ODD_ENDS
    for on_view in ((False,) if row.writes_out else (False, True))
)
"""Every cell that gets its turn."""


def around(
    choose: Choose, cell: Cell, shapes: Sequence[tuple[int, ...]] = _SHAPES
) -> Program | None:
    """A program with the cell's operation and a loss; None if no shape suits it.

    Examples shrink towards the first shape that suits it, of `strategies.recipe.SHAPES`.
    """
    tried = shapes if chance(choose, 30) else shuffled(choose, shapes)
    for shape in (*tried, (1, 2, 1, 2, 1)):
        growth = Growth(choose, DEFAULT)
        if _acted(growth, cell, shape):
            finish(growth)
            return growth.draft.program()
    return None


def every(count: int, seed: int) -> Iterator[tuple[Cell, Program]]:
    """So many programs around each cell: program i of a cell depends on seed, cell and i alone.

    Raises LookupError if nothing that is drawn ever suits a cell.
    """
    for number, cell in enumerate(CELLS):
        for index in range(count):
            tries = (Seeded(seed, (number * _MOST + index) * _TRIES + n) for n in range(_TRIES))
            found = (around(choose, cell) for choose in tries)
            program = next((one for one in found if one is not None), None)
            if program is None:
                raise LookupError(f"nothing that was drawn suits {cell}")
            yield cell, program


def _acted(growth: Growth, cell: Cell, shape: tuple[int, ...]) -> bool:
    """Whether the operation could be applied to something of this shape."""
    choose, row = growth.choose, cell.row
    style = "positive" if row.domain != "any" and not chance(choose, 10) else None
    growth.leaf(requires_grad=True, shape=shape, style=style)
    if len(row.operands) > 1 and row.wants is None:
        alike = row.broadcasts and (OPERATIONS[cell.op][1] or chance(choose, 60))
        growth.leaf(shape=shape if alike else None, style=style)
    target = _target(growth, cell)
    if target is None:
        return False
    if any(operand.dtype == "bool" for operand in row.operands) and row.wants is None:
        growth.operation(target, (TABLE["gt"],), in_place=False)
    growth.modes = ("no_grad",) if chance(choose, 10) else ()
    if row.writes_out:
        acted = write_out(growth, row)
    else:
        acted = growth.operation(target, (row,), in_place=OPERATIONS[cell.op][1])
    growth.modes = ()
    return acted is not None


def _target(growth: Growth, cell: Cell) -> Value | None:
    """What is acted on: a tensor with a history, or a view of it."""
    leaf = growth.floats()[0]
    made = growth.operation(leaf, (TABLE["clone"],), in_place=False)
    if made is None:
        return None
    if not cell.on_view:
        return made.results[0]
    seen = growth.operation(made.results[0], _PURE, in_place=False)
    fitting = seen is not None and not seen.results[0].layout.overlaps_itself
    return seen.results[0] if seen is not None and fitting else None
