"""How drawn programs end: with a write that the loss depends on, or with a rare error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from strategies.choices import among, chance, recent, weighted
from strategies.draft import Value
from strategies.growth import Growth
from strategies.knowledge import Root
from strategies.oddities import (
    detach_in_place,
    go_around_autograd,
    no_such_view,
    set_flag,
    without_derivative,
)
from strategies.pools import BENDING, BENT, FLOODS, MASKED, PLAIN, QUIETLY, VIEWS, WRITES
from strategies.program import Apply, Backward, Mode
from strategies.recipe import MODES
from strategies.table import TABLE, Row

LONGEST = 6
"""Steps: what is written, a view of it, the write, its use, and two losses."""
_ONE_VIEW = tuple(row for row in VIEWS if row.kind == "view" and not row.multi)
_SAVE_THEIR_OPERAND = tuple(TABLE[name] for name in ("sin", "square", "cos", "log1p", "abs"))


def finish(growth: Growth) -> None:
    """End a program with a loss or two; where nothing requires grad one more step makes it so."""
    if growth.loss() is not None:
        if chance(growth.choose, growth.recipe.second_loss):
            growth.loss()
    else:
        grown = growth.plain()
        if growth.loss() is None and grown is not None:
            last = growth.draft.values[grown.results[0].name]
            growth.backward(last)


def end_with_a_write(growth: Growth) -> bool:
    """Write a value with a history, through a view or not, and run backward from what sees it.

    The value is fresh, and nothing has saved it. Returns whether there was such a value.
    """
    choose = growth.choose
    base = _fresh(growth)
    if base is None:
        return False
    target = base
    how = weighted(choose, (("itself", 49), ("a view", 45), ("expanded", 6)))
    if how != "itself":
        rows = _ONE_VIEW if how == "a view" else (TABLE["expand"],)
        seen = growth.operation(base, rows, in_place=False)
        target = base if seen is None else seen.results[0]
    if chance(choose, 20 if growth.recipe.region else 0):
        growth.modes = weighted(choose, MODES)
    if target.layout.overlaps_itself:
        growth.operation(target, FLOODS, in_place=True)
    else:
        _write(growth, target)
    growth.modes = ()
    root = base
    if how != "expanded" and chance(choose, 90):
        aliases = [v for v in growth.floats() if v.memory == base.memory and growth.grad(v)]
        root = _use(growth, among(choose, aliases))
    growth.backward(root, retain=chance(choose, growth.recipe.retain))
    if chance(choose, growth.recipe.second_loss):
        growth.loss()
    return True


def end_with_a_hidden_write(growth: Growth) -> bool:
    """Overwrite through `.data` what backward needs; whether there was anything to overwrite."""
    base = _fresh(growth)
    if base is None:
        return False
    root = _use(growth, base)
    hidden = growth.operation(base, (TABLE["data"],), in_place=False)
    if hidden is not None:
        _write(growth, hidden.results[0])
    growth.backward(root)
    return True


def end_around_autograd(growth: Growth) -> bool:
    """Give a tensor other memory behind autograd's back, and run backward all the same."""
    if chance(growth.choose, 50 if growth.recipe.region else 0):
        growth.modes = weighted(growth.choose, MODES)
    go_around_autograd(growth)
    growth.modes = ()
    finish(growth)
    return True


def _fresh(growth: Growth) -> Value | None:
    """A fresh value with a history, which nothing has saved; None if nothing has a history."""
    live = [v for v in growth.floats() if growth.grad(v) and v.layout.numel]
    if not live:
        return None
    fresh = growth.operation(recent(growth.choose, live), QUIETLY, in_place=False)
    return None if fresh is None or not growth.grad(fresh.results[0]) else fresh.results[0]


def _write(growth: Growth, target: Value) -> None:
    """A write that most often changes every value."""
    rows = BENDING if chance(growth.choose, 60) else WRITES
    growth.operation(target, rows, in_place=True, allowed=_maskless(growth))


