"""Whole programs on the oracle: against plain jax, finite differences, and numbers by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from conformance.model import predict
from conformance.oracle.interpret import Answer, Entries, answer
from conformance.oracle.machine import Machine
from strategies.build import DEFAULT, Recipe, build
from strategies.choices import Seeded
from strategies.draft import Draft, check
from strategies.printer import print_body
from strategies.program import Apply, Backward, Data, Leaf, Mode, Program
from strategies.values import materialise
from tests._reference import KNOWN, SMOOTH, VIEWS, reference

Floats = NDArray[np.float64]

RANDOM = replace(DEFAULT, most_steps=6, detach=8, wild=0, rows=KNOWN)
STRAIGHT = replace(RANDOM, in_place=0, region=0, detach=0, backward=0)
DIFFERENTIABLE = replace(
    RANDOM, most_steps=8, region=0, detach=0, backward=0, rows=frozenset({*SMOOTH, *VIEWS})
)
RTOL = 1e-9


@pytest.fixture(scope="module")
def machine() -> Machine:
    """One machine for all tests; the first program compiles it."""
    return Machine()


def _answered(machine: Machine, draft: Draft) -> Answer | None:
    """What the oracle says of a program; None if it raises or nothing can be said of it."""
    prediction = predict(draft)
    if prediction.raises or prediction.unspecified:
        return None
    found = answer(draft, prediction, machine)
    return None if found.unspecified else found


def _drawn(
    machine: Machine, seed: int, recipe: Recipe, good: Callable[[Draft, Answer], bool]
) -> tuple[Draft, Answer]:
    """The first program of a stream that raises nothing and is good, and the oracle's answer."""
    for index in range(100):
        draft = check(build(Seeded(seed, index), recipe))
        found = _answered(machine, draft)
        if found is not None and good(draft, found):
            return draft, found
    raise AssertionError(f"stream {seed} holds no program that can be compared")


def _assert_close(what: str, seen: Floats, expected: Entries, draft: Draft) -> None:
    bound = RTOL * np.abs(seen) + expected.slack
    text = f"{what} is {expected.values} and plain jax gives {seen}\n{print_body(draft).text}"
    assert seen.shape == np.shape(expected.values), text
    assert (np.abs(expected.values - seen) <= bound).all(), text


def _finite(draft: Draft, found: Answer) -> bool:
    entries = [*found.values.values(), *found.gradients.values()]
    return all(bool(np.isfinite(each.values).all()) for each in entries)


def _compare(machine: Machine, seed: int, recipe: Recipe) -> None:
    draft, found = _drawn(machine, seed, recipe, _finite)
    values, gradients = reference(draft)
    assert values.keys() == found.values.keys()
    for name, value in values.items():
        _assert_close(name, value, found.values[name], draft)
    graded = predict(draft).graded
    for name, gradient in gradients.items():
        _assert_close(f"{name}.grad", gradient, found.gradients[name], draft)
        assert graded[name] or not gradient.any(), f"{name}.grad is {gradient} and should be None"


@pytest.mark.parametrize("seed", range(150))
def test_random_program_agrees_with_plain_jax(machine: Machine, seed: int) -> None:
    """Views, writes, grad-mode regions and aliases: values and gradients are `jax.grad`'s."""
    _compare(machine, seed, RANDOM)


@pytest.mark.parametrize("seed", range(20))
def test_straight_line_program_agrees_with_plain_jax(machine: Machine, seed: int) -> None:
    """Without a write, a region or an alias the oracle is `jax.value_and_grad`."""
    _compare(machine, seed, STRAIGHT)


# -- finite differences ---------------------------------------------------------------------------


def _numbers_of(data: Data, shape: tuple[int, ...]) -> Floats:
    return materialise(data, shape, "float64", "").astype(np.float64)


def _loss(machine: Machine, draft: Draft) -> float:
    """The only loss of a program that ends with its backward call, of the oracle's values."""
    last = draft.steps[-1]
    found = _answered(machine, draft)
    assert isinstance(last, Backward) and found is not None
    (name,), data = last.of, last.cotangents
    root = found.values[name].values
    weights = _numbers_of(data[0], root.shape) if data and data[0] else 1.0
    return float(np.sum(root * weights))


