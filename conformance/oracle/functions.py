"""What the primitives compute: jax functions, and partial derivatives where torch has its own.

`VALUES` gives each primitive's value. jax derives its partial derivatives from it, unless
`PARTIALS` has a row: at kinks and ties where torch's convention is another than jax's, and where
torch's formula reads the *result*, so that a rounding error of the result enters the derivative.
A row takes the (possibly perturbed) result and the operands. Conventions: torch's
`tools/autograd/derivatives.yaml` and `torch/csrc/autograd/FunctionsManual.cpp`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from conformance.oracle import activations, special
from conformance.oracle.activations import DROPPED, flag, log1p

Array = jax.Array
Value = Callable[..., Array]
Partials = Callable[..., tuple[Array, ...]]

_LN2 = math.log(2.0)
_LN10 = math.log(10.0)


def _sign(a: Array) -> Array:
    # Of NaN it is 0, as torch's is and jax's is not.
    return flag(a > 0) - flag(a < 0)


def _maximum(a: Array, b: Array) -> Array:
    return jnp.maximum(a, b)


def _minimum(a: Array, b: Array) -> Array:
    return jnp.minimum(a, b)


def _clamp(a: Array, low: Array, high: Array) -> Array:
    return jnp.minimum(jnp.maximum(a, low), high)


def _lerp(start: Array, end: Array, weight: Array) -> Array:
    return _between(start, end, weight, jnp.abs(weight) < 0.5)


def _lerp_signed(start: Array, end: Array, weight: Array) -> Array:
    return _between(start, end, weight, weight < 0.5)


def _between(start: Array, end: Array, weight: Array, nearer_start: Array) -> Array:
    near_start = start + weight * (end - start)
    near_end = end - (end - start) * (1.0 - weight)
    return jnp.where(nearer_start, near_start, near_end)


def _lerp_partials(r: Array, start: Array, end: Array, weight: Array) -> tuple[Array, ...]:
    return 1.0 - weight, weight, end - start


@jax.custom_jvp
def _pow(base: Array, exponent: Array) -> Array:
    # Squares and cubes are products in torch, exact on short dyadic numbers.
    squared = base * base
    general = jnp.power(base, exponent)
    return jnp.where(exponent == 2.0, squared, jnp.where(exponent == 3.0, squared * base, general))


@_pow.defjvp
def _pow_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """What a second derivative needs: that by the exponent where squares and cubes are products."""
    base, exponent = primals
    result = _pow(base, exponent)
    by_base = jnp.where(exponent == 0.0, 0.0, exponent * _pow(base, exponent - 1.0))
    by_exponent = jnp.where(base > 0.0, result * jnp.log(jnp.where(base > 0.0, base, 1.0)), 0.0)
    return result, by_base * tangents[0] + by_exponent * tangents[1]


def _pow_partials(r: Array, base: Array, exponent: Array) -> tuple[Array, ...]:
    to_base = exponent * _pow(base, exponent - 1.0)
    to_exponent = r * jnp.log(base)
    at_zero = (base == 0.0) & (exponent >= 0.0)
    return (
        jnp.where(exponent == 0.0, DROPPED, to_base),
        jnp.where(at_zero, 0.0, to_exponent),
    )


def _xlogy(a: Array, b: Array) -> Array:
    return jnp.where(jnp.isnan(b), jnp.nan, jnp.where(a == 0.0, 0.0, a * jnp.log(b)))


def _xlogy_partials(r: Array, a: Array, b: Array) -> tuple[Array, ...]:
    return jnp.where((a == 0.0) & (b <= 0.0), DROPPED, jnp.log(b)), a / b


def _atan2_partials(r: Array, a: Array, b: Array) -> tuple[Array, ...]:
    # At the origin torch takes 0, where jax has NaN.
    squares = a * a + b * b
    inverse = jnp.where(squares == 0.0, 0.0, 1.0 / squares)
    return b * inverse, -a * inverse


def _hypot(a: Array, b: Array) -> Array:
    return jnp.hypot(a, b)


def _maximum_partials(r: Array, a: Array, b: Array) -> tuple[Array, ...]:
    share = jnp.where(a == b, 0.5, 1.0)
    return jnp.where(a < b, 0.0, share), jnp.where(a > b, 0.0, share)


def _minimum_partials(r: Array, a: Array, b: Array) -> tuple[Array, ...]:
    share = jnp.where(a == b, 0.5, 1.0)
    return jnp.where(a > b, 0.0, share), jnp.where(a < b, 0.0, share)


def _replaces(a: Array, b: Array) -> Array:
    """Whether a later element of a window takes the place of the largest one so far."""
    return (b > a) | jnp.isnan(b)


def _larger(a: Array, b: Array) -> Array:
    return jnp.where(_replaces(a, b), b, a)


def _fmax_partials(r: Array, a: Array, b: Array) -> tuple[Array, ...]:
    first = (a >= b) | jnp.isnan(b)
    return flag(first), flag(~first)


def _fmin_partials(r: Array, a: Array, b: Array) -> tuple[Array, ...]:
    first = (a <= b) | jnp.isnan(b)
    return flag(first), flag(~first)


def _clamp_partials(r: Array, a: Array, low: Array, high: Array) -> tuple[Array, ...]:
    crossed = low > high
    to_low = (a < low) & (low < high)
    return flag((a >= low) & (a <= high)), flag(to_low), flag((a > high) | crossed)


def _clamp_split_partials(r: Array, a: Array, low: Array, high: Array) -> tuple[Array, ...]:
    """A tie with one of two bounds that differ is shared equally with it."""
    apart, ordered = low < high, low <= high
    at_low, at_high = (a == low) & apart, (a == high) & apart
    to_self = jnp.where(at_low | at_high, 0.5, flag(~((a < low) | (a > high))))
    to_low = jnp.where(at_low, 0.5, flag((a < low) & ordered))
    return to_self, to_low, jnp.where(at_high, 0.5, flag(((a > high) & ordered) | (low > high)))


def _div_floor(a: Array, b: Array) -> Array:
    # torch's division that rounds down goes by the remainder, and is NaN for infinite dividends.
    left = jnp.fmod(a, b)
    opposite = (left != 0.0) & ((b < 0.0) != (left < 0.0))
    quotient = jnp.round((a - left) / b - flag(opposite))
    quotient = jnp.where(quotient == 0.0, jnp.copysign(0.0, a / b), quotient)
    return jnp.where(b == 0.0, a / b, quotient)


def _remainder_partials(r: Array, a: Array, b: Array) -> tuple[Array, ...]:
    return jnp.ones_like(a), -_div_floor(a, b)


def _copysign_partials(r: Array, a: Array, b: Array) -> tuple[Array, ...]:
    return jnp.where(a == 0.0, 0.0, r / a), jnp.full_like(b, DROPPED)


VALUES: dict[str, Value] = {
    "copy": lambda a: a,
    # The sum of one number.
    "summed": lambda a: a,
    "higher": jnp.maximum,
    "before": lambda a, b: flag((a <= b) | jnp.isnan(b)),
    "sole": lambda a: a,
    "bounded": lambda a: a,
    "ordered": lambda a: a,
    "comparable": lambda a: a,
    "neg": jnp.negative,
    "carry": lambda new, old: new,
    "overwrite": lambda new, old: new,
    "where": lambda condition, a, b: jnp.where(condition != 0.0, a, b),
    "abs": jnp.abs,
    "sign": _sign,
    # Of NaN it is 0, as torch's is.
    "heaviside": lambda a, values: jnp.where(a == 0.0, values, flag(a > 0.0)),
    "floor": jnp.floor,
    "ceil": jnp.ceil,
    "round": jnp.round,
    "trunc": jnp.trunc,
    "frac": lambda a: a - jnp.trunc(a),
    "logical_and": lambda a, b: flag((a != 0.0) & (b != 0.0)),
    "logical_or": lambda a, b: flag((a != 0.0) | (b != 0.0)),
    "logical_not": lambda a: flag(a == 0.0),
    "logical_xor": lambda a, b: flag((a != 0.0) != (b != 0.0)),
    "copysign": jnp.copysign,
    "finite_or": lambda a, other: jnp.where(jnp.isfinite(a), a, other),
    "nextafter": jnp.nextafter,
    "div_floor": _div_floor,
    "div_trunc": lambda a, b: jnp.trunc(a / b),
    "gt": lambda a, b: flag(a > b),
    "ge": lambda a, b: flag(a >= b),
    "lt": lambda a, b: flag(a < b),
    "le": lambda a, b: flag(a <= b),
    "eq": lambda a, b: flag(a == b),
    "ne": lambda a, b: flag(a != b),
    "no_tie": lambda a, b: jnp.zeros_like(a),
    "maximum": _maximum,
    "minimum": _minimum,
    "larger": _larger,
    "fmax": jnp.fmax,
    "fmin": jnp.fmin,
    "clamp": _clamp,
    "clamp_split": _clamp,
    "clamp_min": _maximum,
    "clamp_max": _minimum,
    "add": jnp.add,
    "add3": lambda a, b, c: a + b + c,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": jnp.divide,
    "square": lambda a: a * a,
    "sqrt": jnp.sqrt,
    "rsqrt": lax.rsqrt,
    "reciprocal": lambda a: 1.0 / a,
    "pow": _pow,
    "lerp": _lerp,
    "lerp_signed": _lerp_signed,
    "fmod": jnp.fmod,
    "remainder": jnp.remainder,
    "exp": jnp.exp,
    "exp2": jnp.exp2,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log2": jnp.log2,
    "log10": jnp.log10,
    "log1p": log1p,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "sinh": jnp.sinh,
    "cosh": jnp.cosh,
    "tanh": jnp.tanh,
    "asin": jnp.arcsin,
    "acos": jnp.arccos,
    "atan": jnp.arctan,
    "asinh": jnp.arcsinh,
    "acosh": jnp.arccosh,
    # XLA's own loses 7 bits near zero.
    "atanh": lambda a: 0.5 * (log1p(a) - log1p(-a)),
    "atan2": jnp.arctan2,
    "hypot": _hypot,
    "xlogy": _xlogy,
    "erf": jax.scipy.special.erf,
    "erfc": jax.scipy.special.erfc,
    **activations.VALUES,
    **special.VALUES,
}

PARTIALS: dict[str, Partials] = {
    "carry": lambda r, new, old: (jnp.zeros_like(new), jnp.ones_like(old)),
    "overwrite": lambda r, new, old: (jnp.ones_like(new), jnp.zeros_like(old)),
    "higher": lambda r, a, b: (jnp.zeros_like(a), jnp.zeros_like(b)),
    "sole": lambda r, a: (jnp.zeros_like(a),),
    # A condition decides and has no derivative; jax agrees, but would spend an operand on it.
    "where": lambda r, q, a, b: (jnp.zeros_like(q), flag(q != 0.0), flag(q == 0.0)),
    "abs": lambda r, a: (_sign(a),),
    # torch has none: a backward that needs it raises, and this is what it would be.
    "heaviside": lambda r, a, values: (jnp.zeros_like(a), flag(a == 0.0)),
    "copysign": _copysign_partials,
    "finite_or": lambda r, a, other: (flag(jnp.isfinite(a)), jnp.full_like(a, DROPPED)),
    # At a tie torch has none, in either operand.
    "nextafter": lambda r, a, b: (flag(a != b), jnp.zeros_like(b)),
    "div_floor": lambda r, a, b: (jnp.zeros_like(a), jnp.zeros_like(b)),
    "div_trunc": lambda r, a, b: (jnp.zeros_like(a), jnp.zeros_like(b)),
    "maximum": _maximum_partials,
    "minimum": _minimum_partials,
    "larger": lambda r, a, b: (flag(~_replaces(a, b)), flag(_replaces(a, b))),
    "fmax": _fmax_partials,
    "fmin": _fmin_partials,
    "clamp": _clamp_partials,
    "clamp_split": _clamp_split_partials,
    "clamp_min": lambda r, a, low: (flag(a >= low), flag(a < low)),
    "clamp_max": lambda r, a, high: (flag(a <= high), flag(a > high)),
    # jax squares the divisor, which overflows long before the quotient does.
    "div": lambda r, a, b: (1.0 / b, -r / b),
    "frac": lambda r, a: (jnp.ones_like(a),),
    "fmod": lambda r, a, b: (jnp.ones_like(a), -jnp.trunc(a / b)),
    "remainder": _remainder_partials,
    "pow": _pow_partials,
    "lerp": _lerp_partials,
    "lerp_signed": _lerp_partials,
    "xlogy": _xlogy_partials,
    "atan2": _atan2_partials,
    "hypot": lambda r, a, b: (a / r, b / r),
    "sqrt": lambda r, a: (0.5 / r,),
    "rsqrt": lambda r, a: (-0.5 * r * r * r,),
    "reciprocal": lambda r, a: (-r * r,),
    "exp": lambda r, a: (r,),
    "exp2": lambda r, a: (r * _LN2,),
    "expm1": lambda r, a: (r + 1.0,),
    "log2": lambda r, a: (1.0 / (a * _LN2),),
    "log10": lambda r, a: (1.0 / (a * _LN10),),
    "log1p": lambda r, a: (1.0 / (a + 1.0),),
    "tan": lambda r, a: (1.0 + r * r,),
    "tanh": lambda r, a: (1.0 - r * r,),
    "atanh": lambda r, a: (1.0 / (1.0 - a * a),),
    **activations.PARTIALS,
    **special.PARTIALS,
}
