"""What the activations compute, and their partial derivatives by torch's formulas.

The kinks are undocumented ties in torch; they are those of its `Activation.cpp` kernels.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array

DROPPED = sys.float_info.max
"""As a derivative: the incoming gradient is dropped, where torch masks it, and not multiplied by
zero. No formula yields the largest float."""

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946
_TANH_GELU = math.sqrt(2.0 / math.pi)
_TANH_GELU_CUBIC = 0.044715


def flag(condition: Array) -> Array:
    """1.0 where `condition` holds, 0.0 elsewhere."""
    return jnp.where(condition, 1.0, 0.0)


def _relu(a: Array) -> Array:
    return jnp.where(a <= 0.0, 0.0, a)


def _hardtanh(a: Array, low: Array | float, high: Array | float) -> Array:
    return jnp.minimum(jnp.maximum(a, low), high)


def _hardtanh_mask(a: Array, low: Array | float, high: Array | float) -> Array:
    # Written as torch writes it, so that NaN lets the gradient pass.
    return flag(~((a <= low) | (a >= high)))


def _bounded(
    mask: Callable[[Array, Array, Array], Array],
) -> Callable[[Array, Array, Array, Array], tuple[Array, ...]]:
    return lambda r, a, low, high: (mask(a, low, high), flag(a < low), flag(a > high))


def log1p(a: Array) -> Array:
    """The logarithm of 1 + a; XLA's own loses 7 bits around -0.41."""
    return jnp.where(a < -0.25, jnp.log(1.0 + a), jnp.log1p(a))


def _elu(a: Array, alpha: Array | float) -> Array:
    return jnp.where(a > 0.0, a, alpha * jnp.expm1(jnp.minimum(a, 0.0)))


def _elu_partials(r: Array, a: Array, alpha: Array) -> tuple[Array, ...]:
    below = jnp.minimum(a, 0.0)
    return jnp.where(a > 0.0, 1.0, alpha * jnp.exp(below)), jnp.expm1(below)


def _celu(a: Array, alpha: Array) -> Array:
    return jnp.where(a > 0.0, a, alpha * jnp.expm1(jnp.minimum(a, 0.0) / alpha))


def _celu_partials(r: Array, a: Array, alpha: Array) -> tuple[Array, ...]:
    scaled = jnp.minimum(a, 0.0) / alpha
    to_alpha = jnp.expm1(scaled) - scaled * jnp.exp(scaled)
    return jnp.where(a > 0.0, 1.0, jnp.exp(scaled)), to_alpha


def _selu(a: Array) -> Array:
    return _SELU_SCALE * _elu(a, _SELU_ALPHA)


def _selu_partials(r: Array, a: Array) -> tuple[Array, ...]:
    below = _SELU_ALPHA * jnp.exp(jnp.minimum(a, 0.0))
    return (_SELU_SCALE * jnp.where(a > 0.0, 1.0, below),)


def _hardsigmoid(a: Array) -> Array:
    return _hardtanh(a + 3.0, 0.0, 6.0) / 6.0


def _hardswish(a: Array) -> Array:
    return a * _hardtanh(a + 3.0, 0.0, 6.0) / 6.0


def _hardswish_partials(r: Array, a: Array) -> tuple[Array, ...]:
    # XLA multiplies by a rounded 1/3 where a division by 3 is written.
    inside = (a + a + 3.0) / 6.0
    return (jnp.where(a <= -3.0, DROPPED, jnp.where(a < 3.0, inside, 1.0)),)


def _hardshrink_mask(a: Array, width: Array) -> Array:
    return flag(~((a >= -width) & (a <= width)))


def _softshrink(a: Array, width: Array) -> Array:
    inside = jnp.where(jnp.isnan(a), a, 0.0)
    return jnp.where(a > width, a - width, jnp.where(a < -width, a + width, inside))


def _softshrink_partials(r: Array, a: Array, width: Array) -> tuple[Array, ...]:
    return _hardshrink_mask(a, width), flag(a < -width) - flag(a > width)


def _silu(a: Array) -> Array:
    return a / (1.0 + jnp.exp(-a))


def _silu_partials(r: Array, a: Array) -> tuple[Array, ...]:
    gate = jax.nn.sigmoid(a)
    return (gate * (1.0 + a * (1.0 - gate)),)


def _softplus(a: Array, beta: Array, threshold: Array) -> Array:
    scaled = a * beta
    return jnp.where(scaled > threshold, a, jnp.log1p(jnp.exp(scaled)) / beta)


def _softplus_partials(r: Array, a: Array, beta: Array, threshold: Array) -> tuple[Array, ...]:
    # Above the threshold torch takes 1, which is 2e-9 away from the sigmoid.
    scaled = a * beta
    gate = jax.nn.sigmoid(scaled)
    to_beta = (gate * a - jnp.log1p(jnp.exp(scaled)) / beta) / beta
    linear = scaled > threshold
    return jnp.where(linear, 1.0, gate), jnp.where(linear, 0.0, to_beta), jnp.zeros_like(a)


