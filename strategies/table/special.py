"""Special functions, and what else has an unusual derivative."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from strategies.table.composed import still
from strategies.table.pointwise import _binary, _unary
from strategies.table.results import itself, like_first, pointwise
from strategies.table.row import Param, Row, operands, saves


def _logit(m: Any, self: Any, *, eps: float | None) -> Any:
    if eps is None:
        return m.apply("logit", self, -math.inf, math.inf)
    return m.apply("logit", self, eps, 1.0 - eps)


def _logaddexp(m: Any, self: Any, other: Any) -> Any:
    """The value in steps whose errors show: the larger one and the rest may cancel."""
    rest = m.apply("log1p", m.apply("exp", _behind(m, self, other)))
    total = m.apply("add", m.apply("maximum", self, other), rest)
    return m.apply("carry", total, m.apply("logaddexp", self, other))


def _logaddexp2(m: Any, self: Any, other: Any) -> Any:
    rest = m.apply("log1p", m.apply("exp2", _behind(m, self, other)))
    total = m.apply("add", m.apply("maximum", self, other), m.apply("div", rest, math.log(2.0)))
    return m.apply("carry", total, m.apply("logaddexp2", self, other))


def _behind(m: Any, self: Any, other: Any) -> Any:
    """Minus the distance of the two, 0 for equal infinities."""
    apart = m.apply("sub", self, other)
    known = m.apply("eq", apart, apart)
    return m.apply("neg", m.apply("abs", m.apply("where", known, apart, 0.0)))


def _ldexp(m: Any, self: Any, other: Any) -> Any:
    # Each element of the result has a power of its own, whose gradient may be NaN.
    shape = np.broadcast_shapes(self.shape, other.shape)
    return m.apply("mul", self, m.apply("pow", 2.0, np.broadcast_to(other, shape)))


def _mvlgamma(m: Any, self: Any, *, p: int) -> Any:
    # Adding 0 makes 0.0 of -0.0, where the gradient is infinite with the other sign.
    first = m.apply("lgamma", m.apply("add", self, 0.0))
    result = m.apply("add", first, p * (p - 1) / 4.0 * math.log(math.pi))
    slope = m.apply("digamma", m.apply("add", self, 0.0))
    for number in range(1, p):
        less = m.apply("sub", self, number / 2.0)
        result = m.apply("add", result, m.apply("lgamma", less))
        slope = m.apply("add", slope, m.apply("digamma", less))
    return m.apply("carry", result, m.apply("mul", self, still(m, slope)))


def _polygamma(m: Any, self: Any, *, n: int) -> Any:
    return m.apply("digamma", self) if n == 0 else m.apply("polygamma", self, float(n))


ROWS: tuple[Row, ...] = (
    # Of a real tensor it is the tensor itself.
    replace(
        _unary("conj_physical", "", "grad", meaning="copy", result=itself, since="1.10"),
        kind="maybe-self",
        unchecked_overlap=True,
    ),
    _unary("i0", "self", "grad * special_i1(self)", gives="positive", since="1.7"),
    _unary(
        "sinc",
        "self",
        "grad * (self_pi * cos(self_pi) - sin(self_pi)) / (self * self_pi); 0 at 0",
        since="1.8",
    ),
    _unary(
        "logit",
        "self",
        "grad / (self * (1 - self)), 0 beyond eps",
        Param("eps", "optional epsilon", None, (None, 0.25, 0.0)),
        meaning=_logit,
        domain="unit",
        since="1.7",
    ),
    _unary("erfinv", "self", "sqrt(pi) / 2 * exp(self.erfinv() ** 2) * grad", domain="unit"),
    _unary("lgamma", "self", "grad * digamma(self)", domain="positive"),
    _unary("digamma", "self", "grad * polygamma(1, self)", domain="positive"),
    _unary(
        "mvlgamma",
        "self",
        "mvlgamma_backward(grad, self, p)",
        Param("p", "positive int", None, (1, 2, 3), required=True),
        meaning=_mvlgamma,
        result=like_first,
        domain="positive",
    ),
    Row(
        "polygamma",
        operands("self"),
        pointwise,
        _polygamma,
        {
            "method": "{0}.polygamma({n})",
            "function": "torch.polygamma({n}, {0})",
            "special": "torch.special.polygamma({n}, {0})",
        },
        {"method": "{0}.polygamma_({n})"},
        (Param("n", "order", None, (0, 1, 2, 3), required=True),),
        saves=saves("self"),
        derivative="grad * polygamma(n + 1, self)",
        domain="positive",
    ),
    _binary(
        "xlogy",
        "self, other",
        "grad * log(other), 0 where self is 0 and other <= 0; grad * self / other",
        domain="positive",
        since="1.8",
    ),
    _binary(
        "logaddexp",
        "self, other",
        "grad / (1 + exp(other - self)); grad / (1 + exp(self - other))",
        number=False,
        meaning=_logaddexp,
        in_place=False,
        since="1.6",
    ),
    _binary(
        "logaddexp2",
        "self, other",
        "grad / (1 + 2 ** (other - self)); grad / (1 + 2 ** (self - other))",
        number=False,
        meaning=_logaddexp2,
        in_place=False,
        since="1.6",
    ),
    _binary(
        "igamma",
        "self if other, other if other",
        "not_implemented; grad * exp((self - 1) * log(other) - other - lgamma(self))",
        number=False,
        domain="positive",
        undifferentiable="in self",
        since="1.8",
    ),
    _binary(
        "igammac",
        "self if other, other if other",
        "not_implemented; -grad * exp((self - 1) * log(other) - other - lgamma(self))",
        number=False,
        domain="positive",
        undifferentiable="in self",
        since="1.8",
    ),
    replace(
        _binary(
            "ldexp",
            "other if self, result",
            "grad * 2 ** other; grad * result * ln 2",
            number=False,
            meaning=_ldexp,
            since="1.8",
        ),
        reads_first=True,
    ),
    _binary(
        "nextafter",
        "self if self, other if self",
        "grad where self != other; zeros_like(other)",
        number=False,
        since="1.7",
    ),
)
