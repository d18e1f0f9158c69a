"""The result rules that rows share: which layouts come out of which."""

from __future__ import annotations

import math

from strategies.layout import Layout, broadcast_shapes, contiguous, elementwise, preserved
from strategies.table.row import Layouts, Made, Params


def tensors(layouts: Layouts) -> list[Layout]:
    """The layouts of the operands that are tensors."""
    return [layout for layout in layouts if layout is not None]


def pointwise(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """One value for each element of the broadcast operands, in their memory order.

    A number takes part as a 0-d tensor; raises ValueError if the shapes do not broadcast.
    """
    return (Made(elementwise(*(contiguous(()) if o is None else o for o in layouts))),)


def without_numbers(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """As `pointwise`, of an operation whose number is no tensor to torch either."""
    return (Made(elementwise(*tensors(layouts))),)


def cloned(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """A copy of the first operand, dense in its memory order."""
    return (Made(preserved(tensors(layouts)[0])),)


def itself(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """The first operand itself."""
    return (Made(tensors(layouts)[0], "same"),)


def like_first(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """A row-major result of the first operand's shape."""
    return (Made(contiguous(tensors(layouts)[0].shape)),)


def packed(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """A row-major result of the operands' broadcast shape."""
    return (Made(contiguous(broadcast_shapes(*(o.shape for o in tensors(layouts))))),)


def reduced_shape(layout: Layout, params: Params) -> tuple[int, ...]:
    """The shape after a reduction over `dim` (all of them if None) with `keepdim`."""
    dim, keep = params.get("dim"), params.get("keepdim", False)
    if dim is None:
        return ()
    gone = {d % max(layout.ndim, 1) for d in ([dim] if isinstance(dim, int) else dim)}
    return tuple(
        1 if axis in gone else size
        for axis, size in enumerate(layout.shape)
        if keep or axis not in gone
    )


def reduced(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    return (Made(contiguous(reduced_shape(tensors(layouts)[0], params))),)


def product_shape(one: tuple[int, ...], two: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a matrix product; raises ValueError if the inner sizes differ."""
    if not one or not two:
        raise ValueError("a matrix product needs operands with at least one dimension")
    inner = two[-2] if len(two) > 1 else two[0]
    if one[-1] != inner:
        raise ValueError(f"a matrix product of {one} and {two} has different inner sizes")
    batch = broadcast_shapes(one[:-2], two[:-2])
    return (*batch, *one[-2:-1], *(two[-1:] if len(two) > 1 else ()))


def product(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    one, two = tensors(layouts)
    return (Made(contiguous(product_shape(one.shape, two.shape))),)


def count(layout: Layout, params: Params) -> int:
    """How many elements a reduction adds up for each that it gives."""
    return layout.numel // max(math.prod(reduced_shape(layout, params)), 1)
