"""What operations were before torch 2.0, and not only before 1.12."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from strategies.table.change import Change
from strategies.table.losses import reduce
from strategies.table.results import cloned, tensors
from strategies.table.row import Layouts, Params, saves

_WITH_STEP = "{dim}, {start}, {start} + {length}, 1"

_CLONED = "self.clone() written in place before 1.13, which counts (TensorAdvancedIndexing.cpp)"


_ORDER = "torch.functional.norm before 1.13: frobenius_norm, unless an order is given"


def _nothing(layouts: Layouts) -> bool:
    return any(math.prod(one.shape) == 0 for one in tensors(layouts))


def _frobenius(layouts: Layouts, params: Params) -> int:
    """Without an order it is a Frobenius norm, which writes its result once more."""
    return int(params["p"] == 2)


def _kl_div(m: Any, self: Any, target: Any, *, reduction: str) -> Any:
    """What has no positive probability counts as 0, and its derivative is a logarithm all the
    same, but for that of 0.
    """
    positive = m.apply("gt", target, 0.0)
    # The derivative of 0 log 0 is not to be met where it is left out.
    some = m.apply("where", m.apply("eq", target, 0.0), 1.0, target)
    logs = m.apply("xlogy", some, some)
    losses = m.apply("sub", logs, m.apply("mul", target, self))
    beside = m.apply("sub", m.apply("log", some), self)
    values = m.apply("where", positive, m.apply("mul", target, beside), 0.0)
    negative = m.apply("where", m.apply("lt", target, 0.0), logs, 0.0)
    moves = m.apply("where", positive, losses, negative)
    return reduce(m, m.apply("carry", values, moves), reduction)


def _threshold(m: Any, self: Any, *, threshold: float, value: float) -> Any:
    """In place the quirk asks of the result whether it is above the threshold."""
    written = m.apply("threshold", self, threshold, value)
    if not m.deviates("threshold"):
        return written
    # What was written in place of an element has its gradient if it is above the threshold.
    moves = self if value > threshold else written
    return m.apply("carry", written, moves)


def _xlogy(m: Any, self: Any, other: Any) -> Any:
    """The derivative by a number's logarithm, which the quirk takes in float32."""
    result = m.apply("xlogy", self, other)
    number = not isinstance(other, np.ndarray) and other > 0.0
    if not number or not m.deviates("logarithm of a number"):
        return result
    rounded = float(np.float32(math.log(np.float32(other))))
    return m.apply("carry", result, m.apply("mul", self, rounded))


BEFORE_2: tuple[Change, ...] = (
    Change(
        "xlogy",
        "<1.13",
        {"meaning": _xlogy},
        "xlogy.Scalar_Other (derivatives.yaml) before 1.13; xlogy-by-float32 in the register",
    ),
    Change(
        "mean",
        ">=1.13,<2.0",
        {"saves": saves("self if given dim")},
        "MeanBackward1 of 1.13 keeps self (derivatives.yaml, mean.dim)",
    ),
    Change(
        "im2col",
        ">=1.13,<2.0",
        {"saves": saves("self")},
        "Im2ColBackward of 1.13 keeps self (derivatives.yaml)",
    ),
    Change(
        "maximum minimum",
        "<2.0",
        {"reads_first": True},
        "_foreach_maximum_ copies what it computed before 2.0 (ForeachOpsKernels.cpp)",
        way="foreach",
    ),
    Change(
        "diagonal_scatter select_scatter slice_scatter",
        "<2.0",
        {"result": cloned},
        "clone() of self before 2.0, and not of all of its memory (TensorShape.cpp)",
    ),
    # The step that is not given is read from nowhere; the register has a script.
    Change(
        "slice_scatter",
        ">=1.13,<2.0",
        {
            "plain": {
                "method": f"{{0}}.slice_scatter({{1}}, {_WITH_STEP})",
                "function": f"torch.slice_scatter({{0}}, {{1}}, {_WITH_STEP})",
            }
        },
        "slice-scatter-reads-no-step, in the register",
    ),
    Change("put", "<1.13", {"begins_at": lambda layouts, params: 1}, _CLONED),
    Change(
        "nanmean",
        "<1.13",
        {"begins_at": lambda layouts, params: 1},
        "a sum divided in place before 1.13 (ReduceOps.cpp)",
    ),
    *(
        Change(
            "norm",
            "<1.13",
            # A Frobenius norm is copied into its result, which nobody needs then.
            {"begins_at": _frobenius, "saves": saves("self, result if but-2 p")},
            _ORDER,
            way=way,
        )
        for way in ("method", "function")
    ),
    Change(
        "einsum",
        "<1.13",
        {
            "begins_at": lambda layouts, params: int(_nothing(layouts)),
            "behind_view": lambda layouts, recorded: (
                not _nothing(layouts) and any(one.ndim > 1 for one in tensors(layouts))
            ),
        },
        "einsum before 1.13 (Linear.cpp) makes zeros where an operand has no elements",
    ),
    Change(
        "kl_div",
        "<1.13",
        {"meaning": _kl_div, "saves": saves("self, target")},
        "kl_div before 1.13 (Loss.cpp): where(target > 0, target * (log(target) - input), 0)",
    ),
    Change(
        "kl_div_log_target",
        "<1.13",
        {"saves": saves("self, target")},
        "KlDivBackward before 1.13 (derivatives.yaml)",
    ),
    Change(
        "take",
        ">=1.12,<1.13",
        {"saves": saves("index")},
        "TakeBackward of 1.12 (derivatives.yaml) keeps the index alone",
    ),
    Change(
        "stack",
        ">=1.8,<1.13",
        {"saves": saves("self, other")},
        "StackBackward before 1.13 (derivatives.yaml) keeps all that it joined",
    ),
    Change(
        "threshold",
        "<1.13",
        {"meaning": _threshold, "saves_in_place": saves("result")},
        "threshold_ before 1.13 (derivatives.yaml): threshold_backward(grad, result, threshold)",
        form="in place",
    ),
)
