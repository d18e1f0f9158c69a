"""Rounded quotients and their remainders, and clamps whose bounds are tensors."""

from __future__ import annotations

from typing import Any

from strategies.table.pointwise import _binary
from strategies.table.results import pointwise, without_numbers
from strategies.table.row import Param, Row, in_place_method, methods, operands, saves


def _to_decimals(m: Any, self: Any, *, decimals: int) -> Any:
    scale = 10.0 ** abs(decimals)
    there, back = ("mul", "div") if decimals > 0 else ("div", "mul")
    return m.apply(back, m.apply("round", m.apply(there, self, scale)), scale)


def _rounded_to_decimals() -> Row:
    """`round` with an option that came later than the rest of it."""
    text = "round({0}, decimals={decimals})"
    return Row(
        "round_decimals",
        operands("self"),
        pointwise,
        _to_decimals,
        {"method": "{0}.round(decimals={decimals})", "function": f"torch.{text}"},
        {"method": "{0}.round_(decimals={decimals})"},
        (Param("decimals", "int", None, (1, 2, -1), required=True),),
        derivative="zeros_like(grad)",
        since="1.11",
    )


def _rounding_division(mode: str) -> Row:
    """A quotient that is rounded: its derivative is zero."""
    text = f'{{1}}, rounding_mode="{mode}")'
    return Row(
        f"div_{mode}",
        operands("self", "other|number"),
        pointwise,
        f"div_{mode}",
        {"method": f"{{0}}.div({text}", "function": f"torch.div({{0}}, {text}"},
        {"method": f"{{0}}.div_({text}"},
        saves=saves("other, self if other"),
        derivative="zeros_like(grad); zeros_like(other)",
        domain="nonzero",
        since="1.8",
    )


def _bounded(name: str, *names: str) -> Row:
    """A clamp whose bounds are tensors."""
    return Row(
        f"{name}_tensor",
        operands(*names),
        without_numbers,
        name,
        methods(name, len(names)),
        in_place_method(name, len(names)),
        saves=saves(", ".join(names)),
        derivative="where within bounds, grad; where below, grad to min; where above, grad to max",
        since="1.9",
    )


ROWS: tuple[Row, ...] = (
    _rounded_to_decimals(),
    _bounded("clamp", "self", "min", "max"),
    _bounded("clamp_min", "self", "min"),
    _bounded("clamp_max", "self", "max"),
    _rounding_division("floor"),
    _rounding_division("trunc"),
    _binary(
        "floor_divide",
        "",
        "not_implemented",
        symbol="//",
        meaning="div_floor",
        undifferentiable="always",
        since="1.13",
    ),
    _binary(
        "remainder",
        "self if other, other if other",
        "grad; -grad * self.div(other, rounding_mode='floor')",
        symbol="%",
        domain="nonzero",
    ),
    _binary(
        "fmod",
        "self if other, other if other",
        "grad; -grad * self.div(other, rounding_mode='trunc')",
        domain="nonzero",
    ),
)
