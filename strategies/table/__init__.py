"""The op table: one row an operation, and the only list of operations in the suite."""

from __future__ import annotations

from strategies.table import (
    activations,
    activations_plain,
    added,
    comparisons,
    convolution,
    einsum,
    extremes,
    fills,
    foreach,
    indexed,
    losses,
    normalising,
    pointwise,
    products,
    rearranged,
    reductions,
    rounding,
    scans,
    scattered,
    spatial,
    special,
    statistics,
    views,
    writes,
)
from strategies.table.aliases import with_aliases
from strategies.table.out import out_rows
from strategies.table.row import Indexing, Made, Operand, Param, Refused, Row, Save

TABLE: dict[str, Row] = {
    row.name: with_aliases(row)
    for family in (
        pointwise.ROWS,
        rounding.ROWS,
        special.ROWS,
        comparisons.ROWS,
        activations.ROWS,
        writes.ROWS,
        foreach.ROWS,
        indexed.ROWS,
        fills.ROWS,
        scattered.ROWS,
        rearranged.ROWS,
        views.ROWS,
        reductions.ROWS,
        statistics.ROWS,
        extremes.ROWS,
        scans.ROWS,
        normalising.ROWS,
        losses.ROWS,
        activations_plain.ROWS,
        products.ROWS,
        added.ROWS,
        einsum.ROWS,
        convolution.ROWS,
        spatial.ROWS,
    )
    for row in family
}
"""Name of the plain form -> row."""

OUT = out_rows(TABLE)
"""Name in programs -> the row of an `out=` form, derived from those of the table."""

OPERATIONS: dict[str, tuple[Row, bool]] = {
    name: (row, name == row.in_place_name)
    for row in (*TABLE.values(), *OUT.values())
    for name in row.names
}
"""Name in a program -> its row, and whether that name is the in-place form."""

__all__ = [
    "OPERATIONS",
    "OUT",
    "TABLE",
    "Indexing",
    "Made",
    "Operand",
    "Param",
    "Refused",
    "Row",
    "Save",
]