def _use(growth: Growth, value: Value) -> Value:
    """A result whose derivative most often depends on the value; the value itself if none fits."""
    rows = BENT if chance(growth.choose, 80) else PLAIN
    used = growth.operation(value, rows, in_place=False, allowed=_maskless(growth))
    if used is None or not growth.grad(used.results[0]):
        return value
    return used.results[0]


def _maskless(growth: Growth) -> Callable[[Row], bool]:
    has_mask = any(value.dtype == "bool" for value in growth.draft.values.values())
    return lambda row: (has_mask or row.name not in MASKED) and not row.inert


def end_with_a_rarity(growth: Growth) -> bool:
    """One of the errors that chance alone hardly brings about; whether it could be tried."""
    ends = among(growth.choose, _RARITIES)
    return ends(growth)


def _detach_what_is_saved(growth: Growth) -> bool:
    value = _fresh(growth)
    if value is None:
        return False
    user = growth.operation(value, _SAVE_THEIR_OPERAND, in_place=False)
    if user is None:
        return False
    growth.take(Apply("detach_", (value.name,)))
    growth.backward(user.results[0])
    return True


def _move_a_leaf(growth: Growth) -> bool:
    """A leaf that is in the graph stops to require grad, and is written by what does."""
    other = _fresh(growth)
    if other is None:
        return False
    if chance(growth.choose, 35):
        return _move_a_view(growth, other)
    leaf = growth.leaf(requires_grad=True, shape=other.layout.shape)
    used = growth.operation(leaf, QUIETLY, in_place=False)
    growth.take(Apply("requires_grad_", (leaf.name,), {"requires_grad": False}))
    growth.take(Apply(among(growth.choose, ("add_", "copy_", "sub_")), (leaf.name, other.name)))
    if used is not None:
        growth.backward(used.results[0])
    return True


def _move_a_view(growth: Growth, other: Value) -> bool:
    """A view is a leaf of its own, and its base is written, most often by what requires grad."""
    base = growth.leaf(requires_grad=False, shape=other.layout.shape)
    seen = growth.operation(base, _ONE_VIEW, in_place=False)
    if seen is None:
        return False
    view = seen.results[0]
    growth.take(Apply("requires_grad_", (view.name,)))
    growth.roots[view.name] = Root(grad=True, leaf=True)
    used = growth.operation(view, QUIETLY, in_place=False)
    by = other.name if chance(growth.choose, 80) else 2.0
    growth.take(Apply(among(growth.choose, ("add_", "mul_", "sub_")), (base.name, by)))
    held = used is not None and chance(growth.choose, 80)
    growth.backward(used.results[0] if used is not None and held else _use(growth, view))
    return True


def _write_a_slice_of_what_repeats(growth: Growth) -> bool:
    """A root repeats cells, since it was detached from what does, and a part of it is written."""
    value = _fresh(growth)
    if value is None or value.layout.ndim != 1 or value.layout.numel < 2:
        value = growth.leaf(shape=(3,))
    row, params = "expand", dict[str, Any](shape=[2, value.layout.shape[0]])
    if chance(growth.choose, 25):
        row, params = "unfold", {"dimension": 0, "size": 2, "step": 1}
    (seen,) = growth.take(Apply(row, (value.name,), params, (growth.fresh_name(),))).results
    (root,) = growth.take(Apply("detach", (seen.name,), {}, (growth.fresh_name(),))).results
    at = {"dim": 0, "index": 0}
    (part,) = growth.take(Apply("select", (root.name,), at, (growth.fresh_name(),))).results
    other = growth.leaf(requires_grad=True, shape=part.layout.shape)
    growth.take(Apply(among(growth.choose, ("mul_", "add_", "copy_")), (part.name, other.name)))
    growth.backward(root)
    return True


