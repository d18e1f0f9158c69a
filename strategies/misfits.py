"""In-place steps that torch refuses for their shapes: what does not fit, and what is not there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from strategies import layout as lay
from strategies.choices import among, recent, weighted
from strategies.draft import Shaped, Value
from strategies.layout import Layout
from strategies.parameters import KINDS
from strategies.program import Apply, Argument, Leaf
from strategies.refusals import written
from strategies.table import TABLE

if TYPE_CHECKING:
    from strategies.growth import Growth

_APART = ("mul", "add", "copy", "sub", "div")
"""Rows whose in-place forms refuse an operand that does not broadcast with their target."""


def operands_apart(growth: Growth) -> Shaped | None:
    """An in-place operation of two tensors that do not broadcast."""
    values = growth.floats()
    pairs = [(one, two) for one in values for two in values if not _broadcast(one, two)]
    if not pairs:
        wide = [value for value in values if value.layout.ndim and value.layout.shape[-1] > 1]
        if not wide or not _room(growth):
            return None
        target = recent(growth.choose, wide)
        pairs = [(target, _leaf(growth, (target.layout.shape[-1] + 1,)))]
    target, other = recent(growth.choose, pairs)
    return _take(growth, among(growth.choose, _APART), target, other.name)


def _room(growth: Growth) -> bool:
    return len(growth.draft.leaves) <= growth.recipe.most_leaves


def _leaf(growth: Growth, shape: tuple[int, ...]) -> Value:
    """A leaf that does not require grad, for a step that is refused to read."""
    data: list[Any] = [float(i + 1) for i in range(math.prod(shape))]
    return growth.whole_leaf(Leaf(growth.leaf_name(), shape, data))


def _broadcast(one: Value, two: Value) -> bool:
    try:
        lay.broadcast_shapes(one.layout.shape, two.layout.shape)
    except ValueError:
        return False
    return True


def fill_with_several(growth: Growth) -> Shaped | None:
    """`fill_` with a tensor that is not 0-d."""
    several = [value for value in growth.floats() if value.layout.ndim]
    if not several:
        return None
    target, other = recent(growth.choose, growth.floats()), recent(growth.choose, several)
    return _take(growth, "fill", target, other.name)


def value_that_does_not_fit(growth: Growth) -> Shaped | None:
    """`x[index] = value` with a value that does not expand to the part."""
    target = recent(growth.choose, growth.floats())
    row = TABLE["setitem"]
    index = KINDS["written index"].draw(growth.choose, row.params[0], target.layout, {})
    misfits = [
        value
        for value in growth.floats()
        if written(row, (target.layout, value.layout), {"index": index})[1]
    ]
    if not misfits:
        return None
    value = recent(growth.choose, misfits)
    return _take(growth, "setitem", target, value.name, index=index)


def no_such_position(growth: Growth) -> Shaped | None:
    """`x[index] = number` with an index that the tensor does not have."""
    kind = weighted(growth.choose, (("range", 40), ("count", 30), ("scalar", 30)))
    values = growth.floats()
    if kind != "count":
        values = [value for value in values if (value.layout.ndim == 0) == (kind == "scalar")]
    if not values and kind == "scalar" and _room(growth):
        values = [_leaf(growth, ())]
    if not values:
        return None
    target = recent(growth.choose, values)
    index = among(growth.choose, _wrong_indices(target.layout, kind))
    return _take(growth, "setitem", target, 2.0, index=index)


def _wrong_indices(layout: Layout, kind: str) -> list[list[Any]]:
    """Indices that are refused for one reason, the simplest first."""
    if kind == "scalar":
        return [[0]]
    if kind == "count":
        return [[0] * max(layout.ndim + 1, 2), ["...", *[0] * (layout.ndim + 1)]]
    first, last = layout.shape[0], layout.shape[-1]
    beyond: list[list[Any]] = [[first], [-first - 1], ["...", last]]
    if layout.ndim > 1:
        second = layout.shape[1]
        beyond += [[[None, 1, None], second], [[None, None, None], second]]
    return beyond


def _take(growth: Growth, name: str, target: Value, other: Argument, **params: Any) -> Shaped:
    step = Apply(TABLE[name].name + "_", (target.name, other), params, (), "", growth.modes)
    return growth.take(step)
