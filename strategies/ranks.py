"""Rows that are defined for one rank alone, which few values have: a view gives it to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strategies.draft import Value
from strategies.program import Apply
from strategies.table import Row

if TYPE_CHECKING:
    from strategies.growth import Growth

_RANKS = {"dropout3d": 5}
_ROOM = 3
"""Steps that must be left: the view, what it is for, and a loss."""


def of_its_rank(growth: Growth, value: Value, row: Row) -> Value:
    """The value, or a view of it with as many dimensions as the row asks for."""
    missing = _RANKS.get(row.name, 0) - value.layout.ndim
    rows, steps = growth.recipe.rows, len(growth.draft.steps)
    if missing <= 0 or steps > growth.recipe.most_steps - _ROOM:
        return value
    if rows is not None and not {"view", row.name} <= rows:
        return value
    shape = {"shape": [*[1] * missing, *value.layout.shape]}
    seen = Apply("view", (value.name,), shape, (growth.fresh_name(),), "", growth.modes)
    return growth.take(seen).results[0]
