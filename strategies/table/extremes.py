"""Largest, smallest and middle elements, and elements in order.

Where torch documents which of equal elements gets the gradient, or that they share it, meanings
say so; where it does not, `sole` makes a program with such a tie unspecified.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from strategies.layout import contiguous
from strategies.table.composed import (
    along,
    back,
    first_of,
    highest,
    kept,
    lowest,
    one_by_one,
    still,
)
from strategies.table.results import cloned, like_first, reduced, tensors
from strategies.table.row import Layouts, Made, Param, Params, Row, methods, operands, saves
from strategies.table.statistics import DIM, KEEPDIM, REDUCED, holds_any

Meaning = Callable[..., Any]


def _shared(m: Any, rows: Any, value: Any) -> Any:
    """A value with a gradient that those equal to it share, multiplied by their mask."""
    tied = m.apply("eq", rows, value)
    slope = m.total(m.apply("mul", rows, tied), (0,), False)
    return m.apply("carry", value, m.apply("div", slope, m.total(tied, (0,), False)))


def _shared_by_all(m: Any, rows: Any, value: Any) -> Any:
    """Likewise, where the others are masked, and NaN ties with NaN."""
    tied = m.apply("logical_or", m.apply("eq", rows, value), m.apply("ne", rows, rows))
    return _shared_among(m, rows, value, tied)


def _shared_among(m: Any, rows: Any, value: Any, tied: Any) -> Any:
    """A value with a gradient that those who tie share, and that is masked for the others."""
    slope = m.total(m.apply("where", tied, rows, 0.0), (0,), False)
    return m.apply("carry", value, m.apply("div", slope, m.total(tied, (0,), False)))


def _sharing(extreme: Meaning) -> Meaning:
    def meaning(m: Any, self: Any, *, dim: int | None, keepdim: bool) -> Any:
        rows = along(self, dim)
        return kept(_shared(m, rows, extreme(m, rows)), self, dim, keepdim=keepdim)

    return meaning


def _sharing_by_all(extreme: Meaning) -> Meaning:
    def meaning(m: Any, self: Any) -> Any:
        rows = self.reshape(-1)
        return _shared_by_all(m, rows, extreme(m, rows))

    return meaning


def _first(extreme: Meaning) -> Meaning:
    """The gradient goes to the first of those that are equal, as torch documents it."""

    def meaning(m: Any, self: Any, *, dim: int, keepdim: bool) -> Any:
        rows = along(self, dim)
        is_it = m.apply("eq", rows, extreme(m, rows))
        is_it = m.apply("logical_or", is_it, m.apply("ne", rows, rows))
        return kept(first_of(m, is_it, rows), self, dim, keepdim=keepdim)

    return meaning


# -- elements in order ----------------------------------------------------------------------------


def _ranks(m: Any, rows: Any, *, descending: bool = False) -> Any:
    """How many rows come before each one in order, NaN last; equal ones stay in their order."""
    count = len(rows)
    one, two = np.triu_indices(count, 1)
    left, right = (rows[two], rows[one]) if descending else (rows[one], rows[two])
    stays = m.apply("before", left, right)
    moves = m.apply("sub", 1.0, stays)
    passed = []
    for place in range(count):
        several = np.concatenate([stays[two == place], moves[one == place]])
        passed.append(m.total(several, (0,), False))
    return np.stack(passed)


def _at(m: Any, rows: Any, ranks: Any, rank: int) -> Any:
    return first_of(m, m.apply("eq", ranks, float(rank)), rows)


def _only(m: Any, rows: Any, chosen: Any) -> Any:
    """Leave open what happens if the chosen element has equals, and give it back."""
    m.apply("sole", m.total(m.apply("eq", rows, chosen), (0,), False))
    return chosen


def _median(m: Any, self: Any) -> Any:
    """The lower of the two, NaN if there is one; equal elements share."""
    rows = m.apply("ordered", self.reshape(-1))
    middle = _middle(m, rows)
    return _shared_by_all(m, rows, m.apply("carry", middle, 0.0))


def _middle(m: Any, rows: Any) -> Any:
    ranked = _at(m, rows, _ranks(m, rows), (len(rows) - 1) // 2)
    top = highest(m, rows)
    return m.apply("where", m.apply("eq", top, top), ranked, top)


def _median_dim(m: Any, self: Any, *, dim: int, keepdim: bool) -> Any:
    rows = m.apply("ordered", along(self, dim))
    return kept(_only(m, rows, _middle(m, rows)), self, dim, keepdim=keepdim)


def _lower(m: Any, rows: Any) -> Any:
    """The lower of the two middle ones among those that are numbers, NaN if there are none."""
    numbers = m.total(m.apply("eq", rows, rows), (0,), False)
    rank = m.apply("floor", m.apply("div", m.apply("sub", numbers, 1.0), 2.0))
    return first_of(m, m.apply("eq", _ranks(m, rows), rank), rows)


def _nanmedian(m: Any, self: Any) -> Any:
    """Elements that are equal to it share, and NaN with NaN if there is nothing else."""
    rows = m.apply("ordered", self.reshape(-1))
    middle = still(m, _lower(m, rows))
    both = m.apply("logical_and", m.apply("ne", middle, middle), m.apply("ne", rows, rows))
    return _shared_among(m, rows, middle, m.apply("logical_or", m.apply("eq", rows, middle), both))


def _nanmedian_dim(m: Any, self: Any, *, dim: int, keepdim: bool) -> Any:
    rows = m.apply("ordered", along(self, dim))
    return kept(_only(m, rows, _lower(m, rows)), self, dim, keepdim=keepdim)


def _mode(m: Any, self: Any, *, dim: int, keepdim: bool) -> Any:
    """The smallest of the most frequent."""
    rows = m.apply("comparable", along(self, dim))
    counts = np.stack([m.total(m.apply("eq", rows, row), (0,), False) for row in one_by_one(rows)])
    most = m.apply("eq", counts, highest(m, counts))
    chosen = lowest(m, m.apply("where", most, rows, math.inf))
    is_it = m.apply("logical_and", m.apply("eq", rows, chosen), most)
    return kept(_only(m, rows, first_of(m, is_it, rows)), self, dim, keepdim=keepdim)


def _kthvalue(m: Any, self: Any, *, k: int, dim: int, keepdim: bool) -> Any:
    rows = m.apply("ordered", along(self, dim))
    chosen = _only(m, rows, _at(m, rows, _ranks(m, rows), k - 1))
    return kept(chosen, self, dim, keepdim=keepdim)


def _sort(m: Any, self: Any, *, dim: int, descending: bool) -> Any:
    rows = along(self, dim)
    ranks = _ranks(m, rows, descending=descending)
    return back(np.stack([_at(m, rows, ranks, k) for k in range(len(rows))]), self, dim)


def _topk(m: Any, self: Any, *, k: int, dim: int, largest: bool) -> Any:
    rows = m.apply("ordered", along(self, dim))
    ranks = _ranks(m, rows, descending=largest)
    found = [_only(m, rows, _at(m, rows, ranks, place)) for place in range(k)]
    if self.ndim == 0:
        return found[0]
    return np.moveaxis(np.stack(found), 0, dim)


def _running(reaches: str) -> Meaning:
    """The extreme so far, from the newest NaN or from the element that is it."""

    def meaning(m: Any, self: Any, *, dim: int) -> Any:
        first, *others = one_by_one(along(self, dim))
        found = [m.apply("copy", first)]
        for row in others:
            so_far = found[-1]
            m.apply("sole", m.apply("add", m.apply("eq", row, so_far), 1.0))
            takes = m.apply("logical_or", m.apply(reaches, row, so_far), m.apply("ne", row, row))
            found.append(m.apply("where", takes, row, so_far))
        return back(np.stack(found), self, dim)

    return meaning


def _taken(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """The first operand's shape, with `k` elements along `dim`."""
    shape = list(tensors(layouts)[0].shape)
    if shape:
        shape[params["dim"]] = params["k"]
    return (Made(contiguous(tuple(shape))),)


