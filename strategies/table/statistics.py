"""Reductions beyond sums: products, variances, norms, and sums of exponentials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from strategies.table.composed import (
    along,
    finite,
    highest,
    kept,
    mean,
    one_by_one,
    root_of_squares,
    still,
)
from strategies.table.results import reduced, tensors
from strategies.table.row import Layouts, Param, Row, methods, operands, saves

KEEPDIM = Param("keepdim", "keepdim", False, keyword=True)
REDUCED = (Param("dim", "optional dim"), KEEPDIM)
DIM = Param("dim", "dim", 0, required=True)
_ORDERS = (2.0, 1.0, "inf", 3.0, 1.5)


def axes_of(dim: int | None) -> tuple[int, ...] | None:
    return None if dim is None else (dim,)


def holds_any(layouts: Layouts) -> bool:
    """Whether there is an element to reduce."""
    return tensors(layouts)[0].numel > 0


def _prod(m: Any, self: Any, *, dim: int | None, keepdim: bool) -> Any:
    rows = along(self, dim)
    if self.size == 0:
        return m.apply("add", m.total(self, axes_of(dim), keepdim), 1.0)
    product = _multiplied(m, rows)
    if m.deviates("product") and self.ndim:
        product = m.apply("carry", product, _by_quotient(m, self, dim, product))
    return kept(product, self, dim, keepdim=keepdim)


def _multiplied(m: Any, rows: Any) -> Any:
    first, *others = one_by_one(rows)
    product = m.apply("copy", first)
    for row in others:
        product = m.apply("mul", product, row)
    return product


def _by_quotient(m: Any, self: Any, dim: int | None, product: Any) -> Any:
    """What has torch's derivative: result / self without zeros, and none with several of all."""
    rows, zeros = along(self, dim), m.total(m.apply("eq", self, 0.0), None, False)
    none, many = m.apply("eq", zeros, 0.0), m.apply("gt", zeros, 1.0)
    others = m.apply("logical_or", none, many) if dim is None else none
    safe = _multiplied(m, m.apply("where", others, 1.0, rows))
    slope = m.apply("where", none, m.apply("div", still(m, product), still(m, rows)), 0.0)
    return m.apply("add", safe, m.total(m.apply("mul", rows, slope), (0,), False))


def _var(m: Any, self: Any, *, dim: int | None, correction: int, keepdim: bool) -> Any:
    """The mean is held still: its own part of the derivative is zero, and torch leaves it out.

    Divided by max(0, count - correction), as it is documented.
    """
    axes = axes_of(dim if self.ndim else None)
    middle = still(m, mean(m, self, axes))
    off = m.apply("sub", self, middle)
    squares = m.total(m.apply("square", off), axes, keepdim)
    freedom = self.size / max(squares.size, 1) - correction
    # Kernels correct mean and squares with every element: it has an error though the sum has none.
    inexact = m.apply("div", m.apply("div", squares, math.pi), max(freedom, 0.0))
    variance = m.apply("mul", inexact, math.pi)
    below = axes is None and freedom < 0 and m.deviates("variance below zero")
    if freedom > 0 or not (below or m.deviates("variance")):
        return variance
    if axes is None and not below:
        steep = m.apply("where", m.apply("eq", self, middle), math.nan, math.inf)
        return m.apply("carry", variance, m.total(m.apply("mul", self, steep), axes, keepdim))
    return m.apply("carry", variance, m.apply("div", squares, freedom))


def _std(m: Any, self: Any, *, dim: int | None, correction: int, keepdim: bool) -> Any:
    """Of equal values the derivative is zero."""
    variance = _var(m, self, dim=dim, correction=correction, keepdim=keepdim)
    none = m.apply("eq", variance, 0.0)
    root = m.apply("sqrt", m.apply("where", none, 1.0, variance))
    return m.apply("where", none, 0.0, root)


def _norm(m: Any, self: Any, *, p: float | str, dim: int | None, keepdim: bool) -> Any:
    axes = axes_of(dim if self.ndim else None)
    sizes = m.apply("abs", self)
    alone = self.size == 1 if axes is None else all(self.shape[axis] == 1 for axis in axes)
    if p == 2 and alone:
        # Nothing is squared that could overflow.
        return m.total(_of_one(m, self, sizes), axes, keepdim)
    if p == 2:
        return root_of_squares(m, self, axes, keepdim=keepdim)
    if p == 1:
        return m.total(sizes, axes, keepdim)
    if p == "inf":
        return _largest_size(m, self, sizes, dim, keepdim=keepdim)
    powers = m.total(m.apply("pow", sizes, p), axes, keepdim)
    none = m.apply("eq", powers, 0.0)
    root = m.apply("pow", m.apply("where", none, 1.0, powers), 1.0 / float(p))
    found = m.apply("where", none, 0.0, root)
    return m.apply("carry", m.total(sizes, axes, keepdim), found) if alone else found


def _of_one(m: Any, self: Any, sizes: Any) -> Any:
    """The absolute value with the derivative self / norm, which is 0 at 0."""
    slope = m.apply("where", m.apply("eq", sizes, 0.0), 0.0, m.apply("div", self, sizes))
    return m.apply("carry", sizes, m.apply("mul", self, still(m, slope)))


