"""Every activation and dropout that takes `inplace` in torch.nn and torch.nn.functional."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from strategies.table.results import cloned, itself, packed, pointwise, tensors
from strategies.table.row import Layouts, Made, Param, Params, Row, operands, saves

_SLOPES = (0.1, 0.5, 0.0, 1.0, -0.5)


def _activation(
    name: str,
    module: str,
    *params: Param,
    saved: str,
    derivative: str,
    saved_in_place: str = "",
    method: bool = False,
    torch: bool = False,
    underscore: bool = False,
    suffix: str = "",
    meaning: str | Callable[..., Any] = "",
    gives: Literal["any", "positive"] = "any",
    negative: tuple[str, ...] = (),
    unchecked_overlap: bool = False,
    result: Callable[[Layouts, Params], tuple[Made, ...]] = pointwise,
    since: str = "1.2",
) -> Row:
    """A row for F.name and nn.Module, with the method and torch.* spellings that exist."""
    plain = {"functional": f"F.{name}({{0}}{{p}})", "module": f"nn.{module}({{p}}){suffix}({{0}})"}
    in_place = {
        "functional": f"F.{name}({{0}}{{p}}, inplace=True)",
        "module": f"nn.{module}({{p}}, inplace=True){suffix}({{0}})",
    }
    if method:
        plain["method"] = f"{{0}}.{name}({{p}})"
        in_place["method"] = f"{{0}}.{name}_({{p}})"
    if torch:
        plain["function"] = f"torch.{name}({{0}}{{p}})"
        in_place["function"] = f"torch.{name}_({{0}}{{p}})"
    if underscore:
        in_place["F_"] = f"F.{name}_({{0}}{{p}})"
    return Row(
        name,
        operands("self"),
        result,
        meaning or name,
        plain,
        in_place,
        params,
        saves=saves(saved),
        saves_in_place=saves(saved_in_place),
        derivative=derivative,
        gives=gives,
        unchecked_overlap=unchecked_overlap,
        forbids=lambda values: sum(values[name] for name in negative) < 0,
        since=since,
    )


def _dropout(name: str, module: str) -> Row:
    """A dropout in evaluation mode: it returns its input, and in place writes nothing.

    Inputs without a batch dimension are left out of `dropout1d` and `dropout3d`: those unsqueeze
    and squeeze them, in place where asked to.
    """
    ranks = _RANKS.get(name, (0, 1, 2, 3, 4, 5))
    functions = {"function": f"torch.{name}_({{0}}, 0.5, False)"} if name in _FUNCTIONS else {}

    return Row(
        name,
        operands("self"),
        itself,
        None,
        {
            "functional": f"F.{name}({{0}}{{p}}, training=False)",
            "module": f"nn.{module}({{p}}).eval()({{0}})",
        },
        {
            "functional": f"F.{name}({{0}}{{p}}, training=False, inplace=True)",
            "module": f"nn.{module}({{p}}, inplace=True).eval()({{0}})",
            **functions,
        },
        (Param("p", "probability", 0.5, (0.5, 0.0, 1.0)),),
        kind="maybe-self",
        inert=True,
        derivative="grad",
        needs=lambda layouts: tensors(layouts)[0].ndim in ranks,
        since=_SINCE.get(name, "1.2"),
    )


_FUNCTIONS = frozenset({"dropout", "alpha_dropout", "feature_alpha_dropout"})
"""Dropouts with a function of torch that writes its operand; it has no default for p."""
_RANKS = {"dropout1d": (3,), "dropout2d": (3, 4), "dropout3d": (5,)}
_SINCE = {"dropout1d": "1.12"}


def _rrelu(m: Any, self: Any, *, lower: float, upper: float) -> Any:
    """In evaluation mode: a leaky ReLU whose slope is the middle of the two bounds."""
    return m.apply("leaky_relu", self, (lower + upper) / 2)


ROWS: tuple[Row, ...] = (
    _activation(
        "relu",
        "ReLU",
        saved="result",
        derivative="threshold_backward(grad, result, 0)",
        method=True,
        torch=True,
        underscore=True,
    ),
    _activation(
        "relu6",
        "ReLU6",
        saved="self",
        derivative="hardtanh_backward(grad, self, 0, 6)",
        result=cloned,
    ),
    _activation(
        "hardtanh",
        "Hardtanh",
        Param("min_val", "float", -1.0, (-1.0, -0.5, 0.0)),
        Param("max_val", "larger float", 1.0, (1.0, 0.5, 2.0)),
        saved="self",
        derivative="hardtanh_backward(grad, self, min_val, max_val)",
        result=cloned,
        underscore=True,
    ),
    _activation(
        "threshold",
        "Threshold",
        Param("threshold", "float", None, (0.0, 0.5, -0.5), required=True),
        Param("value", "float", None, (0.0, 1.0, -2.0), required=True),
        saved="self",
        derivative="threshold_backward(grad, self, threshold)",
        torch=True,
        underscore=True,
        unchecked_overlap=True,
    ),
    _activation(
        "leaky_relu",
        "LeakyReLU",
        Param("negative_slope", "float", 0.01, _SLOPES),
        saved="self",
        saved_in_place="result",
        derivative="leaky_relu_backward(grad, self, negative_slope, is_result)",
        underscore=True,
        negative=("negative_slope",),
    ),
    _activation(
        "rrelu",
        "RReLU",
        Param("lower", "float", 0.125, (0.125, 0.25, -0.75)),
        Param("upper", "larger float", 1.0 / 3, (0.375, 0.5)),
        saved="self, private",
        saved_in_place="result, private",
        derivative="rrelu_with_noise_backward(grad, self, noise, lower, upper, False, is_result)",
        torch=True,
        underscore=True,
        suffix=".eval()",
        meaning=_rrelu,
        result=packed,
        negative=("lower", "upper"),
    ),
    _activation(
        "elu",
        "ELU",
        Param("alpha", "float", 1.0, (1.0, 0.5, 2.0, -0.5)),
        saved="self",
        saved_in_place="result",
        derivative="elu_backward(grad, alpha, 1, 1, is_result, self)",
        underscore=True,
        negative=("alpha",),
    ),
    _activation(
        "celu",
        "CELU",
        Param("alpha", "nonzero float", 1.0, (1.0, 0.5, 2.0, -0.5)),
        saved="self",
        saved_in_place="result",
        derivative="elu_backward(grad, alpha, 1, 1 / alpha, is_result, self)",
        torch=True,
        underscore=True,
        negative=("alpha",),
    ),
    _activation(
        "selu",
        "SELU",
        saved="self",
        saved_in_place="result",
        derivative="elu_backward(grad, alpha, scale, 1, is_result, self)",
        torch=True,
        underscore=True,
    ),
    _activation(
        "hardsigmoid",
        "Hardsigmoid",
        saved="self",
        derivative="hardsigmoid_backward(grad, self)",
        since="1.5",
    ),
    _activation(
        "hardswish",
        "Hardswish",
        saved="self",
        derivative="hardswish_backward(grad, self)",
        since="1.6",
    ),
    _activation("silu", "SiLU", saved="self", derivative="silu_backward(grad, self)", since="1.7"),
    _activation("mish", "Mish", saved="self", derivative="mish_backward(grad, self)", since="1.9"),
    _dropout("dropout", "Dropout"),
    _dropout("dropout1d", "Dropout1d"),
    _dropout("dropout2d", "Dropout2d"),
    _dropout("dropout3d", "Dropout3d"),
    _dropout("alpha_dropout", "AlphaDropout"),
    _dropout("feature_alpha_dropout", "FeatureAlphaDropout"),
)