def _of_all(name: str, extreme: Meaning, *, since: str = "1.2") -> Row:
    return Row(
        name,
        operands("self"),
        lambda layouts, params: reduced(layouts, {}),
        extreme,
        methods(name, 1),
        saves=saves("self, result"),
        derivative="evenly_distribute_backward(grad, self, result)",
        needs=holds_any,
        since=since,
    )


def _repeated(layouts: Layouts, params: Params) -> str:
    """If the elements along `dim` are one cell of memory (the register has a script)."""
    (one,) = tensors(layouts)
    axes = list(zip(one.shape, one.strides, strict=True))[params["dim"] :][:1]
    return "median along a dimension that is expanded" if any(n > 1 > s for n, s in axes) else ""


def _indexed(
    name: str,
    torch: str,
    meaning: Meaning,
    *params: Param,
    result: Any = reduced,
    astray: Callable[[Layouts, Params], str] = lambda layouts, params: "",
    since: str = "1.2",
) -> Row:
    """A row for the values of an operation that gives their indices too."""
    return Row(
        name,
        operands("self"),
        result,
        meaning,
        {"method": f"{{0}}.{torch}({{p}}).values", "function": f"torch.{torch}({{0}}{{p}}).values"},
        params=params,
        saves=saves("self, private" if name in ("cummax", "cummin") else "private"),
        derivative="value_selecting_reduction_backward(grad, dim, indices)",
        needs=holds_any,
        astray=astray,
        since=since,
    )


