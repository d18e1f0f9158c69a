"""Elements in other places: cut to triangles, turned, repeated, joined, put into larger tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from strategies import layout as lay
from strategies.layout import Layout
from strategies.table.positions import Shapes, as_wanted, fresh
from strategies.table.results import cloned, like_first, tensors
from strategies.table.row import (
    Layouts,
    Made,
    Param,
    Params,
    Row,
    in_place_method,
    methods,
    operands,
)

_DIM = Param("dim", "dim", required=True)
_OFFSET = Param("offset", "int", 0, (0, 1, -1))


def _ranks(least: int, most: int) -> Callable[[Layouts], bool]:
    return lambda layouts: least <= tensors(layouts)[0].ndim <= most


# -- one operand ----------------------------------------------------------------------------------


def _triangle(inside: Callable[..., Any]) -> Callable[..., Any]:
    def meaning(m: Any, self: Any, *, diagonal: int) -> Any:
        cells = fresh(m, self)
        outside = ~inside(np.ones(self.shape[-2:], bool), diagonal)
        cells[..., outside] = m.apply("overwrite", 0.0, cells[..., outside])
        return cells

    return meaning


def _triangular(name: str, inside: Callable[..., Any]) -> Row:
    return Row(
        name,
        operands("self"),
        like_first,
        _triangle(inside),
        methods(name, 1),
        in_place_method(name, 1),
        (Param("diagonal", "int", 0, (0, 1, -1)),),
        derivative=f"grad.{name}(diagonal)",
        needs=_ranks(2, 5),
        unchecked_overlap=True,
    )


def _embedded(shape: tuple[int, ...], offset: int) -> tuple[int, ...]:
    size = shape[-1] + abs(offset)
    return (*shape[:-1], size, size)


def _diag_embed(m: Any, self: Any, *, offset: int) -> Any:
    cells = np.full(_embedded(self.shape, offset), int(m.apply("copy", 0.0)))
    along = np.arange(self.shape[-1])
    cells[..., along + max(-offset, 0), along + max(offset, 0)] = self
    return m.apply("copy", cells)


def _flip(m: Any, self: Any, *, dims: list[int]) -> Any:
    return m.apply("copy", np.flip(self, tuple(dims)))


def _roll(m: Any, self: Any, *, shifts: int, dims: int | None) -> Any:
    return m.apply("copy", np.roll(self, shifts, dims))


def _rolled(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """Row-major; along a dimension in the order of two joined parts, and what has no element is
    copied (observed).
    """
    (first,) = tensors(layouts)
    dim, shape = params["dims"], first.shape
    if dim is None:
        return like_first(layouts, params)
    if not first.numel:
        return cloned(layouts, params)
    kept = shape[dim] - params["shifts"] % shape[dim]
    parts = lay.sliced(first, dim, kept, shape[dim], 1), lay.sliced(first, dim, 0, kept, 1)
    return (Made(lay.as_suggested(shape, *parts)),)


def _rollable(layouts: Layouts, params: Params) -> str:
    alone = not tensors(layouts)[0].ndim and params["dims"] is not None
    return "a 0-d tensor has no dimension to roll along" if alone else ""


def _repeated(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    shape, times = tensors(layouts)[0].shape, params["repeats"]
    whole = (1,) * (len(times) - len(shape)) + shape
    return (Made(lay.contiguous(tuple(n * k for n, k in zip(whole, times, strict=True)))),)


def _repeat(m: Any, self: Any, *, repeats: list[int]) -> Any:
    return m.apply("copy", np.tile(m.apply("copy", self), repeats))


def _turned(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """A flip, then a change of shape in place for quarter turns (observed)."""
    (first,) = tensors(layouts)
    if params["k"] % 4 == 0:
        return (Made(lay.contiguous(first.shape)),)
    flipped = lay.preserved(first)
    return (Made(lay.transposed(flipped, 0, 1) if params["k"] % 2 else flipped),)


def _rot90(m: Any, self: Any, *, k: int) -> Any:
    return m.apply("copy", np.rot90(self, k))


def _padded(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """Row-major; a copy of the part that is left where nothing is added."""
    (first,) = tensors(layouts)
    pad = params["pad"]
    cut = left_by(first, pad)
    if max(pad) <= 0:
        return (Made(lay.preserved(cut)),)
    shape = list(first.shape)
    for dim, (before, after) in sides(pad):
        shape[dim] += before + after
    return (Made(lay.as_suggested(tuple(shape), first)),)


def left_by(layout: Layout, pad: list[int]) -> Layout:
    """What negative padding leaves. Raises ValueError where it takes away more than there is."""
    cut = layout
    for dim, (before, after) in sides(pad):
        size = cut.shape[dim]
        if min(before, 0) + min(after, 0) + size < 0:
            raise ValueError(f"padding {pad} leaves less than nothing of shape {layout.shape}")
        cut = lay.sliced(cut, dim, max(-before, 0), size + min(after, 0), 1)
    return cut


def sides(pad: list[int]) -> list[tuple[int, tuple[int, int]]]:
    """Each dimension, from the last one on, with what is added before and after."""
    pairs = zip(pad[::2], pad[1::2], strict=True)
    return [(-1 - place, pair) for place, pair in enumerate(pairs)]


def _pad(m: Any, self: Any, *, pad: list[int], value: float) -> Any:
    cells = m.apply("copy", self)
    added = int(m.apply("copy", value))
    for dim, (before, after) in sides(pad):
        kept = slice(max(-before, 0), cells.shape[dim] + min(after, 0))
        cells = cells.swapaxes(dim, 0)[kept].swapaxes(dim, 0)
        widths = [(0, 0)] * cells.ndim
        widths[dim] = (max(before, 0), max(after, 0))
        cells = np.pad(cells, widths, constant_values=added)
    return m.apply("copy", cells)


def pads(layouts: Layouts, params: Params) -> str:
    pad, shape = params["pad"], tensors(layouts)[0].shape
    if len(pad) > 2 * len(shape):
        return f"padding {pad} has more sides than shape {shape}"
    left = [shape[dim] + min(b, 0) + min(a, 0) for dim, (b, a) in sides(pad)]
    return f"padding {pad} leaves less than nothing of shape {shape}" if min(left) < 0 else ""


# -- two operands ---------------------------------------------------------------------------------


def _joinable(layouts: Layouts, params: Params) -> Shapes:
    """The shape of the first operand, of any size along `dim`."""
    (first,) = tensors(layouts)
    if not first.shape:
        return ()
    dim = params["dim"] % first.ndim
    sizes = dict.fromkeys((first.shape[dim], 1, 2, 3))
    return tuple((*first.shape[:dim], n, *first.shape[dim + 1 :]) for n in sizes)


def _joined(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    one, two = tensors(layouts)
    shape = list(one.shape)
    shape[params["dim"]] += two.shape[params["dim"]]
    return (Made(lay.as_suggested(tuple(shape), one, two)),)


def _cat(m: Any, self: Any, other: Any, *, dim: int) -> Any:
    return m.apply("copy", np.concatenate([self, other], dim))


def _alike(layouts: Layouts, params: Params) -> Shapes:
    return (tensors(layouts)[0].shape,)


def _stacked(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    shape = tensors(layouts)[0].shape
    at = params["dim"] % (len(shape) + 1)
    return (Made(lay.contiguous((*shape[:at], 2, *shape[at:]))),)


def _stack(m: Any, self: Any, other: Any, *, dim: int) -> Any:
    return m.apply("copy", np.stack([self, other], dim))


def _with_its_strides(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """A copy of all the memory that an operand lies in, unless it is expanded (observed)."""
    first = tensors(layouts)[0]
    return (Made(lay.preserved(first) if first.repeats_a_cell else first),)


def _embedding(
    name: str, part: Callable[[Layout, Params], Layout], spelled: str, *params: Param
) -> Row:
    """A row for a copy of `self` in which a view of it is replaced by `src`."""

    def wants(layouts: Layouts, values: Params) -> Shapes:
        first = tensors(layouts)[0]
        return (part(first, values).shape,) if _replaceable(first, name) else ()

    def meaning(m: Any, self: Any, src: Any, **values: Any) -> Any:
        cells = fresh(m, self)
        at = part(lay.contiguous(self.shape), values).cells()
        flat = cells.reshape(-1)
        flat[at] = m.apply("overwrite", src, flat[at])
        return cells

    return Row(
        name,
        operands("self", "src"),
        _with_its_strides,
        meaning,
        {
            "method": f"{{0}}.{name}({{1}}{spelled})",
            "function": f"torch.{name}({{0}}, {{1}}{spelled})",
        },
        params=params,
        derivative="grad with zeros there; the part of grad",
        needs=lambda layouts: _replaceable(tensors(layouts)[0], name),
        wants=wants,
        fits=as_wanted(wants),
        broadcasts=False,
        since="1.11",
    )


def _replaceable(layout: Layout, name: str) -> bool:
    apart = layout.repeats_a_cell or not layout.overlaps_itself
    ranks = 2 if name == "diagonal_scatter" else 1
    return apart and layout.ndim >= ranks and (min(layout.shape) > 0 or ranks == 2)


ROWS: tuple[Row, ...] = (
    _triangular("tril", np.tril),
    _triangular("triu", np.triu),
    Row(
        "diag_embed",
        operands("self"),
        lambda layouts, params: (
            Made(lay.contiguous(_embedded(tensors(layouts)[0].shape, params["offset"]))),
        ),
        _diag_embed,
        methods("diag_embed", 1),
        params=(_OFFSET,),
        derivative="grad.diagonal(offset, -2, -1)",
        needs=_ranks(1, 4),
    ),
    Row(
        "flip",
        operands("self"),
        cloned,
        _flip,
        methods("flip", 1),
        params=(Param("dims", "some dims", required=True),),
        derivative="grad.flip(dims)",
        needs=_ranks(1, 5),
    ),
    Row(
        "roll",
        operands("self"),
        _rolled,
        _roll,
        methods("roll", 1),
        params=(
            Param("shifts", "int", choices=(1, -1, 2), required=True),
            Param("dims", "optional dim"),
        ),
        derivative="grad.roll(-shifts, dims)",
        fits=_rollable,
    ),
    Row(
        "rot90",
        operands("self"),
        _turned,
        _rot90,
        methods("rot90", 1),
        params=(Param("k", "int", 1, (1, 2, 3)),),
        derivative="grad.rot90(-k)",
        needs=_ranks(2, 5),
    ),
    Row(
        "repeat",
        operands("self"),
        _repeated,
        _repeat,
        {"method": "{0}.repeat({p})"},
        params=(Param("repeats", "repeats", required=True),),
        derivative="the sum of grad over the repetitions",
    ),
    Row(
        "pad",
        operands("self"),
        _padded,
        _pad,
        {"function": "F.pad({0}{p})"},
        params=(
            Param("pad", "padding", required=True),
            Param("value", "float", 0.0, (0.0, 1.5, -1.0), keyword=True),
        ),
        derivative="grad.pad(-pad)",
        needs=_ranks(1, 5),
        fits=pads,
    ),
    Row(
        "cat",
        operands("self", "other"),
        _joined,
        _cat,
        {"function": "torch.cat([{0}, {1}]{p})"},
        params=(Param("dim", "dim", 0),),
        derivative="the parts of grad",
        wants=_joinable,
        fits=as_wanted(_joinable),
        broadcasts=False,
    ),
    Row(
        "stack",
        operands("self", "other"),
        _stacked,
        _stack,
        {"function": "torch.stack([{0}, {1}]{p})"},
        params=(Param("dim", "new dim", 0),),
        derivative="the parts of grad",
        needs=_ranks(0, 4),
        wants=_alike,
        fits=as_wanted(_alike),
        broadcasts=False,
    ),
    _embedding(
        "diagonal_scatter",
        lambda x, p: lay.diagonal(x, p["offset"], 0, 1),
        "{p}",
        _OFFSET,
    ),
    _embedding(
        "select_scatter",
        lambda x, p: lay.selected(x, p["dim"], p["index"]),
        ", {dim}, {index}",
        _DIM,
        Param("index", "position", required=True),
    ),
    _embedding(
        "slice_scatter",
        lambda x, p: lay.sliced(x, p["dim"], p["start"], p["start"] + p["length"], 1),
        ", {dim}, {start}, {start} + {length}",
        _DIM,
        Param("start", "position", required=True),
        Param("length", "rest of dim", required=True),
    ),
)
