"""Convolutions, of inputs with a batch and of those without."""

from __future__ import annotations

import math
from itertools import product as every
from typing import Any

import numpy as np

from strategies import layout as lay
from strategies.layout import Layout, contiguous
from strategies.table.images import Shape, batched, patches, positions, spatial
from strategies.table.results import tensors
from strategies.table.row import Layouts, Made, Param, Params, Row, operands, saves

_STEP = Param("stride", "positive int", 1, (1, 2), keyword=True)
_PADDING = Param("padding", "spatial padding", 0, (0, 1), keyword=True)
_DILATION = Param("dilation", "positive int", 1, (1, 2), keyword=True)


def _convolved(layouts: Layouts, params: Params, dims: int) -> Shape:
    image, weight = tensors(layouts)[:2]
    spread = params["stride"], params["padding"], params["dilation"]
    sizes = zip(image.shape[-dims:], weight.shape[-dims:], strict=True)
    ends = tuple(positions(size, window, *spread) for size, window in sizes)
    return (*image.shape[: -dims - 1], weight.shape[0], *ends)


def _laid_out(layouts: Layouts, params: Params, dims: int) -> Layout:
    """Row-major, or in the order of channels if input or weight are in it (observed).

    Each group is convolved by itself, and what comes out is put together again.
    """
    return _as_channels(layouts, _convolved(layouts, params, dims), params, dims)


