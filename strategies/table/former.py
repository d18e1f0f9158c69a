"""What operations were before torch 1.12.

Versions of fresh results were read from tensors; the rest stands in derivatives.yaml, in the
kernels, or in the messages of the versions that are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, nan, prod
from typing import Any

import numpy as np

from strategies import layout as lay
from strategies.layout import Layout
from strategies.table import scans, special
from strategies.table.activations_plain import slopes
from strategies.table.change import Change
from strategies.table.composed import along, back, leave_open, still
from strategies.table.indexed import index_fill
from strategies.table.losses import reduce
from strategies.table.normalising import renorm, size_along
from strategies.table.positions import leading
from strategies.table.results import tensors
from strategies.table.row import Layouts, Made, Params, saves

_DERIVATIVES = "derivatives.yaml"
CUT = "Convolution.cpp, subtensor: each group's channels, made contiguous"
_ADDED = "(1 + exp(-|a - b|)).log() (BinaryOpsKernel.cpp); logaddexp-without-log1p in the register"
_LARGER = "_log_add_exp_helper (ReduceOpsKernel.cpp); logcumsumexp-forgets-nan in the register"
_COPIED = "self.clone() written in place, which counts (TensorAdvancedIndexing.cpp)"


def _ranks(layouts: Layouts) -> list[int]:
    return [one.ndim for one in tensors(layouts)[1:]]


def _softplus(m: Any, self: Any, *, beta: float, threshold: float) -> Any:
    """Its derivative is that of a line where the result, and not the operand, is far enough, and
    otherwise one minus a power of the result.
    """
    values = m.apply("softplus", self, beta, threshold)
    if not m.deviates("softplus below its threshold"):
        return values
    exponent = m.apply("mul", still(m, values), beta)
    power = m.apply("exp", m.apply("minimum", exponent, threshold))
    slope = m.apply("div", m.apply("sub", power, 1.0), power)
    near = m.apply("carry", values, m.apply("mul", self, still(m, slope)))
    far = m.apply("gt", m.apply("mul", values, beta), threshold)
    return m.apply("where", far, m.apply("carry", values, self), near)


def _index_fill(m: Any, self: Any, index: Any, value: Any, *, dim: int) -> Any:
    """The gradient of the value counts positions as often as the index names them."""
    filled = index_fill(m, self, index, value, dim=dim)
    if not m.deviates("a position counts once") or not isinstance(value, np.ndarray):
        return filled
    rows = leading(filled, dim) if filled.ndim else filled.reshape(1)
    places, counts = np.unique(index.ravel() % len(rows), return_counts=True)
    for place, count in zip(places.tolist(), counts.tolist(), strict=True):
        slope = m.apply("mul", value, float(count))
        rows[place] = m.apply("carry", rows[place], np.broadcast_to(slope, rows[place].shape))
    return filled


def _seen_by_pixels(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """reshape, permute and reshape: a view where neither has to copy."""
    (layout,) = tensors(layouts)
    (*batch, channels, rows, columns), factor = layout.shape, params["upscale_factor"]
    less = channels // factor**2
    shape = (*batch, less, rows * factor, columns * factor)
    parts = lay.viewed(layout, (*batch, less, factor, factor, rows, columns))
    spread = parts and lay.permuted(parts, _behind(batch, (0, 3, 1, 4, 2)))
    return (_view_or_copy(spread and lay.viewed(spread, shape), shape),)


def _seen_by_larger_pixels(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    (layout,) = tensors(layouts)
    (*batch, channels, rows, columns), factor = layout.shape, params["downscale_factor"]
    rows, columns = rows // factor, columns // factor
    shape = (*batch, channels * factor**2, rows, columns)
    parts = lay.viewed(layout, (*batch, channels, rows, factor, columns, factor))
    gathered = parts and lay.permuted(parts, _behind(batch, (0, 2, 4, 1, 3)))
    return (_view_or_copy(gathered and lay.viewed(gathered, shape), shape),)


def _behind(batch: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """Dimensions in this order, counted from behind those of the batch, which stay."""
    return (*range(len(batch)), *(len(batch) + place for place in order))


def _view_or_copy(seen: Layout | None, shape: tuple[int, ...]) -> Made:
    return Made(lay.contiguous(shape)) if seen is None else Made(seen, "view")


def _prelu(m: Any, self: Any, weight: Any) -> Any:
    """The gradient of the weight is multiplied by 0 where the operand passes."""
    slope, passes = slopes(self, weight), m.apply("gt", self, 0.0)
    stopped = m.apply("where", passes, 0.0, self)
    to_self = m.apply("where", passes, self, m.apply("mul", stopped, still(m, slope)))
    to_weight = m.apply("mul", still(m, stopped), slope)
    return m.apply("carry", still(m, to_self), m.apply("add", to_self, to_weight))


def _cumsum(m: Any, self: Any, *, dim: int) -> Any:
    """The derivative takes away what it should not have added, which of infinity is NaN."""
    rows = along(self, dim)
    scanned, moves = _CUMSUM(m, self, dim=dim), []
    whole = m.total(rows, (0,), False)
    for place in range(len(rows)):
        later = m.total(rows[place:], (0,), False)
        moves.append(m.apply("add", m.apply("sub", whole, later), rows[place]))
    if not moves or self.ndim == 0:
        return scanned
    return m.apply("carry", scanned, back(np.stack(moves), self, dim))


def _cumprod(m: Any, self: Any, *, dim: int) -> Any:
    return scans.cumprod(m, self, dim=dim, cumsum=_cumsum)


def _logcumsumexp(m: Any, self: Any, *, dim: int) -> Any:
    """Left open where something is not a number: the register has a script."""
    leave_open(m, m.apply("ne", self, self))
    return _LOGCUMSUMEXP(m, self, dim=dim)


def _logcumsumexp_out(m: Any, out: Any, self: Any, *, dim: int) -> Any:
    return _logcumsumexp(m, self, dim=dim)


def _meaning(name: str) -> Callable[..., Any]:
    (row,) = (row for row in (*scans.ROWS, *special.ROWS) if row.name == name)
    assert callable(row.meaning)
    return row.meaning


_CUMSUM, _LOGCUMSUMEXP = map(_meaning, ("cumsum", "logcumsumexp"))


def _logsigmoid(m: Any, self: Any) -> Any:
    """By the logarithm of a sum, which has lost the digits of a small exponential."""
    most = m.apply("maximum", m.apply("neg", self), 0.0)
    scaled = m.apply("exp", m.apply("sub", m.apply("neg", self), most))
    both = m.apply("add", m.apply("exp", m.apply("neg", most)), scaled)
    values = m.apply("neg", m.apply("add", most, m.apply("log", both)))
    share = m.apply("div", m.apply("sub", both, 1.0), both)
    below = m.apply("lt", self, 0.0)
    slope = m.apply("where", below, m.apply("sub", 1.0, share), share)
    return m.apply("carry", still(m, values), m.apply("mul", still(m, slope), self))


def cut_apart(layouts: Layouts, params: Params) -> bool:
    """A group's channels lie apart if there is more than one in the batch."""
    return params["groups"] > 1 and tensors(layouts)[0].shape[0] > 1


