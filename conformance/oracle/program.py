"""The register machine's program in jax: a scan over instructions, differentiable by jax.

The state is one array of slots in three runs, [slots, 3]: the plain run and two in which results
and derivatives are moved by a few ulp (see `conformance.oracle.conditioning`). One step gathers
its operands, computes value and partial derivatives in one `lax.switch`, and writes a fresh row.
Only products with the partial derivatives are left for jax to transpose, so that the backward
pass holds no switch at all.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from conformance.oracle.activations import DROPPED
from conformance.oracle.assembly import LANES
from conformance.oracle.functions import PARTIALS, VALUES
from conformance.oracle.primitives import CORE, PRIMITIVES, Primitive, Rounding

Array = jax.Array
Branch = Callable[[Array, Array], tuple[Array, Array]]

RUNS = 3
ULP = 2.0**-52
NOISE = 4 * ULP
_DYADIC_GRAIN = 2.0**20
_DYADIC_LIMIT = 2.0**30
NOISE_ROWS = 61

SELECTS = np.array([primitive.selects for primitive in PRIMITIVES])
_GUIDED = np.array([primitive.name == "guided_relu" for primitive in PRIMITIVES])


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one compiled program can hold."""

    rows: int
    inputs: int
    passes: int
    special: bool = False
    """Whether it holds the special functions, which take long to compile."""

    @property
    def slots(self) -> int:
        """The number of slots: inputs, then the rows' results."""
        return self.inputs + self.rows * LANES

    @property
    def integers(self) -> int:
        """The length of the packed int32 argument: rows and passes used, and the row of noise with
        which the first one moves; codes, stops, operands.
        """
        return 3 + self.rows * (2 + 3 * LANES)

    @property
    def floats(self) -> int:
        """The length of the packed float64 argument: inputs; seeds and their sizes in each pass."""
        return self.inputs + 2 * self.passes * self.slots


