"""Scenes of activations: in place inside the scope of their claim, on each side of it, at kinks."""

from __future__ import annotations

from dataclasses import replace

from strategies.build import PLAIN, Growth, finish
from strategies.choices import Choose, among, chance
from strategies.draft import Value
from strategies.program import Apply, Program
from strategies.staging import (
    ACTIVATIONS,
    KINKED,
    QUIET,
    SAVES_NOTHING,
    SAVES_RESULT,
    apply,
    start,
)
from strategies.table import TABLE


def activation_in_place(choose: Choose) -> Program:
    """An activation overwrites what no executed node saved, and only its result is read."""
    growth, leaf = start(choose)
    first = apply(growth, leaf, SAVES_NOTHING).results[0]
    value = first if growth.grad(first) else apply(growth, leaf, (TABLE["clone"],)).results[0]
    _activate(growth, value)
    chain = value
    for _ in range(choose.below(3)):
        following = apply(growth, chain, PLAIN).results[0]
        chain = following if growth.grad(following) else chain
    growth.backward(chain)
    return growth.draft.program()


def activation_on_saved(choose: Choose) -> Program:
    """An activation overwrites what its producer saved: outside the claim's scope (b)."""
    growth, leaf = start(choose)
    value = apply(growth, leaf, SAVES_RESULT).results[0]
    shaped = growth.operation(value, ACTIVATIONS, in_place=True)
    assert shaped is not None
    growth.backward(value)
    return growth.draft.program()


def activation_read_again(choose: Choose) -> Program:
    """The overwritten tensor is read again beside the result: outside the claim's scope (a)."""
    growth, leaf = start(choose)
    first = apply(growth, leaf, SAVES_NOTHING).results[0]
    value = first if growth.grad(first) else apply(growth, leaf, (TABLE["clone"],)).results[0]
    kept = apply(growth, value, (TABLE["view_as"],)).results[0]
    _activate(growth, value)
    total = growth.take(Apply("add", (value.name, kept.name), {}, (growth.fresh_name(),)))
    growth.backward(total.results[0])
    return growth.draft.program()


def activation_on_leaf(choose: Choose) -> Program:
    """An activation overwrites a leaf: outside the claim's scope (c)."""
    growth, leaf = start(choose)
    shaped = growth.operation(leaf, ACTIVATIONS, in_place=True)
    assert shaped is not None
    apply(growth, leaf, PLAIN)
    finish(growth)
    return growth.draft.program()


def activation_negative(choose: Choose) -> Program:
    """An activation with a negative slope or alpha in place: outside the claim's scope (d)."""
    growth, leaf = start(choose)
    value = apply(growth, leaf, (TABLE["clone"],)).results[0]
    name, param = among(
        choose, (("leaky_relu", "negative_slope"), ("elu", "alpha"), ("celu", "alpha"))
    )
    growth.take(Apply(name + "_", (value.name,), {param: -0.5}))
    growth.backward(value)
    return growth.draft.program()


def _activate(growth: Growth, value: Value) -> None:
    """An activation in place with no negative parameter."""
    row = among(growth.choose, ACTIVATIONS)
    params = {
        param.name: among(growth.choose, [c for c in param.choices if c >= 0] or param.choices)
        for param in row.params
        if param.name not in ("min_val", "max_val", "lower", "upper")
    }
    ways = tuple(row.in_place)
    step = Apply(row.name + "_", (value.name,), params, (), among(growth.choose, ways))
    growth.take(step)


def at_kinks(choose: Choose) -> Program:
    """One operation, plain or in place, at points where activations, clamps and rounding bend."""
    growth = Growth(choose, replace(QUIET, wild=100))
    leaf = growth.leaf(requires_grad=True, style="kinked")
    value = leaf
    if chance(choose, 50):
        value = apply(growth, leaf, (TABLE["clone"],)).results[0]
        apply(growth, value, KINKED, in_place=True)
    else:
        value = apply(growth, leaf, KINKED).results[0]
    growth.backward(value)
    return growth.draft.program()
