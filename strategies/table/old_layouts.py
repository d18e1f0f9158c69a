"""Where results lay before torch 1.12: what keeps the order of its operand now did not always."""

from __future__ import annotations

from collections.abc import Callable

from strategies.layout import (
    broadcast_shapes,
    contiguous,
    dense_in_order,
    dimensions_by,
    transposed,
)
from strategies.table import TABLE
from strategies.table.change import Change
from strategies.table.results import cloned, tensors
from strategies.table.row import Layouts, Made, Params


def _row_major(name: str) -> Callable[[Layouts, Params], tuple[Made, ...]]:
    """The results of a row, row-major whatever the operands are."""
    result = TABLE[name].result

    def made(layouts: Layouts, params: Params) -> tuple[Made, ...]:
        return tuple(Made(contiguous(one.layout.shape)) for one in result(layouts, params))

    return made


def _power(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """A power by a tensor is row-major, one by a number lies as its operand does."""
    row_major = _row_major("pow")
    return (TABLE["pow"].result if layouts[1] is None else row_major)(layouts, params)


def _rotated(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """Flipped, and transposed by an odd number of turns."""
    (layout,) = tensors(layouts)
    if params["k"] % 4 == 0:
        return cloned(layouts, params)
    made = contiguous(layout.shape)
    return (Made(transposed(made, 0, 1) if params["k"] % 2 else made),)


def _where_all_agree(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """Dimensions changed places only if no operand had them in order."""
    operands = tensors(layouts)
    shape = broadcast_shapes(*(operand.shape for operand in operands))
    strides = [
        (0,) * (len(shape) - operand.ndim)
        + tuple(0 if n == 1 else by for n, by in zip(operand.shape, operand.strides, strict=True))
        for operand in operands
    ]

    def compare(first: int, second: int) -> int:
        pairs = [(each[first], each[second]) for each in strides if each[first] and each[second]]
        if any(one < two for one, two in pairs):
            return -1
        return int(any(one > two for one, two in pairs))

    return (Made(dense_in_order(shape, dimensions_by(len(shape), compare))),)


_KERNELS = "results begin as at::empty of their sizes, without strides (observed by offsets)"
_UNTIL = {
    "<1.4": "bce_with_logits index_fill index_put l1_loss mse_loss pow softsign tanhshrink",
    "<1.8": (
        "abs acos addcdiv addcmul asin atan atan2 ceil celu clamp clamp_max clamp_min clone cos "
        "cosh digamma elu erf erfc erfinv exp expm1 floor fmod frac hardtanh leaky_relu lerp "
        "lgamma log log10 log1p log2 neg polygamma reciprocal relu6 remainder round rsqrt "
        "selu sigmoid sign sin sinh softplus softshrink sqrt tan tanh trunc"
    ),
    "<1.12": "flip hardshrink kl_div",
}

OLD_LAYOUTS: tuple[Change, ...] = (
    Change(
        "add sub mul div",
        "<1.4",
        {"result": _where_all_agree},
        "reorder_dimensions (TensorIterator.cpp) asked all operands (observed on random layouts)",
        form="plain",
    ),
    *(
        Change(name, torch, {"result": _row_major(name)}, _KERNELS, form="plain")
        for torch, names in _UNTIL.items()
        for name in names.split()
    ),
    Change("pow", ">=1.4,<1.8", {"result": _power}, "pow (Pow.cpp) of 1.4", form="plain"),
    Change("rot90", "<1.12", {"result": _rotated}, "flip, which is row-major, and transpose_"),
    Change(
        "index_add index_copy scatter scatter_add",
        ">=1.4,<1.12",
        {"result": cloned},
        "clone() of self, written in place (TensorAdvancedIndexing.cpp)",
        form="plain",
    ),
)
