"""Running sums and products along a dimension, and differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from strategies.layout import elementwise, sliced
from strategies.table.composed import along, back, finite, one_by_one, still
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


def cumprod(m: Any, self: Any, *, dim: int, cumsum: Callable[..., Any] = _cumsum) -> Any:
    """Running products; `cumsum` has the derivative of the sums that torch takes in theirs."""
    product = _scan(m, self, dim, "mul")
    if not m.deviates("product") or self.ndim == 0 or self.shape[dim] <= 1:
        return product
    rows, products = along(self, dim), along(product, dim)
    return back(m.apply("carry", products, _by_quotient(m, rows, products, cumsum)), self, dim)


def _by_quotient(m: Any, rows: Any, products: Any, cumsum: Callable[..., Any]) -> Any:
    """What has torch's derivative: result / self up to the first zero, and nothing after it.

    The first zero itself has the product of the others, up to the second one.
    """
    zero = m.apply("eq", rows, 0.0)
    seen = _scan(m, zero, 0, "add")
    none, one = m.apply("eq", seen, 0.0), m.apply("eq", seen, 1.0)
    first = m.apply("logical_and", one, zero)
    quotients = m.apply("div", m.apply("where", none, rows, 0.0), still(m, rows))
    before = _scan(m, m.apply("where", none, still(m, rows), 1.0), 0, "mul")[-1:]
    after = m.apply("logical_and", one, m.apply("logical_not", zero))
    between = _scan(m, m.apply("where", after, still(m, rows), 1.0), 0, "mul")
    at_zero = m.apply("mul", m.total(m.apply("where", first, rows, 0.0), (0,), True), before)
    return m.apply(
        "add",
        m.apply(
            "mul", cumsum(m, quotients, dim=0), m.apply("where", none, still(m, products), 0.0)
        ),
        m.apply("mul", at_zero, m.apply("where", one, between, 0.0)),
    )


def _logcumsumexp(m: Any, self: Any, *, dim: int) -> Any:
    rows = along(self, dim)
    if self.size == 0:
        return m.apply("copy", self)
    first, *others = one_by_one(rows)
    found = [m.apply("copy", first)]
    for row in others:
        top = finite(m, m.apply("higher", found[-1], row))
        one, two = (m.apply("exp", m.apply("sub", each, top)) for each in (found[-1], row))
        found.append(m.apply("add", m.apply("log", m.apply("add", one, two)), top))
    if m.deviates("logsumexp") and self.ndim:
        found = [_by_result(m, rows[: place + 1], each) for place, each in enumerate(found)]
    return back(np.stack(found), self, dim)


def _by_result(m: Any, rows: Any, result: Any) -> Any:
    """The result with a derivative of exp(row - result), as torch computes it.

    The logarithm of the gradient, which is some number here, is added first and has lost its digits
    by then.
    """
    beside = m.apply("sub", math.pi, still(m, result))
    gap = m.apply("sub", m.apply("add", beside, still(m, rows)), math.pi)
    slope = m.apply("exp", gap)
    return m.apply("carry", result, m.total(m.apply("mul", rows, slope), (0,), False))


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
        cumprod,
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
        viewed=lambda layouts: (0,),
        needs=lambda layouts: tensors(layouts)[0].ndim > 0 and min(tensors(layouts)[0].shape) > 0,
        since="1.8",
    ),
)
