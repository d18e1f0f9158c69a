"""Where results lay before torch 1.12: what keeps the order of its operand now did not always."""

from __future__ import annotations

from collections.abc import Callable

from strategies.layout import (
    Layout,
    as_suggested,
    broadcast_shapes,
    channels_last,
    contiguous,
    dense_in_order,
    dimensions_by,
    expanded,
    ordered,
    preserved,
    transposed,
)
from strategies.table import TABLE
from strategies.table.change import Change
from strategies.table.rearranged import left_by
from strategies.table.results import tensors
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
        return _cloned(layouts, params)
    made = contiguous(layout.shape)
    return (Made(transposed(made, 0, 1) if params["k"] % 2 else made),)


def _copied(layout: Layout) -> Layout:
    """What clone() gave of it: only dense strides were kept."""
    return preserved(layout) if layout.is_dense else as_suggested(layout.shape, layout)


def _cloned(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    return (Made(_copied(tensors(layouts)[0])),)


def _logits(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """As a copy of the target, unless all losses are added up."""
    (made,) = TABLE["bce_with_logits"].result(layouts, params)
    return (Made(_copied(tensors(layouts)[1])) if params["reduction"] == "none" else made,)


def _padded(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """Where nothing is added, a copy of what is left, which is row-major before 1.8."""
    (layout,) = tensors(layouts)
    if max(params["pad"]) > 0:
        return TABLE["pad"].result(layouts, params)
    return (Made(_copied(left_by(layout, params["pad"]))),)


def _normalized(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """A quotient by row-major norms that are expanded."""
    (layout,) = tensors(layouts)
    if layout.ndim == 0:
        return (Made(contiguous(())),)
    dim = params["dim"] % layout.ndim
    shape = tuple(1 if axis == dim else size for axis, size in enumerate(layout.shape))
    return _where_all_agree((layout, expanded(contiguous(shape), layout.shape)), {})


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


def _without_sizes_of_one(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """Elementwise, where a dimension of size 1 has no place among the others by its stride."""
    operands = tensors(layouts)
    shape = broadcast_shapes(*(operand.shape for operand in operands))
    flat = (
        Layout(o.shape, tuple(0 if n == 1 else s for n, s in zip(o.shape, o.strides, strict=True)))
        for o in operands
    )
    return (Made(ordered(shape, *flat)),)


def _suggested_channels_last(layout: Layout) -> bool:
    """Whether strides were taken for those of channels that are next to each other: sizes of 1 did
    not count, nor did how far apart others are (suggest_memory_format, observed on permutations).
    """
    strides = [layout.strides[axis] for axis in (1, 3, 2, 0) if layout.shape[axis] != 1]
    return not layout.is_contiguous and strides == sorted(strides)


def _asked_for_channels(
    result: Callable[[Layouts, Params], tuple[Made, ...]],
) -> Callable[[Layouts, Params], tuple[Made, ...]]:
    """With channels next to each other if any operand of four dimensions has them so."""

    def made(layouts: Layouts, params: Params) -> tuple[Made, ...]:
        (one,) = result(layouts, params)
        wide = [each for each in tensors(layouts) if each.ndim == 4]
        asks = one.layout.ndim == 4 and any(map(_suggested_channels_last, wide))
        return (Made(channels_last(one.layout.shape)),) if asks else (one,)

    return made


_KERNELS = "results begin as at::empty of their sizes, without strides (observed by offsets)"
_UNTIL = {
    "<1.4": (
        "bce_with_logits index_fill index_put index_put_rows index_put_twice l1_loss mse_loss pow "
        "softsign tanhshrink"
    ),
    "<1.8": (
        "abs acos adaptive_avg_pool1d addcdiv addcmul addr asin atan atan2 ceil celu clamp "
        "clamp_max clamp_min clone cos cosh digamma elu erf erfc erfinv exp expm1 floor fmod frac "
        "hardtanh leaky_relu lerp lgamma log log10 log1p log2 neg polygamma reciprocal relu6 "
        "remainder round rsqrt selu sigmoid sign sin sinh softplus softshrink sqrt tan tanh trunc"
    ),
    "<1.12": (
        "conv1d conv1d_bias conv2d conv2d_bias conv3d conv3d_bias flip glu hardshrink kl_div where"
    ),
    "<2.0": "conv_transpose1d conv_transpose2d conv_transpose3d prelu",
    "<2.4": "max_pool3d",
}
_ROW_MAJOR_OR_CHANNELS = (
    "abs acos addcdiv addcmul asin atan atan2 ceil clamp clamp_max clamp_min cos cosh digamma erf "
    "erfc erfinv exp expm1 floor frac lerp lgamma log log10 log1p log2 neg polygamma reciprocal "
    "round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"
)

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
    *(
        Change(
            name,
            ">=1.4,<1.8",
            {"result": _asked_for_channels(result)},
            "propagate_memory_format (TensorIterator.cpp) of 1.4",
            form="plain",
        )
        for names, result_of in (
            (_ROW_MAJOR_OR_CHANNELS, _row_major),
            ("add div mul sub", lambda name: _without_sizes_of_one),
            ("l1_loss mse_loss", lambda name: TABLE[name].result),
            ("pow", lambda name: _power),
        )
        for name in names.split()
        for result in (result_of(name),)
    ),
    Change("rot90", "<1.12", {"result": _rotated}, "flip, which is row-major, and transpose_"),
    Change(
        "index_add index_copy index_fill index_put index_put_rows index_put_twice scatter "
        "scatter_add",
        ">=1.4,<1.12",
        {"result": _cloned},
        "clone() of self, written in place (TensorAdvancedIndexing.cpp)",
        form="plain",
    ),
    Change("bce_with_logits", ">=1.4,<1.8", {"result": _logits}, "Loss.cpp (observed)"),
    Change("clone", ">=1.8,<1.12", {"result": _cloned}, "clone (TensorFactories.cpp)"),
    Change("pad", ">=1.8,<1.12", {"result": _padded}, "constant_pad_nd (ConstantPadNd.cpp)"),
    Change("normalize", "<1.4", {"result": _normalized}, "a quotient (functional.py)"),
)
