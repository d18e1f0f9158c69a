"""The rows of the table that a step is drawn from, the simplest and most common ones first."""

from __future__ import annotations

from strategies.table import TABLE

MASKED = frozenset({"where", "masked_fill"})
COMPARISONS = tuple(TABLE[name] for name in ("gt", "lt", "ge", "le", "eq", "ne"))
VIEWS = tuple(
    row
    for row in TABLE.values()
    if row.kind in ("view", "maybe-self") and not row.inert and row.name not in ("detach", "data")
)
SUMS = (TABLE["sum"], TABLE["mean"])
PRODUCTS = tuple(TABLE[name] for name in ("mm", "matmul", "mv", "dot", "bmm"))
_COMMON = ("exp", "mul", "sigmoid", "add", "clone", "sub", "tanh", "div", "relu", "mul", "sin")
PLAIN = tuple(TABLE[name] for name in _COMMON) + tuple(
    row
    for row in TABLE.values()
    if row.plain
    and row.dtype == "float64"
    and row not in (*VIEWS, *SUMS, *PRODUCTS)
    and row.name not in ("detach", "data")
)
_WRITTEN = ("mul", "add", "copy", "setitem", "zero", "relu", "exp", "setitem", "fill", "sub")
WRITES = tuple(TABLE[name] for name in _WRITTEN) + tuple(
    row for row in TABLE.values() if row.in_place
)
