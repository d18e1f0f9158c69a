"""Reads and writes of the positions that an index names: along a dimension, or of all elements."""

from __future__ import annotations

from typing import Any

from strategies import layout as lay
from strategies.table.positions import (
    REDUCTIONS,
    anywhere,
    anywhere_apart,
    as_wanted,
    by_dimension,
    filling,
    first_size,
    flat_at,
    gathered,
    in_front,
    leading,
    length,
    numel,
    reduced_at,
    sliced_at,
    slices,
    written,
)
from strategies.table.results import cloned, like_first, tensors
from strategies.table.row import Indexing, Layouts, Made, Param, Params, Row, operands, saves

_DIM = Param("dim", "dim", required=True)
_ACCUMULATE = Param("accumulate", "bool", False, (False, True))
_NEVER = lambda params: False  # noqa: E731
_IF_ADDED = lambda params: bool(params["accumulate"])  # noqa: E731


# -- slices along a dimension ---------------------------------------------------------------------


def _index_select(m: Any, self: Any, index: Any, *, dim: int) -> Any:
    chosen = gathered(m, self, sliced_at, index, dim)
    return chosen.swapaxes(0, dim) if self.ndim else chosen.reshape(())


def _selected(shape: tuple[int, ...], index: tuple[int, ...], dim: int) -> tuple[int, ...]:
    """The shape after a dimension is replaced by as many positions as an index names."""
    return tuple(index[0] if axis == dim % len(shape) else size for axis, size in enumerate(shape))


