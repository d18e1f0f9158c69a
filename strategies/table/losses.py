"""Losses: a value for each pair of elements, and their mean or sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from strategies.layout import contiguous, elementwise
from strategies.table.composed import still
from strategies.table.normalising import _log_softmax
from strategies.table.results import tensors
from strategies.table.row import Indexing, Layouts, Made, Param, Params, Row, operands, saves

_REDUCTION = Param("reduction", "reduction", "mean", ("mean", "sum", "none"), keyword=True)


def reduce(m: Any, losses: Any, reduction: str) -> Any:
    """The losses themselves, their mean or their sum."""
    if reduction == "none":
        return losses
    total = m.total(losses, None, False)
    return m.apply("div", total, float(losses.size)) if reduction == "mean" else total


def _mse_loss(m: Any, self: Any, target: Any, *, reduction: str) -> Any:
    return reduce(m, m.apply("square", m.apply("sub", self, target)), reduction)


def _l1_loss(m: Any, self: Any, target: Any, *, reduction: str) -> Any:
    return reduce(m, m.apply("abs", m.apply("sub", self, target)), reduction)


def _bent(m: Any, off: Any, width: float, slope: float) -> Any:
    """A parabola between -width and width, and straight lines of this slope outside."""
    away = m.apply("mul", m.apply("sub", off, 0.5 * width), slope)
    below = m.apply("mul", m.apply("sub", m.apply("neg", off), 0.5 * width), slope)
    low, high = m.apply("le", off, -width), m.apply("ge", off, width)
    # What is outside must not reach the parabola: its slope there would be infinite for infinity.
    near = m.apply("where", m.apply("logical_or", low, high), 0.0, off)
    inside = m.apply("mul", m.apply("square", near), 0.5 * slope / width)
    return m.apply("where", high, away, m.apply("where", low, below, inside))


def _smooth_l1_loss(m: Any, self: Any, target: Any, *, reduction: str, beta: float) -> Any:
    return reduce(m, _bent(m, m.apply("sub", self, target), beta, 1.0), reduction)


def _huber_loss(m: Any, self: Any, target: Any, *, reduction: str, delta: float) -> Any:
    return reduce(m, _bent(m, m.apply("sub", self, target), delta, delta), reduction)


def _with_logits(m: Any, self: Any, target: Any, *, reduction: str) -> Any:
    linear = m.apply("mul", m.apply("sub", 1.0, target), self)
    losses = m.apply("sub", linear, m.apply("logsigmoid", self))
    # One product for each operand, which infinite gradients need not part.
    slope = m.apply("sub", m.apply("sigmoid", self), target)
    by_self = m.apply("mul", self, still(m, slope))
    by_target = m.apply("mul", target, still(m, m.apply("neg", self)))
    return reduce(m, m.apply("carry", losses, m.apply("add", by_self, by_target)), reduction)


def _kl_div_log_target(m: Any, self: Any, target: Any, *, reduction: str) -> Any:
    losses = m.apply("mul", m.apply("exp", target), m.apply("sub", target, self))
    return reduce(m, losses, reduction)


def _kl_div(m: Any, self: Any, target: Any, *, reduction: str) -> Any:
    logs = m.apply("xlogy", target, target)
    return reduce(m, m.apply("sub", logs, m.apply("mul", target, self)), reduction)


def _nll_loss(m: Any, self: Any, target: Any, *, reduction: str) -> Any:
    if self.ndim == 1:
        return reduce(m, m.apply("neg", self[int(target)]), reduction)
    return reduce(m, m.apply("neg", self[np.arange(len(self)), target]), reduction)


def _cross_entropy(m: Any, self: Any, target: Any, *, reduction: str) -> Any:
    logs = _log_softmax(m, self, dim=self.ndim - 1)
    return _nll_loss(m, logs, target, reduction=reduction)


def _reduced(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    if params["reduction"] != "none":
        return (Made(contiguous(())),)
    return (Made(elementwise(*tensors(layouts))),)


def _reduced_rows(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    if params["reduction"] != "none":
        return (Made(contiguous(())),)
    return (Made(contiguous(tensors(layouts)[0].shape[:-1])),)


def _same(layouts: Layouts, params: Params) -> tuple[tuple[int, ...], ...]:
    """The shape of the first operand."""
    return (tensors(layouts)[0].shape,)


def _rows(layouts: Layouts, params: Params) -> tuple[tuple[int, ...], ...]:
    """One class for each row of the first operand."""
    first = tensors(layouts)[0]
    return (first.shape[:-1],) if first.ndim and first.numel else ()


def _classes(layouts: Layouts, params: Params) -> int:
    shape = tensors(layouts)[0].shape
    return shape[-1] if shape else 1


def _as_wanted(wanted: Any) -> Any:
    def fits(layouts: Layouts, params: Params) -> str:
        first, target = tensors(layouts)
        fitting = target.shape in wanted((first,), params)
        return "" if fitting else f"a target of {target.shape} and {first.shape} do not fit"

    return fits


def _as_target(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """One number, or else dense in the target's memory order: computing begins with the target."""
    return _reduced(layouts[::-1], params)


