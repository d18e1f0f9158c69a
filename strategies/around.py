"""Programs around one operation: each of the table gets its turn, plain and in place, on a view
and not, whatever chance would draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from strategies.build import finish
from strategies.choices import Choose, Seeded, chance, shuffled
from strategies.draft import Value
from strategies.growth import Growth
from strategies.lacking import lacking, suited
from strategies.oddities import flag, give_other_memory
from strategies.outs import write_out
from strategies.pools import VIEWS
from strategies.program import Program
from strategies.recipe import DEFAULT, SHAPES
from strategies.table import OPERATIONS, TABLE, Row

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


CELLS: tuple[Cell, ...] = tuple(Cell(op, on_view) for op in OPERATIONS for on_view in (False, True))
"""Every cell; each gets its turn."""


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
    None around operations that lack where they are drawn.

    Raises LookupError if nothing that is drawn ever suits a cell.
    """
    for number, cell in enumerate(CELLS):
        if cell.op in lacking():
            continue
        for index in range(count):
            tries = (Seeded(seed, (number * _MOST + index) * _TRIES + n) for n in range(_TRIES))
            found = (suited(choose, partial(around, cell=cell)) for choose in tries)
            program = next((one for one in found if one is not None), None)
            if program is None:
                raise LookupError(f"nothing that was drawn suits {cell}")
            yield cell, program


def _acted(growth: Growth, cell: Cell, shape: tuple[int, ...]) -> bool:
    """Whether the operation could be applied to something of this shape."""
    choose, row = growth.choose, cell.row
    style = "positive" if row.domain != "any" and not chance(choose, 10) else None
    growth.leaf(requires_grad=True, shape=shape, style=style)
    if row.relabels:
        return _relabelled(growth, cell)
    if len(row.operands) > 1 and row.wants is None:
        alike = row.broadcasts and (OPERATIONS[cell.op][1] or chance(choose, 60))
        growth.leaf(shape=shape if alike else None, style=style)
    target = _target(growth, on_view=cell.on_view and not row.writes_out)
    if target is None:
        return False
    if any(operand.dtype == "bool" for operand in row.operands) and row.wants is None:
        growth.operation(target, (TABLE["gt"],), in_place=False)
    growth.modes = ("no_grad",) if chance(choose, 10) else ()
    if row.writes_out:
        acted = write_out(growth, row, into_view=cell.on_view)
    else:
        acted = growth.operation(target, (row,), in_place=OPERATIONS[cell.op][1])
    growth.modes = ()
    return acted is not None


def _relabelled(growth: Growth, cell: Cell) -> bool:
    """Whether the row that writes no element could be applied: to what has a history or to a leaf
    without one, or to a view of that.
    """
    choose, row, in_place = growth.choose, cell.row, OPERATIONS[cell.op][1]
    apart = row.outside_the_law or (row.name == "requires_grad" and chance(choose, 60))
    first = growth.leaf(requires_grad=False) if apart else growth.floats()[0]
    target = _seen(growth, first) if apart and cell.on_view else first
    target = target if apart else _target(growth, on_view=cell.on_view)
    if target is None:
        return False
    growth.modes = ("no_grad",) if chance(choose, 10) else ()
    if row.outside_the_law:
        give_other_memory(growth, target, cell.op)
    elif row.name == "requires_grad":
        flag(growth, target, wants=chance(choose, 70))
    elif growth.operation(target, (row,), in_place=in_place) is None:
        return False
    growth.modes = ()
    return True


def _target(growth: Growth, *, on_view: bool) -> Value | None:
    """What is acted on: a tensor with a history, or a view of it."""
    leaf = growth.floats()[0]
    made = growth.operation(leaf, (TABLE["clone"],), in_place=False)
    if made is None:
        return None
    return _seen(growth, made.results[0]) if on_view else made.results[0]


def _seen(growth: Growth, base: Value) -> Value | None:
    """A view of it whose cells are apart, if a drawn one has such."""
    seen = growth.operation(base, _PURE, in_place=False)
    fitting = seen is not None and not seen.results[0].layout.overlaps_itself
    return seen.results[0] if seen is not None and fitting else None