def _moved(draft: Draft, name: str, by: Floats) -> Draft:
    """The program with one leaf moved."""
    leaves = []
    for leaf in draft.leaves:
        if leaf.name == name:
            numbers = _numbers_of(leaf.data, leaf.shape) + by
            leaf = msgspec.structs.replace(leaf, data=[float(x) for x in numbers.ravel()])
        leaves.append(leaf)
    return check(Program(tuple(leaves), tuple(draft.steps)))


def _difference(machine: Machine, draft: Draft, name: str, direction: Floats) -> float | None:
    """The slope of the loss along a direction of one leaf; None where steps of two sizes differ.

    Central differences of two sizes, extrapolated: the error is of fourth order.
    """
    slopes = []
    for step in (1e-4, 2e-4):
        ahead = _loss(machine, _moved(draft, name, step * direction))
        behind = _loss(machine, _moved(draft, name, -step * direction))
        slopes.append((ahead - behind) / (2 * step))
    near, far = slopes
    return (4 * near - far) / 3 if near == pytest.approx(far, rel=1e-4, abs=1e-6) else None


def _tame(draft: Draft, found: Answer) -> bool:
    """Whether rounding cannot hide the slopes, and there is one to see."""
    values = [each.values for each in found.values.values()]
    slopes = [found.gradients[leaf.name].values for leaf in draft.leaves if leaf.requires_grad]
    return all(bool((np.abs(x) <= 1e3).all()) for x in (*values, *slopes)) and any(
        bool(np.any(slope)) for slope in slopes
    )


@pytest.mark.parametrize("seed", range(25))
def test_gradients_are_the_slopes_of_the_oracles_own_values(machine: Machine, seed: int) -> None:
    """Where everything is recorded and smooth, central differences agree to 1e-5."""
    rng = np.random.default_rng(seed)
    seen: list[tuple[float, float]] = []

    def converges(draft: Draft, found: Answer) -> bool:
        if not _tame(draft, found):
            return False
        for leaf in draft.leaves:
            if leaf.requires_grad:
                direction = rng.choice([-1.0, 1.0], leaf.shape)
                slope = _difference(machine, draft, leaf.name, direction)
                if slope is None:
                    return False
                gradient = found.gradients[leaf.name].values
                seen.append((slope, float(np.sum(gradient * direction))))
        return True

    draft, _ = _drawn(machine, seed, DIFFERENTIABLE, converges)
    for slope, gradient in seen:
        assert gradient == pytest.approx(slope, rel=1e-5, abs=1e-6), print_body(draft).text


# -- programs by hand -----------------------------------------------------------------------------

A = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
B = Leaf("b", (2,), [3.0, 5.0], requires_grad=True)
NO_GRAD: tuple[Mode, ...] = ("no_grad",)


def _leaf(name: str, *numbers: Any, shape: tuple[int, ...] | None = None) -> Leaf:
    shape = (len(numbers),) if shape is None else shape
    return Leaf(name, shape, list(numbers), requires_grad=True)


def _apply(op: str, *args: Any, to: str = "", modes: tuple[Mode, ...] = (), **params: Any) -> Apply:
    return Apply(op, args, params, tuple(to.split()), "", modes)


def _backward(root: str, *cotangent: float, retain: bool = False) -> Backward:
    return Backward((root,), (list(cotangent),) if cotangent else (), retain)


def _run(machine: Machine, leaves: tuple[Leaf, ...], *steps: Apply | Backward) -> Answer:
    draft = check(Program(leaves, steps))
    return answer(draft, predict(draft), machine)


def _numbers(entries: Entries) -> Any:
    return np.asarray(entries.values).tolist()


