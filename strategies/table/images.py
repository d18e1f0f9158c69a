"""Tensors of channels and one to three more dimensions, and the windows that slide over them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from strategies import layout as lay
from strategies.layout import Layout

Shape = tuple[int, ...]


def batched(layout: Layout, dims: int) -> bool:
    return layout.ndim == dims + 2


def spatial(layout: Layout, dims: int) -> bool:
    """Whether a tensor has channels and that many more dimensions, and anything in them."""
    return layout.ndim in (dims + 1, dims + 2) and layout.numel > 0


def image_of(layout: Layout, dims: int) -> Layout:
    """What torch pools: one dimension is seen as two of which the first is 1."""
    return lay.unsqueezed(layout, layout.ndim - 1) if dims == 1 else layout


def patches(
    m: Any, cells: Any, dims: int, kernel: Shape, steps: int, padding: int, dilation: int, fill: Any
) -> Any:
    """The elements of each window of the last dimensions, padding included, in a last dimension."""
    # Each element gets a gradient: zero where no window reads it, though all read padding alone.
    padded = cells = m.apply("copy", cells)
    if padding:
        fill = m.apply("where", 0.0, cells.ravel()[0], fill)
        width = [(0, 0)] * (cells.ndim - dims) + [(padding, padding)] * dims
        padded = np.pad(cells, width, constant_values=int(fill))
    return windows(padded, dims, kernel, steps, dilation)


def windows(cells: Any, dims: int, kernel: Shape, steps: int, dilation: int = 1) -> Any:
    """The elements of each window of the last dimensions of an array, in a last dimension."""
    axes = tuple(range(cells.ndim - dims, cells.ndim))
    spans = tuple(dilation * (size - 1) + 1 for size in kernel)
    seen = sliding_window_view(cells, spans, axes)
    every_step, every_element = slice(None, None, steps), slice(None, None, dilation)
    taken: tuple[Any, ...] = (..., *[every_step] * dims, *[every_element] * dims)
    seen = seen[taken]
    return seen.reshape(*seen.shape[:-dims], math.prod(kernel))


def positions(size: int, window: int, step: int, padding: int, dilation: int = 1) -> int:
    return (size + 2 * padding - dilation * (window - 1) - 1) // step + 1
