"""The register machine: shapes, aliasing and mutation, losses and passes.

Its chain rule is held to plain jax on straight-line programs, to `jax.grad` through the scan, and
to finite differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from conformance.oracle import Assembly, Handle, cache, packing, program
from conformance.oracle.machine import Machine, capacity_for
from conformance.oracle.primitives import CODES
from conformance.oracle.program import RUNS

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def machine() -> Machine:
    """One machine for all tests; the first program compiles it."""
    cache.prepare()
    return Machine()


def _gradient(machine: Machine, assembly: Assembly, at: Handle) -> list[float]:
    """The gradient of loss 0 at a leaf, as a flat list."""
    gradients: Floats = machine.run(assembly, [(0,)]).gradients[0][at]
    return [float(entry) for entry in gradients.ravel()]


# -- straight-line programs against plain jax, and jax through the scan ---------------------------

UNARY: dict[str, Callable[..., jax.Array]] = {
    "sin": jnp.sin,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "square": jnp.square,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "atan": jnp.arctan,
    "logsigmoid": jax.nn.log_sigmoid,
}
BINARY: dict[str, Callable[..., jax.Array]] = {
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "atan2": jnp.arctan2,
    "maximum": jnp.maximum,
}
Chain = list[tuple[str, list[int]]]


def _chain(rng: np.random.Generator) -> Chain:
    """Eight steps, each an operation and the earlier values that it takes; leaves are 0 to 2."""
    names = rng.choice([*UNARY, *BINARY], 8)
    return [
        (str(name), [int(each) for each in rng.integers(0, 3 + step, 2 if name in BINARY else 1)])
        for step, name in enumerate(names)
    ]


def _leaves(rng: np.random.Generator) -> list[Floats]:
    return [rng.uniform(-1.5, 1.5, shape) for shape in ((2, 3), (3,), (2, 1))]


def _assembled(chain: Chain, leaves: list[Floats]) -> tuple[Assembly, list[Handle]]:
    assembly = Assembly()
    made = [assembly.leaf(leaf) for leaf in leaves]
    for name, reads in chain:
        made.append(assembly.apply(name, *(made[read] for read in reads)))
    assembly.loss(0, made[-1])
    return assembly, made


def _plain(chain: Chain, leaves: list[jax.Array]) -> jax.Array:
    made = list(leaves)
    for name, reads in chain:
        made.append((UNARY | BINARY)[name](*(made[read] for read in reads)))
    return jnp.sum(made[-1])


@pytest.mark.parametrize("seed", range(12))
def test_chain_agrees_with_plain_jax(machine: Machine, seed: int) -> None:
    """A random chain has the value and the gradients of `jax.value_and_grad`, within its bound."""
    rng = np.random.default_rng(seed)
    chain, leaves = _chain(rng), _leaves(rng)
    assembly, made = _assembled(chain, leaves)
    result = machine.run(assembly, [(0,)])
    value, slopes = jax.value_and_grad(lambda arrays: _plain(chain, arrays))(leaves)
    assert result.values[made[-1]].sum() == pytest.approx(float(value), rel=1e-9)
    for handle, slope in zip(made, slopes, strict=False):
        error = np.abs(result.gradients[0][handle] - slope)
        assert (error <= 1e-9 * np.abs(slope) + result.gradient_slack[0][handle]).all()


def _through_the_scan(assembly: Assembly) -> tuple[Callable[[jax.Array], jax.Array], jax.Array]:
    """Loss 0 as a jax function of the inputs, through `program.execute`; and the inputs."""
    capacity = capacity_for(assembly, 1)
    integers = packing.pack_integers(capacity, assembly, 1, ())
    floats = packing.pack_floats(capacity, assembly, [(0,)])
    weights = floats[capacity.inputs : capacity.inputs + capacity.slots]

    def loss(inputs: jax.Array) -> jax.Array:
        spread = jnp.broadcast_to(inputs[:, None], (capacity.inputs, RUNS))
        return jnp.vdot(program.execute(capacity, spread, jnp.asarray(integers))[:, 0], weights)

    return loss, jnp.asarray(floats[: capacity.inputs])


def test_jax_differentiates_the_scan_to_the_same_gradient(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`jax.grad`, `jax.jvp` and a Hessian-vector product go through the scan; they agree."""
    # Second derivatives of a hundred primitives take half a minute to compile.
    used, idle = {"copy", "mul", "tanh", "atan2"}, program.BRANCHES[CODES["copy"]]
    branches = [program.BRANCHES[code] if name in used else idle for name, code in CODES.items()]
    monkeypatch.setattr(program, "BRANCHES", branches)
    rng = np.random.default_rng(5)
    assembly, made = _assembled([("mul", [0, 1]), ("tanh", [3]), ("atan2", [4, 2])], _leaves(rng))
    loss, inputs = _through_the_scan(assembly)
    gradient = jax.jit(jax.grad(loss))
    origins = np.concatenate([assembly.origins()[leaf].ravel() for leaf in made[:3]])
    ours = np.concatenate([machine.run(assembly, [(0,)]).gradients[0][x].ravel() for x in made[:3]])
    slopes = gradient(inputs)
    np.testing.assert_allclose(slopes[origins], ours, 1e-13)

    direction = jnp.zeros_like(inputs).at[origins].set(rng.uniform(-1, 1, origins.size))
    _, along = jax.jvp(loss, (inputs,), (direction,))
    assert along == pytest.approx(float(slopes @ direction), rel=1e-12)
    _, product = jax.jvp(gradient, (inputs,), (direction,))
    step = 1e-6
    difference = gradient(inputs + step * direction) - gradient(inputs - step * direction)
    np.testing.assert_allclose(product, difference / (2 * step), 1e-6, 1e-8)