def _noise_table() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Fixed signs times 2 to 4 ulp for each row, lane and run; zero for the plain run.

    Sizes differ, or the errors of lanes that are added up would cancel exactly.
    """
    shape, random = (NOISE_ROWS, LANES, RUNS), np.random.default_rng(20200910)
    signs = random.choice([-1.0, 1.0], shape) * random.uniform(0.5, 1.0, shape)
    signs[..., 0] = 0.0
    return signs * NOISE


def _rounded(result: Array, operands: tuple[Array, ...], rounding: Rounding, noise: Array) -> Array:
    if rounding is Rounding.NEVER:
        return result
    moved = result * (1.0 + noise)
    if rounding is Rounding.UNLESS_FIRST_IS_ZERO:
        return jnp.where(operands[0] == 0.0, result, moved)
    exact = _is_dyadic(result)
    if rounding in (Rounding.UNLESS_ALL_DYADIC, Rounding.UNLESS_ALL_DYADIC_OR_WHOLE):
        exact = reduce(operator.and_, map(_is_dyadic, operands), exact)
    if rounding is Rounding.UNLESS_ALL_DYADIC_OR_WHOLE:
        exact |= result == jnp.floor(result)
    if len(operands) == 3:
        # Which two of three are added first is open: what is lost may be as small as the largest.
        largest = reduce(jnp.maximum, map(jnp.abs, operands))
        moved = jnp.where(jnp.isfinite(largest), result + largest * noise, moved)
    return jnp.where(exact, result, moved)


def _is_dyadic(numbers: Array) -> Array:
    """Whether they are multiples of 2^-20 and not large: sums of them are exact."""
    scaled = numbers * _DYADIC_GRAIN
    return (scaled == jnp.floor(scaled)) & (jnp.abs(numbers) < _DYADIC_LIMIT)


_EITHER_ZERO = frozenset(
    "relu clamp clamp_split clamp_min clamp_max hardtanh relu6 maximum minimum larger fmax fmin "
    "hardshrink softshrink add3 summed elu celu selu elu_by_result celu_by_result selu_by_result"
    "".split()
)
"""Primitives that choose between equal zeros of either sign, or add or scale them, and sums, which
may begin with a zero; which sign it has is documented nowhere, and torch chooses by the place in
the tensor."""
_FADES = frozenset(
    "mul div square pow reciprocal exp exp2 erfc sigmoid softplus logsigmoid silu mish gelu "
    "gelu_tanh".split()
)
"""Primitives whose results may be too small: XLA makes zero of what torch still tells from it."""
_FADED = 1e-280
_PERTURBED = np.arange(RUNS) > 0
_ZEROS = np.array([0.0, 0.0, -0.0])
"""What such a zero is in each run but the plain one: not the negated one, or two would cancel."""


def _branch(primitive: Primitive) -> Callable[..., tuple[Array, Array]]:
    """Value and stacked partial derivatives of one primitive, for lanes in all runs."""
    arity, value = primitive.arity, VALUES[primitive.name]
    own_partials = PARTIALS.get(primitive.name)
    rounding = primitive.rounding

    def compute(operands: Array, noise: Array) -> tuple[Array, Array]:
        used = tuple(operands[:arity])
        if own_partials is None:
            plain, pull = jax.vjp(value, *used)
            partials = pull(jnp.ones_like(plain))
            result = _rounded(plain, used, rounding, noise)
        else:
            result = _rounded(value(*used), used, rounding, noise)
            partials = own_partials(result, *used)
        if primitive.name in _EITHER_ZERO:
            zeros = jnp.where(result == 0.0, _ZEROS, result)
            result = jnp.where(_PERTURBED, zeros, result)
        if primitive.name in _FADES:
            faded = result == 0.0
            for operand in used[: arity if arity < 3 else 1]:
                faded = faded & (operand != 0.0) & jnp.isfinite(operand)
            result = jnp.where(faded, noise * _FADED, result)
        unused = [jnp.zeros_like(result)] * (3 - arity)
        return result, jnp.stack([*partials, *unused])

    return compute


BRANCHES = [_branch(primitive) for primitive in PRIMITIVES]
"""What each opcode computes, by code."""


def _branches(special: bool) -> list[Branch]:
    return BRANCHES if special else BRANCHES[:CORE]


# Signs [operand, lane, run] by which the derivatives of one instruction move apart, so that two of
# them that cancel exactly (in a / a) show it in one of the runs.
APART = np.array([[0.0, 1.0, 1.0], [0.0, -1.0, 1.0], [0.0, 1.0, -1.0]])[:, np.newaxis, :RUNS]


def linearise(
    special: bool, code: Array, stop: Array, noise: Array, x: Array
) -> tuple[Array, Array]:
    """The result and its partial derivatives; `DROPPED` where nothing comes through."""
    result, partials = lax.switch(code, _branches(special), x, noise)
    # Products with 0, 1 and -1 are exact.
    exact = (partials == 0.0) | (jnp.abs(partials) == 1.0) | (partials == DROPPED)
    moved = jnp.where(exact, partials, partials * (1.0 + noise * APART))
    drop = ((partials == 0.0) & jnp.asarray(SELECTS)[code]) | stop
    return result, jnp.where(drop, DROPPED, moved)


def product(partials: Array, other: Array) -> Array:
    return jnp.where(partials == DROPPED, 0.0, partials * other)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _step(special: bool, code: Array, stop: Array, noise: Array, x: Array) -> Array:
    return linearise(special, code, stop, noise, x)[0]


@_step.defjvp
def _step_jvp(
    special: bool,
    primals: tuple[Array, Array, Array, Array],
    tangents: tuple[Array, Array, Array, Array],
) -> tuple[Array, Array]:
    result, partials = linearise(special, *primals)
    return result, jnp.sum(product(partials, tangents[3]), 0)


def execute(capacity: Capacity, inputs: Array, integers: Array) -> Array:
    """All slots after the program: float64 [slots, 3], from inputs float64 [inputs, 3].

    jax differentiates this in `inputs`, forward and backward and to any order. It is the
    reference of `value_and_gradients`, which is faster and has the same chain rule written out.
    A guided ReLU counts as a ReLU here.
    """
    program = unpack(capacity, integers)

    def body(slots: Array, number: Array) -> tuple[Array, None]:
        code, stop, noise, reads = program.row(number)
        result = _step(capacity.special, code, stop, noise, slots[reads])
        return write(slots, result, capacity.inputs + number * LANES), None

    slots, _ = lax.scan(body, start(capacity, inputs), jnp.arange(capacity.rows))
    return slots


def value_and_gradients(capacity: Capacity, floats: Array, integers: Array) -> tuple[Array, Array]:
    """All slots [slots, 3], and for each pass the gradient at the inputs [passes, inputs, 3].

    Loops of as many turns as the program has rows and passes take the place of `execute`'s scan:
    one compilation serves every shorter program, and costs it nothing.
    """
    program = unpack(capacity, integers)
    inputs = floats[: capacity.inputs, None]
    seeds = floats[capacity.inputs :].reshape(capacity.passes, 2, capacity.slots, 1)

    def forward(number: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        slots, kept = state
        code, stop, noise, reads = program.row(number)
        result, partials = linearise(capacity.special, code, stop, noise, slots[reads])
        kept = write(kept, partials[None], number)
        return write(slots, result, capacity.inputs + number * LANES), kept

    kept = jnp.zeros((capacity.rows, 3, LANES, RUNS))
    slots, kept = lax.fori_loop(0, program.used_rows, forward, (start(capacity, inputs), kept))

    def backward(turn: Array, cotangents: Array) -> Array:
        number = program.used_rows - 1 - turn
        incoming = lax.dynamic_slice_in_dim(cotangents, capacity.inputs + number * LANES, LANES)
        guided = jnp.asarray(_GUIDED)[program.codes[number]]
        incoming = jnp.where(guided & ~(incoming > 0.0), 0.0, incoming)
        # Gradients that add up are rounded: two that cancel must show it, if they are not exact.
        # Short ones may swallow what is small: every opinion but the first reckons with that.
        noise = program.noise[(number + program.shift) % NOISE_ROWS] * APART
        added = product(kept[number], incoming)
        exact = _is_dyadic(incoming) & (program.shift == 0)
        added = jnp.where(exact, added, added * (1.0 + noise))
        return cotangents.at[program.operands[number]].add(added)

    def one_pass(number: Array, gradients: Array) -> Array:
        # Losses of several backward calls are added up in torch, each rounded by itself.
        start = seeds[number, 0] + seeds[number, 1] * (NOISE * APART[1])
        cotangents = lax.fori_loop(0, program.used_rows, backward, start)
        return write(gradients, cotangents[None, : capacity.inputs], number)

    gradients = jnp.zeros((capacity.passes, capacity.inputs, RUNS))
    gradients = lax.fori_loop(0, program.used_passes, one_pass, gradients)
    return slots, gradients


def compile_program(capacity: Capacity) -> jax.stages.Compiled:
    """The compiled `value_and_gradients` of a capacity, from jax's cache where it has it."""
    floats, integers = np.zeros(capacity.floats), np.zeros(capacity.integers, np.int32)
    return (
        jax.jit(value_and_gradients, static_argnums=0).lower(capacity, floats, integers).compile()
    )


@dataclass(frozen=True, slots=True)
class _Program:
    used_rows: Array
    used_passes: Array
    shift: Array
    codes: Array
    stops: Array
    operands: Array
    noise: Array

    def row(self, number: Array) -> tuple[Array, Array, Array, Array]:
        """Code, stop, noise [lanes, 3] and operands [3, lanes] of one instruction."""
        noise = self.noise[(number + self.shift) % NOISE_ROWS]
        return self.codes[number], self.stops[number], noise, self.operands[number]


def unpack(capacity: Capacity, integers: Array) -> _Program:
    rows = capacity.rows
    body = integers[3:]
    return _Program(
        integers[0],
        integers[1],
        integers[2],
        body[:rows],
        body[rows : 2 * rows] != 0,
        body[2 * rows :].reshape(rows, 3, LANES),
        jnp.asarray(_noise_table()),
    )


def start(capacity: Capacity, inputs: Array) -> Array:
    return jnp.zeros((capacity.slots, RUNS)).at[: capacity.inputs].set(inputs)


def write(target: Array, block: Array, place: Array) -> Array:
    return lax.dynamic_update_slice_in_dim(target, block, place, 0)
