"""What the special functions compute, and their partial derivatives by torch's formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from conformance.oracle.activations import DROPPED, log1p

Array = jax.Array

_LN2 = math.log(2.0)
_SERIES = [(-1) ** k * 2 * k / math.factorial(2 * k + 1) for k in range(1, 9)]
"""The derivative of sin(t) / t: these, times t, t ** 3, ..."""

_NEAR = 0.5
_TERMS = 4096


def _zeta(k: int) -> float:
    """The Riemann zeta function: its first terms, and the rest by Euler and Maclaurin."""
    n = float(_TERMS)
    rest = n ** (1 - k) / (k - 1), n**-k / 2, k * n ** (-k - 1) / 12
    return math.fsum((*(i**-k for i in range(1, _TERMS)), *rest))


_LGAMMA_SERIES = [
    -0.5772156649015329,
    *((-1) ** k * _zeta(k) / k for k in range(2, 50)),
]
"""The logarithm of gamma(1 + z): these, times z, z ** 2, ..."""


def _sinc(a: Array) -> Array:
    scaled = math.pi * a
    return jnp.where(a == 0.0, 1.0, jnp.sin(scaled) / scaled)


def _sinc_partials(r: Array, a: Array) -> tuple[Array, ...]:
    # The difference in the formula cancels near zero, where the series has all digits.
    t = math.pi * a
    power, near = t, jnp.zeros_like(a)
    for factor in _SERIES:
        near, power = near + factor * power, power * t * t
    far = (t * jnp.cos(t) - jnp.sin(t)) / (t * t)
    slope = math.pi * jnp.where(jnp.abs(t) < 0.7, near, far)
    # torch masks the gradient there, which may be infinite.
    return (jnp.where(a == 0.0, DROPPED, slope),)


def _sinc_by_difference(r: Array, a: Array) -> tuple[Array, ...]:
    """Not the derivative, but what a registered deviation of torch computes in its place.

    How far its digits go is seen in the perturbed runs, [..., 3].
    """
    t = math.pi * a
    moved = 1.0 + jnp.array([0.0, 4.0, -4.0]) * 2.0**-52
    difference = t * jnp.cos(t) * moved - jnp.sin(t)
    return (jnp.where(a * a * math.pi == 0.0, DROPPED, difference / (t * a)),)


def _logit(a: Array, low: Array, high: Array) -> Array:
    inside = jnp.where(a < low, low, jnp.where(a > high, high, a))
    return jnp.log(inside / (1.0 - inside))


def _logit_partials(r: Array, a: Array, low: Array, high: Array) -> tuple[Array, ...]:
    # From 0 to 1 the slope is positive, at -0.0 too.
    slope = jnp.where((a < 0.0) | (a > 1.0), jnp.nan, 1.0 / jnp.abs(a * (1.0 - a)))
    beyond = (a < low) | (a > high)
    return jnp.where(beyond, DROPPED, slope), jnp.zeros_like(a), jnp.zeros_like(a)


def _logaddexp2(a: Array, b: Array) -> Array:
    return jnp.logaddexp(a * _LN2, b * _LN2) / _LN2


def _i0(a: Array) -> Array:
    return jax.scipy.special.i0e(a) * jnp.exp(jnp.abs(a))


def _i1(a: Array) -> Array:
    return jax.scipy.special.i1e(a) * jnp.exp(jnp.abs(a))


def _erfinv_partials(r: Array, a: Array) -> tuple[Array, ...]:
    inverse = lax.erf_inv(a)
    return (0.5 * math.sqrt(math.pi) * jnp.exp(inverse * inverse),)


def _lgamma(a: Array) -> Array:
    """By the series around its zeros 1 and 2, near which the general formula has no digits."""
    from_one, from_two = a - 1.0, a - 2.0
    at_two = jnp.abs(from_two) < _NEAR
    z = jnp.where(at_two, from_two, from_one)
    total = jnp.zeros_like(a)
    for factor in reversed(_LGAMMA_SERIES):
        total = (total + factor) * z
    near = jnp.where(z == 0.0, 0.0, jnp.where(at_two, total + log1p(z), total))
    return jnp.where((jnp.abs(from_one) < _NEAR) | at_two, near, lax.lgamma(a))


def _digamma(a: Array) -> Array:
    return jnp.where(a == 0.0, jnp.copysign(jnp.inf, -a), lax.digamma(a))


def _polygamma(a: Array, n: Array) -> Array:
    """Of order 1 to 4; below 1/2 by reflection, as the series loses its digits there.

    Minus infinity is a pole as every negative integer, but for order 1, as it is in torch.
    """
    a = jnp.where((a == -jnp.inf) & (n != 1.0), -1.0, a)
    below = a < 0.5
    mirrored = jnp.where(below, 1.0 - a, a)
    factorial = jnp.exp(lax.lgamma(n + 1.0))
    odd = n % 2.0 == 1.0
    there = jnp.where(odd, 1.0, -1.0) * jnp.round(factorial) * lax.zeta(n + 1.0, mirrored)
    fraction = math.pi * (a - jnp.round(a))
    squared = 1.0 / jnp.square(jnp.sin(fraction))
    cotangent = jnp.cos(fraction) / jnp.sin(fraction)
    along = jnp.square(cotangent)
    across = jnp.where(
        n == 1.0,
        math.pi**2 * squared,
        jnp.where(
            n == 2.0,
            -2.0 * math.pi**3 * cotangent * squared,
            jnp.where(
                n == 3.0,
                2.0 * math.pi**4 * squared * (squared + 2.0 * along),
                -8.0 * math.pi**5 * squared * cotangent * (along + 2.0 * squared),
            ),
        ),
    )
    return jnp.where(below, across - jnp.where(odd, there, -there), there)


def _trigamma_by_few_terms(a: Array) -> Array:
    """Not the function, but what a registered deviation of torch computes in its place."""
    below = a < 0.5
    x = jnp.where(below, 1.0 - a, a)
    total = jnp.where(below, -jnp.square(math.pi / jnp.sin(math.pi * a)), 0.0)
    for _ in range(6):
        total, x = total + 1.0 / (x * x), x + 1.0
    square = 1.0 / (x * x)
    tail = square * (1.0 / 6.0 - square * (1.0 / 30.0 - square * (1.0 / 42.0)))
    total = total + (1.0 + 1.0 / (2.0 * x) + tail) / x
    return jnp.where(below, -total, total)


def _polygamma_by_few_terms(a: Array, n: Array) -> Array:
    return jnp.where(n == 1.0, _trigamma_by_few_terms(a), _polygamma(a, n))


def _incomplete_gamma(
    function: Callable[[Array, Array], Array], at_zero: float, a: Array, x: Array
) -> Array:
    """With its limit where the shape is 0, and NaN where jax's series would take for ever."""
    endless = (a > 1e6) & (jnp.abs(x - a) < 0.5 * a) & jnp.isfinite(a)
    found = function(jnp.where(endless, 1.0, a), jnp.where(endless, 1.0, x))
    return jnp.where(endless, jnp.nan, jnp.where((a == 0.0) & (x > 0.0), at_zero, found))