# -- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((2, 3), (3,)),
        ((), (4,)),
        ((2, 1), (1, 3)),
        ((0, 3), (3,)),
        ((5, 13), (13,)),
        ((3, 1, 40), (2, 1)),
    ],
)
def test_broadcasting_is_numpys(
    machine: Machine, one: tuple[int, ...], two: tuple[int, ...]
) -> None:
    """0-d, empty, broadcast and many-instruction operands; gradients are summed back."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(size=one), rng.uniform(size=two)
    assembly = Assembly()
    x, y = assembly.leaf(a), assembly.leaf(b)
    product = assembly.apply("mul", x, y)
    assembly.loss(0, product)
    result = machine.run(assembly, [(0,)])
    np.testing.assert_array_equal(result.values[product], a * b)
    _, pull = jax.vjp(jnp.multiply, a, b)
    expected_x, expected_y = pull(jnp.ones(product.shape))
    np.testing.assert_allclose(result.gradients[0][x], expected_x, 1e-14)
    np.testing.assert_allclose(result.gradients[0][y], expected_y, 1e-14)


@pytest.mark.parametrize("axes", [None, (0,), (1,), (0, 2), (-1,), ()])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 1, 1), (7, 0, 2), (1, 50, 2)])
def test_total_is_numpys_sum(
    machine: Machine, shape: tuple[int, ...], axes: tuple[int, ...] | None, keepdim: bool
) -> None:
    """Over any axes, kept or not, empty ones included; its derivative is 1."""
    values = np.random.default_rng(1).integers(-9, 9, shape).astype(np.float64)
    assembly = Assembly()
    x = assembly.leaf(values)
    total = assembly.total(x, axes, keepdim)
    assembly.loss(0, total)
    result = machine.run(assembly, [(0,)])
    expected = values.sum(axes, keepdims=keepdim)
    np.testing.assert_array_equal(result.values[total], expected)
    assert total.shape == expected.shape
    np.testing.assert_array_equal(result.gradients[0][x], np.ones(shape))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((2, 2, 3), (3, 2)),
        ((2, 1, 2, 3), (3, 3, 1)),
        ((2, 0), (0, 3)),
        ((0, 2), (2, 3)),
    ],
)
def test_matmul_is_numpys(machine: Machine, one: tuple[int, ...], two: tuple[int, ...]) -> None:
    """Every rank, batches and empty sizes; gradients are jax's."""
    rng = np.random.default_rng(2)
    a, b = rng.uniform(size=one), rng.uniform(size=two)
    assembly = Assembly()
    x, y = assembly.leaf(a), assembly.leaf(b)
    product = assembly.matmul(x, y)
    assembly.loss(0, product)
    result = machine.run(assembly, [(0,)])
    assert product.shape == (a @ b).shape
    np.testing.assert_allclose(result.values[product], a @ b, 1e-14)
    expected, pull = jax.vjp(jnp.matmul, a, b)
    for handle, slope in zip((x, y), pull(jnp.ones_like(expected)), strict=True):
        np.testing.assert_allclose(result.gradients[0][handle], slope, 1e-14)


