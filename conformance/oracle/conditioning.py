"""How far results may move: bounds from perturbed runs, and decisions that hang in the balance.

Every program runs three times: plainly, and twice with each rounded result, and each derivative,
multiplied by 1 + s * 4 ulp with fixed pseudo-random signs. What is known to be exact does not
move: copies and comparisons, short dyadic results of arithmetic, transcendental functions of
zero. So exact ties stay ties, and only those that a rounding error could break are reported.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from conformance.oracle.assembly import LANES, Assembly
from conformance.oracle.margins import BY_SIGN, Margins
from conformance.oracle.packing import located
from conformance.oracle.primitives import PRIMITIVES

Floats = NDArray[np.float64]

SLACK_FACTOR = 10.0
"""An entry may move by this many times its largest change; the signs of two runs are few."""


NAN_BY_PLACE = frozenset(
    "elu celu selu elu_by_result celu_by_result selu_by_result hardtanh relu6 hardswish hardshrink "
    "softshrink".split()
)
"""Primitives whose gradient at NaN is documented nowhere; torch gives one number in the vectorised
body of a kernel and another in its tail, so that it depends on the place in the tensor."""


SERIES = "igamma of infinity, NaN or almost 0, or by a series that torch computes to nine digits"
OVERFLOWN = "a variance overflows, and kernels differ in what becomes of its gradient"
UNORDERED = "NaN is put in order, and torch documents nowhere where it comes"
ZEROS = "zeros of both signs are put in order, and torch documents nowhere which comes first"
SUBNORMAL = "nextafter of zero is a number that this oracle may take for zero"
TIED = "equal elements or NaN, and torch documents nowhere which of them gets the gradient"
_SIGN_OF_NAN = "copysign takes the sign of NaN, which is documented nowhere"
_NAN_REACHES = "NaN reaches {}, whose gradient there is documented nowhere"
LEFT_OPEN = frozenset(
    {
        *(SERIES, OVERFLOWN, UNORDERED, ZEROS, SUBNORMAL, TIED, _SIGN_OF_NAN),
        *map(_NAN_REACHES.format, NAN_BY_PLACE),
    }
)
"""What nothing documents, or this oracle does not know, however well-conditioned the program is."""


_DECIDES = frozenset(
    code
    for code, primitive in enumerate(PRIMITIVES)
    if primitive.margins is not None
    or primitive.name in ("bounded", "ordered", "comparable", "igamma", "igammac")
)
"""The codes of primitives of which something is asked here."""


def slack(runs: Floats) -> tuple[Floats, bool]:
    """The bound for each entry of `runs` [..., 3], and whether finiteness agrees in all runs."""
    change = np.abs(runs[..., 1:] - runs[..., :1])
    bound: Floats = SLACK_FACTOR * change.max(-1)
    finite = np.isfinite(bound)
    if finite.all():
        return bound, True
    odd = runs[~finite]
    same = (odd == odd[:, :1]) | (np.isnan(odd) & np.isnan(odd[:, :1]))
    bound[~finite] = 0.0
    return bound, bool(same.all())


def undecided(assembly: Assembly, slots: Floats, inputs: int) -> str | None:
    """The first decision that lies within its operands' bound, in words; None if there is none.

    `slots` is [slots, 3]; results begin after `inputs` input slots.
    """
    for block in assembly.blocks:
        if block.code not in _DECIDES:
            continue
        margins, name = PRIMITIVES[block.code].margins, PRIMITIVES[block.code].name
        operands = [slots[located(np.asarray(read), inputs)] for read in block.reads]
        if name == "bounded" and np.isinf(operands[0]).any():
            return OVERFLOWN
        if name == "comparable" and np.isnan(operands[0]).any():
            return UNORDERED
        if name in ("ordered", "comparable") and _has_both_zeros(operands[0]):
            return ZEROS
        if name in ("igamma", "igammac") and _by_series(*operands[:2]):
            return SERIES
        if margins is not None:
            if name == "sole" and not block.stop and (operands[0] != 1.0).any():
                return TIED
            if name in NAN_BY_PLACE and np.isnan(operands[0]).any():
                return _NAN_REACHES.format(name)
            if name == "copysign" and np.isnan(operands[1]).any():
                return _SIGN_OF_NAN
            if name == "nextafter" and (operands[0] == 0.0).any():
                return SUBNORMAL
            lane = _undecided_lane(margins, operands)
            if lane is not None:
                row = block.start + lane // LANES
                return f"{PRIMITIVES[block.code].name} (instruction {row}) decides within its error"
    return None


def bends(assembly: Assembly, slots: Floats, inputs: int) -> bool:
    """Whether a primitive decides exactly at the point where its derivative may jump."""
    for block in assembly.blocks:
        margins = PRIMITIVES[block.code].margins
        if margins is None or block.stop:
            continue
        operands = [slots[located(np.asarray(read), inputs)] for read in block.reads]
        for margin in margins(*operands, *operands[:1] * (3 - len(operands))):
            if (margin[..., 0] == 0.0).any():
                return True
    return False


def _has_both_zeros(numbers: Floats) -> bool:
    signs = np.signbit(numbers[numbers == 0.0])
    return bool(signs.any() and not signs.all())


def _by_series(shape: Floats, bound: Floats) -> bool:
    """Whether torch takes the uniform asymptotic expansion, or the first argument is not finite, or
    so small that this oracle's own series cancels.

    Source: calc_igamma (ATen/native/Math.h); the register has a script of its error.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(bound - shape) / shape
        tiny = (shape > 0.0) & (shape < 1e-6)
        near = np.where(shape > 200.0, 4.5 / np.sqrt(np.abs(shape)), 0.3)
        near = np.where(shape > 1e6, 0.6, near)
        return bool((tiny | ~np.isfinite(shape) | ((shape > 20.0) & (apart < 1.01 * near))).any())


def _undecided_lane(margins: Margins, operands: list[Floats]) -> int | None:
    """The first lane whose margin is not larger than its bound, unless it never moves."""
    by_sign = margins in BY_SIGN
    if not by_sign and all((operand[..., 1:] == operand[..., :1]).all() for operand in operands):
        return None
    for margin in margins(*operands, *operands[:1] * (3 - len(operands))):
        with np.errstate(invalid="ignore"):
            change = np.abs(margin[..., 1:] - margin[..., :1]).max(-1)
        close = (change > 0.0) & (np.abs(margin[..., 0]) <= SLACK_FACTOR * change)
        if close.any():
            return int(np.argmax(close))
    return None