def _by_slices(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    first, index = tensors(layouts)
    return (Made(lay.contiguous(_selected(first.shape, index.shape, params["dim"]))),)


def _index_add(m: Any, self: Any, index: Any, source: Any, *, dim: int, alpha: float) -> Any:
    added = source if alpha == 1 else m.apply("mul", source, alpha)
    return written(m, self, leading(added, dim), "add", sliced_at, index, dim)


def _index_copy(m: Any, self: Any, index: Any, source: Any, *, dim: int) -> Any:
    return written(m, self, leading(source, dim), "overwrite", sliced_at, index, dim)


def _index_fill(m: Any, self: Any, index: Any, value: Any, *, dim: int) -> Any:
    return written(m, self, value, "overwrite", sliced_at, index, dim)


def _index_reduce(
    m: Any, self: Any, index: Any, source: Any, *, dim: int, reduce: str, include_self: bool
) -> Any:
    return reduced_at(m, self, leading(source, dim), reduce, include_self, sliced_at, index, dim)


# -- flat positions, and positions of the first dimension -----------------------------------------


def _take(m: Any, self: Any, index: Any) -> Any:
    return gathered(m, self, flat_at, index)


def _like_index(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    return (Made(lay.contiguous(tensors(layouts)[1].shape)),)


def _put(m: Any, self: Any, index: Any, source: Any, *, accumulate: bool) -> Any:
    how = "add" if accumulate else "overwrite"
    return written(m, self, source, how, flat_at, index)


def _rows_at(x: Any, index: Any) -> Any:
    return x[index]


def _getitem(m: Any, self: Any, index: Any) -> Any:
    return gathered(m, self, _rows_at, index)


def _rows(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """In the memory order of what is indexed, then of the index (TensorIterator, observed)."""
    first, index = tensors(layouts)
    held = (0,) * index.ndim + first.strides[1:]
    named = index.strides + (0,) * (first.ndim - 1)
    return (Made(lay.ordered((*index.shape, *first.shape[1:]), [held, named])),)


def _index_put(m: Any, self: Any, indices: Any, values: Any, *, accumulate: bool = False) -> Any:
    how = "add" if accumulate else "overwrite"
    return written(m, self, values, how, _rows_at, indices)


def _without_ones(layouts: Layouts) -> tuple[int, ...]:
    """`x[i] = v` views a value without its leading dimensions of size 1."""
    ones = [value for value in layouts[2:] if value is not None and value.shape[:1] == (1,)]
    return (2,) if ones else ()


_SELECT, _ = by_dimension("index_select", "{1}")
_ADD, _ADD_IN_PLACE = by_dimension("index_add", "{1}, {2}")
_COPY, _COPY_IN_PLACE = by_dimension("index_copy", "{1}, {2}")
_FILL, _FILL_IN_PLACE = by_dimension("index_fill", "{1}, {2}")
_REDUCE, _REDUCE_IN_PLACE = by_dimension("index_reduce", "{1}, {2}, {reduce}")

ROWS: tuple[Row, ...] = (
    Row(
        "index_select",
        operands("self", "index:int64"),
        _by_slices,
        _index_select,
        _SELECT,
        params=(_DIM,),
        saves=saves("index"),
        derivative="index_add of grad into zeros",
        wants=slices,
        fits=as_wanted(slices),
        indexing=Indexing(length),
        broadcasts=False,
    ),
    Row(
        "index_add",
        operands("self", "index:int64", "source"),
        like_first,
        _index_add,
        _ADD,
        _ADD_IN_PLACE,
        (_DIM, Param("alpha", "float", 1, (1, 2, -0.5), keyword=True)),
        saves=saves("index if source, source if source"),
        derivative="grad; grad.index_select(dim, index) * alpha",
        wants=slices,
        fits=as_wanted(slices),
        indexing=Indexing(length),
        reads_apart=True,
        broadcasts=False,
    ),
    Row(
        "index_copy",
        operands("self", "index:int64", "source"),
        like_first,
        _index_copy,
        _COPY,
        _COPY_IN_PLACE,
        (_DIM,),
        saves=saves("index, source if source"),
        derivative="grad.index_fill(dim, index, 0); grad.index_select(dim, index)",
        wants=slices,
        fits=as_wanted(slices),
        indexing=Indexing(length, repeats=_NEVER),
        reads_apart=True,
        broadcasts=False,
    ),
    Row(
        "index_fill",
        operands("self", "index:int64", "value|number"),
        cloned,
        _index_fill,
        _FILL,
        _FILL_IN_PLACE,
        (_DIM,),
        saves=saves("index"),
        derivative="grad.index_fill(dim, index, 0); the sum of grad at index",
        wants=filling,
        fits=as_wanted(filling),
        # It takes positions from the end, its backward does not, and no documentation has them.
        indexing=Indexing(length),
        unchecked_overlap=True,
        broadcasts=False,
    ),
    Row(
        "index_reduce",
        operands("self", "index:int64", "source"),
        like_first,
        _index_reduce,
        _REDUCE,
        _REDUCE_IN_PLACE,
        (
            _DIM,
            Param("reduce", "index reduction", choices=REDUCTIONS[1:], required=True),
            Param("include_self", "bool", True, (True, False), keyword=True),
        ),
        saves=saves("index, result, self, source"),
        derivative="index_reduce_backward(grad, self, dim, index, source, reduce, result)",
        wants=slices,
        fits=as_wanted(slices),
        indexing=Indexing(length),
        reads_apart=True,
        broadcasts=False,
        since="1.12",
    ),
    Row(
        "take",
        operands("self", "index:int64"),
        _like_index,
        _take,
        {"method": "{0}.take({1})", "function": "torch.take({0}, {1})"},
        saves=saves("self, index"),
        derivative="put of grad into zeros, accumulating",
        wants=anywhere,
        fits=as_wanted(anywhere),
        indexing=Indexing(numel, from_end=True),
        broadcasts=False,
    ),
    Row(
        "put",
        operands("self", "index:int64", "source"),
        cloned,
        _put,
        {"method": "{0}.put({1}, {2}{p})", "function": "torch.put({0}, {1}, {2}{p})"},
        {"method": "{0}.put_({1}, {2}{p})"},
        (_ACCUMULATE,),
        saves=saves("index, source if source"),
        derivative="grad, with zeros at index unless accumulate; grad.take(index)",
        wants=anywhere_apart,
        fits=as_wanted(anywhere_apart),
        indexing=Indexing(numel, repeats=_IF_ADDED, from_end=True),
        reads_apart=True,
        broadcasts=False,
        since="1.9",
    ),
    Row(
        "getitem_at",
        operands("self", "index:int64"),
        _rows,
        _getitem,
        {"operator": "{0}[{1}]"},
        saves=saves("index"),
        derivative="index_put of grad into zeros, accumulating",
        needs=lambda layouts: tensors(layouts)[0].ndim >= 1,
        wants=in_front,
        fits=as_wanted(in_front),
        indexing=Indexing(first_size, from_end=True),
        broadcasts=False,
    ),
    Row(
        "index_put",
        operands("self", "indices:int64", "values"),
        cloned,
        _index_put,
        {
            "method": "{0}.index_put(({1},), {2}{p})",
            "function": "torch.index_put({0}, ({1},), {2}{p})",
        },
        {
            "method": "{0}.index_put_(({1},), {2}{p})",
            "function": "torch.index_put_({0}, ({1},), {2}{p})",
        },
        (_ACCUMULATE,),
        saves=saves("indices"),
        derivative="grad, with zeros at indices unless accumulate; grad[indices]",
        needs=lambda layouts: tensors(layouts)[0].ndim >= 1,
        wants=in_front,
        fits=as_wanted(in_front),
        indexing=Indexing(first_size, repeats=_IF_ADDED, from_end=True),
        unchecked_overlap=True,
        reads_apart=True,
        broadcasts=False,
    ),
    Row(
        "setitem_at",
        operands("self", "indices:int64", "values|number"),
        cloned,
        _index_put,
        in_place={"operator": "{0}[{1}] = {2}"},
        saves=saves("indices"),
        derivative="as index_put_ of a value without its leading ones",
        viewed=_without_ones,
        needs=lambda layouts: tensors(layouts)[0].ndim >= 1,
        wants=in_front,
        fits=as_wanted(in_front),
        indexing=Indexing(first_size, repeats=_NEVER, from_end=True),
        unchecked_overlap=True,
        reads_apart=True,
        broadcasts=False,
    ),
)
