"""Reads and writes of the positions that an index names: along a dimension, or of all elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from strategies import layout as lay
from strategies.table.positions import (
    REDUCTIONS,
    Shapes,
    anywhere,
    anywhere_apart,
    as_wanted,
    by_dimension,
    filling,
    flat_at,
    gathered,
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


def index_fill(m: Any, self: Any, index: Any, value: Any, *, dim: int) -> Any:
    """One value where an index says."""
    return written(m, self, value, "overwrite", sliced_at, index, dim)


def _index_reduce(
    m: Any, self: Any, index: Any, source: Any, *, dim: int, reduce: str, include_self: bool
) -> Any:
    return reduced_at(m, self, leading(source, dim), reduce, include_self, sliced_at, index, dim)


# -- flat positions -------------------------------------------------------------------------------


def _take(m: Any, self: Any, index: Any) -> Any:
    return gathered(m, self, flat_at, index)


def _like_index(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    return (Made(lay.contiguous(tensors(layouts)[1].shape)),)


def _put(m: Any, self: Any, index: Any, source: Any, *, accumulate: bool) -> Any:
    how = "add" if accumulate else "overwrite"
    return written(m, self, source, how, flat_at, index)


# -- subscripts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Subscript:
    """Where an index tensor stands in square brackets: it names positions of `taken` dimensions,
    after `before` whole ones. A tuple of it has a row of positions for each dimension.
    """

    name: str
    text: str
    before: int = 0
    taken: int = 1
    rows: bool = False

    @property
    def dims(self) -> int:
        return self.before + self.taken

    @property
    def from_end(self) -> bool:
        """Where one entry stands for two positions, those would differ, counted from the end."""
        return self.taken == 1

    def indexing(self, repeats: Callable[[Params], bool] = lambda params: True) -> Indexing:
        return Indexing(self.bound, None, repeats, self.from_end, joint=self.rows)

    def needs(self, layouts: Layouts) -> bool:
        return tensors(layouts)[0].ndim >= self.dims

    def bound(self, layouts: Layouts, params: Params) -> int:
        return min(tensors(layouts)[0].shape[self.before : self.dims])

    def read(self, x: Any, index: Any) -> Any:
        named = tuple(index) if self.rows else (index,) * self.taken
        return x[(slice(None),) * self.before + named]

    def named(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """Of the sizes or strides of the index those that are found again in what it names."""
        return sizes[1:] if self.rows else sizes

    def shape(self, first: lay.Layout, index: tuple[int, ...]) -> tuple[int, ...]:
        return (*first.shape[: self.before], *self.named(index), *first.shape[self.dims :])

    def wants(self, layouts: Layouts, params: Params) -> Shapes:
        """Positions, then a value that broadcasts to what they name."""
        first, *others = tensors(layouts)
        if first.ndim < self.dims:
            return ()
        if others:
            whole = self.shape(first, others[0].shape)
            return tuple(dict.fromkeys((whole, whole[1:], first.shape[self.dims :], ())))
        count = self.bound(layouts, params)
        options = ((1,), *(((2,), (1, 2)) if count > 1 else ())) if count else ((0,),)
        return tuple((self.taken, *option) for option in options) if self.rows else options

    def result(self, layouts: Layouts, params: Params) -> tuple[Made, ...]:
        """In the memory order of what is indexed, then of the index (TensorIterator, observed)."""
        first, index = tensors(layouts)
        named = lay.Layout(self.named(index.shape), self.named(index.strides))
        before, after = first.strides[: self.before], first.strides[self.dims :]
        shape = self.shape(first, index.shape)
        held = lay.Layout(shape, (*before, *[0] * named.ndim, *after))
        spread = (*[1] * len(before), *named.shape, *[1] * len(after))
        reshaped = lay.viewed(named, spread) or lay.contiguous(spread)
        return (Made(lay.ordered(shape, held, reshaped)),)


_AT = _Subscript("at", "{1}")
_SECOND = _Subscript("second", ":, {1}", before=1)
_TWICE = _Subscript("twice", "{1}, {1}", taken=2)
_ROWS = _Subscript("rows", "tuple({1})", taken=2, rows=True)


def _getitem(subscript: _Subscript) -> Row:
    def meaning(m: Any, self: Any, index: Any) -> Any:
        return gathered(m, self, subscript.read, index)

    return Row(
        f"getitem_{subscript.name}",
        operands("self", "index:int64"),
        subscript.result,
        meaning,
        {"operator": f"{{0}}[{subscript.text}]"},
        saves=saves("index"),
        derivative="index_put of grad into zeros, accumulating",
        needs=subscript.needs,
        wants=subscript.wants,
        fits=as_wanted(subscript.wants),
        indexing=subscript.indexing(),
        broadcasts=False,
    )


def _put_meaning(subscript: _Subscript) -> Any:
    def meaning(m: Any, self: Any, indices: Any, values: Any, *, accumulate: bool = False) -> Any:
        how = "add" if accumulate else "overwrite"
        return written(m, self, values, how, subscript.read, indices)

    return meaning


def _index_put(name: str, subscript: _Subscript, listed: str) -> Row:
    return Row(
        name,
        operands("self", "indices:int64", "values"),
        cloned,
        _put_meaning(subscript),
        {
            "method": f"{{0}}.index_put({listed}, {{2}}{{p}})",
            "function": f"torch.index_put({{0}}, {listed}, {{2}}{{p}})",
        },
        {
            "method": f"{{0}}.index_put_({listed}, {{2}}{{p}})",
            "function": f"torch.index_put_({{0}}, {listed}, {{2}}{{p}})",
        },
        (_ACCUMULATE,),
        saves=saves("indices"),
        derivative="grad, with zeros at indices unless accumulate; grad[indices]",
        needs=subscript.needs,
        wants=subscript.wants,
        fits=as_wanted(subscript.wants),
        indexing=subscript.indexing(_IF_ADDED),
        unchecked_overlap=True,
        reads_apart=True,
        broadcasts=False,
    )


def _setitem(subscript: _Subscript) -> Row:
    return Row(
        f"setitem_{subscript.name}",
        operands("self", "indices:int64", "values|number"),
        cloned,
        _put_meaning(subscript),
        in_place={"operator": f"{{0}}[{subscript.text}] = {{2}}"},
        saves=saves("indices"),
        derivative="as index_put_ of a value without its leading ones",
        viewed=_without_ones,
        needs=subscript.needs,
        wants=subscript.wants,
        fits=as_wanted(subscript.wants),
        indexing=subscript.indexing(_NEVER),
        unchecked_overlap=True,
        reads_apart=True,
        broadcasts=False,
    )


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
        index_fill,
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
    *(_getitem(subscript) for subscript in (_AT, _SECOND, _TWICE, _ROWS)),
    _index_put("index_put", _AT, "({1},)"),
    _index_put("index_put_twice", _TWICE, "({1}, {1})"),
    _index_put("index_put_rows", _ROWS, "tuple({1})"),
    *(_setitem(subscript) for subscript in (_AT, _SECOND, _TWICE, _ROWS)),
)