def test_a_copy_keeps_every_number(machine: Machine) -> None:
    """Zeros keep their signs, infinities and NaN stay, in a fresh tensor and a written one."""
    special = _leaf("s", -0.0, 0.0, "inf", "-inf", "nan")
    plain = _leaf("p", *[1.0] * 5)
    found = _run(
        machine,
        (special, plain),
        _apply("clone", "s", to="x"),
        _apply("clone", "p", to="y"),
        _apply("copy_", "y", "s"),
        _apply("copy_", "p", "s", modes=NO_GRAD),
        _backward("y", *[1.0] * 5),
    )
    for name in ("x", "y", "p"):
        assert list(map(str, _numbers(found.values[name]))) == ["-0.0", "0.0", "inf", "-inf", "nan"]
    assert _numbers(found.gradients["s"]) == [1.0] * 5
    assert _numbers(found.gradients["p"]) == [0.0] * 5


def test_a_write_in_no_grad_keeps_the_slope_of_infinity(machine: Machine) -> None:
    """The new value is exact and the old derivative is 1, though infinity is overwritten."""
    found = _run(
        machine,
        (_leaf("a", "inf", "nan"), B),
        _apply("copy_", "a", "b", modes=NO_GRAD),
        _apply("mul", "a", "b", to="x"),
        _backward("x", 1.0, 1.0),
    )
    assert _numbers(found.values["x"]) == [9.0, 25.0]
    assert _numbers(found.gradients["a"]) == [3.0, 5.0]


def test_relu_of_nan_and_infinity(machine: Machine) -> None:
    """NaN passes through, with gradient 1; minus infinity and both zeros have gradient 0."""
    found = _run(
        machine,
        (_leaf("a", "nan", "inf", "-inf", 0.0, -0.0),),
        _apply("relu", "a", to="x"),
        _backward("x", *[1.0] * 5),
    )
    assert list(map(str, np.abs(_numbers(found.values["x"])))) == [
        "nan",
        "inf",
        "0.0",
        "0.0",
        "0.0",
    ]
    assert _numbers(found.gradients["a"]) == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_what_no_loss_needs_poisons_no_gradient(machine: Machine) -> None:
    """log(0) beside the loss leaves the gradient as it is, as in torch."""
    found = _run(
        machine,
        (_leaf("a", 0.0),),
        _apply("log", "a", to="x"),
        _apply("exp", "a", to="y"),
        _backward("y"),
    )
    assert _numbers(found.values["x"]) == [-math.inf]
    assert _numbers(found.gradients["a"]) == [1.0]


def test_an_empty_tensor_adds_nothing(machine: Machine) -> None:
    """Its sum is 0, and its gradient is there and empty."""
    found = _run(
        machine,
        (_leaf("e", shape=(2, 0)), _leaf("a", 3.0, shape=())),
        _apply("exp", "e", to="x"),
        _apply("mul_", "x", "a"),
        _apply("sum", "x", to="y"),
        _apply("add", "y", "a", to="z"),
        _backward("z"),
    )
    assert _numbers(found.values["z"]) == 3.0
    assert np.shape(found.gradients["e"].values) == (2, 0)
    assert _numbers(found.gradients["a"]) == 1.0


def test_a_scalar_spreads_and_gathers(machine: Machine) -> None:
    """A 0-d leaf takes part in every entry, and its gradient is their sum."""
    found = _run(
        machine,
        (_leaf("s", 2.0, shape=()), A),
        _apply("mul", "s", "a", to="x"),
        _apply("pow_", "x", 2.0),
        _backward("x", 1.0, 10.0),
    )
    assert _numbers(found.values["x"]) == [4.0, 16.0]
    assert _numbers(found.gradients["s"]) == pytest.approx(2 * 2.0 * (1.0 + 10.0 * 4.0))
    assert _numbers(found.gradients["a"]) == pytest.approx([8.0, 160.0])


# -- backward calls -------------------------------------------------------------------------------


def test_losses_add_up(machine: Machine) -> None:
    """Two backward calls on one retained graph: the second counts as often as it runs."""
    found = _run(
        machine,
        (A,),
        _apply("mul", "a", "a", to="x"),
        _backward("x", 1.0, 1.0, retain=True),
        _backward("x", 10.0, 10.0),
    )
    assert _numbers(found.gradients["a"]) == [22.0, 44.0]


