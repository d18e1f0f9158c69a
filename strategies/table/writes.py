"""Copies, fills, masked and indexed writes."""

from __future__ import annotations

from typing import Any

from strategies.table.results import cloned, packed, pointwise
from strategies.table.row import Param, Row, in_place_method, methods, operands, saves


def _zero(m: Any, self: Any) -> Any:
    return m.apply("copy", 0.0)


def _value(m: Any, self: Any, value: Any) -> Any:
    return m.apply("copy", value)


def _masked(m: Any, self: Any, mask: Any, value: Any) -> Any:
    return m.apply("where", mask, value, self)


ROWS: tuple[Row, ...] = (
    Row("clone", operands("self"), cloned, "copy", methods("clone", 1), derivative="grad"),
    Row(
        "copy",
        operands("self", "src"),
        pointwise,
        _value,
        in_place=in_place_method("copy", 2),
        derivative="zeros for self; grad for src",
    ),
    Row(
        "fill",
        operands("self", "value|number"),
        pointwise,
        _value,
        in_place=in_place_method("fill", 2),
        drawn=lambda layouts: layouts[1] is None or layouts[1].ndim == 0,
        broadcasts=False,
        derivative="zeros for self; grad.sum() for value",
    ),
    Row(
        "zero",
        operands("self"),
        pointwise,
        _zero,
        in_place=in_place_method("zero", 1),
        derivative="zeros_like(grad)",
        unchecked_overlap=True,
    ),
    Row(
        "masked_fill",
        operands("self", "mask:bool", "value=number"),
        packed,
        _masked,
        methods("masked_fill", 3),
        in_place_method("masked_fill", 3),
        saves=saves("mask"),
        derivative="grad.masked_fill(mask, 0)",
        unchecked_overlap=True,
    ),
    Row(
        "setitem",
        operands("self", "value|number"),
        pointwise,
        _value,
        in_place={"operator": "{0}[{p}] = {1}"},
        params=(Param("index", "index", required=True),),
        derivative="copy_ or fill_ into the view self[index]",
    ),
)