def _loss(
    name: str,
    torch: str,
    meaning: Any,
    saved: str,
    derivative: str,
    *params: Param,
    given: str = "",
    since: str = "1.2",
    result: Callable[[Layouts, Params], tuple[Made, ...]] = _reduced,
) -> Row:
    return Row(
        name,
        operands("self", "target"),
        result,
        meaning,
        {"functional": f"F.{torch}({{0}}, {{1}}{given}{{p}})"},
        params=(_REDUCTION, *params),
        saves=saves(saved),
        derivative=derivative,
        needs=lambda layouts: tensors(layouts)[0].numel > 0,
        wants=_same,
        fits=_as_wanted(_same),
        broadcasts=False,
        since=since,
    )


def _classified(name: str, meaning: Any, saved: str, derivative: str) -> Row:
    return Row(
        name,
        operands("self", "target:int64"),
        _reduced_rows,
        meaning,
        {"functional": f"F.{name}({{0}}, {{1}}{{p}})"},
        params=(_REDUCTION,),
        saves=saves(saved),
        derivative=derivative,
        needs=lambda layouts: 1 <= tensors(layouts)[0].ndim <= 2 and tensors(layouts)[0].numel > 0,
        wants=_rows,
        fits=_as_wanted(_rows),
        indexing=Indexing(_classes),
        broadcasts=False,
    )


ROWS: tuple[Row, ...] = (
    _loss("mse_loss", "mse_loss", _mse_loss, "self, target", "2 * (self - target) * grad / count"),
    _loss("l1_loss", "l1_loss", _l1_loss, "private", "(self - target).sgn() * grad / count"),
    _loss(
        "smooth_l1_loss",
        "smooth_l1_loss",
        _smooth_l1_loss,
        "self, target",
        "smooth_l1_loss_backward(grad, self, target, reduction, beta)",
        Param("beta", "positive float", 1.0, (1.0, 0.5), keyword=True),
        since="1.6",
    ),
    _loss(
        "huber_loss",
        "huber_loss",
        _huber_loss,
        "self, target",
        "huber_loss_backward(grad, self, target, reduction, delta)",
        Param("delta", "positive float", 1.0, (1.0, 0.5), keyword=True),
        since="1.9",
    ),
    _loss(
        "bce_with_logits",
        "binary_cross_entropy_with_logits",
        _with_logits,
        "self, target",
        "(self.sigmoid() - target) * grad; -self * grad",
        result=_as_target,
    ),
    _loss(
        "kl_div_log_target",
        "kl_div",
        _kl_div_log_target,
        "private",
        "of target.exp() * (target - self)",
        given=", log_target=True",
        result=_as_target,
        since="1.6",
    ),
    _loss(
        "kl_div",
        "kl_div",
        _kl_div,
        "self if target, target",
        "-target * grad; (target.log() + 1 - self) * grad",
        result=_as_target,
    ),
    _classified("nll_loss", _nll_loss, "self, target, private", "-grad at the target's class"),
    _classified("cross_entropy", _cross_entropy, "target, private", "nll_loss's of log_softmax"),
)