_K = Param("k", "rank", 1, required=True)
_ORDERED = "stable=True, dim={dim}, descending={descending}"

ROWS: tuple[Row, ...] = (
    *(
        Row(
            name,
            operands("self"),
            reduced,
            _sharing(extreme),
            methods(name, 1),
            params=REDUCED,
            saves=saves("self, result"),
            derivative="scale_grad_by_count(grad, result == self, dim)",
            needs=holds_any,
            since="1.7",
        )
        for name, extreme in (("amax", highest), ("amin", lowest))
    ),
    _of_all("max", _sharing_by_all(highest)),
    _of_all("min", _sharing_by_all(lowest)),
    _of_all("median", _median),
    _of_all("nanmedian", _nanmedian, since="1.7"),
    _indexed("max_dim", "max", _first(highest), DIM, KEEPDIM),
    _indexed("min_dim", "min", _first(lowest), DIM, KEEPDIM),
    _indexed("median_dim", "median", _median_dim, DIM, KEEPDIM, astray=_repeated),
    _indexed("kthvalue", "kthvalue", _kthvalue, _K, DIM, KEEPDIM),
    _indexed(
        "nanmedian_dim", "nanmedian", _nanmedian_dim, DIM, KEEPDIM, astray=_repeated, since="1.7"
    ),
    _indexed("mode", "mode", _mode, DIM, KEEPDIM),
    _indexed("cummax", "cummax", _running("ge"), DIM, result=like_first, since="1.5"),
    _indexed("cummin", "cummin", _running("le"), DIM, result=like_first, since="1.5"),
    _indexed(
        "topk", "topk", _topk, _K, DIM, Param("largest", "bool", True, (True, False)), result=_taken
    ),
    Row(
        "sort",
        operands("self"),
        cloned,
        _sort,
        {
            "method": f"{{0}}.sort({_ORDERED}).values",
            "function": f"torch.sort({{0}}, {_ORDERED}).values",
        },
        params=(DIM, Param("descending", "bool", False, (False, True), keyword=True)),
        saves=saves("private"),
        derivative="value_selecting_reduction_backward(grad, dim, indices)",
        needs=holds_any,
        since="1.9",
    ),
)
