"""Scenes of activations: in place, inside the scope of their claim and outside it, and at kinks."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

from strategies.build import PLAIN, Growth
from strategies.choices import Choose, among, chance, weighted
from strategies.draft import Value
from strategies.program import Apply, Program
from strategies.staging import (
    ACTIVATIONS,
    KINKED,
    PURE_VIEWS,
    QUIET,
    SAVES_NOTHING,
    SAVES_RESULT,
    apply,
    start,
)
from strategies.table import TABLE, Row


def activation_in_place(choose: Choose) -> Program:
    """An activation overwrites a tensor: a leaf, what its producer saved, or neither.

    Its parameters may be negative, and an alias of the tensor may be read afterwards.
    """
    growth, leaf = start(choose)
    value = _producer(growth, leaf)
    kept = apply(growth, value, (TABLE["view_as"],)).results[0] if chance(choose, 35) else None
    target = value
    if chance(choose, 20):
        target = apply(growth, value, PURE_VIEWS, fallback="view_as").results[0]
    _activate(growth, target)
    chain = target
    for _ in range(choose.below(3)):
        following = apply(growth, chain, PLAIN).results[0]
        chain = following if growth.grad(following) else chain
    if kept is not None:
        chain = _beside(growth, chain, kept)
    growth.backward(chain)
    return growth.draft.program()


def _producer(growth: Growth, leaf: Value) -> Value:
    """What is overwritten: most often a tensor that nothing saved."""
    kind = weighted(growth.choose, (("saves nothing", 60), ("saved", 25), ("leaf", 15)))
    if kind == "leaf":
        return leaf
    rows = SAVES_RESULT if kind == "saved" else SAVES_NOTHING
    result = apply(growth, leaf, rows).results[0]
    return result if growth.grad(result) else apply(growth, leaf, (TABLE["clone"],)).results[0]


def _beside(growth: Growth, chain: Value, kept: Value) -> Value:
    """The sum of what was computed and of an alias from before, in any shapes."""
    if chain.layout.shape != kept.layout.shape:
        chain, kept = (
            growth.take(Apply("sum", (value.name,), {}, (growth.fresh_name(),))).results[0]
            for value in (chain, kept)
        )
    shaped = growth.take(Apply("add", (chain.name, kept.name), {}, (growth.fresh_name(),)))
    return shaped.results[0]


def _activate(growth: Growth, value: Value) -> None:
    """An activation in place; at times with a slope, an alpha or bounds that forbid it."""
    choose = growth.choose
    row = among(choose, ACTIVATIONS)
    forbidden = chance(choose, 20)
    if forbidden:
        row = among(choose, _FORBIDDING)
    params = among(choose, [values for values in _values(row) if row.forbids(values) == forbidden])
    growth.take(
        Apply(row.name + "_", (value.name,), params, (), among(choose, tuple(row.in_place)))
    )


def _values(row: Row) -> list[dict[str, Any]]:
    """All that the parameters of a row may be drawn to be, the simplest first."""
    names = [param.name for param in row.params]
    choices = product(*(param.choices for param in row.params))
    return [dict(zip(names, given, strict=True)) for given in choices]


_FORBIDDING = tuple(row for row in ACTIVATIONS if any(map(row.forbids, _values(row))))


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