def _as_channels(layouts: Layouts, shape: Shape, params: Params, dims: int) -> Layout:
    if dims == 3:
        return contiguous(shape)
    one, two = tensors(layouts)[:2]
    one = one if batched(one, dims) else lay.unsqueezed(one, 0)
    full = shape if len(shape) == dims + 2 else (1, *shape)
    if dims == 1:
        one, two = lay.unsqueezed(_packed(one, False), 2), lay.unsqueezed(two, 2)
        full = (*full[:2], 1, full[2])
    last, groups = _either(one, two), params["groups"]
    if groups > 1:
        parts = []
        for whole, axis in ((_packed(one, last), 1), (_packed(two, last), 0)):
            part = lay.sliced(whole, axis, 0, whole.shape[axis] // groups, 1)
            parts.append(_packed(part, lay.suggests_channels_last(whole)))
        piece = (full[0], full[1] // groups, *full[2:])
        made = lay.channels_last(piece) if _either(*parts) else contiguous(piece)
        last = lay.suggests_channels_last(made)
    made = lay.channels_last(full) if last else contiguous(full)
    made = lay.squeezed(made, 2) if dims == 1 else made
    return made if len(shape) == dims + 2 else lay.squeezed(made, 0)


def _either(one: Layout, two: Layout) -> bool:
    return lay.suggests_channels_last(one) or lay.suggests_channels_last(two)


def _packed(layout: Layout, last: bool) -> Layout:
    """`contiguous()`, in the order of channels or not."""
    if last:
        return layout if layout.is_channels_last else lay.channels_last(layout.shape)
    return layout if layout.is_contiguous else contiguous(layout.shape)


def _convolution(dims: int, *, bias: bool) -> Row:
    def wants(layouts: Layouts, params: Params) -> tuple[Shape, ...]:
        image, *others = tensors(layouts)
        if others:
            return (others[0].shape[:1],)
        if not spatial(image, dims):
            return ()
        groups, spread = params["groups"], params["dilation"]
        windows = []
        for size in image.shape[-dims:]:
            room = size + 2 * params["padding"]
            windows.append([n for n in (2, 1) if spread * (n - 1) + 1 <= room])
        channels = image.shape[-dims - 1] // groups
        return tuple(
            (out, channels, *window)
            for out in (groups, 2 * groups)
            for window in every(*windows)
            if out * channels * math.prod(window) <= 12
        )

    def fits(layouts: Layouts, params: Params) -> str:
        image, weight, *bias = tensors(layouts)
        if not spatial(image, dims) or weight.ndim != dims + 2 or not weight.numel:
            return f"shapes {image.shape} and {weight.shape} are not convolved"
        groups = params["groups"]
        if weight.shape[1] * groups != image.shape[-dims - 1] or weight.shape[0] % groups:
            return f"shapes {image.shape} and {weight.shape} do not suit {groups} groups"
        if min(_convolved(layouts, params, dims)[-dims:]) < 1:
            return f"a window of {weight.shape} is larger than {image.shape}"
        if bias and bias[0].shape != weight.shape[:1]:
            return f"a bias of {bias[0].shape} is not for {weight.shape[0]} channels"
        return ""

    def meaning(
        m: Any,
        input: Any,
        weight: Any,
        *bias: Any,
        stride: int,
        padding: int,
        dilation: int,
        groups: int,
    ) -> Any:
        window = weight.shape[2:]
        seen = patches(m, input, dims, window, stride, padding, dilation, 0.0)
        batch, ends = input.shape[: -dims - 1], seen.shape[-dims - 1 : -1]
        # [batch, group, 1, channel, *ends, place] and [group, result channel, channel, 1s, place]
        seen = seen.reshape(*batch, groups, 1, -1, *ends, seen.shape[-1])
        factors = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
        factors = factors.reshape(*factors.shape[:3], *[1] * dims, -1)
        products = m.apply("mul", seen, factors)
        total = m.total(products, (products.ndim - dims - 2, products.ndim - 1), False)
        total = total.reshape(*batch, weight.shape[0], *ends)
        return m.apply("add", total, bias[0].reshape(-1, *[1] * dims)) if bias else total

    names = ("input", "weight", "bias") if bias else ("input", "weight")
    places = ", ".join(f"{{{number}}}" for number in range(len(names)))
    return Row(
        f"conv{dims}d_bias" if bias else f"conv{dims}d",
        operands(*names),
        lambda layouts, params: (Made(_laid_out(layouts, params, dims)),),
        meaning,
        {"function": f"F.conv{dims}d({places}{{p}})"},
        params=(
            _STEP,
            _PADDING,
            _DILATION,
            Param("groups", f"groups {dims}d", 1, keyword=True),
        ),
        saves=saves("input, weight"),
        derivative="convolution_backward(grad, input, weight, ...)",
        wants=wants,
        starts=lambda layout: spatial(layout, dims),
        fits=fits,
        broadcasts=False,
        viewed=lambda layouts: () if batched(tensors(layouts)[0], dims) else (0,),
        behind_view=lambda layouts, recorded: not batched(tensors(layouts)[0], dims),
    )


# -- transposed


def _grown(layouts: Layouts, params: Params, dims: int) -> Shape:
    image, weight = tensors(layouts)
    sizes = zip(image.shape[-dims:], weight.shape[-dims:], strict=True)
    ends = (
        (size - 1) * params["stride"]
        - 2 * params["padding"]
        + params["dilation"] * (window - 1)
        + 1
        for size, window in sizes
    )
    return (*image.shape[: -dims - 1], weight.shape[1] * params["groups"], *ends)


def _contributions(
    image: Shape, window: Shape, grown: Shape, stride: int, padding: int, dilation: int
) -> tuple[Any, list[int]]:
    """For each element of a result, the products that add up to it, -1 where there is none; and
    those that the padding cuts off.

    Products are numbered as an array of image positions by window positions.
    """
    numbers = np.arange(math.prod(image) * math.prod(window)).reshape(*image, *window)
    found: dict[Shape, list[int]] = {place: [] for place in np.ndindex(*grown)}
    cut: list[int] = []
    for at in np.ndindex(*image, *window):
        from_image, from_window = at[: len(image)], at[len(image) :]
        pairs = zip(from_image, from_window, strict=True)
        place = tuple(stride * one - padding + dilation * two for one, two in pairs)
        found.get(place, cut).append(int(numbers[at]))
    most = max((len(each) for each in found.values()), default=0)
    rows = [each + [-1] * (most - len(each)) for each in found.values()]
    return np.array(rows, np.intp).reshape(len(found), most), cut


def _transposed(dims: int) -> Row:
    def wants(layouts: Layouts, params: Params) -> tuple[Shape, ...]:
        (image,) = tensors(layouts)
        if not spatial(image, dims):
            return ()
        channels, groups = image.shape[-dims - 1], params["groups"]
        shapes = ((channels, out, *[size] * dims) for out in (1, 2) for size in (2, 1, 3))
        return tuple(
            shape
            for shape in shapes
            if math.prod(shape) <= 12 and not fits((*layouts, contiguous(shape)), params)
            if groups * shape[1] <= 4
        )

    def fits(layouts: Layouts, params: Params) -> str:
        image, weight = tensors(layouts)
        if not spatial(image, dims) or weight.ndim != dims + 2 or not weight.numel:
            return f"shapes {image.shape} and {weight.shape} are not convolved"
        if weight.shape[0] != image.shape[-dims - 1] or weight.shape[0] % params["groups"]:
            groups = params["groups"]
            return f"shapes {image.shape} and {weight.shape} do not suit {groups} groups"
        if min(_grown(layouts, params, dims)[-dims:]) < 1:
            return f"nothing is left of {image.shape} and a window of {weight.shape}"
        return ""

    def result(layouts: Layouts, params: Params) -> tuple[Made, ...]:
        return (Made(_as_channels(layouts, _grown(layouts, params, dims), params, dims)),)

    def meaning(
        m: Any,
        input: Any,
        weight: Any,
        *,
        stride: int,
        padding: int,
        dilation: int,
        groups: int,
    ) -> Any:
        image, window = input.shape[-dims:], weight.shape[2:]
        sizes = zip(image, window, strict=True)
        spread = [(a - 1) * stride - 2 * padding + dilation * (b - 1) + 1 for a, b in sizes]
        batch, shares = input.shape[: -dims - 1], weight.shape[0] // groups
        # [batch, group, channel, result channel, image place, window place]
        one = input.reshape(*batch, groups, shares, 1, -1, 1)
        two = weight.reshape(groups, shares, weight.shape[1], 1, -1)
        products = m.apply("mul", one, two)
        products = products.reshape(*products.shape[:-2], -1)
        places, cut = _contributions(image, window, tuple(spread), stride, padding, dilation)
        nothing = int(m.apply("copy", 0.0))
        terms = np.where(places < 0, nothing, products[..., places])
        total = m.total(terms, (terms.ndim - 4, terms.ndim - 1), False)
        if cut:
            # What is cut off has the gradient 0, which torch multiplies by the other factor.
            none = m.apply("where", 0.0, products[..., cut], 0.0)
            none = m.total(none, (none.ndim - 3, none.ndim - 1), False)
            first = m.apply("add", total[..., :1], none[..., np.newaxis])
            total = np.concatenate([first, total[..., 1:]], -1)
        return total.reshape(*batch, groups * weight.shape[1], *spread)

    return Row(
        f"conv_transpose{dims}d",
        operands("input", "weight"),
        result,
        meaning,
        {"function": f"F.conv_transpose{dims}d({{0}}, {{1}}{{p}})"},
        params=(
            _STEP,
            _PADDING,
            Param("groups", f"groups {dims}d", 1, keyword=True),
            _DILATION,
        ),
        saves=saves("input, weight"),
        derivative="convolution_backward(grad, input, weight, ..., transposed)",
        needs=lambda layouts: (
            spatial(tensors(layouts)[0], dims)
            and all(weight.ndim == dims + 2 for weight in tensors(layouts)[1:])
        ),
        wants=wants,
        starts=lambda layout: spatial(layout, dims),
        fits=fits,
        broadcasts=False,
        viewed=lambda layouts: () if batched(tensors(layouts)[0], dims) else (0,),
        behind_view=lambda layouts, recorded: not batched(tensors(layouts)[0], dims),
    )


ROWS: tuple[Row, ...] = (
    *(_convolution(dims, bias=bias) for dims in (1, 2, 3) for bias in (False, True)),
    *(_transposed(dims) for dims in (1, 2, 3)),
)
