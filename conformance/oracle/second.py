"""Forward derivatives, and gradients of gradients: the machine's function, differentiated again.

Along tangents of the inputs every slot moves by the forward derivative; what a loss moves by is the
product of its gradient and the tangents, and the gradient of that is what a second backward call
computes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from conformance.oracle.activations import DROPPED
from conformance.oracle.assembly import LANES
from conformance.oracle.functions import PARTIALS, VALUES
from conformance.oracle.primitives import CORE, PRIMITIVES, Primitive
from conformance.oracle.program import (
    APART,
    RUNS,
    SELECTS,
    Array,
    Capacity,
    linearise,
    product,
    start,
    unpack,
    write,
)


def _partials(primitive: Primitive) -> Callable[[Array, Array], Array]:
    """The partial derivatives of one primitive, from its result and its operands.

    Derivatives that are written out may use the result: its own derivative is the machine's, and
    the primitive itself, of which jax may know none, is not differentiated.
    """
    arity, value, own = primitive.arity, VALUES[primitive.name], PARTIALS.get(primitive.name)

    def compute(result: Array, operands: Array) -> Array:
        used = tuple(operands[:arity])
        if own is None:
            plain, pull = jax.vjp(value, *used)
            found = pull(jnp.ones_like(plain))
        else:
            found = own(result, *used)
        return jnp.stack([*found, *[jnp.zeros_like(result)] * (3 - arity)])

    return compute


_PARTIALS = [_partials(primitive) for primitive in PRIMITIVES]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _step(special: bool, code: Array, stop: Array, noise: Array, x: Array) -> Array:
    return linearise(special, code, stop, noise, x)[0]


@_step.defjvp
def _step_jvp(
    special: bool,
    primals: tuple[Array, Array, Array, Array],
    tangents: tuple[Array, Array, Array, Array],
) -> tuple[Array, Array]:
    code, stop, noise, x = primals
    result = _step(special, code, stop, noise, x)
    partials = lax.switch(code, _PARTIALS if special else _PARTIALS[:CORE], result, x)
    # What is exact moves too: derivatives that are added up and cancel must show that they do.
    moved = jnp.where(partials == DROPPED, DROPPED, partials * (1.0 + noise * APART))
    drop = ((partials == 0.0) & jnp.asarray(SELECTS)[code]) | stop
    moved = jnp.where(drop, DROPPED, moved)
    return result, jnp.sum(product(moved, tangents[3]), 0)


def _execute(capacity: Capacity, inputs: Array, integers: Array) -> Array:
    """All slots after the program, [slots, 3]; jax differentiates it to any order."""
    program = unpack(capacity, integers)

    def body(slots: Array, number: Array) -> tuple[Array, None]:
        code, stop, noise, reads = program.row(number)
        result = _step(capacity.special, code, stop, noise, slots[reads])
        return write(slots, result, capacity.inputs + number * LANES), None

    slots, _ = lax.scan(body, start(capacity, inputs), jnp.arange(capacity.rows))
    return slots


def moves(
    capacity: Capacity, floats: Array, tangents: Array, integers: Array
) -> tuple[Array, Array]:
    """All slots and how they move along `tangents` [inputs], each [slots, 3]."""
    inputs = jnp.broadcast_to(floats[: capacity.inputs, None], (capacity.inputs, RUNS))
    directions = jnp.broadcast_to(tangents[:, None], inputs.shape)
    return jax.jvp(lambda x: _execute(capacity, x, integers), (inputs,), (directions,))


def second(capacity: Capacity, floats: Array, tangents: Array, integers: Array) -> Array:
    """The gradient at the inputs [inputs, 3] of how the losses of the first pass move along
    `tangents`.
    """
    seeds = floats[capacity.inputs :].reshape(capacity.passes, 2, capacity.slots, 1)[0, 0]
    inputs = jnp.broadcast_to(floats[: capacity.inputs, None], (capacity.inputs, RUNS))
    directions = jnp.broadcast_to(tangents[:, None], inputs.shape)

    def moved(x: Array) -> Array:
        _, slots = jax.jvp(lambda z: _execute(capacity, z, integers), (x,), (directions,))
        return jnp.sum(seeds * slots)

    gradient: Array = jax.grad(moved)(inputs)
    return gradient


def compile_moves(capacity: Capacity) -> jax.stages.Compiled:
    """The compiled `moves` of a capacity, from jax's cache where it has it."""
    return jax.jit(moves, static_argnums=0).lower(capacity, *_empty(capacity)).compile()


def compile_second(capacity: Capacity) -> jax.stages.Compiled:
    """The compiled `second` of a capacity, which holds no special functions: jax does not know the
    second derivatives of some.
    """
    return jax.jit(second, static_argnums=0).lower(capacity, *_empty(capacity)).compile()


def _empty(capacity: Capacity) -> tuple[np.ndarray, ...]:
    integers = np.zeros(capacity.integers, np.int32)
    return np.zeros(capacity.floats), np.zeros(capacity.inputs), integers
