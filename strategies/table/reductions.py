"""Sums, means and matrix products."""

from __future__ import annotations

from typing import Any

from strategies.layout import Layout
from strategies.table.results import product, product_shape, reduced, tensors
from strategies.table.row import Layouts, Param, Row, methods, operands, saves


def _axes(dim: int | list[int] | None) -> tuple[int, ...] | None:
    return None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)


def _sum(m: Any, self: Any, *, dim: Any, keepdim: bool) -> Any:
    if self.ndim == 0:
        return m.apply("copy", self)
    return m.total(self, _axes(dim), keepdim)


def _mean(m: Any, self: Any, *, dim: Any, keepdim: bool) -> Any:
    total = _sum(m, self, dim=dim, keepdim=keepdim)
    return m.apply("div", total, float(self.size) / max(total.size, 1))


def _matmul(m: Any, self: Any, other: Any) -> Any:
    return m.matmul(self, other)


def _fits(*ranks: tuple[int, int]) -> Any:
    def needs(layouts: Layouts) -> bool:
        one, two = tensors(layouts)
        return (one.ndim, two.ndim) in ranks and _multiplies(one, two)

    return needs


def _multiplies(one: Layout, two: Layout) -> bool:
    inner = two.shape[-2] if two.ndim > 1 else two.shape[0]
    return one.shape[-1] == inner and one.shape[:-2] == two.shape[:-2]


def _squeezed(layouts: Layouts) -> int:
    """A vector times a matrix is a row matrix product, then squeezed in place."""
    one, two = tensors(layouts)
    return int((one.ndim, two.ndim) == (1, 2))


_BY_RANKS = {(1, 1): "dot", (2, 1): "mv", (1, 2): "mm", (2, 2): "mm", (3, 3): "bmm"}


def _dispatched(layouts: Layouts) -> str:
    one, two = tensors(layouts)
    return _BY_RANKS[one.ndim, two.ndim]


def _viewed(layouts: Layouts) -> tuple[int, ...]:
    """A vector becomes a row of a matrix, and batches are expanded (observed)."""
    one, two = tensors(layouts)
    viewed: dict[tuple[int, int], tuple[int, ...]] = {(1, 2): (0,), (3, 3): (0, 1)}
    return viewed.get((one.ndim, two.ndim), ())


def _product(name: str, other: str, *ranks: tuple[int, int], symbol: str = "") -> Row:
    plain = methods(name, 2)
    if symbol:
        plain["operator"] = f"{{0}} {symbol} {{1}}"
    return Row(
        name,
        operands("self", other),
        product,
        _matmul,
        plain,
        saves=saves(f"{other} if self, self if {other}"),
        derivative=f"grad @ {other}.T; self.T @ grad",
        needs=_fits(*ranks),
        broadcasts=False,
        begins_at=_squeezed,
        acts_as=_dispatched if name == "matmul" else None,
        viewed=_viewed if name == "matmul" else lambda layouts: (),
    )


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
    _product("matmul", "other", (1, 1), (2, 1), (1, 2), (2, 2), (3, 3), symbol="@"),
    _product("mm", "mat2", (2, 2)),
    _product("mv", "vec", (2, 1)),
    _product("dot", "tensor", (1, 1)),
    _product("bmm", "mat2", (3, 3)),
)

__all__ = ["ROWS", "product_shape"]