def _points(layouts: Layouts, params: Params) -> str:
    """A kernel of one element is taken for a stride of 1."""
    kernel = tensors(layouts)[1].shape[2:]
    steps = params["stride"] != 1 or params["padding"] != 0
    return "conv_transpose of a kernel of one element" if prod(kernel) == 1 and steps else ""


def _renorm(m: Any, self: Any, *, p: float, dim: int, maxnorm: float) -> Any:
    """Left open where a norm is the largest that is allowed, since either side's derivative is one,
    and where it is NaN, which one side was multiplied by 0 and added to the other.
    """
    axes = tuple(axis for axis in range(self.ndim) if axis != dim % self.ndim)
    norms = size_along(m, self, p, axes)
    smaller, larger = m.apply("lt", norms, maxnorm), m.apply("gt", norms, maxnorm)
    m.apply("sole", m.apply("where", m.apply("logical_or", smaller, larger), 1.0, 2.0))
    return renorm(m, self, p=p, dim=dim, maxnorm=maxnorm)


def _clamp(m: Any, self: Any, *, min: float | None = None, max: float | None = None) -> Any:
    """The gradient is multiplied by 0 outside, so that it is NaN where it is infinite or NaN."""
    low, high = -inf if min is None else min, inf if max is None else max
    inside = m.apply("logical_and", m.apply("ge", self, low), m.apply("le", self, high))
    moves = m.apply("mul", self, m.apply("where", inside, 1.0, 0.0))
    return m.apply("carry", m.apply("clamp", self, low, high), moves)


