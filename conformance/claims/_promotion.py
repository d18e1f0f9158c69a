"""Which dtype and shape the plain form of an in-place method has, by torch's promotion rules."""

from __future__ import annotations

from conformance.claims._methods import Method
from conformance.claims._targets import Shape

_CATEGORIES = ("bool", "int", "float", "complex")
_WIDTHS = {
    "bool": 0,
    "uint8": 8,
    "int32": 32,
    "int64": 64,
    "float16": 16,
    "bfloat16": 16,
    "float32": 32,
    "float64": 64,
    "complex64": 32,
    "complex128": 64,
}
"""Bits of an element, or of one part of it."""

BOOLEAN = frozenset(
    """eq_ ge_ greater_ greater_equal_ gt_ le_ less_ less_equal_ logical_and_ logical_not_
    logical_or_ logical_xor_ lt_ ne_ not_equal_""".split()
)
"""Methods whose plain form gives booleans."""
_FLOATING = frozenset(
    """acos_ acosh_ arccos_ arccosh_ arcsin_ arcsinh_ arctan2_ arctan_ arctanh_ asin_ asinh_ atan2_
    atan_ atanh_ clamp_ clamp_max_ clamp_min_ clip_ copysign_ cos_ cosh_ deg2rad_ digamma_ div_
    divide_ erf_ erfc_ erfinv_ exp2_ exp_ expm1_ i0_ ldexp_ lgamma_ log10_ log1p_ log2_ log_ logit_
    mvlgamma_ polygamma_ rad2deg_ reciprocal_ rsqrt_ sigmoid_ sin_ sinc_ sinh_ sqrt_ tan_ tanh_
    true_divide_ xlogy_""".split()
)
_REAL = frozenset(("abs_", "absolute_"))
_SUMMING = frozenset(("cumprod_", "cumsum_"))


def category(dtype: str) -> int:
    """0 for bool, 1 for whole numbers, 2 for floating point, 3 for complex numbers."""
    return next(i for i, word in enumerate(_CATEGORIES) if word in dtype.replace("uint", "int"))


def promoted(x: str, y: str, *, x_scalar: bool = False, y_scalar: bool = False) -> str:
    """The dtype of x + y; a scalar, a tensor without dimensions, counts by its category alone."""
    if x_scalar == y_scalar:
        return _joined(x, y)
    scalar, tensor = (x, y) if x_scalar else (y, x)
    if category(scalar) <= category(tensor):
        return tensor
    if category(scalar) == 3 and category(tensor) == 2:
        return _complex(tensor)
    return _joined(scalar, tensor) if category(tensor) == 0 else scalar


def _joined(x: str, y: str) -> str:
    low, high = sorted((x, y), key=lambda dtype: (category(dtype), _WIDTHS[dtype]))
    if category(low) == category(high):
        return "float32" if {low, high} == {"float16", "bfloat16"} else high
    if category(high) == 3 and category(low) == 2 and _WIDTHS[low] > _WIDTHS[high]:
        return "complex128"
    return high


def _complex(dtype: str) -> str:
    return {"float64": "complex128", "float16": "complex32"}.get(dtype, "complex64")


def _floating(dtype: str) -> str:
    return "float32" if category(dtype) < 2 else dtype


def plain_dtype(
    method: Method, x: str, y: str = "", *, x_scalar: bool = False, y_scalar: bool = False
) -> str:
    """The dtype of the method's plain form on a target of dtype `x`, and an operand of dtype `y`.

    For dtypes that the method accepts; the source is torch's page on tensor attributes.
    """
    if method.name in BOOLEAN:
        return "bool"
    both = promoted(x, y, x_scalar=x_scalar, y_scalar=y_scalar) if y else x
    if method.name == "float_power_":
        return "complex128" if category(both) == 3 else "float64"
    if method.name in _REAL and category(x) == 3:
        return "float64" if x == "complex128" else "float32"
    summed = method.name in _SUMMING and category(x) < 2
    if summed or (method.name, x) == ("square_", "bool"):
        return "int64"
    if method.name in _FLOATING:
        return _floating(both)
    return both


def broadcasts_into(x: Shape, y: Shape) -> bool:
    """Whether the plain form on x and a y that fits has the shape of x."""
    padded = (1,) * (len(x) - len(y)) + y
    return len(padded) == len(x) and all(b in (1, a) for a, b in zip(x, padded, strict=True))
