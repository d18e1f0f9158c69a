"""The register machine's primitives without jax: operands, rounding, decisions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from conformance.oracle import margins
from conformance.oracle.margins import Margins


class Rounding(Enum):
    """Which results of a primitive carry a rounding error, and so are moved in perturbed runs."""

    NEVER = 0
    UNLESS_DYADIC = 1
    UNLESS_FIRST_IS_ZERO = 2
    UNLESS_ALL_DYADIC = 3
    """Of sums and products, which may be short because of what was rounded off."""
    UNLESS_ALL_DYADIC_OR_WHOLE = 4
    """Of such sums clamped between whole numbers, which are exact."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """One elementwise primitive.

    `defaults` are the values of trailing operands that a caller may leave out. `selects` says
    that a derivative of zero drops the incoming gradient (torch masks there) instead of
    multiplying it, which differs where that gradient is infinite or NaN. `severed` are the
    operands that torch records no history of. `margins` gives the distances to the points where
    the primitive decides; None if it never does. `filler` is a point at which the primitive is
    smooth, read by unused lanes.
    """

    name: str
    arity: int
    defaults: tuple[float, ...] = ()
    rounding: Rounding = Rounding.UNLESS_DYADIC
    selects: bool = False
    severed: tuple[int, ...] = ()
    margins: Margins | None = None
    filler: tuple[float, float, float] = (0.5, 1.5, 1.5)


def _copying() -> list[Primitive]:
    never = Rounding.NEVER
    return [
        Primitive("copy", 1, rounding=never),
        Primitive("summed", 1, rounding=never),
        Primitive("neg", 1, rounding=never),
        Primitive("carry", 2, rounding=never, selects=True, severed=(0,)),
        # What is overwritten gets a gradient of zeros, which meets infinities further back.
        Primitive("overwrite", 2, rounding=never, selects=True),
        Primitive("where", 3, rounding=never, selects=True, severed=(0,)),
        Primitive("abs", 1, rounding=never, margins=margins.zero),
        Primitive("sign", 1, rounding=never, selects=True, margins=margins.zero),
        Primitive("heaviside", 2, rounding=never, selects=True, margins=margins.zero),
        Primitive("floor", 1, rounding=never, selects=True, margins=margins.integers),
        Primitive("ceil", 1, rounding=never, selects=True, margins=margins.integers),
        Primitive("round", 1, rounding=never, selects=True, margins=margins.halves),
        Primitive("trunc", 1, rounding=never, selects=True, margins=margins.nonzero_integers),
        *(
            Primitive(
                name, 2, rounding=never, selects=True, severed=(0, 1), margins=margins.both_zero
            )
            for name in ("logical_and", "logical_or", "logical_xor")
        ),
        Primitive(
            "logical_not", 1, rounding=never, selects=True, severed=(0,), margins=margins.zero
        ),
        *(
            Primitive(
                name, 2, rounding=never, selects=True, severed=(0, 1), margins=margins.difference
            )
            for name in ("gt", "ge", "lt", "le", "eq", "ne")
        ),
        *(
            Primitive(name, 2, rounding=never, selects=True, margins=margins.difference)
            for name in ("maximum", "minimum", "larger", "fmax", "fmin")
        ),
        Primitive("copysign", 2, rounding=never, margins=margins.sign_of_second),
        Primitive("finite_or", 2, rounding=never),
        Primitive("nextafter", 2, rounding=never, selects=True, margins=margins.difference),
        *(
            Primitive(name, 2, rounding=never, selects=True, margins=margins.quotient)
            for name in ("div_floor", "div_trunc")
        ),
        Primitive("clamp", 3, rounding=never, selects=True, margins=margins.bounds),
        Primitive("clamp_split", 3, rounding=never, selects=True, margins=margins.bounds),
        Primitive("clamp_min", 2, rounding=never, selects=True, margins=margins.difference),
        Primitive("clamp_max", 2, rounding=never, selects=True, margins=margins.difference),
        Primitive("relu", 1, rounding=never, selects=True, margins=margins.zero),
        Primitive("guided_relu", 1, rounding=never, selects=True, margins=margins.zero),
        Primitive("relu6", 1, rounding=never, selects=True, margins=margins.zero_and_six),
        Primitive("hardtanh", 3, (-1.0, 1.0), rounding=never, selects=True, margins=margins.bounds),
        Primitive("threshold", 3, rounding=never, selects=True, margins=margins.difference),
        Primitive("hardshrink", 2, (0.5,), rounding=never, selects=True, margins=margins.symmetric),
    ]


def _arithmetic() -> list[Primitive]:
    """Primitives whose short dyadic results are exact: correctly rounded, or sums of such."""
    return [
        Primitive("add", 2, rounding=Rounding.UNLESS_ALL_DYADIC),
        Primitive("add3", 3, rounding=Rounding.UNLESS_ALL_DYADIC),
        Primitive("sub", 2, rounding=Rounding.UNLESS_ALL_DYADIC),
        Primitive("mul", 2, rounding=Rounding.UNLESS_ALL_DYADIC),
        Primitive("div", 2, margins=margins.divisor),
        Primitive("square", 1, rounding=Rounding.UNLESS_ALL_DYADIC),
        Primitive("sqrt", 1),
        Primitive("reciprocal", 1),
        Primitive("pow", 2, rounding=Rounding.UNLESS_ALL_DYADIC),
        Primitive("lerp", 3, rounding=Rounding.UNLESS_ALL_DYADIC),
        Primitive("lerp_signed", 3, rounding=Rounding.UNLESS_ALL_DYADIC),
        Primitive("frac", 1, margins=margins.nonzero_integers),
        Primitive("fmod", 2, margins=margins.quotient),
        Primitive("remainder", 2, margins=margins.quotient),
        Primitive("leaky_relu", 2, (0.01,), margins=margins.zero),
        *(
            Primitive(
                name,
                1,
                rounding=Rounding.UNLESS_ALL_DYADIC_OR_WHOLE,
                selects=True,
                margins=margins.plus_minus_three,
            )
            for name in ("hardsigmoid", "hardsigmoid_float_constant")
        ),
        Primitive(
            "hardswish", 1, rounding=Rounding.UNLESS_ALL_DYADIC, margins=margins.plus_minus_three
        ),
        Primitive(
            "softshrink",
            2,
            (0.5,),
            rounding=Rounding.UNLESS_ALL_DYADIC,
            selects=True,
            margins=margins.symmetric,
        ),
    ]


_TRANSCENDENTAL = """
    rsqrt exp exp2 expm1 log log2 log10 log1p sinh cosh tanh asin acos atan asinh atanh
    erf erfc sigmoid silu mish logsigmoid gelu gelu_tanh