def _sinc(m: Any, self: Any) -> Any:
    """The derivative at 0 is 0 / 0."""
    result = m.apply("sinc", self)
    moves = m.apply("mul", still(m, m.apply("div", self, self)), self)
    zero = m.apply("eq", self, 0.0)
    return m.apply("where", zero, m.apply("carry", result, moves), result)


def _maximum(m: Any, self: Any, other: Any) -> Any:
    return _by_masks(
        m, "maximum", m.apply("le", self, other), m.apply("gt", self, other), self, other
    )


def _minimum(m: Any, self: Any, other: Any) -> Any:
    return _by_masks(
        m, "minimum", m.apply("ge", self, other), m.apply("lt", self, other), self, other
    )


def _by_masks(m: Any, primitive: str, not_self: Any, not_other: Any, self: Any, other: Any) -> Any:
    """A tie is the second operand's alone, and where one is not a number both have the gradient."""
    to_self = m.apply("where", not_self, still(m, self), self)
    to_other = m.apply("where", not_other, still(m, other), other)
    return m.apply("carry", m.apply(primitive, self, other), m.apply("add", to_self, to_other))


_FIX = "torch.fix calls torch.trunc with out= (UnaryOps.cpp)"

_FLOOR = (
    "(a - fmod(a, b)) / b in div_floor_kernel (BinaryOpsKernel.cpp); floor-by-zero in the register"
)


def _floor(m: Any, self: Any, other: Any) -> Any:
    """Nothing was left of an infinite quotient."""
    value = m.apply("div_floor", self, other)
    if not m.deviates("a quotient by zero"):
        return value
    return m.apply("where", m.apply("eq", other, 0.0), nan, value)


def _floor_out(m: Any, out: Any, self: Any, other: Any) -> Any:
    return _floor(m, self, other)


def _l1_loss(m: Any, self: Any, target: Any, *, reduction: str) -> Any:
    """Its derivative had one of two signs."""
    differences = m.apply("sub", self, target)
    losses = m.apply("abs", differences)
    if m.deviates("equal operands of l1_loss"):
        sign = m.apply("where", m.apply("ge", self, target), 1.0, -1.0)
        losses = m.apply("carry", losses, m.apply("mul", differences, still(m, sign)))
    return reduce(m, losses, reduction)


def _taken_elsewhere(layouts: Layouts, params: Params) -> str:
    out = tensors(layouts)[0]
    return "" if out.is_contiguous else "out= that is not row-major"


def _log_add(name: str, base: str) -> Callable[..., Any]:
    """A row's meaning: the logarithm of a sum that was rounded, though it may be close to one."""
    exact = _meaning(name)

    def meaning(m: Any, self: Any, other: Any) -> Any:
        value = exact(m, self, other)
        if not m.deviates("a small logarithm of a sum"):
            return value
        one, two = still(m, self), still(m, other)
        gap = m.apply("neg", m.apply("abs", m.apply("sub", one, two)))
        beyond = m.apply(f"log{base}", m.apply("add", m.apply(f"exp{base}", gap), 1.0))
        rounded = m.apply("add", m.apply("maximum", one, two), beyond)
        equal = m.apply("eq", one, two)
        return m.apply("carry", m.apply("where", equal, still(m, value), rounded), value)

    return meaning


