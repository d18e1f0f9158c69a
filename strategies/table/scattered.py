"""Reads and writes with an index, or a mask, that has an entry for each element."""

from __future__ import annotations

from typing import Any

import numpy as np

from strategies.layout import contiguous
from strategies.table.positions import (
    REDUCTIONS,
    Shapes,
    along,
    along_apart,
    as_wanted,
    broadcast_along,
    by_dimension,
    elements_along,
    fresh,
    gathered,
    length,
    reduced_at,
    written,
)
from strategies.table.results import like_first, packed, tensors
from strategies.table.row import (
    Indexing,
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

_DIM = Param("dim", "dim", required=True)


def _line(params: Params) -> int:
    """Each line of the index along `dim` names positions of its own."""
    dim: int = params["dim"]
    return dim


def _like_index(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    return (Made(contiguous(tensors(layouts)[1].shape)),)


def _like_both(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    first, index = tensors(layouts)
    shape = list(np.broadcast_shapes(first.shape, index.shape))
    shape[params["dim"]] = index.shape[params["dim"]]
    return (Made(contiguous(tuple(shape))),)


def _gather(m: Any, self: Any, index: Any, *, dim: int) -> Any:
    return gathered(m, self, elements_along, index, dim)


def _take_along_dim(m: Any, self: Any, indices: Any, *, dim: int) -> Any:
    shape = list(self.shape)
    shape[dim] = indices.shape[dim]
    return gathered(m, self, elements_along, np.broadcast_to(indices, shape), dim)


def _scatter(m: Any, self: Any, index: Any, src: Any, *, dim: int) -> Any:
    return written(m, self, src, "overwrite", elements_along, index, dim)


def _scatter_add(m: Any, self: Any, index: Any, src: Any, *, dim: int) -> Any:
    return written(m, self, src, "add", elements_along, index, dim)


def _scatter_reduce(
    m: Any, self: Any, index: Any, src: Any, *, dim: int, reduce: str, include_self: bool
) -> Any:
    return reduced_at(m, self, src, reduce, include_self, elements_along, index, dim)


def _scatter_combined(m: Any, self: Any, index: Any, src: Any, *, dim: int, reduce: str) -> Any:
    source = src if isinstance(src, np.ndarray) else m.apply("copy", src)
    how = {"add": "add", "multiply": "mul"}[reduce]
    return written(m, self, source, how, elements_along, index, dim)


# -- masks ----------------------------------------------------------------------------------------


def _masked_source(layouts: Layouts, params: Params) -> Shapes:
    """A mask that broadcasts to the first operand, then at least as many elements as that has."""
    first, *others = tensors(layouts)
    if others:
        return tuple(dict.fromkeys((first.shape, (first.numel,), (first.numel + 1,))))
    return tuple(dict.fromkeys((first.shape, first.shape[1:], ())))


def _masked_scatter(m: Any, self: Any, mask: Any, source: Any) -> Any:
    """Where the mask is true for the k-th time the k-th element of the source."""
    cells = fresh(m, self)
    flat, hits = cells.reshape(-1), np.broadcast_to(mask, cells.shape).ravel()
    ranks, step = hits, 1
    while step < flat.size:
        ranks = np.concatenate([ranks[:step], m.apply("add", ranks[step:], ranks[:-step])])
        step *= 2
    taken = m.apply("copy", source).ravel()
    chosen = flat.copy()
    for number in range(flat.size):
        # The k-th true entry cannot stand before the k-th place.
        here = m.apply("eq", ranks[number:], float(number + 1))
        chosen[number:] = m.apply("where", here, taken[number], chosen[number:])
    flat[:] = m.apply("where", hits, chosen, flat)
    return cells


def _masked_value(layouts: Layouts, params: Params) -> Shapes:
    """A mask for the first dimensions, then the one value that goes there.

    A 0-d mask is another thing: it gives `x[mask]` a dimension more.
    """
    first, *others = tensors(layouts)
    if others:
        return ((),)
    shape = first.shape
    return tuple(shape[:end] for end in range(len(shape), 0, -1))


def _setitem_where(m: Any, self: Any, mask: Any, value: Any) -> Any:
    aligned = mask.reshape(mask.shape + (1,) * (self.ndim - mask.ndim))
    return m.apply("where", aligned, value, self)


_GATHER, _ = by_dimension("gather", "{1}")
_SCATTER, _SCATTER_IN_PLACE = by_dimension("scatter", "{1}, {2}")
_ADD, _ADD_IN_PLACE = by_dimension("scatter_add", "{1}, {2}")
_COMBINED, _COMBINED_IN_PLACE = by_dimension("scatter", "{1}, {2}, reduce={reduce}")
_REDUCE, _REDUCE_IN_PLACE = by_dimension("scatter_reduce", "{1}, {2}, {reduce}")

ROWS: tuple[Row, ...] = (
    Row(
        "gather",
        operands("self", "index:int64"),
        _like_index,
        _gather,
        _GATHER,
        params=(_DIM,),
        saves=saves("self, index"),
        derivative="scatter_add of grad into zeros",
        wants=along,
        fits=as_wanted(along),
        indexing=Indexing(length, _line),
        broadcasts=False,
    ),
    Row(
        "take_along_dim",
        operands("self", "indices:int64"),
        _like_both,
        _take_along_dim,
        {
            "method": "{0}.take_along_dim({1}{p})",
            "function": "torch.take_along_dim({0}, {1}{p})",
        },
        params=(_DIM,),
        # The indices are brought into their range first, which makes them others.
        saves=saves("self, private"),
        derivative="gather of the expanded operand",
        viewed=lambda layouts: (0,),
        needs=lambda layouts: tensors(layouts)[0].ndim >= 1,
        wants=broadcast_along,
        fits=as_wanted(broadcast_along),
        indexing=Indexing(length, _line),
        broadcasts=False,
        since="1.9",
    ),
    Row(
        "scatter",
        operands("self", "index:int64", "src|number"),
        like_first,
        _scatter,
        _SCATTER,
        _SCATTER_IN_PLACE,
        (_DIM,),
        saves=saves("index"),
        derivative="grad.scatter(dim, index, 0); grad.gather(dim, index)",
        wants=along_apart,
        fits=as_wanted(along_apart),
        indexing=Indexing(length, _line, repeats=lambda params: False),
        reads_apart=True,
        broadcasts=False,
    ),
    Row(
        "scatter_add",
        operands("self", "index:int64", "src"),
        like_first,
        _scatter_add,
        _ADD,
        _ADD_IN_PLACE,
        (_DIM,),
        saves=saves("index if src"),
        derivative="grad; grad.gather(dim, index)",
        wants=along,
        fits=as_wanted(along),
        indexing=Indexing(length, _line),
        reads_apart=True,
        broadcasts=False,
    ),
    Row(
        "scatter_combined",
        operands("self", "index:int64", "src|number"),
        like_first,
        _scatter_combined,
        _COMBINED,
        _COMBINED_IN_PLACE,
        (_DIM, Param("reduce", "combination", choices=("add", "multiply"), required=True)),
        undifferentiable="always",
        derivative="not_implemented",
        wants=along,
        fits=as_wanted(along),
        indexing=Indexing(length, _line),
        reads_apart=True,
        broadcasts=False,
        since="1.11",
    ),
    Row(
        "scatter_reduce",
        operands("self", "index:int64", "src"),
        like_first,
        _scatter_reduce,
        _REDUCE,
        _REDUCE_IN_PLACE,
        (
            _DIM,
            Param("reduce", "scatter reduction", choices=REDUCTIONS, required=True),
            Param("include_self", "bool", True, (True, False), keyword=True),
        ),
        saves=saves("index, result, self, src"),
        derivative="scatter_reduce_backward(grad, self, dim, index, src, reduce, result)",
        wants=along,
        fits=as_wanted(along),
        indexing=Indexing(length, _line),
        reads_apart=True,
        broadcasts=False,
        since="1.12",
    ),
    Row(
        "masked_scatter",
        operands("self", "mask:bool", "source"),
        like_first,
        _masked_scatter,
        methods("masked_scatter", 3),
        in_place_method("masked_scatter", 3),
        saves=saves("mask"),
        derivative="grad.masked_fill(mask, 0); the elements of grad under the mask, then zeros",
        wants=_masked_source,
        fits=as_wanted(_masked_source),
        unchecked_reads=True,
        broadcasts=False,
    ),
    Row(
        "setitem_where",
        operands("self", "mask:bool", "value|number"),
        packed,
        _setitem_where,
        in_place={"operator": "{0}[{1}] = {2}"},
        saves=saves("mask"),
        derivative="as masked_fill_",
        needs=lambda layouts: tensors(layouts)[0].ndim >= 1,
        wants=_masked_value,
        fits=as_wanted(_masked_value),
        unchecked_overlap=True,
        broadcasts=False,
    ),
)