def _mish(a: Array) -> Array:
    return a * jnp.tanh(jnp.log1p(jnp.exp(a)))


def _mish_partials(r: Array, a: Array) -> tuple[Array, ...]:
    # tanh(softplus(a)) is 1 - left for positive a: of 1 - tanh² itself nothing would be left there.
    gate = jax.nn.sigmoid(a)
    small = jnp.exp(jnp.where(a > 0.0, -a, a))
    left = 2.0 * small * small / (1.0 + 2.0 * small + 2.0 * small * small)
    low = (2.0 * small + small * small) / (2.0 + 2.0 * small + small * small)
    bent = jnp.where(a > 0.0, 1.0 - left, low)
    slope = jnp.where(a > 0.0, left * (2.0 - left), 1.0 - low * low)
    return (bent + a * gate * slope,)


def _logsigmoid(a: Array) -> Array:
    return jnp.minimum(a, 0.0) - jnp.log1p(jnp.exp(-jnp.abs(a)))


def _gelu(a: Array) -> Array:
    return a * 0.5 * (1.0 + jax.scipy.special.erf(a * math.sqrt(0.5)))


def _gelu_partials(r: Array, a: Array) -> tuple[Array, ...]:
    gate = 0.5 * (1.0 + jax.scipy.special.erf(a * math.sqrt(0.5)))
    density = jnp.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
    return (gate + a * density,)


def _gelu_tanh(a: Array) -> Array:
    bent = jnp.tanh(_TANH_GELU * (a + _TANH_GELU_CUBIC * a * a * a))
    return 0.5 * a * (1.0 + bent)


VALUES: dict[str, Callable[..., Array]] = {
    "relu": _relu,
    "guided_relu": _relu,
    "relu6": lambda a: _hardtanh(a, 0.0, 6.0),
    "hardtanh": _hardtanh,
    "threshold": lambda a, bound, value: jnp.where(a <= bound, value, a),
    "leaky_relu": lambda a, slope: jnp.where(a > 0.0, a, a * slope),
    "elu": _elu,
    "celu": _celu,
    "selu": _selu,
    "elu_by_result": _elu,
    "celu_by_result": _celu,
    "selu_by_result": _selu,
    "hardsigmoid": _hardsigmoid,
    "hardsigmoid_float_constant": _hardsigmoid,
    "hardswish": _hardswish,
    "hardshrink": lambda a, width: jnp.where((a >= -width) & (a <= width), 0.0, a),
    "softshrink": _softshrink,
    "sigmoid": jax.nn.sigmoid,
    "silu": _silu,
    "mish": _mish,
    "softplus": _softplus,
    "logsigmoid": _logsigmoid,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
}

PARTIALS: dict[str, Callable[..., tuple[Array, ...]]] = {
    "relu": lambda r, a: (flag(~(a <= 0.0)),),
    # The other half, dropping gradients that are not positive, is the machine's business.
    "guided_relu": lambda r, a: (flag(a > 0.0),),
    "relu6": lambda r, a: (_hardtanh_mask(a, 0.0, 6.0),),
    "hardtanh": _bounded(_hardtanh_mask),
    "threshold": lambda r, a, bound, value: (
        flag(~(a <= bound)),
        jnp.zeros_like(a),
        flag(a <= bound),
    ),
    "leaky_relu": lambda r, a, slope: (
        jnp.where(a > 0.0, 1.0, slope),
        jnp.where(a > 0.0, 0.0, a),
    ),
    "elu": _elu_partials,
    "celu": _celu_partials,
    "selu": _selu_partials,
    # In place the operand is gone, and the derivative is that of the result: as exact as it is.
    "elu_by_result": lambda r, a, alpha: (
        jnp.where(a > 0.0, 1.0, r + alpha),
        _elu_partials(r, a, alpha)[1],
    ),
    "celu_by_result": lambda r, a, alpha: (
        jnp.where(a > 0.0, 1.0, r / alpha + 1.0),
        _celu_partials(r, a, alpha)[1],
    ),
    "selu_by_result": lambda r, a: (
        jnp.where(a > 0.0, _SELU_SCALE, r + _SELU_SCALE * _SELU_ALPHA),
    ),
    "hardsigmoid": lambda r, a: (flag((a > -3.0) & (a < 3.0)) / 6.0,),
    # Not the derivative, but what a registered deviation of torch computes in its place.
    "hardsigmoid_float_constant": lambda r, a: (
        flag((a > -3.0) & (a < 3.0)) * float(np.float32(1.0) / np.float32(6.0)),
    ),
    "hardswish": _hardswish_partials,
    "hardshrink": lambda r, a, width: (_hardshrink_mask(a, width), jnp.zeros_like(a)),
    "softshrink": _softshrink_partials,
    "sigmoid": lambda r, a: ((1.0 - r) * r,),
    "silu": _silu_partials,
    "mish": _mish_partials,
    "softplus": _softplus_partials,
    "logsigmoid": lambda r, a: (jax.nn.sigmoid(-a),),
    "gelu": _gelu_partials,
}
