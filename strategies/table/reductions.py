"""Sums and means."""

from __future__ import annotations

from typing import Any

from strategies.table.results import reduced, tensors
from strategies.table.row import Param, Row, methods, operands


def _axes(dim: int | list[int] | None) -> tuple[int, ...] | None:
    return None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)


def _sum(m: Any, self: Any, *, dim: Any, keepdim: bool) -> Any:
    if self.ndim == 0:
        return m.apply("summed", self)
    return m.total(self, _axes(dim), keepdim)


def _mean(m: Any, self: Any, *, dim: Any, keepdim: bool) -> Any:
    total = _sum(m, self, dim=dim, keepdim=keepdim)
    return m.apply("div", total, float(self.size) / max(total.size, 1))


_REDUCED = (Param("dim", "optional dim"), Param("keepdim", "keepdim", False, keyword=True))

ROWS: tuple[Row, ...] = (
    Row(
        "sum",
        operands("self"),
        reduced,
        _sum,
        methods("sum", 1),
        params=_REDUCED,
        derivative="grad.expand(self.sizes())",
    ),
    Row(
        "mean",
        operands("self"),
        reduced,
        _mean,
        methods("mean", 1),
        params=_REDUCED,
        derivative="grad.expand(self.sizes()) / count",
        needs=lambda layouts: tensors(layouts)[0].numel > 0,
    ),
)
