"""Forms of operations that came after torch 1.2, by the first version that was tried and has them.

A version that lacks a form refuses it by its signature or its shape checks, unless another reason
is given. What is left out of a run because of an entry here is named in its report.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from strategies.table.change import Arrival

if TYPE_CHECKING:
    from strategies.draft import Shaped


def _always(step: Shaped) -> bool:
    return True


def _without_batch(step: Shaped) -> bool:
    """Whether the first operand has one dimension less than it has with a batch."""
    name = step.row.name.removesuffix("_bias")
    dims = next((int(digit) for digit in name if digit.isdigit() and name != "im2col"), 2)
    return _ndim(step) < dims + 2


def _divides_truth(step: Shaped) -> bool:
    target, divisor = step.operands
    number = isinstance(divisor, float) or not divisor.layout.ndim
    return step.in_place and not isinstance(target, float) and target.dtype == "bool" and number


def _ndim(step: Shaped) -> int:
    return len(_shapes(step)[0])


def _shapes(step: Shaped) -> list[tuple[int, ...]]:
    """The shapes of the operands that are tensors."""
    return [o.layout.shape for o in step.operands if not isinstance(o, float)]


def _empty(step: Shaped) -> bool:
    """Whether an operand, or what is written or made, has no elements."""
    made = [one.layout.shape for one in step.made]
    return any(math.prod(shape) == 0 for shape in (*_shapes(step), *made))


def _smaller_index(step: Shaped) -> bool:
    """Whether the index is smaller than the tensor in another dimension than `dim`."""
    writes_out = step.row.writes_out
    whole, index = _shapes(step)[int(writes_out) :][:2]
    along = step.params["dim"] % max(len(whole), 1)
    pairs = enumerate(zip(whole, index, strict=False))
    return any(one != two for axis, (one, two) in pairs if axis != along)


def _of_many_dimensions(step: Shaped) -> bool:
    named = step.params["p"] != 2.0 or step.params["dim"] is not None
    return not named and len(_shapes(step)[1]) > 2


def _of_other_sizes(step: Shaped) -> bool:
    ways = step.row.in_place if step.in_place else step.row.plain
    return "foreach" in (step.step.via or next(iter(ways))) and len(set(_shapes(step))) > 1


def _empty_inside(step: Shaped) -> bool:
    """Whether batches meet a matrix or a vector, and there is nothing to sum."""
    one, two = _shapes(step)[int(step.row.writes_out) :][:2]
    ranks = sorted((len(one), len(two)))
    return ranks[0] < 3 <= ranks[1] and one[-1:] == (0,)


def _ends(step: Shaped) -> list[tuple[int, ...]]:
    given = step.operands[int(step.row.writes_out) :][:2]
    return [() if isinstance(one, float) else one.layout.shape for one in given]


def _weight(step: Shaped) -> tuple[int, ...]:
    weight = step.operands[-1]
    return () if isinstance(weight, float) else weight.layout.shape


LATER: tuple[Arrival, ...] = (
    Arrival(
        "linear linear_bias matmul matmul_out",
        "1.12",
        "products of matrices with more dimensions and no inner elements",
        _empty_inside,
    ),
    Arrival(
        "conv1d conv2d conv3d conv1d_bias conv2d_bias conv3d_bias conv_transpose1d "
        "conv_transpose2d conv_transpose3d",
        "1.12",
        "convolution without a batch",
        _without_batch,
    ),
    Arrival(
        "avg_pool1d max_pool1d adaptive_avg_pool1d",
        "1.12",
        "1-d pooling without a batch",
        _without_batch,
    ),
    Arrival(
        "norm_out",
        "2.0",
        "torch.norm of more than two dimensions with out= and without p",
        _of_many_dimensions,
    ),
    Arrival("", "1.12", "torch._foreach functions of tensors of several sizes", _of_other_sizes),
    Arrival(
        "lerp lerp_out",
        "1.12",
        "lerp by a weight of more dimensions than the ends",
        lambda step: len(_weight(step)) > max(map(len, _ends(step))),
    ),
    Arrival(
        "nansum_out",
        "1.12",
        "torch.nansum with out= and without dim",
        lambda step: step.params.get("dim") is None,
    ),
    Arrival(
        "copysign_out",
        "1.12",
        "torch.copysign of a number with out=",
        lambda step: isinstance(step.operands[-1], float),
    ),
    Arrival("square_out", "1.12", "torch.square with out=", _always),
    Arrival(
        "index_copy",
        "1.12",
        "the derivative of index_copy of a tensor without dimensions, which fills by an index",
        lambda step: not _ndim(step),
    ),
    Arrival(
        "index_fill",
        "1.12",
        "index_fill of a tensor without dimensions: the register has a script",
        lambda step: not _ndim(step),
    ),
    Arrival(
        "lerp lerp_out",
        "1.12",
        "lerp by a weight of more dimensions than the other operands",
        lambda step: len(_shapes(step)[-1]) > max(map(len, _shapes(step)[-3:-1]), default=0),
    ),
    Arrival(
        "div",
        "1.4",
        "div_ of integers by a number: it ends the process where that is cast to 0",
        lambda step: (
            step.in_place
            and not isinstance(first := step.operands[0], float)
            and first.dtype == "int64"
        ),
    ),
    Arrival(
        "masked_scatter",
        "1.8",
        "a derivative of masked_scatter of a 0-d tensor",
        lambda step: not _ndim(step),
    ),
    Arrival("im2col", "1.13", "F.unfold without a batch", _without_batch),
    Arrival(
        "pixel_shuffle",
        "1.8",
        "F.pixel_shuffle of other than four dimensions",
        lambda step: _ndim(step) != 4,
    ),
    Arrival(
        "nll_loss cross_entropy",
        "1.12",
        "a loss of classes without a batch",
        lambda step: _ndim(step) < 2,
    ),
    Arrival(
        "index_add index_add_out",
        "1.12",
        "index_add with alpha",
        lambda s: "alpha" in s.step.params,
    ),
    Arrival(
        "index_add_out index_copy_out scatter_out scatter_add_out softmax_out log_softmax_out "
        "where_out",
        "1.12",
        "out= of index_add, scatter, softmax and where",
        _always,
    ),
    Arrival(
        "mean_out max_out min_out",
        "1.12",
        "out= of a mean, max or min of everything",
        lambda step: step.params.get("dim") is None,
    ),
    Arrival(
        "einsum_view",
        "1.13",
        "a view by torch.einsum of a tensor without elements",
        _empty,
    ),
    Arrival(
        "clone_channels_last contiguous_channels_last",
        "1.4",
        "memory_format of clone and contiguous",
        _always,
    ),
    Arrival("normal", "1.12", "normal_ with a standard deviation of 0", _always),
    Arrival(
        "geometric",
        "1.8",
        "geometric_ by the probability of success: P(X = k) was p^(k - 1) (1 - p)",
        _always,
    ),
    Arrival(
        "polygamma polygamma_out",
        "1.8",
        "polygamma(n >= 2), which polygamma(1) needs in backward",
        lambda step: step.params["n"] >= 1,
    ),
    Arrival(
        "index_select index_select_out",
        "1.8",
        "index_select of a tensor without dimensions: the register has a script",
        lambda s: not _shapes(s)[int(s.row.writes_out)],
    ),
    Arrival(
        "mvlgamma mvlgamma_out",
        "1.13",
        "mvlgamma of numbers outside of its domain, which it looked for",
        _always,
    ),
    Arrival(
        "remainder floor_divide",
        "1.8",
        "x %= y and x //= y in place",
        lambda step: step.in_place and step.step.via == "operator",
    ),
    Arrival("pow", "1.12", "x **= y", lambda step: step.in_place and step.step.via == "operator"),
    Arrival(
        "gather gather_out scatter scatter_add",
        "1.8",
        "gather and scatter by an index smaller than the tensor",
        _smaller_index,
    ),
    Arrival("div", "1.4", "division of truth values by a number", _divides_truth),
    Arrival(
        "flatten unfold", "1.4", "flatten and unfold of a 0-d tensor", lambda step: not _ndim(step)
    ),
    Arrival(
        "addbmm addbmm_out addmm addmm_out addmv addmv_out addr addr_out baddbmm baddbmm_out "
        "cumprod cumprod_out cumsum cumsum_out einsum linear linear_bias matmul matmul_out mm "
        "mm_out mv mv_out bmm bmm_out pad "
        "scatter scatter_add gather trace",
        "1.8",
        "products, scans, gathers and padding of tensors without elements",
        _empty,
    ),
)
