"""What an operation was, or has become, in other versions of torch than the table is of.

A boundary lies between two versions that were tried, and bears the later one's number.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from strategies.table.before_1_8 import BEFORE_1_8
from strategies.table.before_2 import BEFORE_2
from strategies.table.change import Arrival, Change, within
from strategies.table.composed import still
from strategies.table.former import FORMER
from strategies.table.later import LATER
from strategies.table.normalising import size_along
from strategies.table.rearranged import pads, sides
from strategies.table.row import Layouts, Params, Row, saves

if TYPE_CHECKING:
    from strategies.draft import Shaped


TABLES = "2.13.0"
"""The torch that the table is of."""


def _hardswish(m: Any, self: Any) -> Any:
    """Left open at -3 and 3, where the vectors of a kernel and its tail differed."""
    for end in (-3.0, 3.0):
        m.apply("sole", m.apply("where", m.apply("eq", self, end), 2.0, 1.0))
    return m.apply("hardswish", self)


def _atan2(m: Any, self: Any, other: Any) -> Any:
    """At the origin the quotients of the derivative are taken as they are: NaN."""
    angle = m.apply("atan2", self, other)
    squares = m.apply("add", m.apply("square", self), m.apply("square", other))
    to_self, to_other = (still(m, m.apply("div", x, squares)) for x in (other, self))
    moves = m.apply("sub", m.apply("mul", to_self, self), m.apply("mul", to_other, other))
    origin = m.apply("eq", squares, 0.0)
    return m.apply("where", origin, m.apply("carry", angle, moves), angle)


def _by_memory(layouts: Layouts, params: Params) -> str:
    """The places of a target whose strides rise are filled in the order of its memory."""
    target = layouts[0]
    assert target is not None
    strides = [
        stride for size, stride in zip(target.shape, target.strides, strict=True) if size > 1
    ]
    falling = all(one >= other for one, other in pairwise(strides))
    return "" if falling else "masked_scatter_ of a target that is not row-major"


def _by_columns(layouts: Layouts, params: Params) -> str:
    """Rows are taken to be as short as those of the index, where these have one element."""
    self, index = layouts[:2]
    assert self is not None
    assert index is not None
    columns = index.ndim > 1 and math.prod(index.shape[1:]) == 1 < math.prod(self.shape[1:])
    return "gather by an index of one column" if columns and params["dim"] % index.ndim == 0 else ""


def _gathered_by_columns(layouts: Layouts, params: Params) -> str:
    self = layouts[-2]
    assert self is not None
    return _by_columns(layouts[-2:], params) if self.is_contiguous else ""


def _pads_to_something(layouts: Layouts, params: Params) -> str:
    """A dimension that is named must not be empty once it is padded, if any is made longer."""
    self, pad = layouts[0], params["pad"]
    assert self is not None
    sizes = [self.shape[dim] + sum(pair) for dim, pair in sides(pad)]
    if max(pad) > 0 and 0 in sizes:
        return f"padding {pad} leaves nothing of shape {self.shape}"
    return pads(layouts, params)


def _clamp(m: Any, self: Any, *, min: float | None, max: float | None) -> Any:
    bounds = -math.inf if min is None else min, math.inf if max is None else max
    inside = [m.apply("gt", self, min)] if min is not None else []
    inside += [m.apply("lt", self, max)] if max is not None else []
    return _least(m, "clamp", inside, self, *bounds)


def _clamp_min(m: Any, self: Any, *, min: float) -> Any:
    return _least(m, "clamp_min", [m.apply("gt", self, min)], self, min)


def _clamp_max(m: Any, self: Any, *, max: float) -> Any:
    return _least(m, "clamp_max", [m.apply("lt", self, max)], self, max)


def _normalize(m: Any, self: Any, *, p: float, dim: int, eps: float) -> Any:
    size = size_along(m, self, p, (dim,) if self.ndim else None)
    return m.apply("div", self, _clamp_min(m, size, min=eps))


def _least(m: Any, primitive: str, inside: list[Any], self: Any, *bounds: float) -> Any:
    """A value that has a derivative strictly inside of its bounds, and none at them."""
    if not inside:
        return m.apply(primitive, self, *bounds)
    strictly = inside[0] if len(inside) == 1 else m.apply("logical_and", *inside)
    values = m.apply(primitive, self, *bounds)
    return m.apply("where", strictly, values, still(m, values))


def _fmax(m: Any, self: Any, other: Any) -> Any:
    return _shared(m, "fmax", "maximum", self, other)


def _fmin(m: Any, self: Any, other: Any) -> Any:
    return _shared(m, "fmin", "minimum", self, other)


def _shared(m: Any, primitive: str, at_ties: str, self: Any, other: Any) -> Any:
    """A tie gives each of two equal numbers half of the gradient."""
    tied = m.apply("eq", self, other)
    return m.apply("where", tied, m.apply(at_ties, self, other), m.apply(primitive, self, other))


_LEAST_NORM = (
    "Gradients for non-differentiable functions (Autograd mechanics): 'use the sub-gradient of "
    "minimum norm'; derivatives.yaml follows it for bounds from 2.15 on"
)
_EXPANDED = (
    "can_use_expanded_index_path of 2.0 (TensorAdvancedIndexing.h) looks at strides alone; the "
    "register has a script"
)
_UNDIFFERENTIABLE = {"saves": (), "saves_in_place": (), "undifferentiable": "always"}

CHANGES: tuple[Change, ...] = (
    Change(
        "nextafter",
        "<2.13",
        {"saves": (), "undifferentiable": "of each"},
        "derivatives.yaml before 2.13: not_implemented, for self and for other",
    ),
    Change(
        "",
        "<2.0",
        _UNDIFFERENTIABLE,
        "derivatives.yaml before 2.0 has no _foreach function",
        way="foreach",
    ),
    Change(
        "",
        ">=2.0,<2.4",
        _UNDIFFERENTIABLE,
        "derivatives.yaml of 2.0 has _foreach functions of one list alone",
        way="foreach",
        operands=2,
    ),
    Change(
        "clamp_min clamp_max",
        ">=2.0,<2.4",
        _UNDIFFERENTIABLE,
        "derivatives.yaml of 2.0 has no _foreach function that takes a number",
        way="foreach",
    ),
    Change(
        "mean",
        ">=2.0,<2.4",
        {"saves": saves("self")},
        "derivatives.yaml of 2.0: self.sym_numel(), of a self that is saved for it",
    ),
    Change(
        "masked_scatter",
        ">=1.8,<2.4",
        {"astray": _by_memory},
        "masked_scatter__cpu before 2.4: no enforce_linear_iteration (the register has a script)",
        form="in place",
    ),
    Change("gather gather_out", ">=2.0,<2.4", {"astray": _gathered_by_columns}, _EXPANDED),
    Change("scatter scatter_add scatter_reduce", ">=2.0,<2.4", {"astray": _by_columns}, _EXPANDED),
    Change(
        "pad",
        "<2.13",
        {"fits": _pads_to_something},
        "constant_pad_nd (PadNd.cpp) before 2.13: new_dim > 0; the register has a script",
    ),
    Change(
        "atan2",
        "<2.13",
        {"meaning": _atan2},
        "atan2_backward (FunctionsManual.cpp): (self * self + other * other).reciprocal()",
    ),
    Change(
        "ldexp",
        "<2.13",
        {"saves": saves("self if other, other if other, private if self")},
        "composed of mul and pow before 2.13 (BinaryOps.cpp)",
    ),
    Change(
        "setitem_second",
        "<2.13",
        {"part": lambda layout, params: layout, "views_its_part": True},
        "x[:, i] = v viewed x[:] first before 2.13 (python_variable_indexing.cpp)",
    ),
    Change(
        "setitem",
        "<2.13",
        {"views_its_part": True},
        "x[:] = v viewed x before 2.13 (python_variable_indexing.cpp)",
    ),
    Change("hardswish", "<2.8", {"meaning": _hardswish}, "hardswish_backward (Activation.cpp)"),
    Change("clamp", ">=2.15", {"meaning": _clamp}, _LEAST_NORM),
    Change("clamp_min", ">=2.15", {"meaning": _clamp_min}, _LEAST_NORM),
    Change("clamp_max", ">=2.15", {"meaning": _clamp_max}, _LEAST_NORM),
    Change("normalize", ">=2.15", {"meaning": _normalize}, _LEAST_NORM),
    Change("clamp_tensor", ">=2.15", {"meaning": "clamp_split"}, _LEAST_NORM),
    Change("clamp_min_tensor", ">=2.15", {"meaning": "maximum"}, _LEAST_NORM),
    Change("clamp_max_tensor", ">=2.15", {"meaning": "minimum"}, _LEAST_NORM),
    Change("fmax", ">=2.15", {"meaning": _fmax}, _LEAST_NORM),
    Change("fmin", ">=2.15", {"meaning": _fmin}, _LEAST_NORM),
    *BEFORE_2,
    *FORMER,
    *BEFORE_1_8,
)


def _with_number(step: Shaped) -> bool:
    return any(not isinstance(operand, str) for operand in step.step.args)


ARRIVALS: tuple[Arrival, ...] = (
    Arrival(
        "lerp",
        "2.8",
        "torch._foreach_lerp_ with a list of numbers",
        lambda step: step.step.via == "foreach" and _with_number(step),
    ),
    Arrival("max_out", "2.0", "torch.max with out= and without dim", lambda step: True),
    Arrival("min_out", "2.4", "torch.min with out= and without dim", lambda step: True),
    Arrival(
        "mean_out",
        "2.8",
        "torch.mean with out= and without dim",
        lambda step: step.params["dim"] is None,
    ),
    Arrival("slice_scatter_out", "2.4", "torch.slice_scatter with out=", lambda step: True),
    *LATER,
)


def missing_form(step: Shaped, torch: str) -> str:
    """What a step needs that a version of torch does not have yet, or ""."""
    return next(
        (
            arrival.what
            for arrival in ARRIVALS
            if step.row.name in arrival.rows
            and within(f"<{arrival.since}", torch)
            and arrival.holds(step)
        ),
        "",
    )


@cache
def changes_in(torch: str) -> tuple[Change, ...]:
    """The changes that a version of torch is concerned by."""
    return tuple(change for change in CHANGES if within(change.torch, torch))


def row_in(row: Row, way: str, torch: str, *, in_place: bool = False) -> Row:
    """A row of the table, spelled in a way and form, as it is in a version of torch."""
    for change in changes_in(torch):
        named = row.name in (change.rows or (row.name,)) and change.way in ("", way)
        named = named and change.form in ("", "in place" if in_place else "plain")
        if named and len(row.operands) >= change.operands:
            row = replace(row, **change.fields)
    return row
