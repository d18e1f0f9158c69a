"""What meanings of reductions have in common: axes, extremes, and choices among elements.

`m` is the oracle's assembly; operands are arrays of its cells, which numpy indexes at no cost.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def along(x: Any, dim: int | None) -> Any:
    """The cells with the dimension `dim` in front; all of them in one row if it is None."""
    if dim is None or x.ndim == 0:
        return x.reshape(-1)
    return np.moveaxis(x, dim, 0)


def one_by_one(rows: Any) -> list[Any]:
    """The rows as arrays; numpy would give the cells of a single row as numbers."""
    return [np.asarray(row) for row in rows]


def back(x: Any, like: Any, dim: int | None) -> Any:
    """The reverse of `along`: where its dimension has the size that it had."""
    if dim is None or like.ndim == 0:
        return x.reshape(like.shape)
    return np.moveaxis(x, 0, dim)


def kept(x: Any, like: Any, dim: int | None, *, keepdim: bool) -> Any:
    """A reduced tensor with its dimension `dim` as one of size 1, if `keepdim` asks for it."""
    return np.expand_dims(x, dim) if keepdim and dim is not None and like.ndim else x


def leave_open(m: Any, where: Any) -> None:
    """Give no answer where a condition holds, be it differentiated or not."""
    m.apply("comparable", m.apply("where", where, math.nan, 1.0))


def still(m: Any, x: Any) -> Any:
    """The value of `x` without its derivative, where that is part of another one.

    Of what holds it still nobody knows a second derivative.
    """
    return m.still(x)


def highest(m: Any, rows: Any) -> Any:
    """The largest of the rows, NaN if one is, as a number without derivative."""
    while len(rows) > 1:
        pairs = m.apply("higher", rows[0 : len(rows) - 1 : 2], rows[1::2])
        rows = np.concatenate([pairs, rows[2 * len(pairs) :]])
    return m.apply("carry", rows[0], 0.0)


def lowest(m: Any, rows: Any) -> Any:
    """The smallest of the rows, likewise."""
    return m.apply("neg", highest(m, m.apply("neg", rows)))


def first_of(m: Any, flags: Any, rows: Any) -> Any:
    """The first of the rows whose flag is set, value and derivative; the last one if none is."""
    if len(rows) == 1:
        return m.apply("copy", np.asarray(rows[0]))
    while len(rows) > 1:
        paired = 2 * (len(rows) // 2)
        one, two = flags[0:paired:2], flags[1:paired:2]
        chosen = m.apply("where", one, rows[0:paired:2], rows[1:paired:2])
        either = m.apply("logical_or", one, two)
        rows = np.concatenate([chosen, rows[paired:]])
        flags = np.concatenate([either, flags[paired:]])
    return np.asarray(rows[0])


def finite(m: Any, top: Any) -> Any:
    """The number, or 0 where it is infinite: what exponents are shifted by."""
    infinite = m.apply("logical_or", m.apply("eq", top, math.inf), m.apply("eq", top, -math.inf))
    return m.apply("where", infinite, 0.0, top)


def mean(m: Any, x: Any, axes: tuple[int, ...] | None = None) -> Any:
    """The mean over some axes, which stay with size 1; over all of them if None."""
    total = m.total(x, axes, True)
    count = x.size / max(total.size, 1)
    # A single element is its mean exactly.
    return total if count == 1 else m.apply("div", total, count)


def root_of_squares(m: Any, x: Any, axes: tuple[int, ...] | None, *, keepdim: bool) -> Any:
    """The Euclidean norm, whose derivative at zero is zero."""
    squares = m.total(m.apply("square", x), axes, keepdim)
    none = m.apply("eq", squares, 0.0)
    root = m.apply("sqrt", m.apply("where", none, 1.0, squares))
    return m.apply("where", none, 0.0, root)
