"""Gradients of chains of complex operations by jax, in torch's convention.

For a real loss L of z = x + iy torch's gradient is dL/dx + i dL/dy, the direction of steepest
ascent ("Autograd for Complex Numbers"); jax.grad gives its conjugate. A chain is a straight line:
what writes in place, through a view or not, is the function that gives the tensor's new value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.oracle import cache

Complexes = NDArray[np.complex128]
Link = Callable[[Any, Any, Any], Any]
"""From jax.numpy, the tensor and another operand to the tensor's new value."""


def _parts(np_: Any, real: Any, imag: Any) -> Any:
    return real + 1j * imag


LINKS: dict[str, Link] = {
    "exp": lambda jnp, x, w: jnp.exp(x),
    "sin": lambda jnp, x, w: jnp.sin(x),
    "tanh": lambda jnp, x, w: jnp.tanh(x),
    "square": lambda jnp, x, w: x * x,
    "neg": lambda jnp, x, w: -x,
    "scale": lambda jnp, x, w: x * (0.5 - 1j),
    "mul": lambda jnp, x, w: x * w,
    "add": lambda jnp, x, w: x + 2 * w,
    "sub": lambda jnp, x, w: x - w,
    "div": lambda jnp, x, w: x / (w + 3),
    "addcmul": lambda jnp, x, w: x + w * w,
    "conj": lambda jnp, x, w: jnp.conj(x),
    "conjugate product": lambda jnp, x, w: jnp.conj(jnp.conj(x) * w),
    "real scaled": lambda jnp, x, w: _parts(jnp, 2 * jnp.real(x), jnp.imag(x)),
    "imaginary part gains real": lambda jnp, x, w: _parts(
        jnp, jnp.real(x), jnp.imag(x) + jnp.real(x)
    ),
    "real part overwritten": lambda jnp, x, w: _parts(jnp, jnp.imag(w), jnp.imag(x)),
    "parts negated": lambda jnp, x, w: -x,
    "modulus": lambda jnp, x, w: jnp.abs(x) + 0j,
    "turned": lambda jnp, x, w: x * jnp.conj(x) * 1j,
}
"""What one link of a chain makes of the tensor; `w` is a second leaf."""


def gradients(
    links: Sequence[str], z: Complexes, w: Complexes, cotangent: Complexes
) -> tuple[Complexes, Complexes, Complexes]:
    """The chain's result, and the gradients at z and w of sum(Re(conj(cotangent) * result)).

    All arrays are complex128 of one shape, and so are the results.
    """
    cache.prepare()
    import jax
    import jax.numpy as jnp

    def chain(z: Any, w: Any) -> Any:
        x = z
        for name in links:
            x = LINKS[name](jnp, x, w)
        return x

    def loss(z: Any, w: Any) -> Any:
        return jnp.sum(jnp.real(jnp.conj(cotangent) * chain(z, w)))

    at_z, at_w = jax.grad(loss, argnums=(0, 1))(jnp.asarray(z), jnp.asarray(w))
    result = np.asarray(chain(jnp.asarray(z), jnp.asarray(w)))
    return result, np.conj(np.asarray(at_z)), np.conj(np.asarray(at_w))
