"""Pooling, interpolation and memory formats."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from strategies import layout as lay
from strategies.layout import Layout, contiguous
from strategies.table.images import (
    Shape,
    batched,
    image_of,
    patches,
    positions,
    spatial,
    windows,
)
from strategies.table.results import tensors
from strategies.table.row import Layouts, Made, Param, Params, Row, operands, saves

# -- pooling

_POOL_STEP = Param("stride", "optional step", None, (None, 1, 2), keyword=True)
_HALF = Param("padding", "half window", 0, keyword=True)
_INCLUDE = Param("count_include_pad", "bool", True, (True, False), keyword=True)


def _row_major(layout: Layout, shape: Shape) -> Layout:
    return contiguous(shape)


def _as_images(layout: Layout, shape: Shape) -> Layout:
    """In the order of a batch; of one image there is no order of channels to follow."""
    return lay.as_suggested(shape, layout) if batched(layout, 2) else contiguous(shape)


def _as_volumes(layout: Layout, shape: Shape) -> Layout:
    """In the order of a batch, which may be of one volume that is no batch itself."""
    if batched(layout, 3):
        return lay.as_suggested(shape, layout)
    if lay.counts_as_channels_last(lay.unsqueezed(layout, 0)):
        return lay.selected(lay.channels_last((1, *shape)), 0, 0)
    return contiguous(shape)


def _pooled(
    dims: int, lying: Callable[[Layout, Shape], Layout] = _as_images
) -> Callable[[Layouts, Params], tuple[Made, ...]]:
    def result(layouts: Layouts, params: Params) -> tuple[Made, ...]:
        (layout,) = tensors(layouts)
        window, padding = params["kernel_size"], params["padding"]
        step = params["stride"] or window
        ends = (positions(size, window, step, padding) for size in layout.shape[-dims:])
        shape = (*layout.shape[:-dims], *ends)
        if dims > 1:
            return (Made(lying(layout, shape)),)
        made = lay.as_suggested((*shape[:-1], 1, *shape[-1:]), image_of(layout, dims))
        return (Made(lay.squeezed(made, -2)),)

    return result


def _window_patches(
    m: Any, cells: Any, dims: int, size: int, stride: int | None, padding: int, fill: float
) -> Any:
    return patches(m, cells, dims, (size,) * dims, stride or size, padding, 1, fill)


def _max_pool(dims: int) -> Row:
    def meaning(m: Any, self: Any, *, kernel_size: int, stride: int | None, padding: int) -> Any:
        seen = _window_patches(m, self, dims, kernel_size, stride, padding, -math.inf)
        if padding:
            # What pads a window is no element of it, even where all elements are as small.
            inside = np.pad(np.ones(self.shape[-dims:], np.intp), padding)
            inside = windows(inside, dims, (kernel_size,) * dims, stride or kernel_size)
            first = np.broadcast_to(inside.argmax(-1)[..., np.newaxis], (*seen.shape[:-1], 1))
            seen = np.where(inside, seen, np.take_along_axis(seen, first, -1))
        largest = seen[..., 0]
        for place in range(1, seen.shape[-1]):
            largest = m.apply("larger", largest, seen[..., place])
        return largest

    def needs(layouts: Layouts) -> bool:
        # In one dimension another kernel runs where nothing is recorded, and its results lie apart.
        # In three, channels that are last in two make torch refuse it (the register has a script).
        (layout,) = tensors(layouts)
        apart = lay.suggests_channels_last(image_of(layout, dims))
        refused = apart and (dims == 1 or (dims == 3 and not batched(layout, dims)))
        return spatial(layout, dims) and not refused

    return Row(
        f"max_pool{dims}d",
        operands("self"),
        _pooled(dims, _as_volumes if dims == 3 else _as_images),
        meaning,
        {"function": f"F.max_pool{dims}d({{0}}{{p}})"},
        params=(
            Param("kernel_size", f"window {dims}d", required=True),
            _POOL_STEP,
            _HALF,
        ),
        saves=saves("self"),
        derivative="grad at the first of the largest elements in each window (observed)",
        needs=needs,
        starts=lambda layout: needs((layout,)),
        broadcasts=False,
        viewed=lambda layouts: (0,) if dims == 1 else (),
        behind_view=lambda layouts, recorded: dims == 1 and recorded,
        begins_unrecorded=lambda layouts: int(dims == 1 and not batched(tensors(layouts)[0], 1)),
    )


def _avg_pool(dims: int) -> Row:
    def meaning(
        m: Any,
        self: Any,
        *,
        kernel_size: int,
        stride: int | None,
        padding: int,
        count_include_pad: bool,
    ) -> Any:
        seen = _window_patches(m, self, dims, kernel_size, stride, padding, 0.0)
        axis = seen.ndim - 1
        total = m.total(seen, (axis,), False)
        if count_include_pad or not padding:
            return m.apply("div", total, float(seen.shape[-1]))
        inside = np.pad(np.ones(self.shape[-dims:]), padding)
        counts = windows(inside, dims, (kernel_size,) * dims, stride or kernel_size).sum(-1)
        cells = [m.apply("copy", float(count)) for count in counts.ravel()]
        return m.apply("div", total, np.array(cells, np.intp).reshape(counts.shape))

    return Row(
        f"avg_pool{dims}d",
        operands("self"),
        _pooled(dims, _row_major if dims == 3 else _as_images),
        meaning,
        {"function": f"F.avg_pool{dims}d({{0}}{{p}})"},
        params=(
            Param("kernel_size", f"window {dims}d", required=True),
            _POOL_STEP,
            _HALF,
            _INCLUDE,
        ),
        saves=saves("self"),
        derivative="grad / count, added up over windows",
        needs=lambda layouts: spatial(tensors(layouts)[0], dims),
        starts=lambda layout: spatial(layout, dims),
        broadcasts=False,
        viewed=lambda layouts: (0,) if dims == 1 else (),
        behind_view=lambda layouts, recorded: dims == 1,
    )


def _adaptive(dims: int) -> Row:
    def result(layouts: Layouts, params: Params) -> tuple[Made, ...]:
        (layout,) = tensors(layouts)
        shape = (*layout.shape[:-dims], *[params["output_size"]] * dims)
        if dims > 1:
            return (Made(lay.as_suggested(shape, layout)),)
        made = lay.as_suggested((*shape[:-1], 1, *shape[-1:]), image_of(layout, dims))
        return (Made(lay.squeezed(made, -2)),)

    def meaning(m: Any, self: Any, *, output_size: int) -> Any:
        cells = self
        for axis in range(self.ndim - dims, self.ndim):
            size = self.shape[axis]
            parts = []
            for place in range(output_size):
                start, end = place * size // output_size, -(-(place + 1) * size // output_size)
                part = cells[(slice(None),) * axis + (slice(start, end),)]
                parts.append(m.apply("div", m.total(part, (axis,), True), float(end - start)))
            cells = np.concatenate(parts, axis)
        return cells

    return Row(
        f"adaptive_avg_pool{dims}d",
        operands("self"),
        result,
        meaning,
        {"function": f"F.adaptive_avg_pool{dims}d({{0}}{{p}})"},
        params=(Param("output_size", "several", choices=(2, 3), required=True),),
        saves=saves("self"),
        derivative="grad / count, added up over windows",
        needs=lambda layouts: spatial(tensors(layouts)[0], dims),
        starts=lambda layout: spatial(layout, dims),
        broadcasts=False,
        viewed=lambda layouts: (0,) if dims == 1 else (),
        behind_view=lambda layouts, recorded: dims == 1,
    )


# -- interpolation


def _resized(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    (layout,) = tensors(layouts)
    return (Made(lay.as_suggested((*layout.shape[:2], *params["size"]), layout)),)


def _nearest(m: Any, self: Any, *, size: list[int]) -> Any:
    cells = self
    for axis, there in enumerate(size, start=2):
        cells = cells.take([place * self.shape[axis] // there for place in range(there)], axis)
    return m.apply("copy", cells)


def _source(
    m: Any, place: int, size: int, there: int, align_corners: bool
) -> tuple[int, Any, bool]:
    """The element that a result is read from, how far behind it, and whether just at it.

    The distance is computed as torch does, so that it carries its rounding errors.
    """
    if align_corners:
        exact = Fraction(place * (size - 1), max(there - 1, 1))
        source = m.apply("mul", m.apply("div", size - 1.0, max(there - 1.0, 1.0)), float(place))
    else:
        exact = Fraction((2 * place + 1) * size, 2 * there) - Fraction(1, 2)
        if exact < 0 or (there == 1 and m.deviates("a single place is in the middle")):
            return 0, m.apply("copy", 0.0), False
        scaled = m.apply("mul", m.apply("div", float(size), float(there)), place + 0.5)
        source = m.apply("sub", scaled, 0.5)
    first = min(math.floor(exact), size - 1)
    return first, m.apply("sub", source, float(first)), exact == first > 0


def _linear(m: Any, self: Any, *, size: list[int], align_corners: bool) -> Any:
    cells = self
    for axis, there in enumerate(size, start=2):
        length, parts = self.shape[axis], []
        for place in range(there):
            first, share, just = _source(m, place, length, there, align_corners)
            # What keeps its size is read from one place, although with two weights.
            second = first if there == length else min(first + 1, length - 1)
            one, two = (cells.take([at], axis) for at in (first, second))
            near = m.apply("mul", one, m.apply("sub", 1.0, share))
            part = m.apply("add", near, m.apply("mul", two, share))
            if just and there != length:
                # By its error it may lie before the element, and read the one before as well.
                behind = m.apply("mul", cells.take([first - 1], axis), share)
                part = m.apply("add", part, m.apply("finite_or", behind, 0.0))
            parts.append(part)
        cells = np.concatenate(parts, axis)
    return cells


def _interpolation(name: str, mode: str, ranks: Shape, meaning: Any, *params: Param) -> Row:
    def starts(layout: Layout) -> bool:
        return layout.ndim in ranks and layout.numel > 0

    return Row(
        name,
        operands("self"),
        _resized,
        meaning,
        {"function": f'F.interpolate({{0}}{{p}}, mode="{mode}")'},
        params=(Param("size", "output sizes", required=True, keyword=True), *params),
        derivative="grad, added up where elements were read from",
        needs=lambda layouts: starts(tensors(layouts)[0]),
        starts=starts,
        broadcasts=False,
    )


# -- pixels and patches


def _enlarged(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    (layout,) = tensors(layouts)
    (*batch, channels, rows, columns), factor = layout.shape, params["upscale_factor"]
    return (_of_pixels(layout, (*batch, channels // factor**2, rows * factor, columns * factor)),)


def _reduced(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    (layout,) = tensors(layouts)
    (*batch, channels, rows, columns), factor = layout.shape, params["downscale_factor"]
    return (_of_pixels(layout, (*batch, channels * factor**2, rows // factor, columns // factor)),)


def _of_pixels(layout: Layout, shape: Shape) -> Made:
    return Made(lay.as_suggested(shape, layout) if layout.ndim == 4 else contiguous(shape))


def _pixel_shuffle(m: Any, self: Any, *, upscale_factor: int) -> Any:
    (*batch, channels, rows, columns), factor = self.shape, upscale_factor
    parts = self.reshape(-1, channels // factor**2, factor, factor, rows, columns)
    spread = parts.transpose(0, 1, 4, 2, 5, 3)
    return m.apply("copy", spread.reshape(*batch, -1, rows * factor, columns * factor))


def _pixel_unshuffle(m: Any, self: Any, *, downscale_factor: int) -> Any:
    (*batch, channels, rows, columns), factor = self.shape, downscale_factor
    parts = self.reshape(-1, channels, rows // factor, factor, columns // factor, factor)
    gathered = parts.transpose(0, 1, 3, 5, 2, 4)
    return m.apply("copy", gathered.reshape(*batch, -1, rows // factor, columns // factor))


def _pixels(name: str, result: Any, meaning: Any, param: Param, since: str) -> Row:
    def starts(layout: Layout) -> bool:
        return layout.ndim >= 3 and layout.numel > 0

    return Row(
        name,
        operands("self"),
        result,
        meaning,
        {"functional": f"F.{name}({{0}}{{p}})"},
        params=(param,),
        derivative="the reverse of grad",
        needs=lambda layouts: starts(tensors(layouts)[0]),
        starts=starts,
        broadcasts=False,
        since=since,
    )


def _columns(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """The windows of an image, one in each column."""
    (layout,) = tensors(layouts)
    window, padding, step = params["kernel_size"], params["padding"], params["stride"]
    places = math.prod(positions(size, window, step, padding) for size in layout.shape[-2:])
    rows = layout.shape[-3] * window**2
    return (Made(contiguous((*layout.shape[:-3], rows, places))),)


def _im2col(m: Any, self: Any, *, kernel_size: int, padding: int, stride: int) -> Any:
    seen = patches(m, self, 2, (kernel_size,) * 2, stride, padding, 1, 0.0)
    columns = np.moveaxis(seen, -1, -3)
    rows = self.shape[-3] * kernel_size**2
    return m.apply("copy", columns.reshape(*self.shape[:-3], rows, -1))


# -- memory formats


def _channels_last(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    (layout,) = tensors(layouts)
    if layout.is_channels_last:
        return (Made(layout, "same"),)
    return (Made(lay.channels_last(layout.shape)),)


def _four(layout: Layout) -> bool:
    return layout.ndim == 4 and layout.numel > 0


_UP = Param("upscale_factor", "upscaling", required=True)
_DOWN = Param("downscale_factor", "downscaling", required=True)
_ALIGN = Param("align_corners", "bool", False, (False, True), keyword=True)

ROWS: tuple[Row, ...] = (
    *(_max_pool(dims) for dims in (1, 2, 3)),
    *(_avg_pool(dims) for dims in (1, 2, 3)),
    *(_adaptive(dims) for dims in (1, 2)),
    _interpolation("interpolate", "nearest", (3, 4, 5), _nearest),
    _interpolation("interpolate_linear", "linear", (3,), _linear, _ALIGN),
    _interpolation("interpolate_bilinear", "bilinear", (4,), _linear, _ALIGN),
    _pixels("pixel_shuffle", _enlarged, _pixel_shuffle, _UP, "1.2"),
    _pixels("pixel_unshuffle", _reduced, _pixel_unshuffle, _DOWN, "1.8"),
    Row(
        "im2col",
        operands("self"),
        _columns,
        _im2col,
        {"functional": "F.unfold({0}{p})"},
        params=(
            Param("kernel_size", "window 2d", required=True),
            _HALF,
            Param("stride", "positive int", 1, (1, 2), keyword=True),
        ),
        derivative="col2im(grad): added up over windows",
        needs=lambda layouts: spatial(tensors(layouts)[0], 2),
        starts=lambda layout: spatial(layout, 2),
        broadcasts=False,
    ),
    Row(
        "clone_channels_last",
        operands("self"),
        lambda layouts, params: (Made(lay.channels_last(tensors(layouts)[0].shape)),),
        "copy",
        {"method": "{0}.clone(memory_format=torch.channels_last)"},
        derivative="grad",
        needs=lambda layouts: _four(tensors(layouts)[0]),
        starts=_four,
        broadcasts=False,
    ),
    Row(
        "contiguous_channels_last",
        operands("self"),
        _channels_last,
        "copy",
        {"method": "{0}.contiguous(memory_format=torch.channels_last)"},
        kind="maybe-self",
        derivative="grad",
        needs=lambda layouts: _four(tensors(layouts)[0]),
    ),
)