def _gamma_density(a: Array, x: Array) -> Array:
    return jnp.exp((a - 1.0) * jnp.log(x) - x - lax.lgamma(a))


VALUES: dict[str, Callable[..., Array]] = {
    "sinc": _sinc,
    "sinc_by_difference": _sinc,
    "digamma_by_few_terms": _digamma,
    "polygamma_by_few_terms": _polygamma_by_few_terms,
    "logit": _logit,
    "logaddexp": jnp.logaddexp,
    "logaddexp2": _logaddexp2,
    "i0": _i0,
    "erfinv": lax.erf_inv,
    "lgamma": _lgamma,
    "digamma": _digamma,
    "polygamma": _polygamma,
    "igamma": partial(_incomplete_gamma, lax.igamma, 1.0),
    "igammac": partial(_incomplete_gamma, lax.igammac, 0.0),
}

PARTIALS: dict[str, Callable[..., tuple[Array, ...]]] = {
    "sinc": _sinc_partials,
    "sinc_by_difference": _sinc_by_difference,
    "digamma_by_few_terms": lambda r, a: (_trigamma_by_few_terms(a),),
    "polygamma_by_few_terms": lambda r, a, n: (_polygamma(a, n + 1.0), jnp.zeros_like(n)),
    "logit": _logit_partials,
    "logaddexp": lambda r, a, b: (1.0 / (1.0 + jnp.exp(b - a)), 1.0 / (1.0 + jnp.exp(a - b))),
    "logaddexp2": lambda r, a, b: (1.0 / (1.0 + jnp.exp2(b - a)), 1.0 / (1.0 + jnp.exp2(a - b))),
    "i0": lambda r, a: (_i1(a),),
    "erfinv": _erfinv_partials,
    "lgamma": lambda r, a: (_digamma(a),),
    "digamma": lambda r, a: (_polygamma(a, jnp.ones_like(a)),),
    "polygamma": lambda r, a, n: (_polygamma(a, n + 1.0), jnp.zeros_like(n)),
    # torch has none in the first operand: a backward that needs it raises.
    "igamma": lambda r, a, x: (jnp.zeros_like(a), _gamma_density(a, x)),
    "igammac": lambda r, a, x: (jnp.zeros_like(a), -_gamma_density(a, x)),
}
