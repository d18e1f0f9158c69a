"""Running sums and products along a dimension, and differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from strategies.layout import elementwise, sliced
from strategies.table.composed import along, back, one_by_one, still
from strategies.table.results import like_first, tensors
from strategies.table.row import (
    Layouts,
    Made,
    Param,
    Params,
    Row,
    in_place_method,
    methods,
    operands,
    saves,
)
from strategies.table.statistics import DIM


def _scan(m: Any, self: Any, dim: int, primitive: str) -> Any:
    rows = along(self, dim)
    if self.size == 0:
        return m.apply("copy", self)
    first, *others = one_by_one(rows)
    found = [m.apply("copy", first)]
    for row in others:
        found.append(m.apply(primitive, found[-1], row))
    return back(np.stack(found), self, dim)


def _cumsum(m: Any, self: Any, *, dim: int) -> Any:
    return _scan(m, self, dim, "add")


def _cumprod(m: Any, self: Any, *, dim: int) -> Any:
    return _scan(m, self, dim, "mul")


def _logcumsumexp(m: Any, self: Any, *, dim: int) -> Any:
    rows = along(self, dim)
    if self.size == 0:
        return m.apply("copy", self)
    first, *others = one_by_one(rows)
    found = [m.apply("copy", first)]
    for row in others:
        top = still(m, m.apply("higher", found[-1], row))
        one, two = (m.apply("exp", m.apply("sub", each, top)) for each in (found[-1], row))
        found.append(m.apply("add", m.apply("log", m.apply("add", one, two)), top))
    return back(np.stack(found), self, dim)


def _diff(m: Any, self: Any, *, dim: int) -> Any:
    rows = along(self, dim)
    return np.moveaxis(m.apply("sub", rows[1:], rows[:-1]), 0, dim)


def _between(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """One element less along `dim`, as a difference of two slices lies."""
    layout, dim = tensors(layouts)[0], params["dim"]
    return (Made(elementwise(sliced(layout, dim, 1, None, 1), sliced(layout, dim, 0, -1, 1))),)


ROWS: tuple[Row, ...] = (
    Row(
        "cumsum",
        operands("self"),
        like_first,
        _cumsum,
        methods("cumsum", 1),
        in_place_method("cumsum", 1),
        params=(DIM,),
        derivative="reversed cumsum of grad",
    ),
    Row(
        "cumprod",
        operands("self"),
        like_first,
        _cumprod,
        methods("cumprod", 1),
        in_place_method("cumprod", 1),
        params=(DIM,),
        saves=saves("self, result"),
        derivative="cumprod_backward(grad, self, dim, result)",
    ),
    Row(
        "logcumsumexp",
        operands("self"),
        like_first,
        _logcumsumexp,
        methods("logcumsumexp", 1),
        params=(DIM,),
        saves=saves("self, result"),
        derivative="logcumsumexp_backward(grad, self, result, dim)",
        since="1.6",
    ),
    Row(
        "diff",
        operands("self"),
        _between,
        _diff,
        {"method": "{0}.diff(dim={dim})", "function": "torch.diff({0}, dim={dim})"},
        params=(Param("dim", "dim", 0, required=True),),
        derivative="grad at the later element, -grad at the earlier one",
        needs=lambda layouts: tensors(layouts)[0].ndim > 0 and min(tensors(layouts)[0].shape) > 0,
        since="1.8",
    ),
)