def _turn_a_leaf(growth: Growth) -> bool:
    """A leaf, or a value that is computed from it, changes its shape where nothing is recorded."""
    leaf = growth.leaf(requires_grad=True, shape=among(growth.choose, ((2, 3), (2, 2), (1, 3))))
    turned, held = leaf, None
    how = weighted(growth.choose, (("alone", 55), ("seen", 25), ("held", 20)))
    if how == "seen":
        at = {"dim": 0, "start": 0, "length": 1}
        turned = growth.take(Apply("narrow", (leaf.name,), at, (growth.fresh_name(),))).results[0]
    elif how == "held":
        (turned,) = growth.take(Apply("clone", (leaf.name,), {}, (growth.fresh_name(),))).results
        held = growth.operation(turned, QUIETLY, in_place=False)
    growth.take(Apply("t_", (turned.name,), {}, (), "", ("no_grad",)))
    turned = growth.draft.values[turned.name]
    growth.backward(_use(growth, turned) if held is None else held.results[0])
    return True


def _name_an_input_without_grad(growth: Growth) -> bool:
    value = _fresh(growth)
    if value is None:
        return False
    leaf = growth.leaf(requires_grad=False)
    cotangent = growth.cotangent(value.layout.shape)
    step = Backward((value.name,), (cotangent,), inputs=(leaf.name,))
    growth.draft.add_backward(step)
    return True


def _view_what_is_not_dense(growth: Growth) -> bool:
    shape = among(growth.choose, ((2, 3), (2, 2), (2, 1, 3)))
    value = growth.leaf(requires_grad=True, shape=shape)
    ways = {"transpose": {"dim0": 0, "dim1": -1}, "narrow": {"dim": -1, "start": 0, "length": 1}}
    row = among(growth.choose, tuple(ways))
    growth.take(Apply(row, (value.name,), ways[row], (growth.fresh_name(),)))
    return no_such_view(growth) is not None


def _need_a_missing_derivative(growth: Growth) -> bool:
    value = _fresh(growth)
    if value is None or without_derivative(growth) is None:
        return False
    root = [v for v in growth.floats() if growth.grad(v)][-1]
    growth.backward(root)
    return True


def _detach_a_view(growth: Growth) -> bool:
    value = _fresh(growth)
    if value is not None:
        growth.operation(value, _ONE_VIEW, in_place=False)
    return detach_in_place(growth, views=True) is not None


def _stop_a_result(growth: Growth) -> bool:
    return _fresh(growth) is not None and set_flag(growth, kind="inner off") is not None


def _use_an_inference_tensor(growth: Growth) -> bool:
    """Outside inference mode it is written, saved by a node, or asked to require grad."""
    value = _fresh(growth)
    if value is None:
        return False
    growth.modes = ("inference_mode",)
    made = growth.operation(value, QUIETLY, in_place=False)
    growth.modes = ()
    if made is None:
        return False
    name = made.results[0].name
    kinds = ("saved", "written", "to require grad", "to require grad", "alias")
    kind = among(growth.choose, kinds)
    if kind == "saved":
        step = Apply("mul", (value.name, name), {}, (growth.fresh_name(),))
    elif kind == "written":
        step = Apply(among(growth.choose, ("mul_", "add_")), (name, 2.0))
    elif kind == "alias":
        step = Apply("detach", (name,), {}, (growth.fresh_name(),))
    else:
        inside: tuple[Mode, ...] = ("inference_mode",) if chance(growth.choose, 25) else ()
        step = Apply("requires_grad_", (name,), {}, (), "", inside)
    growth.take(step)
    growth.backward(value)
    return True


def _write_a_view_made_in_inference_mode(growth: Growth) -> bool:
    value = _fresh(growth)
    if value is None:
        return False
    growth.modes = ("inference_mode",)
    seen = growth.operation(value, _ONE_VIEW, in_place=False)
    growth.modes = ()
    if seen is None:
        return False
    written = seen.results[0] if chance(growth.choose, 60) else value
    growth.operation(written, FLOODS, in_place=True)
    growth.operation(seen.results[0], PLAIN, in_place=False, allowed=_maskless(growth))
    growth.backward(value)
    return True


_RARITIES = (
    _write_a_view_made_in_inference_mode,
    _use_an_inference_tensor,
    _use_an_inference_tensor,
    _detach_what_is_saved,
    _move_a_leaf,
    _name_an_input_without_grad,
    _view_what_is_not_dense,
    _need_a_missing_derivative,
    _detach_a_view,
    _stop_a_result,
    _write_a_slice_of_what_repeats,
    _turn_a_leaf,
)
