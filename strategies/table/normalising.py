"""Operations that divide by a sum, a norm or a deviation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from strategies.layout import (
    Layout,
    channels_last,
    contiguous,
    counts_as_channels_last,
    elementwise,
    expanded,
    sliced,
    suggests_channels_last,
)
from strategies.table.composed import along, back, highest, mean, root_of_squares
from strategies.table.results import like_first, pointwise, reduced_shape, tensors
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
from strategies.table.statistics import DIM, holds_any

_EPS = Param("eps", "positive float", 1e-5, (1e-5, 0.5), keyword=True)


def _below_top(m: Any, self: Any, dim: int) -> Any:
    """The elements less the largest one along `dim`, which is in front."""
    rows = along(self, dim)
    return m.apply("sub", rows, highest(m, rows))


def _softmax(m: Any, self: Any, *, dim: int) -> Any:
    if self.size == 0:
        return m.apply("copy", self)
    powers = m.apply("exp", _below_top(m, self, dim))
    return back(m.apply("div", powers, m.total(powers, (0,), True)), self, dim)


def _softmin(m: Any, self: Any, *, dim: int) -> Any:
    return _softmax(m, m.apply("neg", self), dim=dim)


def _log_softmax(m: Any, self: Any, *, dim: int) -> Any:
    if self.size == 0:
        return m.apply("copy", self)
    below = _below_top(m, self, dim)
    total = m.apply("log", m.total(m.apply("exp", below), (0,), True))
    return back(m.apply("sub", below, total), self, dim)


def size_along(m: Any, self: Any, p: float, axes: tuple[int, ...] | None) -> Any:
    """The norm over some axes, which stay."""
    if p == 1:
        return m.total(m.apply("abs", self), axes, True)
    return root_of_squares(m, self, axes, keepdim=True)


def _normalize(m: Any, self: Any, *, p: float, dim: int, eps: float) -> Any:
    size = size_along(m, self, p, (dim,) if self.ndim else None)
    return m.apply("div", self, m.apply("clamp_min", size, eps))


def _standard(m: Any, x: Any, axes: tuple[int, ...], eps: float) -> Any:
    """Zero mean and unit variance over some axes, but for `eps`.

    Scaled before the mean is taken off, as kernels do, so that what cancels has their error.
    """
    # Kernels correct a mean with every element: it has an error where a sum would be exact.
    inexact = mean(m, m.apply("div", x, math.pi), axes)
    middle = m.apply("mul", inexact, math.pi)
    scale = _scale(m, x, middle, axes, eps)
    shift = m.apply("mul", m.apply("neg", middle), scale)
    return m.apply("add", m.apply("mul", x, scale), shift)


def _scale(m: Any, x: Any, middle: Any, axes: tuple[int, ...], eps: float) -> Any:
    variance = mean(m, m.apply("square", m.apply("sub", x, middle)), axes)
    return m.apply("rsqrt", m.apply("add", m.apply("bounded", variance), eps))


def _layer_norm(m: Any, self: Any, *, eps: float) -> Any:
    return _standard(m, self, (-1,), eps)


def _layer_norm_affine(m: Any, self: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    scaled = m.apply("mul", _standard(m, self, (-1,), eps), weight)
    return m.apply("add", scaled, bias)


def _batch_norm(m: Any, self: Any, *, eps: float) -> Any:
    """The mean is taken off last, and so off the gradient first, where it cancels exactly."""
    axes = (0, *range(2, self.ndim))
    if m.deviates("mean off last"):
        return _standard(m, self, axes, eps)
    scaled = m.apply("mul", self, _scale(m, self, mean(m, self, axes), axes, eps))
    return m.apply("sub", scaled, mean(m, scaled, axes))


def _instance_norm(m: Any, self: Any, *, eps: float) -> Any:
    """A batch of one, in which each channel of each is a channel."""
    return _batch_norm(m, self.reshape(_as_one_batch(self.shape)), eps=eps).reshape(self.shape)


def _as_one_batch(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, shape[0] * shape[1], *shape[2:])


def _mixed_channels(layouts: Layouts, params: Params) -> str:
    """Likewise of the tensor that torch makes a batch of."""
    (one,) = tensors(layouts)
    return _mixed_formats((contiguous(_as_one_batch(one.shape)),), params)


def _group_norm(m: Any, self: Any, *, num_groups: int, eps: float) -> Any:
    grouped = self.reshape((self.shape[0], num_groups, -1))
    return _standard(m, grouped, (-1,), eps).reshape(self.shape)


def _mixed_formats(layouts: Layouts, params: Params) -> str:
    """If backward takes row-major memory for channels that are next to each other.

    Some strides of dimensions of size 1 are channels-last for one of two tests that torch has, and
    row-major for the other.
    """
    (one,) = tensors(layouts)
    mixed = counts_as_channels_last(one) and not suggests_channels_last(one)
    return "batch_norm of strides that count as channels-last and as row-major" if mixed else ""


def _is_copied(layouts: Layouts, params: Params) -> bool:
    (one,) = tensors(layouts)
    return not (one.is_contiguous or suggests_channels_last(one))


def renorm(m: Any, self: Any, *, p: float, dim: int, maxnorm: float) -> Any:
    """Slices whose norm is too large are made smaller."""
    axes = tuple(axis for axis in range(self.ndim) if axis != dim % self.ndim)
    too_large = m.apply("gt", size_along(m, self, p, axes), maxnorm)
    # What stays as it is must not reach the norm, whose derivative may be NaN there.
    size = size_along(m, m.apply("where", too_large, self, 0.0), p, axes)
    factor = m.apply("div", maxnorm, m.apply("add", size, 1e-7))
    return m.apply("mul", self, m.apply("where", too_large, factor, 1.0))


def _glu(m: Any, self: Any, *, dim: int) -> Any:
    rows = along(self, dim)
    half = len(rows) // 2
    gate = m.apply("sigmoid", rows[half:])
    return back(m.apply("mul", rows[:half], gate), self, dim)


def _halved(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """As a product of the two halves lies."""
    (first,) = tensors(layouts)
    dim = params["dim"]
    half = first.shape[dim] // 2
    halves = sliced(first, dim, 0, half, 1), sliced(first, dim, half, 2 * half, 1)
    return (Made(elementwise(*halves)),)


def _quotient(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """As the first operand divided by its norm lies, which is expanded along `dim`."""
    first = tensors(layouts)[0]
    norm = contiguous(reduced_shape(first, {"dim": params["dim"], "keepdim": True}))
    return pointwise((first, expanded(norm, first.shape)), params)


def _in_channels(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """Row-major, or with channels last as the first operand."""
    first = tensors(layouts)[0]
    if first.is_channels_last and not first.is_contiguous:
        return (Made(Layout(first.shape, first.strides)),)
    return (Made(contiguous(first.shape)),)


def _as_suggested(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """Dense, in the order of channels where the first operand's strides suggest it."""
    first = tensors(layouts)[0]
    made = channels_last if suggests_channels_last(first) else contiguous
    return (Made(made(first.shape)),)


