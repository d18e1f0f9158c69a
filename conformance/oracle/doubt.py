"""Where NaN or infinity in a gradient decides nothing, because torch computes another way there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from conformance.model.prediction import Prediction
from conformance.model.quirks import MEMORYLESS
from strategies.draft import Draft, Shaped

LOSES_NAN = MEMORYLESS | frozenset(
    "batch_norm cumprod group_norm instance_norm interpolate_bilinear interpolate_linear kl_div "
    "layer_norm layer_norm_affine logcumsumexp prod renorm xlogy".split()
)
"""Operations whose derivative in torch may give a number where NaN comes or 0 meets infinity;
the register has scripts of two."""

_ROOT = 1e150
"""The product of two numbers as large as this may be infinite, and of three finite again; of two
as small as its reciprocal it may be zero.
"""


def holds_nothing(draft: Draft, prediction: Prediction) -> bool:
    """Whether a tensor is empty, or what an index names."""
    written = (step.target for step in draft.shaped if isinstance(step, Shaped))
    layouts = (*prediction.layouts.values(), *filter(None, written))
    return any(not layout.numel for layout in layouts)


def shares_gradients(draft: Draft, prediction: Prediction) -> bool:
    """Whether several leaves may have got one `.grad` that later calls add to: the register has a
    script of it.
    """
    ran = list(zip(draft.shaped, prediction.acted, strict=False))
    stacks = any(
        isinstance(step, Shaped) and acted.recorded and step.row.name == "stack"
        for step, acted in ran
    )
    return stacks and sum(acted.flow is not None for _, acted in ran) > 1


def loses_nan(draft: Draft, prediction: Prediction, gradients: NDArray[np.float64]) -> str:
    """The first operation of a program with NaN among its gradients that does not hand NaN on."""
    if not np.isnan(gradients).any():
        return ""
    ran = zip(draft.shaped, prediction.acted, strict=False)
    recorded = (step for step, acted in ran if isinstance(step, Shaped) and acted.recorded)
    return next((step.step.op for step in recorded if step.row.name in LOSES_NAN), "")


def overflow_by_order(*numbers: NDArray[np.float64]) -> bool:
    """Whether any are so large, or so small, that a formula overflows, or comes to zero, in one
    order of its factors alone.
    """
    sizes = (np.abs(each[np.isfinite(each) & (each != 0.0)]) for each in numbers)
    return any(((size > _ROOT) | (size < 1.0 / _ROOT)).any() for size in sizes)