def test_a_loss_is_of_the_value_at_its_time(machine: Machine) -> None:
    """A write between two backward calls changes the second alone."""
    found = _run(
        machine,
        (A,),
        _apply("mul", "a", 3.0, to="x"),
        _backward("x", 1.0, 1.0, retain=True),
        _apply("mul_", "x", 100.0),
        _backward("x", 1.0, 1.0),
    )
    assert _numbers(found.gradients["a"]) == [303.0, 303.0]
    assert _numbers(found.values["x"]) == [300.0, 600.0]


def test_several_roots_of_one_call(machine: Machine) -> None:
    """`torch.autograd.backward([x, y], ...)` adds its roots up."""
    found = _run(
        machine,
        (A, B),
        _apply("mul", "a", "b", to="x"),
        _apply("sum", "b", to="y"),
        Backward(("x", "y"), ([1.0, 2.0], None)),
    )
    assert _numbers(found.gradients["a"]) == [3.0, 10.0]
    assert _numbers(found.gradients["b"]) == [2.0, 5.0]


def test_a_backward_that_raises_fills_what_it_reached(machine: Machine) -> None:
    """`a * 2` runs before `exp(b)` is found to be overwritten: `a.grad` is there, `b.grad` not."""
    leaves = (A, B)
    steps = (
        _apply("mul", "a", 7.0, to="u"),
        _backward("u", 1.0, 1.0),
        _apply("exp", "b", to="x"),
        _apply("mul", "a", 2.0, to="y"),
        _apply("add", "y", "x", to="z"),
        _apply("mul_", "x", 2.0),
        _backward("z", 1.0, 1.0),
    )
    prediction = predict(check(Program(leaves, steps)))
    assert prediction.raises is not None and prediction.raises.step == 6
    assert prediction.graded == {"a": True, "b": False}
    assert _numbers(_run(machine, leaves, *steps).gradients["a"]) == [9.0, 9.0]


# -- aliases, repeats, indices --------------------------------------------------------------------


def test_a_write_through_a_detached_alias_keeps_the_slope(machine: Machine) -> None:
    """All that share the memory see the value; the source has the derivative it had."""
    found = _run(
        machine,
        (A, B),
        _apply("mul", "a", 3.0, to="x"),
        _apply("detach", "x", to="d"),
        _apply("detach", "d", to="e"),
        _apply("copy_", "d", "b"),
        _apply("mul", "x", 1.0, to="y"),
        _apply("mul", "d", 1.0, to="z"),
        _apply("mul", "e", "a", to="w"),
        Backward(("y", "z", "w"), ([1.0, 1.0], [10.0, 10.0], [100.0, 100.0])),
    )
    for name in "xdeyz":
        assert _numbers(found.values[name]) == [3.0, 5.0]
    assert _numbers(found.gradients["a"]) == [303.0, 503.0]
    assert _numbers(found.gradients["b"]) == [10.0, 10.0]


def test_a_write_to_the_source_shows_in_its_alias_without_a_slope(machine: Machine) -> None:
    """The alias made earlier sees the value, and no gradient flows through it."""
    found = _run(
        machine,
        (A, B),
        _apply("clone", "a", to="x"),
        _apply("detach", "x", to="d"),
        _apply("mul_", "x", "b"),
        _apply("mul", "d", "b", to="y"),
        _backward("y", 1.0, 1.0),
    )
    assert _numbers(found.values["d"]) == [3.0, 10.0]
    assert _numbers(found.gradients["a"]) == [0.0, 0.0]
    assert _numbers(found.gradients["b"]) == [3.0, 10.0]


