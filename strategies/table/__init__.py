"""The op table: one row an operation, and the only list of operations in the suite."""

from __future__ import annotations

from strategies.table import (
    activations,
    indexed,
    pointwise,
    rearranged,
    reductions,
    scattered,
    views,
    writes,
)
from strategies.table.row import Indexing, Made, Operand, Param, Refused, Row, Save

TABLE: dict[str, Row] = {
    row.name: row
    for family in (
        pointwise.ROWS,
        activations.ROWS,
        writes.ROWS,
        indexed.ROWS,
        scattered.ROWS,
        rearranged.ROWS,
        views.ROWS,
        reductions.ROWS,
    )
    for row in family
}
"""Name of the plain form -> row."""

OPERATIONS: dict[str, tuple[Row, bool]] = {
    name: (row, name != row.name) for row in TABLE.values() for name in row.names
}
"""Name in a program -> its row, and whether that name is the in-place form."""

__all__ = ["OPERATIONS", "TABLE", "Indexing", "Made", "Operand", "Param", "Refused", "Row", "Save"]
