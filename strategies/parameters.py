"""The kinds of parameters: which values are valid for an operand, and how one is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from strategies import parameter_checks as checks
from strategies import parameter_draws as draws
from strategies import windows
from strategies.choices import Choose
from strategies.layout import Layout
from strategies.parameter_checks import Given
from strategies.table.positions import REDUCTIONS
from strategies.table.row import Param


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of a parameter are checked (a phrase of what is expected, or None) and drawn."""

    check: Callable[[Any, Layout, Given], str | None]
    draw: Callable[[Choose, Param, Layout, Given], Any]


KINDS: dict[str, Kind] = {
    "float": Kind(checks.a_float, draws.draw_choice),
    "nonzero float": Kind(checks.a_nonzero, draws.draw_choice),
    "larger float": Kind(checks.a_larger, draws.draw_choice),
    "positive float": Kind(checks.a_positive, draws.draw_choice),
    "norm order": Kind(checks.a_norm, draws.draw_choice),
    "reduction": Kind(checks.one_of("mean", "sum", "none"), draws.draw_choice),
    "approximation": Kind(checks.one_of("none", "tanh"), draws.draw_choice),
    "probability": Kind(checks.a_probability, draws.draw_choice),
    "low bound": Kind(checks.a_low, draws.draw_choice),
    "high bound": Kind(checks.a_high, draws.draw_choice),
    "int": Kind(checks.an_int, draws.draw_choice),
    "bool": Kind(checks.a_bool, draws.draw_choice),
    "wrap": Kind(checks.a_bool, draws.draw_wrap),
    "keepdim": Kind(checks.keeps, draws.draw_keeps),
    "dim": Kind(checks.a_dim, draws.draw_dim),
    "first dim": Kind(checks.a_dim, lambda choose, param, layout, given: 0),
    "last dim": Kind(checks.another_dim, lambda choose, param, layout, given: layout.ndim - 1),
    "even dim": Kind(checks.an_even_dim, draws.draw_even_dim),
    "rank": Kind(checks.a_rank, draws.draw_rank),
    "groups": Kind(checks.a_divisor, draws.draw_divisor),
    "optional dim": Kind(checks.maybe_a_dim, draws.draw_maybe_dim),
    "new dim": Kind(checks.a_new_dim, draws.draw_new_dim),
    "dim of three": Kind(checks.a_dim, draws.draw_dim_of_three),
    "equation": Kind(checks.an_equation, draws.draw_equation),
    "permutation": Kind(checks.a_permutation, draws.draw_permutation),
    "shape": Kind(checks.a_shape, draws.draw_shape),
    "any shape": Kind(checks.a_shape, draws.draw_any_shape),
    "larger shape": Kind(checks.a_shape, draws.draw_larger),
    "position": Kind(checks.a_position, draws.draw_position),
    "rest of dim": Kind(checks.a_rest, draws.draw_rest),
    "window": Kind(checks.a_window, draws.draw_window),
    "optional epsilon": Kind(checks.maybe_epsilon, draws.draw_choice),
    "order": Kind(checks.an_order, draws.draw_choice),
    "positive int": Kind(checks.a_step, draws.draw_choice),
    "start dim": Kind(checks.a_dim, draws.draw_dim),
    "end dim": Kind(checks.a_later_dim, draws.draw_end),
    "sizes": Kind(checks.sizes, draws.draw_sizes),
    "strides": Kind(checks.strides, draws.draw_strides),
    "storage offset": Kind(checks.an_offset, draws.draw_offset),
    "scatter reduction": Kind(checks.one_of(*REDUCTIONS), draws.draw_choice),
    "combination": Kind(checks.one_of("add", "multiply"), draws.draw_choice),
    "index reduction": Kind(checks.one_of(*REDUCTIONS[1:]), draws.draw_choice),
    "some dims": Kind(checks.some_dims, draws.draw_some_dims),
    "repeats": Kind(checks.repeats, draws.draw_repeats),
    "padding": Kind(checks.a_padding, draws.draw_padding),
    "index": Kind(checks.an_index, draws.draw_index),
    "written index": Kind(checks.a_written_index, draws.draw_written_index),
    **{name: Kind(*pair) for name, pair in windows.KINDS.items()},
}
"""Kind of parameter -> how it is checked and drawn."""


def complete(params: tuple[Param, ...], given: Given, layout: Layout, where: str) -> dict[str, Any]:
    """Every parameter with its value, defaults filled in; raises ValueError with one sentence."""
    if not params and not given:
        return {}
    unknown = set(given) - {param.name for param in params}
    if unknown:
        known = ", ".join(param.name for param in params) or "none"
        raise ValueError(f"{where} has no parameter {sorted(unknown)[0]!r}; it takes {known}.")
    values: dict[str, Any] = {}
    for param in params:
        if param.required and param.name not in given:
            raise ValueError(f"{where} needs the parameter {param.name!r}.")
        value = given.get(param.name, param.default)
        expected = KINDS[param.kind].check(value, layout, values)
        if expected:
            raise ValueError(f"{where}: {param.name} is {value!r} and should be {expected}.")
        values[param.name] = value
    return values