def test_wrong_operands_are_refused() -> None:
    """An unknown primitive, a wrong number of operands, and shapes that do not fit."""
    assembly = Assembly()
    x = assembly.leaf(np.zeros(3))
    with pytest.raises(KeyError):
        assembly.apply("nothing", x)
    with pytest.raises(TypeError, match="takes 2 operands"):
        assembly.apply("add", x)
    with pytest.raises(ValueError, match="broadcast"):
        assembly.apply("add", x, x, into=x[:2])
    with pytest.raises(ValueError, match="matmul"):
        assembly.matmul(x, assembly.leaf(np.zeros((2, 2))))


# -- mutation and aliasing ------------------------------------------------------------------------


def test_write_through_a_view_is_seen_by_the_base(machine: Machine) -> None:
    """`x.T[1].mul_(3)`: the base has the new values, and the gradient goes through the product."""
    assembly = Assembly()
    x = assembly.leaf(np.array([[1.0, 2.0], [3.0, 4.0]]))
    column = x.T[1]
    assembly.apply("mul", column, 3.0, into=column)
    assembly.loss(0, x)
    assert machine.run(assembly, []).values[x].tolist() == [[1.0, 6.0], [3.0, 12.0]]
    assert _gradient(machine, assembly, x) == [1.0, 3.0, 1.0, 3.0]


def test_aliased_operands_are_read_before_the_write(machine: Machine) -> None:
    """`x[1:] += x[:-1]` over several instructions reads what was there before it."""
    values = np.arange(100.0)
    assembly = Assembly()
    x = assembly.leaf(values)
    assembly.apply("add", x[1:], x[:-1], into=x[1:])
    expected = values.copy()
    expected[1:] += values[:-1]
    np.testing.assert_array_equal(machine.run(assembly, []).values[x], expected)


def test_snapshot_keeps_what_was(machine: Machine) -> None:
    """A snapshot has value and derivative as of its making."""
    assembly = Assembly()
    x = assembly.leaf(np.array([2.0]))
    before = assembly.snapshot(x)
    assembly.apply("square", x, into=x)
    assembly.loss(0, before)
    result = machine.run(assembly, [(0,)])
    assert result.values[before].tolist() == [2.0]
    assert result.values[x].tolist() == [4.0]
    assert result.gradients[0][x] == [1.0]


def test_loss_takes_the_value_of_its_moment(machine: Machine) -> None:
    """A root that is overwritten later keeps the gradient that it had."""
    assembly = Assembly()
    x = assembly.leaf(np.array([3.0]))
    root = assembly.apply("square", x)
    assembly.loss(0, root)
    assembly.apply("mul", root, 100.0, into=root)
    assert _gradient(machine, assembly, x) == [6.0]