def test_an_expanded_operand_gathers_its_gradient(machine: Machine) -> None:
    """Each of the three repeats adds to the one cell that they share."""
    found = _run(
        machine,
        (_leaf("a", 1.0, 2.0, shape=(2, 1)), _leaf("w", *range(1, 7), shape=(2, 3))),
        _apply("expand", "a", to="x", shape=[2, 3]),
        _apply("mul", "x", "w", to="y"),
        _backward("y", *[1.0] * 6),
    )
    assert _numbers(found.gradients["a"]) == [[6.0], [15.0]]
    assert _numbers(found.gradients["w"]) == [[1.0] * 3, [2.0] * 3]


def test_an_indexed_write_broadcasts(machine: Machine) -> None:
    """`x[:, 1:] = b` fills both rows: what it covers has no slope, `b` has that of all copies."""
    found = _run(
        machine,
        (_leaf("a", *range(6), shape=(2, 3)), _leaf("b", 10.0, 20.0, shape=(1, 2))),
        _apply("clone", "a", to="x"),
        _apply("setitem_", "x", "b", index=[[None, None, None], [1, None, None]]),
        _backward("x", *range(1, 7)),
    )
    assert _numbers(found.values["x"]) == [[0.0, 10.0, 20.0], [3.0, 10.0, 20.0]]
    assert _numbers(found.gradients["a"]) == [[1.0, 0.0, 0.0], [4.0, 0.0, 0.0]]
    assert _numbers(found.gradients["b"]) == [[7.0, 9.0]]


# -- conditioning ---------------------------------------------------------------------------------


def test_a_tie_of_dyadic_numbers_is_decided(machine: Machine) -> None:
    """`a + a` and `a * 2` are equal without doubt, so half of the gradient goes to each."""
    found = _run(
        machine,
        (A,),
        _apply("add", "a", "a", to="x"),
        _apply("mul", "a", 2.0, to="y"),
        _apply("gt", "x", "y", to="m"),
        _apply("maximum", "x", "y", to="z"),
        _backward("z", 1.0, 1.0),
    )
    assert found.unspecified == ""
    assert _numbers(found.values["m"]) == [0.0, 0.0]
    assert _numbers(found.gradients["a"]) == [2.0, 2.0]
    assert found.values["z"].slack.tolist() == [0.0, 0.0]


def test_a_comparison_within_rounding_is_unspecified(machine: Machine) -> None:
    """`sin(a) * 3` and `sin(a) + sin(a) + sin(a)` may differ in the last place."""
    found = _run(
        machine,
        (A,),
        _apply("sin", "a", to="s"),
        _apply("add", "s", "s", to="x"),
        _apply("add_", "x", "s"),
        _apply("mul", "s", 3.0, to="y"),
        _apply("gt", "x", "y", to="m"),
    )
    assert found.unspecified.startswith("ill-conditioned: gt")


@pytest.mark.parametrize("steps", [1, 2])
def test_cancellation_gets_slack(machine: Machine, steps: int) -> None:
    """What is left of `sin(a) + 1000 - 1000` may be off by the rounding of 1000, not of itself."""
    found = _run(
        machine,
        (A,),
        _apply("sin", "a", to="s"),
        *[_apply("add_", "s", 1000.0), _apply("sub_", "s", 1000.0)] * steps,
        _backward("s", 1.0, 1.0),
    )
    slack = found.values["s"].slack
    assert (np.abs(found.values["s"].values - np.sin([1.0, 2.0])) <= slack).all()
    assert (slack > 1e-13).all() and (slack < 1e-10).all()
    assert (found.gradients["a"].slack < 1e-14).all()


def test_the_same_value_twice_cancels_exactly(machine: Machine) -> None:
    """`sin(a) - sin(a)` is 0 however sine is rounded, and its sign is decided."""
    found = _run(
        machine,
        (A,),
        _apply("sin", "a", to="s"),
        _apply("sin", "a", to="t"),
        _apply("sub", "s", "t", to="x"),
        _apply("relu", "x", to="y"),
        _backward("y", 1.0, 1.0),
    )
    assert found.unspecified == ""
    assert _numbers(found.gradients["a"]) == [0.0, 0.0]
    assert found.values["x"].slack.tolist() == [0.0, 0.0]
