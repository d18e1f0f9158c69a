"""What operations computed, or have come to compute, in other versions of torch than the table's.

Meanings, as the table's own rows have them, and what of operands and parameters is astray or unfit.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from strategies.layout import contiguous, elementwise, selected
from strategies.table.composed import still
from strategies.table.normalising import size_along
from strategies.table.rearranged import pads, sides
from strategies.table.results import tensors
from strategies.table.row import Layouts, Made, Params

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def hardswish(m: Any, self: Any) -> Any:
    """Left open at -3 and 3, where the vectors of a kernel and its tail differed."""
    for end in (-3.0, 3.0):
        m.apply("sole", m.apply("where", m.apply("eq", self, end), 2.0, 1.0))
    return m.apply("hardswish", self)


def logit(m: Any, self: Any, *, eps: float | None) -> Any:
    """Left open at -0.0, where the vectors of a kernel and its tail differed."""
    zero = m.apply("where", m.apply("eq", self, 0.0), self, 1.0)
    negative = m.apply("lt", m.apply("reciprocal", zero), 0.0)
    m.apply("sole", m.apply("where", negative, 2.0, 1.0))
    bounds = (-math.inf, math.inf) if eps is None else (eps, 1.0 - eps)
    return m.apply("logit", self, *bounds)


def atan2(m: Any, self: Any, other: Any) -> Any:
    """At the origin the quotients of the derivative are taken as they are: NaN."""
    angle = m.apply("atan2", self, other)
    squares = m.apply("add", m.apply("square", self), m.apply("square", other))
    to_self, to_other = (still(m, m.apply("div", x, squares)) for x in (other, self))
    moves = m.apply("sub", m.apply("mul", to_self, self), m.apply("mul", to_other, other))
    origin = m.apply("eq", squares, 0.0)
    return m.apply("where", origin, m.apply("carry", angle, moves), angle)


def by_memory(layouts: Layouts, params: Params) -> str:
    """The places of a target whose strides rise are filled in the order of its memory."""
    target = layouts[0]
    assert target is not None
    strides = [
        stride for size, stride in zip(target.shape, target.strides, strict=True) if size > 1
    ]
    falling = all(one >= other for one, other in pairwise(strides))
    return "" if falling else "masked_scatter_ of a target that is not row-major"


def filled_as_a_block(layouts: Layouts, params: Params) -> str:
    """A slice is filled as one block of memory where its first dimension of the largest stride
    would end that block if it were one.
    """
    target = layouts[0]
    assert target is not None
    if target.ndim < 2:
        return ""
    dim = params["dim"] % target.ndim
    if not target.shape[dim]:
        return ""
    part = selected(target, dim, 0)
    largest, size = 1, 1
    for count, stride in zip(part.shape, part.strides, strict=True):
        if stride == 0 and count != 1:
            return ""
        if stride > largest:
            largest, size = stride, count
    astray = part.numel == largest * size and not part.is_dense
    return "index_fill_ of slices that look like a block of memory" if astray else ""


def by_columns(layouts: Layouts, params: Params) -> str:
    """Rows are taken to be as short as those of the index, where these have one element."""
    self, index = layouts[:2]
    assert self is not None
    assert index is not None
    columns = index.ndim > 1 and math.prod(index.shape[1:]) == 1 < math.prod(self.shape[1:])
    return "gather by an index of one column" if columns and params["dim"] % index.ndim == 0 else ""


def times_nothing(layouts: Layouts, params: Params) -> str:
    """What is in memory is multiplied by 0, which of NaN is NaN."""
    return "baddbmm with beta=0" if params["beta"] == 0 else ""


def gathered_by_columns(layouts: Layouts, params: Params) -> str:
    self = layouts[-2]
    assert self is not None
    return by_columns(layouts[-2:], params) if self.is_contiguous else ""


def pads_to_something(layouts: Layouts, params: Params) -> str:
    """A dimension that is named must not be empty once it is padded, if any is made longer; in
    backward it is padded by the opposite.
    """
    self, pad = layouts[0], params["pad"]
    assert self is not None
    before = [self.shape[dim] for dim, _ in sides(pad)]
    after = [size + sum(pair) for size, (_, pair) in zip(before, sides(pad), strict=True)]
    if (max(pad) > 0 and 0 in after) or (min(pad) < 0 and 0 in before):
        return f"padding {pad} leaves nothing of shape {self.shape}"
    return pads(layouts, params)


def clamp(m: Any, self: Any, *, min: float | None, max: float | None) -> Any:
    bounds = -math.inf if min is None else min, math.inf if max is None else max
    inside = [m.apply("gt", self, min)] if min is not None else []
    inside += [m.apply("lt", self, max)] if max is not None else []
    return _least(m, "clamp", inside, self, *bounds)


def clamp_min(m: Any, self: Any, *, min: float) -> Any:
    return _least(m, "clamp_min", [m.apply("gt", self, min)], self, min)


def clamp_max(m: Any, self: Any, *, max: float) -> Any:
    return _least(m, "clamp_max", [m.apply("lt", self, max)], self, max)


def normalize(m: Any, self: Any, *, p: float, dim: int, eps: float) -> Any:
    size = size_along(m, self, p, (dim,) if self.ndim else None)
    return m.apply("div", self, clamp_min(m, size, min=eps))


def _least(m: Any, primitive: str, inside: list[Any], self: Any, *bounds: float) -> Any:
    """A value that has a derivative strictly inside of its bounds, and none at them."""
    if not inside:
        return m.apply(primitive, self, *bounds)
    strictly = inside[0] if len(inside) == 1 else m.apply("logical_and", *inside)
    values = m.apply(primitive, self, *bounds)
    return m.apply("where", strictly, values, still(m, values))


def fmax(m: Any, self: Any, other: Any) -> Any:
    return _shared(m, "fmax", "maximum", self, other)


def fmin(m: Any, self: Any, other: Any) -> Any:
    return _shared(m, "fmin", "minimum", self, other)


def _shared(m: Any, primitive: str, at_ties: str, self: Any, other: Any) -> Any:
    """A tie gives each of two equal numbers half of the gradient."""
    tied = m.apply("eq", self, other)
    return m.apply("where", tied, m.apply(at_ties, self, other), m.apply(primitive, self, other))


def lerp_out(m: Any, out: Any, self: Any, end: Any, weight: Any) -> Any:
    return m.apply("lerp_signed", self, end, weight)


def times_a_power(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """Of a power of two that is row-major, however its exponent lies."""
    first, second = tensors(layouts)
    return (Made(elementwise(first, contiguous(second.shape))),)


def elu_by_exponential(in_place: str = "") -> Any:
    """exp(x) - 1, and not expm1: near zero it has lost its digits. In place the derivative goes by
    the result.
    """

    def meaning(m: Any, self: Any, *, alpha: float) -> Any:
        return _by_exponential(m, f"elu{in_place}", self, 1.0, alpha, alpha)

    return meaning


def celu_by_exponential(in_place: str = "") -> Any:
    def meaning(m: Any, self: Any, *, alpha: float) -> Any:
        return _by_exponential(m, f"celu{in_place}", self, 1.0 / alpha, alpha, alpha)

    return meaning


def selu_by_exponential(in_place: str = "") -> Any:
    def meaning(m: Any, self: Any) -> Any:
        return _by_exponential(m, f"selu{in_place}", self, 1.0, _SELU_ALPHA * _SELU_SCALE)

    return meaning


def _by_exponential(
    m: Any, primitive: str, self: Any, rate: float, height: float, *alpha: float
) -> Any:
    smooth = m.apply(primitive, self, *alpha)
    positive = m.apply("gt", self, 0.0)
    power = m.apply("exp", m.apply("mul", m.apply("where", positive, 0.0, self), rate))
    below = m.apply("mul", m.apply("sub", power, 1.0), height)
    return m.apply("carry", m.apply("where", positive, smooth, below), smooth)
