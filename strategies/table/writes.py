"""Copies, fills, masked and indexed writes."""

from __future__ import annotations

from typing import Any

from strategies.layout import Layout, contiguous
from strategies.table.results import cloned, packed, pointwise, tensors
from strategies.table.row import (
    Layouts,
    Param,
    Params,
    Row,
    in_place_method,
    methods,
    operands,
    saves,
)
from strategies.table.views import indexed


def _zero(m: Any, self: Any) -> Any:
    return m.apply("copy", 0.0)


def _value(m: Any, self: Any, value: Any) -> Any:
    return m.apply("copy", value)


def _masked(m: Any, self: Any, mask: Any, value: Any) -> Any:
    return m.apply("where", mask, value, self)


def has_diagonal(layout: Layout) -> bool:
    """Whether it has a main diagonal: of more than two dimensions, all must be as long."""
    return layout.ndim == 2 or (layout.ndim > 2 and len(set(layout.shape)) == 1)


def wraps(layout: Layout, params: Params) -> bool:
    """Whether the diagonal begins anew below, after a row without one."""
    return bool(params["wrap"]) and layout.ndim == 2 and layout.shape[0] > layout.shape[1] + 1


def in_rows(layout: Layout) -> bool:
    """Whether strides are those of a row-major matrix, in dimensions of size 1 as well."""
    return layout.strides == contiguous(layout.shape).strides


def main_diagonal(layout: Layout, params: Params) -> Layout:
    """The elements whose indices are all the same; wrapped, every so many of a row-major matrix."""
    if wraps(layout, params) and in_rows(layout):
        step = layout.shape[1] + 1
        return Layout((-(-layout.numel // step),), (step,), layout.offset)
    return Layout((min(layout.shape, default=1),), (sum(layout.strides),), layout.offset)


def _wrapped_astray(layouts: Layouts, params: Params) -> str:
    (first,) = tensors(layouts)
    astray = wraps(first, params) and not in_rows(first)
    return "the wrapped diagonal of a matrix that is not row-major" if astray else ""


def _without_ones(layouts: Layouts) -> tuple[int, ...]:
    """`x[i] = v` views a value of another shape, without its leading dimensions of size 1, and
    expands it (python_variable_indexing.cpp, copy_to); one of no dimensions fills.
    """
    part, *values = tensors(layouts)
    return (1,) if values and values[0].ndim and values[0].shape != part.shape else ()


ROWS: tuple[Row, ...] = (
    Row("clone", operands("self"), cloned, "copy", methods("clone", 1), derivative="grad"),
    Row(
        "copy",
        operands("self", "src"),
        pointwise,
        _value,
        in_place=in_place_method("copy", 2),
        derivative="zeros for self; grad for src",
    ),
    Row(
        "fill",
        operands("self", "value|number"),
        pointwise,
        _value,
        in_place=in_place_method("fill", 2),
        drawn=lambda layouts: layouts[1] is None or layouts[1].ndim == 0,
        broadcasts=False,
        derivative="zeros for self; grad.sum() for value",
    ),
    Row(
        "zero",
        operands("self"),
        pointwise,
        _zero,
        in_place=in_place_method("zero", 1),
        derivative="zeros_like(grad)",
        unchecked_overlap=True,
    ),
    Row(
        "masked_fill",
        operands("self", "mask:bool", "value|number"),
        packed,
        _masked,
        methods("masked_fill", 3),
        in_place_method("masked_fill", 3),
        saves=saves("mask"),
        derivative="grad.masked_fill(mask, 0); the sum of grad under the mask",
        needs=lambda layouts: layouts[2] is None or layouts[2].ndim == 0,
        unchecked_overlap=True,
    ),
    Row(
        "setitem",
        operands("self", "value|number"),
        pointwise,
        _value,
        in_place={"operator": "{0}[{p}] = {1}"},
        params=(Param("index", "written index", required=True),),
        derivative="copy_ or fill_ into the view self[index]",
        viewed=_without_ones,
        part=lambda x, params: indexed(x, params["index"]),
    ),
    Row(
        "fill_diagonal",
        operands("self", "fill_value=number"),
        pointwise,
        _value,
        in_place=in_place_method("fill_diagonal", 2),
        derivative="fill_ of the view that is the diagonal",
        params=(Param("wrap", "wrap", False, keyword=True),),
        part=main_diagonal,
        # The diagonal, and then what is below.
        writes_in=lambda layouts, params: 1 + wraps(tensors(layouts)[0], params),
        needs=lambda layouts: has_diagonal(tensors(layouts)[0]),
        astray=_wrapped_astray,
    ),
)