def _in_any_channels(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """As `_in_channels`, and with channels last in five dimensions too."""
    first = tensors(layouts)[0]
    if first.ndim == 5 and counts_as_channels_last(first):
        return (Made(channels_last(first.shape)),)
    return _in_channels(layouts, params)


def _last(layouts: Layouts, params: Params) -> tuple[tuple[int, ...], ...]:
    """A vector as long as the last dimension."""
    return (tensors(layouts)[0].shape[-1:],)


def _matches_last(layouts: Layouts, params: Params) -> str:
    first, *others = tensors(layouts)
    if any(other.shape != first.shape[-1:] for other in others):
        return f"weight and bias need the shape {list(first.shape[-1:])}"
    return ""


def _has_dims(least: int, most: int = 5) -> Callable[[Layouts], bool]:
    def needs(layouts: Layouts) -> bool:
        first = tensors(layouts)[0]
        return least <= first.ndim <= most and first.numel > 0

    return needs


def _several_each(layouts: Layouts) -> bool:
    """Whether a channel has more than one value, without which there is no variance."""
    first = tensors(layouts)[0]
    return 2 <= first.ndim <= 5 and first.numel > first.shape[1]


def _soft(name: str, torch: dict[str, str], meaning: Any, derivative: str) -> Row:
    return Row(
        name,
        operands("self"),
        like_first,
        meaning,
        {**torch, "functional": f"F.{name}({{0}}{{p}})"},
        params=(DIM,),
        saves=saves("result"),
        derivative=derivative,
        gives="any" if name == "log_softmax" else "positive",
    )


_NORMALISED = "F.layer_norm({0}, {0}.shape[-1:]"

ROWS: tuple[Row, ...] = (
    _soft("softmax", methods("softmax", 1), _softmax, "(grad - (grad * result).sum(dim)) * result"),
    _soft("softmin", {}, _softmin, "softmax's, negated"),
    _soft(
        "log_softmax",
        methods("log_softmax", 1),
        _log_softmax,
        "grad - result.exp() * grad.sum(dim)",
    ),
    Row(
        "normalize",
        operands("self"),
        _quotient,
        _normalize,
        {"functional": "F.normalize({0}, dim={dim}{p})"},
        params=(
            Param("p", "positive float", 2.0, (2.0, 1.0), keyword=True),
            DIM,
            Param("eps", "positive float", 1e-12, (1e-12, 0.5), keyword=True),
        ),
        saves=saves("self, private"),
        derivative="of self / self.norm(p, dim).clamp_min(eps)",
        needs=holds_any,
    ),
    Row(
        "layer_norm",
        operands("self"),
        like_first,
        _layer_norm,
        {"functional": f"{_NORMALISED}{{p}})"},
        params=(_EPS,),
        saves=saves("self, private"),
        derivative="native_layer_norm_backward",
        needs=_has_dims(1),
    ),
    Row(
        "layer_norm_affine",
        operands("self", "weight", "bias"),
        like_first,
        _layer_norm_affine,
        {"functional": f"{_NORMALISED}, {{1}}, {{2}}{{p}})"},
        params=(_EPS,),
        saves=saves("self, weight, bias, private"),
        derivative="native_layer_norm_backward",
        needs=_has_dims(1),
        wants=_last,
        fits=_matches_last,
        broadcasts=False,
    ),
    Row(
        "batch_norm",
        operands("self"),
        _in_any_channels,
        _batch_norm,
        {"functional": "F.batch_norm({0}, None, None, training=True{p})"},
        params=(_EPS,),
        saves=saves("self, private"),
        derivative="native_batch_norm_backward",
        astray=_mixed_formats,
        needs=_several_each,
    ),
    Row(
        "instance_norm",
        operands("self"),
        lambda layouts, params: (Made(contiguous(tensors(layouts)[0].shape)),),
        _instance_norm,
        {"functional": "F.instance_norm({0}{p})"},
        params=(_EPS,),
        saves=saves("self, private"),
        derivative="native_batch_norm_backward",
        copies_first=lambda layouts, params: not tensors(layouts)[0].is_contiguous,
        viewed=lambda layouts: (0,),
        behind_view=lambda layouts, recorded: True,
        astray=_mixed_channels,
        needs=lambda layouts: (
            _has_dims(3)(layouts) and math.prod(tensors(layouts)[0].shape[2:]) > 1
        ),
    ),
    Row(
        "group_norm",
        operands("self"),
        _as_suggested,
        _group_norm,
        {"functional": "F.group_norm({0}{p})"},
        params=(Param("num_groups", "groups", 1, required=True), _EPS),
        saves=saves("self, private"),
        derivative="native_group_norm_backward",
        copies_first=_is_copied,
        needs=lambda layouts: _has_dims(2)(layouts) and tensors(layouts)[0].numel > 1,
    ),
    Row(
        "renorm",
        operands("self"),
        like_first,
        renorm,
        methods("renorm", 1),
        in_place_method("renorm", 1),
        params=(
            Param("p", "positive float", 2.0, (2.0, 1.0), required=True),
            DIM,
            Param("maxnorm", "positive float", 1.0, (1.0, 2.0, 0.5), required=True),
        ),
        saves=saves("self"),
        derivative="renorm_backward(grad, self, p, dim, maxnorm)",
        needs=_has_dims(2),
    ),
    Row(
        "glu",
        operands("self"),
        _halved,
        _glu,
        {"functional": "F.glu({0}{p})"},
        params=(Param("dim", "even dim", 0, required=True),),
        saves=saves("self"),
        derivative="glu_backward(grad, self, dim)",
        broadcasts=False,
        needs=lambda layouts: (
            tensors(layouts)[0].numel > 0
            and any(size % 2 == 0 for size in tensors(layouts)[0].shape)
        ),
    ),
)
