"""Every tolerance of the suite, each with its reason."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ORACLE_RTOL = 1e-9
"""float64 against the oracle: torch and XLA round transcendental functions differently, by a few
ulp a step; twenty steps stay far below this, and a wrong formula far above."""

GOLDEN_ATOL = 1e-4
"""The articles print four decimals."""

GOLDEN_SUM_ATOL = 1e-6
"""A printed float32 sum: the order of its additions depends on the CPU."""

RESULT_SAVING_RTOL = 1e-12
"""ELU, CELU and SELU in place compute their gradient from the result instead of the input: the
same number by another formula, in float64."""

FEW_ULPS = 8
"""Complex products, and matrix products into targets that are not contiguous: in place and plain
take different kernels, which add the same few products in another order."""

COMPLEX_RTOL = 1e-11
"""Chains of at most four complex operations in complex128, of the largest entry: the parts of a
product cancel, and torch and XLA add them in different orders."""

NETWORK_ATOL = 1e-9
"""float64 networks of convolutions and batch norms against the oracle: their sums run over some
hundred products of order one, batch norm divides by small deviations, and the true gradient of a
bias before a batch norm is zero."""

EPS = {"float64": 2.0**-52, "float32": 2.0**-23}
"""The spacing of floating-point numbers at 1, by dtype."""


SUBNORMAL = 1e-300
"""XLA flushes subnormal numbers to zero on the CPU, and products of them are lost."""


def close(
    seen: NDArray[np.float64],
    expected: NDArray[np.float64],
    slack: NDArray[np.float64] | float,
    *,
    dtype: str = "float64",
) -> NDArray[np.bool_]:
    """Which entries agree: equal, both NaN, or within rtol and the program's own error bound.

    Both scale with the dtype's epsilon where a device has no float64.
    """
    scale = EPS[dtype] / EPS["float64"]
    with np.errstate(invalid="ignore", over="ignore"):
        room = scale * (ORACLE_RTOL * 1e-4 if scale > 1 else ORACLE_RTOL) * np.abs(expected)
        near = np.abs(seen - expected) <= room + scale * np.asarray(slack) + SUBNORMAL
    same = (seen == expected) | (np.isnan(seen) & np.isnan(expected))
    return np.asarray(same | (near & np.isfinite(expected)))


def few_ulps(expected: NDArray[Any]) -> NDArray[np.float64]:
    """The room that FEW_ULPS leaves at each entry, in the array's own precision."""
    eps = float(np.finfo(expected.dtype).eps)
    return np.asarray(FEW_ULPS * eps * np.abs(expected), np.float64)


SAME_BEHAVIOUR_RTOL = 1e-6
"""Relative and absolute; by what numbers of two versions of torch may differ and still be the same
behaviour to `bisect`. Kernels sum in other orders; what a reader asks after is another convention.
"""
