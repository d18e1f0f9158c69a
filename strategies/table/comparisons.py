"""Comparisons and logic: bool results, and in place zeros and ones of the target's dtype."""

from __future__ import annotations

from functools import partial
from typing import Any

from strategies.table.results import pointwise
from strategies.table.row import Row, in_place_method, methods, operands


def _decided(primitive: str, m: Any, *given: Any) -> Any:
    """What is decided; in place its gradient is zeros, which meet infinities further back."""
    result = m.apply(primitive, *given)
    for operand in given:
        result = m.apply("overwrite", result, operand)
    return result


def _comparison(name: str, symbol: str) -> Row:
    return Row(
        name,
        operands("self", "other|number"),
        pointwise,
        partial(_decided, name),
        {**methods(name, 2), "operator": f"{{0}} {symbol} {{1}}"},
        in_place_method(name, 2),
        dtype="bool",
        differentiable=False,
        derivative="not differentiable; in place zeros_like(self); zeros_like(other)",
    )


def _logic(name: str, *names: str, since: str = "1.4") -> Row:
    count = len(names)
    return Row(
        name,
        operands(*names),
        pointwise,
        partial(_decided, name),
        methods(name, count),
        in_place_method(name, count),
        dtype="bool",
        differentiable=False,
        derivative="output_differentiability: [False]",
        since=since,
    )


ROWS: tuple[Row, ...] = (
    _comparison("gt", ">"),
    _comparison("ge", ">="),
    _comparison("lt", "<"),
    _comparison("le", "<="),
    _comparison("eq", "=="),
    _comparison("ne", "!="),
    _logic("logical_and", "self", "other", since="1.5"),
    _logic("logical_or", "self", "other", since="1.5"),
    _logic("logical_xor", "self", "other"),
    _logic("logical_not", "self"),
)