"""


def _transcendental() -> list[Primitive]:
    rounding = Rounding.UNLESS_FIRST_IS_ZERO
    return [
        *(Primitive(name, 1, rounding=rounding) for name in _TRANSCENDENTAL.split()),
        *(
            Primitive(name, 1, rounding=rounding, margins=margins.part_of_a_period)
            for name in ("sin", "cos", "tan")
        ),
        Primitive("acosh", 1, rounding=rounding, filler=(1.5, 1.5, 1.5)),
        Primitive("softplus", 3, (1.0, 20.0), rounding=rounding, filler=(0.5, 1.5, 20.0)),
        Primitive("atan2", 2, rounding=rounding, margins=margins.branch_cut),
        Primitive("hypot", 2, rounding=rounding),
        Primitive("xlogy", 2, rounding=rounding),
        Primitive("logaddexp", 2),
        Primitive("logaddexp2", 2),
        Primitive("logit", 3, (-math.inf, math.inf), severed=(1, 2), margins=margins.bounds),
        *(
            Primitive(name, 1, rounding=rounding, margins=margins.part_of_a_period)
            for name in ("sinc", "sinc_by_difference")
        ),
        Primitive("elu", 2, (1.0,), rounding=rounding, margins=margins.zero),
        Primitive("celu", 2, (1.0,), rounding=rounding, margins=margins.zero),
        Primitive("selu", 1, rounding=rounding, margins=margins.zero),
        Primitive("elu_by_result", 2, (1.0,), rounding=rounding, margins=margins.zero),
        Primitive("celu_by_result", 2, (1.0,), rounding=rounding, margins=margins.zero),
        Primitive("selu_by_result", 1, rounding=rounding, margins=margins.zero),
    ]


def _ordering() -> list[Primitive]:
    """What reductions choose their elements by; none of it has a derivative."""
    never = Rounding.NEVER
    return [
        # Which of two numbers is subtracted, or comes first, decides nothing by itself.
        Primitive("higher", 2, rounding=never, selects=True, severed=(0, 1)),
        Primitive("before", 2, rounding=never, selects=True, severed=(0, 1)),
        # What must not overflow where it is differentiated.
        Primitive("bounded", 1, rounding=never),
        # What is put in order by an operation that says nothing of equal elements, so that of two
        # zeros either may be taken, or nothing of NaN either.
        Primitive("ordered", 1, rounding=never),
        Primitive("comparable", 1, rounding=never),
        # How many elements are what was asked for: the oracle has no answer unless it is one.
        Primitive("sole", 1, rounding=never, selects=True, severed=(0,), margins=margins.one),
    ]


def _special() -> list[Primitive]:
    """Functions that take XLA long to compile: only machines that need them hold them."""
    rounding = Rounding.UNLESS_FIRST_IS_ZERO
    return [
        *(
            Primitive(name, 1, rounding=rounding)
            for name in ("i0", "erfinv", "lgamma", "digamma", "digamma_by_few_terms")
        ),
        *(
            Primitive(name, 2, rounding=rounding, severed=(1,))
            for name in ("polygamma", "polygamma_by_few_terms")
        ),
        Primitive("igamma", 2, rounding=rounding, severed=(0,)),
        Primitive("igammac", 2, rounding=rounding, severed=(0,)),
    ]


# What takes no part in a comparison.
_NO_TIE = Primitive("no_tie", 2, rounding=Rounding.NEVER, selects=True, severed=(0, 1))
_CORE = (*_copying(), *_arithmetic(), *_transcendental(), *_ordering(), _NO_TIE)
CORE = len(_CORE)
"""Codes from here on are of special functions."""
PRIMITIVES: tuple[Primitive, ...] = (*_CORE, *_special())
CODES: dict[str, int] = {primitive.name: code for code, primitive in enumerate(PRIMITIVES)}
