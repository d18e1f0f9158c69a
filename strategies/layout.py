"""Where the elements of a strided tensor lie, and what view operations make of that.

Everything here is arithmetic on integers, by the rules of torch's strided tensors
(https://docs.pytorch.org/docs/stable/tensor_view.html); no data is involved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

_CHANNELS_LAST = [1, 3, 2, 0]
"""Dimensions from fastest to slowest in `torch.channels_last`."""
_MANY = 8192
"""How many layouts are remembered: programs are many, and their layouts few."""


class Layout(Struct, frozen=True, cache_hash=True, gc=False):
    """Shape, strides and offset of a tensor, counted in elements of its memory."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def is_contiguous(self) -> bool:
        return _is_contiguous(self)

    @property
    def is_channels_last(self) -> bool:
        """Whether the elements of a 4-d tensor lie in the order of `torch.channels_last`."""
        return _is_channels_last(self)

    @property
    def is_dense(self) -> bool:
        """Whether the elements fill a block of memory without gaps or repeats, in any order."""
        return _is_dense(self)

    @property
    def repeats_a_cell(self) -> bool:
        """Whether some dimension of size above 1 has stride 0 (an expanded tensor)."""
        return any(
            stride == 0 and size > 1 for size, stride in zip(self.shape, self.strides, strict=True)
        )

    @property
    def overlaps_itself(self) -> bool:
        """Whether two elements lie in one cell, by a stride of 0 or by strides that meet."""
        return _overlaps_itself(self)

    @property
    def span(self) -> tuple[int, int]:
        """First and last cell that the tensor can touch (an empty range if it has no element)."""
        return _span(self)

    def cells(self) -> NDArray[np.int32]:
        """The memory cell of each element, as an array of the tensor's shape."""
        index = np.full(self.shape, self.offset, dtype=np.int32)
        for axis, (size, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            if size > 1 and stride:
                steps = np.arange(0, size * stride, stride, dtype=np.int32)
                index += steps.reshape((-1,) + (1,) * (len(self.shape) - axis - 1))
        return index


@lru_cache(maxsize=_MANY)
def _is_contiguous(layout: Layout) -> bool:
    if layout.numel == 0:
        return True
    expected = 1
    for size, stride in zip(reversed(layout.shape), reversed(layout.strides), strict=True):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


@lru_cache(maxsize=_MANY)
def _is_channels_last(layout: Layout) -> bool:
    expected = 1
    for axis in _CHANNELS_LAST:
        if layout.ndim != 4 or (layout.shape[axis] != 1 and layout.strides[axis] != expected):
            return False
        expected *= layout.shape[axis]
    return True


@lru_cache(maxsize=_MANY)
def _is_dense(layout: Layout) -> bool:
    if layout.numel == 0:
        return True
    expected = 1
    pairs = zip(layout.shape, layout.strides, strict=True)
    for size, stride in sorted((p for p in pairs if p[0] >= 2), key=lambda p: p[1]):
        if stride != expected:
            return False
        expected *= size
    return True


@lru_cache(maxsize=_MANY)
def _overlaps_itself(layout: Layout) -> bool:
    reach = 0
    pairs = zip(layout.shape, layout.strides, strict=True)
    for size, stride in sorted((p for p in pairs if p[0] != 1), key=lambda p: p[1]):
        if stride <= reach:
            return layout.numel > 0 and len(np.unique(layout.cells())) < layout.numel
        reach += (size - 1) * stride
    return False


@lru_cache(maxsize=_MANY)
def _span(layout: Layout) -> tuple[int, int]:
    if layout.numel == 0:
        return (layout.offset, layout.offset - 1)
    reach = sum((n - 1) * s for n, s in zip(layout.shape, layout.strides, strict=True))
    return (layout.offset, layout.offset + reach)


@lru_cache(maxsize=_MANY)
def contiguous(shape: tuple[int, ...], offset: int = 0) -> Layout:
    """The row-major layout of a shape."""
    strides: list[int] = []
    stride = 1
    for size in reversed(shape):
        strides.append(stride)
        stride *= max(size, 1)
    return Layout(shape, tuple(reversed(strides)), offset)


@lru_cache(maxsize=_MANY)
def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of several; raises ValueError if they do not broadcast."""
    ndim = max((len(s) for s in shapes), default=0)
    out = []
    for axis in range(-ndim, 0):
        sizes = {s[axis] for s in shapes if len(s) >= -axis} - {1}
        if len(sizes) > 1:
            raise ValueError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


@lru_cache(maxsize=_MANY)
def _strides_over(layout: Layout, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a layout broadcast to a shape: 0 where it is repeated."""
    lead = len(shape) - layout.ndim
    return (0,) * lead + tuple(
        0 if size == 1 and shape[lead + axis] != 1 else stride
        for axis, (size, stride) in enumerate(zip(layout.shape, layout.strides, strict=True))
    )


def _memory_order(shape: tuple[int, ...], operands: list[tuple[int, ...]]) -> list[int]:
    """Dimensions from fastest to slowest, as TensorIterator's reorder_dimensions sorts them."""

    def compare(first: int, second: int) -> int:
        for strides in operands:
            one, two = strides[first], strides[second]
            if one == 0 or two == 0:
                continue
            if one != two:
                return -1 if one < two else 1
            if shape[first] > shape[second]:
                return 1
        return 0

    return dimensions_by(len(shape), compare)


def dimensions_by(ndim: int, compare: Callable[[int, int], int]) -> list[int]:
    """Dimensions from fastest to slowest, by an insertion that passes over those that `compare`, a
    positive number where the first is slower, calls equal.
    """
    order = list(range(ndim - 1, -1, -1))
    for start in range(1, len(order)):
        here = start
        for there in range(start - 1, -1, -1):
            outcome = compare(order[there], order[here])
            if outcome > 0:
                order[there], order[here] = order[here], order[there]
                here = there
            elif outcome < 0:
                break
    return order


def channels_last(shape: tuple[int, ...]) -> Layout:
    """The layout of four or five dimensions in which channels are next to each other."""
    return dense_in_order(shape, [1, *range(len(shape) - 1, 1, -1), 0])


def counts_as_channels_last(layout: Layout) -> bool:
    """Whether torch's is_contiguous(channels_last) or its 3-d kin hold, and is_contiguous() not.

    The strides of dimensions of size 1 do not count.
    """
    if layout.ndim not in (4, 5) or layout.is_contiguous:
        return False
    dense = zip(layout.shape, layout.strides, channels_last(layout.shape).strides, strict=True)
    return all(size == 1 or stride == own for size, stride, own in dense)


def suggests_channels_last(layout: Layout) -> bool:
    """Whether torch takes strides for those of channels that are next to each other.

    Source: is_channels_last_strides_2d and 3d (c10/core/MemoryFormat.h), which leave a tensor of
    which only the batch is larger than 1 as it is.
    """
    if layout.ndim not in (4, 5) or layout.strides[1] == 0:
        return False
    least = 0
    for axis in (1, *range(layout.ndim - 1, 1, -1), 0):
        size, stride = layout.shape[axis], layout.strides[axis]
        if size == 0 or stride < least or (axis == 0 and least == layout.strides[1]):
            return False
        least = stride * max(size, 1)
    return True


def as_suggested(shape: tuple[int, ...], *operands: Layout) -> Layout:
    """A dense layout with channels next to each other, if all operands suggest it; or row-major."""
    made = channels_last if all(map(suggests_channels_last, operands)) else contiguous
    return made(shape)


def dense_in_order(shape: tuple[int, ...], order: list[int]) -> Layout:
    """The layout without gaps whose dimensions are in this order, from fastest to slowest."""
    if order == list(range(len(shape) - 1, -1, -1)):
        return contiguous(shape)
    strides = [0] * len(shape)
    stride = 1
    for axis in order:
        strides[axis] = stride
        stride *= shape[axis]
    return Layout(shape, tuple(strides))


@lru_cache(maxsize=_MANY)
def elementwise(*operands: Layout) -> Layout:
    """The layout of a fresh elementwise result: it follows its operands' memory order.

    Source: TensorIterator (aten/src/ATen/TensorIterator.cpp), observed rather than documented.
    """
    shape = broadcast_shapes(*(o.shape for o in operands))
    if all(o.shape == shape for o in operands):
        if all(o.is_contiguous for o in operands):
            return contiguous(shape)
        if all(o.is_channels_last for o in operands):
            return dense_in_order(shape, _CHANNELS_LAST)
        if operands[0].is_dense and all(o.strides == operands[0].strides for o in operands):
            return Layout(shape, operands[0].strides)
    if len(shape) < 2:
        return contiguous(shape)
    return ordered(shape, *operands)


def ordered(shape: tuple[int, ...], *operands: Layout) -> Layout:
    """The layout of a fresh result of a shape that follows operands, which broadcast to it."""
    return dense_in_order(shape, _memory_order(shape, [_strides_over(o, shape) for o in operands]))


@lru_cache(maxsize=_MANY)
def preserved(layout: Layout) -> Layout:
    """The layout of `clone()`: dense strides are kept, others are made dense in the same order."""
    if layout.is_dense:
        return Layout(layout.shape, layout.strides)
    if layout.ndim < 2:
        return contiguous(layout.shape)
    return dense_in_order(layout.shape, _memory_order(layout.shape, [layout.strides]))


def permuted(layout: Layout, dims: tuple[int, ...]) -> Layout:
    return Layout(
        tuple(layout.shape[d] for d in dims),
        tuple(layout.strides[d] for d in dims),
        layout.offset,
    )


def transposed(layout: Layout, first: int, second: int) -> Layout:
    dims = list(range(layout.ndim))
    if dims:
        dims[first], dims[second] = dims[second], dims[first]
    return permuted(layout, tuple(dims))


def squeezed(layout: Layout, dim: int | None) -> Layout:
    dims = range(layout.ndim) if dim is None or not layout.ndim else [dim % layout.ndim]
    gone = {d for d in dims if layout.shape[d] == 1}
    return permuted(layout, tuple(d for d in range(layout.ndim) if d not in gone))


def unsqueezed(layout: Layout, dim: int) -> Layout:
    at = dim % (layout.ndim + 1)
    stride = layout.shape[at] * layout.strides[at] if at < layout.ndim else 1
    return Layout(
        (*layout.shape[:at], 1, *layout.shape[at:]),
        (*layout.strides[:at], stride, *layout.strides[at:]),
        layout.offset,
    )


def expanded(layout: Layout, shape: tuple[int, ...]) -> Layout:
    """The layout repeated to a larger shape (-1 keeps a size); raises ValueError if it cannot."""
    lead = len(shape) - layout.ndim
    if lead < 0:
        raise ValueError(f"shape {layout.shape} has more dimensions than {shape}")
    sizes = []
    for axis, wanted in enumerate(shape):
        have = layout.shape[axis - lead] if axis >= lead else None
        if wanted == -1 and have is not None:
            wanted = have
        if wanted < 0 or (have is not None and have not in (1, wanted)):
            raise ValueError(f"shape {layout.shape} does not expand to {shape}")
        sizes.append(wanted)
    target = tuple(sizes)
    strides = list(_strides_over(layout, target))
    for axis in range(lead - 1, -1, -1) if layout.shape else ():
        if target[axis] == 1:
            strides[axis] = target[axis + 1] * strides[axis + 1]
    return Layout(target, tuple(strides), layout.offset)


def without_leading_ones(layout: Layout) -> Layout:
    """The layout without its leading dimensions of size 1."""
    gone = 0
    while gone < layout.ndim and layout.shape[gone] == 1:
        gone += 1
    return Layout(layout.shape[gone:], layout.strides[gone:], layout.offset)


def selected(layout: Layout, dim: int, index: int) -> Layout:
    at = dim % layout.ndim
    offset = layout.offset + (index % layout.shape[at]) * layout.strides[at]
    return Layout(
        layout.shape[:at] + layout.shape[at + 1 :],
        layout.strides[:at] + layout.strides[at + 1 :],
        offset,
    )


def sliced(
    layout: Layout, dim: int, start: int | None, stop: int | None, step: int | None
) -> Layout:
    at = dim % layout.ndim
    first, last, stride = slice(start, stop, step).indices(layout.shape[at])
    count = len(range(first, last, stride))
    shape = (*layout.shape[:at], count, *layout.shape[at + 1 :])
    strides = (*layout.strides[:at], layout.strides[at] * stride, *layout.strides[at + 1 :])
    return Layout(shape, strides, layout.offset + first * layout.strides[at])


def diagonal(layout: Layout, offset: int, dim1: int, dim2: int) -> Layout:
    one, two = dim1 % layout.ndim, dim2 % layout.ndim
    if offset >= 0:
        size = max(min(layout.shape[one], layout.shape[two] - offset), 0)
        start = layout.offset + offset * layout.strides[two]
    else:
        size = max(min(layout.shape[one] + offset, layout.shape[two]), 0)
        start = layout.offset - offset * layout.strides[one]
    rest = [d for d in range(layout.ndim) if d not in (one, two)]
    return Layout(
        (*(layout.shape[d] for d in rest), size),
        (*(layout.strides[d] for d in rest), layout.strides[one] + layout.strides[two]),
        start if size else layout.offset,
    )


def unfolded(layout: Layout, dim: int, size: int, step: int) -> Layout:
    """The windows of a size along a dimension, one every `step` elements, as a last dimension."""
    if not layout.shape:
        return Layout((size,), (1,), layout.offset)
    at = dim % layout.ndim
    count = (layout.shape[at] - size) // step + 1
    stride = layout.strides[at]
    return Layout(
        (*layout.shape[:at], count, *layout.shape[at + 1 :], size),
        (*layout.strides[:at], stride * step, *layout.strides[at + 1 :], stride),
        layout.offset,
    )


def restrided(
    layout: Layout, shape: tuple[int, ...], strides: tuple[int, ...], offset: int | None
) -> Layout:
    """The layout `as_strided` asks for, at its operand's offset if none is given.

    Raises ValueError if it reaches a cell that no element of the operand lies in: what a view
    outside its operand means to gradients is documented nowhere.
    """
    made = Layout(shape, strides, layout.offset if offset is None else offset)
    (first, last), (least, most) = made.span, layout.span
    outside = made.numel and (first < least or last > most)
    if outside or not np.isin(made.cells(), layout.cells()).all():
        raise ValueError(
            f"size {list(shape)}, stride {list(strides)} and offset {made.offset} reach memory "
            f"that its operand of shape {layout.shape} does not hold"
        )
    return made


def flattened(shape: tuple[int, ...], first: int, last: int) -> tuple[int, ...]:
    """The shape in which the dimensions from `first` to `last`, both included, are one."""
    if not shape:
        return (1,)
    start, stop = first % len(shape), last % len(shape) + 1
    return (*shape[:start], math.prod(shape[start:stop]), *shape[stop:])


def viewed(layout: Layout, shape: tuple[int, ...]) -> Layout | None:
    """The layout seen with another shape of as many elements, or None if strides forbid it.

    Source: `torch.Tensor.view` documents the condition; the walk is computeStride's.
    """
    if layout.numel == 0:
        if layout.shape == shape:
            return layout
        return contiguous(shape, layout.offset)
    if not layout.shape:
        return Layout(shape, (1,) * len(shape), layout.offset)
    strides = [0] * len(shape)
    axis = len(shape) - 1
    base = layout.strides[-1]
    have = seen = 1
    for d in range(layout.ndim - 1, -1, -1):
        have *= layout.shape[d]
        if d and (layout.shape[d - 1] == 1 or layout.strides[d - 1] == have * base):
            continue
        while axis >= 0 and (seen < have or shape[axis] == 1):
            strides[axis] = seen * base
            seen *= shape[axis]
            axis -= 1
        if seen != have:
            return None
        if d:
            base, have, seen = layout.strides[d - 1], 1, 1
    return Layout(shape, tuple(strides), layout.offset) if axis == -1 else None


def resolved(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """A shape with its one -1 replaced; raises ValueError if the number of elements differs."""
    if shape.count(-1) == 1:
        known = -math.prod(shape)
        if known > 0 and numel % known == 0:
            shape = tuple(numel // known if n == -1 else n for n in shape)
    if any(n < 0 for n in shape) or math.prod(shape) != numel:
        raise ValueError(f"shape {shape} is invalid for {numel} elements")
    return shape


def pieces(layout: Layout, sizes: list[int], dim: int) -> list[Layout]:
    """Consecutive parts along a dimension."""
    parts, start = [], 0
    for size in sizes:
        parts.append(sliced(layout, dim, start, start + size, 1))
        start += size
    return parts
