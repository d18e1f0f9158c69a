"""The rows of the table that a step is drawn from, the simplest and most common ones first."""

from __future__ import annotations

from strategies.table import (
    TABLE,
    activations_plain,
    added,
    convolution,
    einsum,
    extremes,
    fills,
    losses,
    normalising,
    products,
    scans,
    spatial,
    statistics,
)
from strategies.table.row import Row

MASKED = frozenset({"where", "masked_fill"})
COMPARISONS = tuple(TABLE[name] for name in ("gt", "lt", "ge", "le", "eq", "ne")) * 4 + tuple(
    TABLE[name] for name in ("logical_not", "logical_and", "logical_or", "logical_xor")
)
_ALIASES = frozenset({"detach", "data"})
VIEWS = tuple(
    row
    for row in TABLE.values()
    if row.kind in ("view", "maybe-self")
    and row.plain
    and not row.inert
    and row.name not in _ALIASES
)
SUMS = (TABLE["sum"], TABLE["mean"])
PRODUCTS = tuple(row for row in (*products.ROWS, *added.ROWS, *einsum.ROWS) if row.kind == "fresh")
SPATIAL = tuple(row for row in (*convolution.ROWS, *spatial.ROWS) if row.kind == "fresh")
_COMMON = ("exp", "mul", "sigmoid", "add", "clone", "sub", "tanh", "div", "relu", "mul", "sin")
_DELICATE = frozenset(
    """
    floor ceil round trunc atan2 frac div_floor div_trunc floor_divide remainder fmod round_decimals
    i0 erfinv digamma polygamma mvlgamma igamma igammac logit xlogy ldexp sinc logaddexp
    logaddexp2 nextafter copysign gt ge lt le eq ne logical_and logical_or logical_xor logical_not
    """.split()
)
"""Rows that jump, or have poles, where common results lie: drawn less often, or too much is
ill-conditioned."""
_FILLS = frozenset(row.name for row in fills.ROWS)
"""Rows after which nothing of the old value is left: drawn less often than `zero` and `fill`."""
_COMPOSED = frozenset(
    row.name
    for family in (activations_plain, extremes, losses, normalising, scans, statistics)
    for row in family.ROWS
)
"""Rows that take the oracle many instructions: many of them, and each drawn less often."""


def _weight(row: Row) -> int:
    return 1 if row.name in _DELICATE | _COMPOSED | _FILLS else 3


PLAIN = tuple(TABLE[name] for name in _COMMON) * 3 + tuple(
    row
    for row in TABLE.values()
    for _ in range(_weight(row))
    if row.plain
    and row.dtype == "float64"
    and row not in (*VIEWS, *SUMS, *PRODUCTS, *SPATIAL)
    and row.undifferentiable != "always"
    and row.name not in _ALIASES
)
_WRITTEN = ("mul", "add", "copy", "setitem", "zero", "relu", "exp", "setitem", "fill", "sub")
RELABELS = tuple(row for row in TABLE.values() if row.in_place and (row.moves or row.relabels))
"""Rows whose in-place form writes no element: changes of shape, of the flag, of history."""
WRITES = tuple(TABLE[name] for name in _WRITTEN) * 3 + tuple(
    row
    for row in TABLE.values()
    for _ in range(_weight(row))
    if row.in_place and row not in RELABELS and row.undifferentiable in ("", "in self")
)
UNDERIVED = tuple(row for row in TABLE.values() if row.undifferentiable in ("in place", "always"))
"""Rows with a form that is recorded and has no derivative."""

QUIETLY = tuple(TABLE[name] for name in ("clone", "add", "sub", "neg"))
"""Rows that save none of their operands or results: what they give may be written."""
BENT = tuple(
    TABLE[name]
    for name in (
        "mul exp sin square tanh sigmoid cos sinh cosh expm1 erf atan reciprocal silu mish".split()
    )
)
"""Rows whose derivative depends on the operand's values nearly everywhere."""
BENDING = (
    *(row for row in BENT if row.in_place),
    *(
        TABLE[name]
        for name in (
            "copy setitem zero fill add sub neg div lerp addcmul masked_fill pow exp2 tan selu "
            "hardswish hardsigmoid"
        ).split()
    ),
)
"""Rows whose in-place form changes nearly every value."""
FLOODS = tuple(TABLE[name] for name in ("zero", "fill", "mul", "add"))
"""Rows that write a tensor whose cells repeat: torch takes the first two, and refuses the rest."""