def _largest_size(m: Any, self: Any, sizes: Any, dim: int | None, *, keepdim: bool) -> Any:
    """The largest absolute value; those who tie share the gradient, and NaN gets none."""
    rows, signed = along(sizes, dim), along(m.apply("sign", self), dim)
    top = highest(m, rows)
    tied = m.apply("logical_or", m.apply("eq", rows, top), m.apply("ne", rows, rows))
    slope = m.total(m.apply("mul", m.apply("mul", along(self, dim), signed), tied), (0,), False)
    shared = m.apply("div", slope, m.total(tied, (0,), False))
    return kept(m.apply("carry", top, shared), self, dim, keepdim=keepdim)


def _logsumexp(m: Any, self: Any, *, dim: int, keepdim: bool) -> Any:
    rows = along(self, dim)
    shift = finite(m, highest(m, rows))
    total = m.total(m.apply("exp", m.apply("sub", rows, shift)), (0,), False)
    result = m.apply("add", m.apply("log", total), shift)
    if m.deviates("logsumexp"):
        slope = m.apply("exp", m.apply("sub", still(m, rows), still(m, result)))
        result = m.apply("carry", result, m.total(m.apply("mul", rows, slope), (0,), False))
    return kept(result, self, dim, keepdim=keepdim)


def _nansum(m: Any, self: Any, *, dim: int | None, keepdim: bool) -> Any:
    numbers = m.apply("where", m.apply("ne", self, self), 0.0, self)
    # The gradient is multiplied by the mask, which makes NaN of an infinite one.
    masked = m.apply("mul", self, m.apply("eq", self, self))
    numbers = m.apply("carry", numbers, masked)
    return m.total(numbers, axes_of(dim if self.ndim else None), keepdim)


def _nanmean(m: Any, self: Any, *, dim: int | None, keepdim: bool) -> Any:
    axes = axes_of(dim if self.ndim else None)
    numbers = m.total(m.apply("eq", self, self), axes, keepdim)
    return m.apply("div", _nansum(m, self, dim=dim, keepdim=keepdim), numbers)


def _trace(m: Any, self: Any) -> Any:
    total = m.total(self.diagonal(), None, False)
    if not m.deviates("trace"):
        return total
    # Every place that is a row and a column further counts, though the diagonal has ended.
    beyond = self.ravel()[:: self.shape[1] + 1][min(self.shape) :]
    return m.total(np.array([total, *m.apply("carry", 0.0, beyond)]), None, False)


_SPREAD = (Param("dim", "optional dim"), Param("correction", "int", 1, (1, 0, 2), keyword=True))

ROWS: tuple[Row, ...] = (
    Row(
        "prod",
        operands("self"),
        reduced,
        _prod,
        methods("prod", 1),
        params=REDUCED,
        saves=saves("self, result"),
        derivative="grad * result / self, and the product of the others where self is 0",
    ),
    Row(
        "var",
        operands("self"),
        reduced,
        _var,
        {**methods("var", 1), "var_mean": "torch.var_mean({0}{p})[0]"},
        params=(*_SPREAD, KEEPDIM),
        saves=saves("self"),
        derivative="2 / (count - correction) * grad * (self - self.mean())",
        needs=holds_any,
        since="2.0",
    ),
    Row(
        "std",
        operands("self"),
        reduced,
        _std,
        methods("std", 1),
        params=(*_SPREAD, KEEPDIM),
        saves=saves("self, result"),
        derivative="var's, of grad / (2 * result), 0 where result is 0",
        needs=holds_any,
        since="2.0",
    ),
    Row(
        "norm",
        operands("self"),
        reduced,
        _norm,
        {**methods("norm", 1), "linalg": "torch.linalg.vector_norm({0}{p})"},
        params=(Param("p", "norm order", 2.0, _ORDERS), *REDUCED),
        saves=saves("self, result"),
        derivative="norm_backward(grad, self, p, result)",
        needs=holds_any,
        since="1.9",
    ),
    Row(
        "logsumexp",
        operands("self"),
        reduced,
        _logsumexp,
        methods("logsumexp", 1),
        params=(DIM, KEEPDIM),
        saves=saves("self, result"),
        derivative="grad * (self - result).exp()",
        needs=holds_any,
    ),
    Row(
        "nansum",
        operands("self"),
        reduced,
        _nansum,
        methods("nansum", 1),
        params=REDUCED,
        saves=saves("self"),
        derivative="grad where self is a number, else 0",
        since="1.7",
    ),
    Row(
        "nanmean",
        operands("self"),
        reduced,
        _nanmean,
        methods("nanmean", 1),
        params=REDUCED,
        saves=saves("self, private"),
        derivative="nansum's, of grad / how many are numbers",
        needs=holds_any,
        since="1.10",
    ),
    Row(
        "trace",
        operands("self"),
        lambda layouts, params: reduced(layouts, {}),
        _trace,
        methods("trace", 1),
        derivative="grad on the diagonal",
        needs=lambda layouts: tensors(layouts)[0].ndim == 2,
        saves=saves(""),
    ),
)