@pytest.mark.parametrize("new", [5.0, math.inf, 1e300])
def test_carry_has_the_new_value_and_the_old_derivative(machine: Machine, new: float) -> None:
    """A write in `no_grad`: exactly the new value, infinite or huge; the derivative stays."""
    assembly = Assembly()
    x, y = assembly.leaf(np.array([3.0])), assembly.leaf(np.array([new]))
    square = assembly.apply("square", x)
    assembly.carry(y, square)
    assembly.loss(0, square)
    result = machine.run(assembly, [(0,)])
    assert result.values[square] == [new]
    assert result.gradients[0][x] == [6.0]
    assert result.gradients[0][y] == [0.0]


def test_rename_has_the_new_value_and_derivative(machine: Machine) -> None:
    """A recorded write of values that are there already."""
    assembly = Assembly()
    x, y = assembly.leaf(np.array([3.0, 4.0])), assembly.leaf(np.array([5.0]))
    assembly.rename(y, x[:1])
    assembly.loss(0, x)
    result = machine.run(assembly, [(0,)])
    assert result.values[x].tolist() == [5.0, 4.0]
    assert result.gradients[0][x].tolist() == [0.0, 1.0]
    assert result.gradients[0][y].tolist() == [1.0]


def test_cut_and_stop_stop_the_derivative(machine: Machine) -> None:
    """The values stay; the way through `cut` or `stop` contributes nothing."""
    assembly = Assembly()
    x = assembly.leaf(np.array([3.0]))
    detached = assembly.cut(x)
    stopped = assembly.apply("exp", x, stop=True)
    kept = assembly.apply("add", assembly.apply("mul", x, detached), stopped)
    assembly.loss(0, kept)
    assert machine.run(assembly, []).values[kept] == pytest.approx([9.0 + math.exp(3.0)])
    assert _gradient(machine, assembly, x) == [3.0]


def test_tap_makes_a_leaf(machine: Machine) -> None:
    """`y.detach_().requires_grad_()`: y's gradient is read at the tap, and x gets none of it."""
    assembly = Assembly()
    x = assembly.leaf(np.array([3.0]))
    y = assembly.apply("square", x)
    entrance = assembly.tap(y)
    assembly.loss(0, assembly.apply("square", y))
    result = machine.run(assembly, [(0,)])
    assert result.values[y] == [9.0]
    assert result.gradients[0][entrance].tolist() == [18.0]
    assert result.gradients[0][x].tolist() == [0.0]


def test_passes_add_the_losses_they_name(machine: Machine) -> None:
    """Each pass is the gradient of the sum of its losses; more passes than a capacity holds."""
    assembly = Assembly()
    x = assembly.leaf(np.array([3.0]))
    assembly.loss(0, assembly.apply("square", x))
    assembly.loss(1, x, np.array([10.0]))
    gradients = machine.run(assembly, [(0,), (1,), (0, 1), ()]).gradients
    assert gradients[:, x[0]].tolist() == [6.0, 10.0, 16.0, 0.0]


def test_what_the_loss_does_not_use_cannot_poison_it(machine: Machine) -> None:
    """`sqrt(0)` beside the loss: autograd never executes its node, and 0 times inf is no NaN."""
    assembly = Assembly()
    x = assembly.leaf(np.array([0.0]))
    root = assembly.apply("sqrt", x)
    assembly.loss(0, assembly.apply("mul", x, 2.0))
    assembly.loss(1, assembly.apply("mul", root, 0.0))
    gradients = machine.run(assembly, [(0,), (1,)]).gradients[:, x[0]]
    assert gradients[0] == 2.0
    assert math.isnan(gradients[1])


def test_large_programs_get_a_larger_capacity(machine: Machine) -> None:
    """600 instructions in place, more than the first two capacities hold together."""
    assembly = Assembly()
    x = assembly.leaf(np.ones(3))
    y = assembly.snapshot(x)
    for _ in range(400):
        assembly.apply("mul", y, 1.0009765625, into=y)
    assembly.loss(0, y)
    assert capacity_for(assembly, 1).rows == 512
    np.testing.assert_allclose(_gradient(machine, assembly, x), 1.0009765625**400, 1e-12)
