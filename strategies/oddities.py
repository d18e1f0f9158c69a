"""Rare steps: what writes no element, what torch refuses, and what has no derivative."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from strategies import layout as lay
from strategies.choices import among, chance, recent, weighted
from strategies.draft import Shaped, Value
from strategies.knowledge import Root
from strategies.misfits import (
    fill_with_several,
    no_such_position,
    operands_apart,
    value_that_does_not_fit,
)
from strategies.pools import RELABELS, UNDERIVED
from strategies.program import Apply, Argument, Leaf, recording
from strategies.refusals import casts_to
from strategies.table import TABLE

if TYPE_CHECKING:
    from strategies.growth import Growth

_SHAPES = tuple(row for row in RELABELS if row.moves)
_NEVER_DERIVED = tuple(row for row in UNDERIVED if row.undifferentiable == "always")
_REFUSING = ("mul", "add", "copy", "sub", "div")
"""Rows whose in-place forms refuse a target that is smaller than what they compute."""
_FLOATING = ("mul", "add", "div", "sub")
"""Rows whose in-place forms refuse integers or truth values as their target; of others, such as
`exp`, torch before 1.8 said that they have no kernel for them."""


def odd(growth: Growth) -> Shaped | None:
    """One of the rare steps; nothing if there is nothing that it could act on."""
    draw = weighted(
        growth.choose,
        (
            (change_shape, 29),
            (set_flag, 22),
            (detach_in_place, 18),
            (without_derivative, 12),
            (too_small_a_target, 7),
            (another_dtype, 6),
            (no_such_view, 5),
            (no_such_position, 8),
            (value_that_does_not_fit, 5),
            (operands_apart, 4),
            (fill_with_several, 5),
            (go_around_autograd, 2),
            (another_name_for_the_data, 2),
        ),
    )
    return draw(growth)


def change_shape(growth: Growth) -> Shaped | None:
    """`t_`, `transpose_`, `squeeze_` or `unsqueeze_`, recorded where the tensor requires grad."""
    values = [v for v in growth.floats() if _may_move(growth, v)]
    if not values:
        return None
    return growth.operation(recent(growth.choose, values), _SHAPES, in_place=True)


def _may_move(growth: Growth, value: Value) -> bool:
    """A leaf is refused while recording; not recorded, nothing is said of graphs that hold it."""
    root = growth.roots[value.name]
    if not root.grad or (recording(growth.modes) and not root.leaf):
        return True
    if recording(growth.modes):
        return chance(growth.choose, 4)
    return value.name in growth.views or chance(growth.choose, 40 if root.leaf else 10)


def set_flag(growth: Growth, *, kind: str = "") -> Shaped | None:
    """`requires_grad_` of a tensor or a view, or False of a non-leaf, which is refused."""
    off = [v for v in growth.floats() if not growth.grad(v)]
    on = [v for v in growth.floats() if growth.grad(v) and growth.roots[v.name].leaf]
    inner = [v for v in growth.floats() if growth.grad(v) and not growth.roots[v.name].leaf]
    kind = kind or weighted(growth.choose, _FLAGS)
    values = {"on": off, "off": on, "inner on": inner, "inner off": inner}[kind]
    if not values:
        return None
    return flag(growth, recent(growth.choose, values), wants=kind.endswith("on"))


def flag(growth: Growth, value: Value, *, wants: bool) -> Shaped:
    """`requires_grad_` of this value."""
    root = growth.roots[value.name]
    params = {} if wants else {"requires_grad": False}
    done = growth.take(Apply("requires_grad_", (value.name,), params, (), "", growth.modes))
    if root.grad == wants or not (root.leaf or wants):
        return done
    if wants and value.name in growth.views:
        # A view is a leaf of its own then, and its base is none.
        growth.roots[value.name] = Root(grad=True, leaf=True)
    else:
        root.grad, root.leaf = wants, True
    return done


_FLAGS = (("on", 60), ("off", 24), ("inner on", 6), ("inner off", 10))


def detach_in_place(growth: Growth, *, views: bool = False) -> Shaped | None:
    """`detach_` of a tensor; of a view it is refused."""
    views = views or chance(growth.choose, 15)
    values = [v for v in growth.floats() if (v.name in growth.views) == views]
    if not values:
        return None
    value = recent(growth.choose, values)
    done = growth.take(Apply("detach_", (value.name,), {}, (), "", growth.modes))
    if not views:
        growth.roots[value.name].grad, growth.roots[value.name].leaf = False, True
    return done


def without_derivative(growth: Growth) -> Shaped | None:
    """A form without a derivative: where it is recorded backward says so, if it comes there."""
    values = [v for v in growth.floats() if growth.grad(v) and not growth.roots[v.name].leaf]
    if not recording(growth.modes):
        values = growth.writable(growth.floats())
    if not values:
        return None
    # Most of these rows are defined for positive numbers only, and views are few.
    views = [value for value in values if value.name in growth.views]
    values = views if views and chance(growth.choose, 40) else values
    positive = growth.positive(values)
    values = positive if positive and chance(growth.choose, 75) else values
    value = recent(growth.choose, values)
    in_place = chance(growth.choose, 70)
    rows = UNDERIVED if in_place else _NEVER_DERIVED
    return growth.operation(value, rows, in_place=in_place)


def too_small_a_target(growth: Growth) -> Shaped | None:
    """An in-place operation whose result is larger than its target."""
    pairs = [
        (target, other)
        for target in growth.floats()
        for other in growth.floats()
        if _joined(target, other) not in (None, target.layout.shape)
    ]
    if not pairs:
        return None
    target, other = recent(growth.choose, pairs)
    return _write(growth, among(growth.choose, _REFUSING), target, other.name)


def _joined(target: Value, other: Value) -> tuple[int, ...] | None:
    """The shape to which both broadcast, if they do."""
    try:
        return lay.broadcast_shapes(target.layout.shape, other.layout.shape)
    except ValueError:
        return None


def another_dtype(growth: Growth) -> Shaped | None:
    """A floating-point result that is to be written into integers or truth values."""
    masks = [v for v in growth.draft.values.values() if v.dtype in ("bool", "int64")]
    room = len(growth.draft.leaves) <= growth.recipe.most_leaves
    if masks and (chance(growth.choose, 60) or not room):
        target = recent(growth.choose, masks)
    elif not room:
        return None
    else:
        name = growth.leaf_name()
        shape = recent(growth.choose, growth.floats()).layout.shape
        data: list[float | str] = [float(i) for i in range(math.prod(shape))]
        target = growth.whole_leaf(Leaf(name, shape, data, "int64"))  # type: ignore[arg-type]
    fits = [v for v in growth.floats() if _joined(target, v) == target.layout.shape]
    other: Argument = recent(growth.choose, fits).name if fits else 2.0
    names = [name for name in _FLOATING if casts_to(TABLE[name], target.dtype, {})]
    return _write(growth, among(growth.choose, names), target, other)


def _write(growth: Growth, name: str, target: Value, other: Argument) -> Shaped:
    step = Apply(TABLE[name].name + "_", (target.name, other), {}, (), "", growth.modes)
    return growth.take(step)


def no_such_view(growth: Growth) -> Shaped | None:
    """`view` with a shape that the strides do not allow."""
    values = [
        value
        for value in growth.floats()
        if lay.viewed(value.layout, (value.layout.numel,)) is None
    ]
    if not values:
        return None
    value = recent(growth.choose, values)
    params = {"shape": [value.layout.numel]}
    return growth.take(
        Apply("view", (value.name,), params, (growth.fresh_name(),), "", growth.modes)
    )


def another_name_for_the_data(growth: Growth) -> Shaped | None:
    """`.data` of a value, of whatever history: what is written through it is not counted."""
    return growth.alias("data")


def _unguarded(growth: Growth, kind: str) -> Value | None:
    """A value that does not require grad: a view or a saved tensor, one that is there or a new one.

    None if there is none of any kind.
    """
    held = growth.held() if kind == "saved" else set()
    values = [v for v in growth.floats() if not growth.grad(v)]
    wanted = {
        "any": values,
        "view": [v for v in values if v.name in growth.views],
        "saved": [v for v in values if v.memory in held],
    }[kind]
    if wanted:
        return recent(growth.choose, wanted)
    sources = [v for v in growth.floats() if v.memory in held] if kind == "saved" else values
    if kind == "any" or not sources or len(growth.draft.steps) > growth.recipe.most_steps - 3:
        return recent(growth.choose, values) if values else None
    made = {"view": "view_as", "saved": "detach"}[kind]
    source, name = recent(growth.choose, sources), growth.fresh_name()
    return growth.take(Apply(made, (source.name,), {}, (name,), "", growth.modes)).results[0]


def go_around_autograd(growth: Growth) -> Shaped | None:
    """`resize_` to fewer elements, or `set_`, of what does not require grad: often of a view, or
    of a tensor that a node has saved.
    """
    value = _unguarded(growth, weighted(growth.choose, (("any", 20), ("view", 40), ("saved", 40))))
    if value is None:
        return None
    if chance(growth.choose, 50):
        return give_other_memory(growth, value, "resize_")
    return give_other_memory(growth, value, among(growth.choose, ("set_", "resize_as_")))


def give_other_memory(growth: Growth, value: Value, op: str) -> Shaped:
    """`resize_` to fewer elements, `set_` or `resize_as_` of this value."""
    if op == "resize_":
        size = {"size": [value.layout.numel // 2]}
        return growth.take(Apply(op, (value.name,), size, (), "", growth.modes))
    source = recent(growth.choose, growth.floats()).name
    return growth.take(Apply(op, (value.name, source), {}, (), "", growth.modes))
