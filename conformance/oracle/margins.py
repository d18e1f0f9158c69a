"""Distances of operands to the points at which a primitive decides; zero means a tie.

Every function takes the three operand arrays (float64, unused ones arbitrary) and returns arrays
of the same shape, one for each kind of decision.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Margins = Callable[[Array, Array, Array], tuple[Array, ...]]


def zero(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return (a,)


def part_of_a_period(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    """One radian off, and a periodic function may be anything."""
    return (1.0 + (a - a[..., :1]),)


def one(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return (a - 1.0,)


def both_zero(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return a, b


def _signed(a: Array) -> Array:
    """The same number, but for zeros: those have a side as well."""
    return np.where(a == 0.0, np.copysign(np.finfo(np.float64).tiny, a), a)


def branch_cut(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    # The sign of a zero picks the side of the cut along the negative axis.
    return (np.where(b > 0.0, np.inf, _signed(a)),)


def sign_of_second(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return (_signed(b),)


BY_SIGN = (branch_cut, sign_of_second)
"""Those that look at the sign of a zero."""


def difference(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return (a - b,)


def bounds(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return a - b, a - c


def symmetric(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return a - b, a + b


def zero_and_six(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return a, a - 6.0


def plus_minus_three(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return a - 3.0, a + 3.0


def integers(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return (a - np.rint(a),)


def halves(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return (a - (np.floor(a) + 0.5),)


def nonzero_integers(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    # Truncation does nothing special at zero: both sides of it go to zero.
    nearest = np.where(np.abs(a) < 1.0, np.copysign(1.0, a), np.rint(a))
    return (a - nearest,)


def quotient(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    quotients = a / b
    return quotients - np.rint(quotients), b


def divisor(a: Array, b: Array, c: Array) -> tuple[Array, ...]:
    """Whether it is zero, which a quotient of two that cancel does not show."""
    return (b,)
