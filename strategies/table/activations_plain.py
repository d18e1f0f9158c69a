"""Activations that torch cannot do in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from strategies.table.composed import still
from strategies.table.results import like_first, pointwise, tensors
from strategies.table.row import Layouts, Made, Param, Params, Row, operands, saves

_TANH_SCALE = math.sqrt(2.0 / math.pi)
_WIDTH = Param("lambd", "positive float", 0.5, (0.5, 1.0))


def _softsign(m: Any, self: Any) -> Any:
    return m.apply("div", self, m.apply("add", m.apply("abs", self), 1.0))


def _tanhshrink(m: Any, self: Any) -> Any:
    return m.apply("sub", self, m.apply("tanh", self))


def _gelu(m: Any, self: Any, *, approximate: str) -> Any:
    """Composed, so that the rounding of what nearly cancels 1 is known."""
    squared = m.apply("square", self)
    if approximate == "tanh":
        cubic = m.apply("add", m.apply("mul", squared, 0.044715), 1.0)
        bent = m.apply("tanh", m.apply("mul", m.apply("mul", self, cubic), _TANH_SCALE))
        steep = m.apply("sub", 1.0, m.apply("square", bent))
        inner = m.apply("add", m.apply("mul", squared, 3 * 0.044715), 1.0)
        density = m.apply("mul", m.apply("mul", steep, inner), 0.5 * _TANH_SCALE)
    else:
        bent = m.apply("erf", m.apply("mul", self, math.sqrt(0.5)))
        power = m.apply("exp", m.apply("mul", squared, -0.5))
        density = m.apply("mul", power, 1.0 / math.sqrt(2.0 * math.pi))
    gate = m.apply("mul", m.apply("add", bent, 1.0), 0.5)
    slope = m.apply("add", gate, m.apply("mul", self, density))
    return m.apply("carry", m.apply("mul", self, gate), m.apply("mul", self, still(m, slope)))


def slopes(self: Any, weight: Any) -> Any:
    """The slope of each element: one for all, or one for each channel."""
    if self.ndim > 1 and weight.size > 1:
        return weight.reshape((-1,) + (1,) * (self.ndim - 2))
    return weight.reshape(()) if weight.size == 1 else weight


def _prelu(m: Any, self: Any, weight: Any) -> Any:
    slope = slopes(self, weight)
    passes = m.apply("gt", self, 0.0)
    bent = m.apply("mul", m.apply("where", passes, 0.0, self), slope)
    return m.apply("where", passes, self, bent)


def _one_or_each(layouts: Layouts, params: Params) -> tuple[tuple[int, ...], ...]:
    """One slope, or one for each channel."""
    shape = tensors(layouts)[0].shape
    return ((1,), (shape[1],)) if len(shape) > 1 and shape[1] > 0 else ((1,),)


def _slopes(layouts: Layouts, params: Params) -> str:
    first, weight = tensors(layouts)
    allowed = _one_or_each((first,), params)
    return "" if weight.shape in allowed else f"its weight needs a shape among {allowed}"


def _weight_viewed(layouts: Layouts) -> tuple[int, ...]:
    return (1,) if tensors(layouts)[0].ndim != 1 else ()


def _of_first(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    return pointwise(layouts[:1], params)


def _activation(
    name: str,
    module: str,
    saved: str,
    derivative: str,
    *params: Param,
    meaning: str | Callable[..., Any] = "",
    result: Any = pointwise,
    since: str = "1.2",
) -> Row:
    plain = {"functional": f"F.{name}({{0}}{{p}})", "module": f"nn.{module}({{p}})({{0}})"}
    return Row(
        name,
        operands("self"),
        result,
        meaning or name,
        plain,
        params=params,
        saves=saves(saved),
        derivative=derivative,
        since=since,
    )


ROWS: tuple[Row, ...] = (
    _activation("hardshrink", "Hardshrink", "self", "grad where abs(self) > lambd", _WIDTH),
    _activation("softshrink", "Softshrink", "self", "grad where abs(self) > lambd", _WIDTH),
    _activation(
        "softplus",
        "Softplus",
        "self",
        "softplus_backward(grad, self, beta, threshold)",
        Param("beta", "positive float", 1.0, (1.0, 2.0)),
        Param("threshold", "positive float", 20.0, (20.0, 1.0)),
    ),
    _activation(
        "logsigmoid",
        "LogSigmoid",
        "self, private",
        "grad * (-self).sigmoid()",
        result=like_first,
    ),
    _activation(
        "gelu",
        "GELU",
        "self",
        "gelu_backward(grad, self, approximate)",
        Param("approximate", "approximation", "none", ("none", "tanh"), keyword=True),
        meaning=_gelu,
        since="1.12",
    ),
    _activation(
        "softsign", "Softsign", "self, private", "of self / (abs(self) + 1)", meaning=_softsign
    ),
    _activation(
        "tanhshrink", "Tanhshrink", "private", "of self - self.tanh()", meaning=_tanhshrink
    ),
    Row(
        "prelu",
        operands("self", "weight"),
        _of_first,
        _prelu,
        {
            "functional": "F.prelu({0}, {1})",
            "method": "{0}.prelu({1})",
            "function": "torch.prelu({0}, {1})",
        },
        saves=saves("self, weight"),
        derivative="grad where self > 0, else grad * weight; grad * self where self <= 0",
        wants=_one_or_each,
        fits=_slopes,
        viewed=_weight_viewed,
        broadcasts=False,
    ),
)
