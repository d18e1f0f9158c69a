"""Elementwise arithmetic: one operand, two, three, and comparisons."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from strategies.table.composed import still
from strategies.table.results import cloned, pointwise, without_numbers
from strategies.table.row import (
    Layouts,
    Made,
    Param,
    Params,
    Row,
    in_place_method,
    methods,
    operands,
    saves,
)


def _unary(
    name: str,
    saved: str,
    derivative: str,
    *params: Param,
    meaning: str | Callable[..., Any] = "",
    domain: Literal["any", "positive", "nonzero", "unit"] = "any",
    gives: Literal["any", "positive"] = "any",
    since: str = "1.2",
    undifferentiable: Literal["", "in self", "in place", "always"] = "",
    result: Callable[[Layouts, Params], tuple[Made, ...]] = pointwise,
) -> Row:
    return Row(
        name,
        operands("self"),
        result,
        meaning or name,
        methods(name, 1),
        in_place_method(name, 1),
        params,
        saves=saves(saved),
        derivative=derivative,
        domain=domain,
        gives=gives,
        undifferentiable=undifferentiable,
        since=since,
    )


def _binary(
    name: str,
    saved: str,
    derivative: str,
    *params: Param,
    symbol: str = "",
    number: bool = True,
    meaning: str | Callable[..., Any] = "",
    in_place: bool = True,
    domain: Literal["any", "positive", "nonzero", "unit"] = "any",
    since: str = "1.2",
    second: str = "other",
    undifferentiable: Literal["", "in self", "in place", "always"] = "",
) -> Row:
    plain, writing = methods(name, 2), in_place_method(name, 2)
    if symbol:
        plain["operator"] = f"{{0}} {symbol} {{1}}"
        writing["operator"] = f"{{0}} {symbol}= {{1}}"
    return Row(
        name,
        operands("self", f"{second}|number" if number else second),
        pointwise,
        meaning or name,
        plain,
        writing if in_place else {},
        params,
        saves=saves(saved),
        derivative=derivative,
        domain=domain,
        undifferentiable=undifferentiable,
        since=since,
    )


_LARGEST = sys.float_info.max
_ALPHA = Param("alpha", "float", 1, (1, 2, -0.5), keyword=True)
_VALUE = Param("value", "float", 1, (1, 2, -0.5), keyword=True)
_LOW = Param("min", "low bound", None, (-0.5, 0.0, 0.25), keyword=True)
_HIGH = Param("max", "high bound", None, (0.5, 1.0, 0.25), keyword=True)


def _add(m: Any, self: Any, other: Any, *, alpha: float) -> Any:
    return m.apply("add", self, other if alpha == 1 else m.apply("mul", other, alpha))


def _sub(m: Any, self: Any, other: Any, *, alpha: float) -> Any:
    return m.apply("sub", self, other if alpha == 1 else m.apply("mul", other, alpha))


def _addcmul(m: Any, self: Any, one: Any, two: Any, *, value: float) -> Any:
    one, two = _spread(self, one, two)
    return m.apply("add", self, m.apply("mul", m.apply("mul", one, two), value))


def _addcdiv(m: Any, self: Any, one: Any, two: Any, *, value: float) -> Any:
    one, two = _spread(self, one, two)
    result = m.apply("add", self, m.apply("mul", m.apply("div", one, two), value))
    # The formula squares the divisor, which may overflow.
    by_one = m.apply("mul", one, still(m, m.apply("div", value, two)))
    steep = m.apply("div", m.apply("mul", one, -value), m.apply("mul", two, two))
    by_two = m.apply("mul", two, still(m, steep))
    return m.apply("carry", result, m.apply("add3", self, by_one, by_two))


def _spread(self: Any, one: Any, two: Any) -> tuple[Any, Any]:
    """Both as large as the result: each element has a gradient of its own before they add up."""
    shape = np.broadcast_shapes(self.shape, one.shape, two.shape)
    return np.broadcast_to(one, shape), np.broadcast_to(two, shape)


def _clamp(m: Any, self: Any, *, min: float | None, max: float | None) -> Any:
    low = -math.inf if min is None else min
    return m.apply("clamp", self, low, math.inf if max is None else max)


def _clamp_min(m: Any, self: Any, *, min: float) -> Any:
    return m.apply("clamp_min", self, min)


def _clamp_max(m: Any, self: Any, *, max: float) -> Any:
    return m.apply("clamp_max", self, max)


def _deg2rad(m: Any, self: Any) -> Any:
    return m.apply("mul", self, math.pi / 180.0)


def _rad2deg(m: Any, self: Any) -> Any:
    return m.apply("mul", self, 180.0 / math.pi)


def _nan_to_num(m: Any, self: Any, *, nan: float, posinf: float, neginf: float) -> Any:
    infinite = m.apply("where", m.apply("gt", self, 0.0), posinf, neginf)
    return m.apply("finite_or", self, m.apply("where", m.apply("eq", self, self), infinite, nan))


def _rsub(m: Any, self: Any, other: Any, *, alpha: float) -> Any:
    return _sub(m, other, self, alpha=alpha)


def _pow(m: Any, self: Any, exponent: Any) -> Any:
    if isinstance(exponent, np.ndarray) or exponent == 0.0 or not m.deviates("half power"):
        return m.apply("pow", self, exponent)
    slope = m.apply("mul", _by_root(m, self, exponent - 1.0), exponent)
    return m.apply("carry", _by_root(m, self, exponent), m.apply("mul", self, still(m, slope)))


def _by_root(m: Any, self: Any, exponent: float) -> Any:
    """The power as torch computes it of a number as exponent."""
    if abs(exponent) != 0.5:
        return m.apply("pow", self, exponent)
    root = m.apply("sqrt", self)
    return root if exponent > 0.0 else m.apply("div", 1.0, root)


def _ternary(
    name: str, names: tuple[str, ...], saved: str, derivative: str, *params: Param, meaning: Any
) -> Row:
    return Row(
        name,
        operands(*names),
        without_numbers,
        meaning,
        methods(name, 3),
        in_place_method(name, 3),
        params,
        saves=saves(saved),
        derivative=derivative,
        domain="nonzero" if name == "addcdiv" else "any",
    )


ROWS: tuple[Row, ...] = (
    _unary("neg", "", "-grad"),
    _unary("abs", "self", "grad * self.sgn()", gives="positive"),
    _unary("square", "self", "pow_backward(grad, self, 2)", since="1.5"),
    _unary("exp", "result", "grad * result", gives="positive"),
    _unary("exp2", "result", "grad * result * ln 2", gives="positive", since="1.7"),
    _unary("expm1", "result", "grad * (result + 1)"),
    _unary("log", "self", "grad / self", domain="positive"),
    _unary("log2", "self", "grad / (self * ln 2)", domain="positive"),
    _unary("log10", "self", "grad / (self * ln 10)", domain="positive"),
    _unary("log1p", "self", "grad / (self + 1)", domain="positive"),
    _unary("sqrt", "result", "grad / (2 * result)", domain="positive", gives="positive"),
    _unary("rsqrt", "result", "-0.5 * grad * result ** 3", domain="positive", gives="positive"),
    _unary("reciprocal", "result", "-grad * result * result", domain="nonzero"),
    _unary("sin", "self", "grad * self.cos()"),
    _unary("cos", "self", "-grad * self.sin()"),
    _unary("tan", "result", "grad * (1 + result ** 2)"),
    _unary("sinh", "self", "grad * self.cosh()"),
    _unary("cosh", "self", "grad * self.sinh()", gives="positive"),
    _unary("tanh", "result", "grad * (1 - result ** 2)"),
    _unary("asin", "self", "grad / sqrt(1 - self * self)", domain="unit"),
    _unary("acos", "self", "-grad / sqrt(1 - self * self)", domain="unit"),
    _unary("atan", "self", "grad / (self * self + 1)"),
    _unary(
        "asinh",
        "self",
        "grad / sqrt(self ** 2 + 1)",
        undifferentiable="in place",
        since="1.6",
    ),
    _unary(
        "acosh",
        "self",
        "grad / sqrt(self ** 2 - 1)",
        domain="positive",
        undifferentiable="in place",
        since="1.6",
    ),
    _unary(
        "atanh",
        "self",
        "grad / (1 - self ** 2)",
        domain="unit",
        undifferentiable="in place",
        since="1.6",
    ),
    _unary("sigmoid", "result", "grad * (1 - result) * result", gives="positive"),
    _unary("erf", "self", "2 / sqrt(pi) * exp(-self ** 2) * grad"),
    _unary("erfc", "self", "-2 / sqrt(pi) * exp(-self ** 2) * grad", gives="positive"),
    _unary("deg2rad", "", "deg2rad_backward(grad)", meaning=_deg2rad, result=cloned, since="1.6"),
    _unary("rad2deg", "", "rad2deg_backward(grad)", meaning=_rad2deg, result=cloned, since="1.6"),
    _unary("frac", "", "grad"),
    _unary(
        "nan_to_num",
        "self",
        "grad * isfinite(self)",
        Param("nan", "float", 0.0, (0.0, 2.0), keyword=True),
        Param("posinf", "float", _LARGEST, (_LARGEST, 8.0), keyword=True),
        Param("neginf", "float", -_LARGEST, (-_LARGEST, -8.0), keyword=True),
        meaning=_nan_to_num,
        result=cloned,
        since="1.8",
    ),
    _unary("sign", "", "zeros_like(grad)"),
    _unary("sgn", "self, result", "sgn_backward(self, grad, result)", meaning="sign", since="1.7"),
    _unary("floor", "", "zeros_like(grad)"),
    _unary("ceil", "", "zeros_like(grad)"),
    _unary("round", "", "zeros_like(grad)"),
    _unary("trunc", "", "zeros_like(grad)"),
    _unary("clamp", "self", "clamp_backward(grad, self, min, max)", _LOW, _HIGH, meaning=_clamp),
    _unary(
        "clamp_min",
        "self",
        "where(self >= min, grad, 0)",
        Param("min", "float", None, (-0.5, 0.0, 0.25), required=True),
        meaning=_clamp_min,
    ),
    _unary(
        "clamp_max",
        "self",
        "where(self <= max, grad, 0)",
        Param("max", "float", None, (0.5, 0.0, 0.25), required=True),
        meaning=_clamp_max,
    ),
    _binary("add", "", "grad; grad * alpha", _ALPHA, symbol="+", meaning=_add),
    _binary("sub", "", "grad; -grad * alpha", _ALPHA, symbol="-", meaning=_sub),
    Row(
        "rsub",
        operands("self", "other|number"),
        # It is the difference that begins with the other operand.
        lambda layouts, params: pointwise(layouts[::-1], params),
        _rsub,
        {"function": "torch.rsub({0}, {1}{p})", "operator": "{1} - {0}"},
        params=(_ALPHA,),
        derivative="-grad * alpha; grad",
    ),
    _binary("mul", "other if self, self if other", "grad * other; grad * self", symbol="*"),
    _binary(
        "div",
        "other, self if other",
        "grad / other; -grad * self / (other * other)",
        symbol="/",
        domain="nonzero",
    ),
    _binary(
        "copysign",
        "self if self or number other, result",
        "grad * result / self, 0 where self is 0; zeros_like(other)",
        since="1.8",
    ),
    _binary(
        "maximum",
        "self, other",
        "grad where self is larger, half where equal; the rest to other",
        number=False,
        in_place=False,
        since="1.7",
    ),
    _binary(
        "minimum",
        "self, other",
        "grad where self is smaller, half where equal; the rest to other",
        number=False,
        in_place=False,
        since="1.7",
    ),
    _binary(
        "atan2",
        "self, other",
        "grad * other / (self ** 2 + other ** 2); -grad * self / (self ** 2 + other ** 2)",
        number=False,
    ),
    _binary(
        "fmax",
        "self, other",
        "grad where self >= other or other is NaN; the rest to other",
        number=False,
        in_place=False,
        since="1.8",
    ),
    _binary(
        "fmin",
        "self, other",
        "grad where self <= other or other is NaN; the rest to other",
        number=False,
        in_place=False,
        since="1.8",
    ),
    _binary(
        "hypot",
        "self if self, other if other, result",
        "grad * self / result; grad * other / result",
        number=False,
        since="1.7",
    ),
    _binary(
        "heaviside",
        "",
        "not_implemented",
        number=False,
        second="values",
        undifferentiable="always",
        since="1.7",
    ),
    _ternary(
        "addcmul",
        ("self", "tensor1", "tensor2"),
        "tensor1 if tensor2, tensor2 if tensor1",
        "grad; grad * value * tensor2; grad * value * tensor1",
        _VALUE,
        meaning=_addcmul,
    ),
    _ternary(
        "addcdiv",
        ("self", "tensor1", "tensor2"),
        "tensor2, tensor1 if tensor2",
        "grad; grad * value / tensor2; -grad * value * tensor1 / tensor2 ** 2",
        _VALUE,
        meaning=_addcdiv,
    ),
    _ternary(
        "lerp",
        ("self", "end", "weight|number"),
        "weight, self if weight, end if weight",
        "grad * (1 - weight); grad * weight; grad * (end - self)",
        meaning="lerp",
    ),
    Row(
        "pow",
        operands("self", "exponent|number"),
        without_numbers,
        _pow,
        {**methods("pow", 2), "operator": "{0} ** {1}"},
        {**in_place_method("pow", 2), "operator": "{0} **= {1}"},
        saves=saves("self, exponent, result if tensor exponent"),
        derivative="pow_backward; pow_backward_exponent",
        domain="positive",
    ),
    Row(
        "where",
        operands("condition:bool", "self", "other"),
        pointwise,
        "where",
        {"function": "torch.where({0}, {1}, {2})", "method": "{1}.where({0}, {2})"},
        saves=saves("condition"),
        derivative="where(condition, grad, 0); where(condition, 0, grad)",
    ),
)