def _seen_through_views(layouts: Layouts) -> tuple[int, ...]:
    image = tensors(layouts)[0]
    return (1,) if image.ndim == 2 else (0, 1)


FORMER: tuple[Change, ...] = (
    *(
        Change(f"logaddexp{base}", "<2.0", {"meaning": _log_add(f"logaddexp{base}", base)}, _ADDED)
        for base in ("", "2")
    ),
    Change(
        "linear linear_bias",
        "<1.12",
        {"viewed": _seen_through_views},
        "matmul or addmm of weight.t() (functional.py, Linear.cpp)",
    ),
    Change(
        "conv1d conv1d_bias conv_transpose1d",
        "<1.12",
        {"viewed": lambda layouts: (0, 1), "behind_view": lambda layouts, recorded: True},
        "view1d_as_2d and view2d_as_1d (Convolution.cpp)",
    ),
    Change(
        "getitem_second",
        "<1.8",
        {"viewed": lambda layouts: (0,)},
        "x[:, i] views x[:] first (python_variable_indexing.cpp)",
    ),
    Change(
        "addcdiv_out addcmul_out",
        "<1.4",
        {"broadcasts": False},
        "kernels of TH, which copied self into out before they read the others",
    ),
    Change("cross_out", "<2.8", {"reads_apart": False}, "Cross.cpp from 2.8 on looks at overlaps"),
    Change(
        "take_out", ">=1.8,<1.12", {"astray": _taken_elsewhere}, "take-out-lost in the register"
    ),
    Change("kthvalue_out", "<1.8", {"reads_apart": False}, "Sorting.cpp from 1.8 on does so"),
    *(
        Change("trunc", "<1.12", {"begins_at": lambda layouts, params: 1}, _FIX, way=way)
        for way in ("fix", "torch.fix")
    ),
    Change(
        "heaviside",
        "<1.12",
        {"differentiable": False},
        "computed where autograd does not look (BinaryOps.cpp)",
        form="plain",
    ),
    Change(
        "conv_transpose1d conv_transpose2d conv_transpose3d",
        ">=1.8,<1.12",
        {"astray": _points},
        "NaiveConvolutionTranspose2d.cpp, slow_conv_transpose2d_backward: in the register",
    ),
    Change("prelu", "<1.12", {"meaning": _prelu}, "prelu_cpu_kernel (Activation.cpp)"),
    Change(
        "prelu",
        "<2.0",
        {"viewed": lambda layouts: ()},
        "prelu (Activation.cpp) before 2.0 reads its weight as it is",
    ),
    Change(
        "conv1d conv2d conv1d_bias conv2d_bias conv_transpose1d conv_transpose2d conv_transpose3d",
        "<1.12",
        {"copies_first": cut_apart},
        CUT,
    ),
    Change("cumsum", "<1.12", {"meaning": _cumsum}, "cumsum_backward (FunctionsManual.cpp)"),
    Change("logcumsumexp", "<1.12", {"meaning": _logcumsumexp}, _LARGER),
    Change("logcumsumexp_out", "<1.12", {"meaning": _logcumsumexp_out}, _LARGER),
    Change("logsigmoid", "<1.12", {"meaning": _logsigmoid}, "log_sigmoid (Activation.cpp)"),
    Change("renorm", "<1.12", {"meaning": _renorm}, "renorm_backward (FunctionsManual.cpp)"),
    Change("clamp clamp_min clamp_max", "<1.12", {"meaning": _clamp}, _DERIVATIVES),
    Change("sinc", "<1.12", {"meaning": _sinc}, _DERIVATIVES),
    Change("i0", "<1.12", {"saves": (), "undifferentiable": "of each"}, _DERIVATIVES),
    Change("maximum", ">=1.8,<1.12", {"meaning": _maximum}, _DERIVATIVES),
    Change("minimum", ">=1.8,<1.12", {"meaning": _minimum}, _DERIVATIVES),
    Change(
        "contiguous contiguous_channels_last index_add index_copy index_fill index_put "
        "index_put_rows index_put_twice masked_fill masked_scatter scatter scatter_add",
        "<1.12",
        {"begins_at": lambda layouts, params: 1},
        _COPIED,
    ),
    Change(
        "diag_embed",
        "<1.12",
        {"begins_at": lambda layouts, params: 2},
        "zeros written through a view (TensorShape.cpp)",
    ),
    Change("diag_embed", "<1.12", {"saves": saves("private")}, "a copy into a view"),
    Change("cumprod", "<1.12", {"saves": saves("self")}, _DERIVATIVES),
    Change("cumprod", "<1.12", {"meaning": _cumprod}, "sum_scan (FunctionsManual.cpp)"),
    Change("relu", "<1.12", {"saves": saves("self")}, _DERIVATIVES, form="plain"),
    Change("relu", "<1.12", {"saves_in_place": saves("result")}, _DERIVATIVES),
    Change(
        "softplus",
        "<1.12",
        {"saves": saves("self, result"), "meaning": _softplus},
        "softplus_backward (derivatives.yaml) takes self and output",
    ),
    Change(
        "matmul_out",
        "<1.12",
        {"writes_in": lambda layouts, params: 2 if _ranks(layouts) in ([1, 2], [3, 3]) else 1},
        "a product of matrices or of batches, which is then viewed and copied (LinearAlgebra.cpp)",
    ),
    Change("index_fill", "<1.12", {"meaning": _index_fill}, _DERIVATIVES),
    Change(
        "pixel_shuffle",
        "<1.12",
        {"result": _seen_by_pixels},
        "PixelShuffle.cpp: reshape, permute, reshape",
    ),
    Change(
        "pixel_unshuffle",
        "<1.12",
        {"result": _seen_by_larger_pixels},
        "PixelShuffle.cpp: reshape, permute, reshape",
    ),
    Change("relu", "<1.12", {"unchecked_overlap": True}, "threshold_ (Activation.cpp)"),
    Change(
        "logical_and logical_not logical_or logical_xor",
        "<1.12",
        {"begins_at": lambda layouts, params: 1},
        "written by their out= forms (BinaryOps.cpp, UnaryOps.cpp)",
        form="plain",
    ),
    Change("softmax log_softmax", "<1.12", {"saves": saves("self, result")}, _DERIVATIVES),
    Change(
        "cross_entropy",
        "<1.12",
        {"saves": saves("self, target, private")},
        "log_softmax, which saves its operand, and nll_loss",
    ),
    Change("kl_div", "<1.12", {"saves": saves("self, target")}, _DERIVATIVES),
    Change("hardtanh relu6 threshold", "<1.12", {"saves_in_place": saves("result")}, _DERIVATIVES),
    Change("remainder", "<1.12", {"saves": (), "ungraded": "other"}, _DERIVATIVES),
    Change(
        "fmod",
        "<1.12",
        {"saves": saves("other if other"), "undifferentiable": "in other"},
        _DERIVATIVES,
    ),
    Change("div_floor", "<1.12", {"meaning": _floor}, _FLOOR),
    Change("div_floor_out", "<1.12", {"meaning": _floor_out}, _FLOOR),
    Change("l1_loss", ">=1.8,<1.13", {"saves": saves("self, target")}, _DERIVATIVES),
    Change(
        "l1_loss",
        "<1.4",
        {"meaning": _l1_loss},
        "AbsCriterion.c of 1.2; l1-loss-counts-equal-as-greater in the register",
    ),
    # A target that says that it requires grad counts, though no gradient leaves it.
    Change("l1_loss mse_loss", "<1.8", {"viewed": lambda layouts: (1,)}, "functional.py"),
    Change(
        "l1_loss",
        "<1.8",
        {"saves": saves("self if no target, target if no target, private")},
        "abs(input - target) where target requires grad, else its own kernel (functional.py)",
    ),
)
