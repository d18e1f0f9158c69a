"""Reads and writes of the positions that an index names."""

from __future__ import annotations

from typing import Any

from strategies.table.results import like_first, tensors
from strategies.table.row import (
    Indexing,
    Layouts,
    Param,
    Params,
    Row,
    operands,
    saves,
)

_DIM = Param("dim", "dim", required=True)


def _length(layouts: Layouts, params: Params) -> int:
    """The size of the dimension that is indexed."""
    shape = tensors(layouts)[0].shape
    return shape[params["dim"]] if shape else 1


def _slices(layouts: Layouts, params: Params) -> tuple[tuple[int, ...], ...]:
    """A vector of positions, then as many slices of the first operand as it has."""
    first, *others = tensors(layouts)
    if not others:
        length = _length(layouts, params)
        return tuple((count,) for count in range(1, length + 1)) or ((0,),)
    shape = list(first.shape)
    if shape:
        shape[params["dim"]] = others[0].shape[0]
    return (tuple(shape),)


def _fitting(layouts: Layouts, params: Params) -> str:
    first, index, source = tensors(layouts)
    wanted = _slices((first, index), params)
    if index.ndim != 1 or source.shape not in wanted:
        return f"a source of {source.shape} and an index of {index.shape} do not go together"
    return ""


def _index_add(m: Any, self: Any, index: Any, source: Any, *, dim: int, alpha: float) -> Any:
    added = source if alpha == 1 else m.apply("mul", source, alpha)
    cells = m.apply("copy", self).copy()
    rows, sources = (x.reshape(1) if x.ndim == 0 else x for x in (cells, added))
    rows, sources = rows.swapaxes(0, dim), sources.swapaxes(0, dim)
    for place, position in enumerate(index):
        rows[position] = m.apply("add", rows[position], sources[place])
    return cells


ROWS: tuple[Row, ...] = (
    Row(
        "index_add",
        operands("self", "index:int64", "source"),
        like_first,
        _index_add,
        {
            "method": "{0}.index_add({dim}, {1}, {2}{p})",
            "function": "torch.index_add({0}, {dim}, {1}, {2}{p})",
        },
        {"method": "{0}.index_add_({dim}, {1}, {2}{p})"},
        (_DIM, Param("alpha", "float", 1, (1, 2, -0.5), keyword=True)),
        saves=saves("index if source, source if source"),
        derivative="grad; grad.index_select(dim, index) * alpha",
        wants=_slices,
        fits=_fitting,
        indexing=Indexing(_length),
        reads_apart=True,
        broadcasts=False,
    ),
)
