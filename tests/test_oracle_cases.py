"""Programs by hand on the oracle: special numbers, losses, aliases, repeats, and conditioning."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from conformance.model import predict
from conformance.oracle.answering import answer
from conformance.oracle.answers import Answer, Entries
from conformance.oracle.machine import Machine
from strategies.draft import check
from strategies.program import Apply, Backward, Leaf, Mode, Program

A = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
B = Leaf("b", (2,), [3.0, 5.0], requires_grad=True)
NO_GRAD: tuple[Mode, ...] = ("no_grad",)


@pytest.fixture(scope="module")
def machine() -> Machine:
    """One machine for all tests; the first program compiles it."""
    return Machine()


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


# -- special numbers ------------------------------------------------------------------------------


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


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_an_unrecorded_write_keeps_the_slope_of_infinity(machine: Machine, mode: Mode) -> None:
    """The new value is exact and the old derivative is 1, though infinity is overwritten."""
    found = _run(
        machine,
        (_leaf("a", "inf", "nan"), B),
        _apply("copy_", "a", "b", modes=(mode,)),
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
    assert list(map(str, np.abs(_numbers(found.values["x"])))) == ["nan", "inf", *["0.0"] * 3]
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


def test_infinite_gradients_of_several_calls_add_up(machine: Machine) -> None:
    """Minus infinity and twice plus infinity, one call after the other, are NaN together."""
    found = _run(
        machine,
        (_leaf("a", 0.0, shape=()),),
        _apply("reciprocal", "a", to="x"),
        _backward("x", retain=True),
        Backward(("x",), ([-2.0],)),
    )
    assert found.unspecified == ""
    assert math.isnan(_numbers(found.gradients["a"]))


def test_named_inputs_alone_receive(machine: Machine) -> None:
    """A call with inputs, and one of `torch.autograd.grad`, count for these leaves only."""
    found = _run(
        machine,
        (A, B),
        _apply("mul", "a", "b", to="x"),
        Backward(("x",), ([1.0, 1.0],), True, (), ("a",), "grad"),
        Backward(("x",), ([10.0, 10.0],), True, (), ("b",)),
        _backward("x", 100.0, 100.0),
    )
    assert _numbers(found.gradients["a"]) == [303.0, 505.0]
    assert _numbers(found.gradients["b"]) == [110.0, 220.0]


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


def test_a_shape_changes_in_place(machine: Machine) -> None:
    """`t_` moves the tensor and no element: a view from before stays where it was."""
    found = _run(
        machine,
        (_leaf("a", *range(1, 7), shape=(2, 3)),),
        _apply("mul", "a", 2.0, to="x"),
        _apply("select", "x", to="v", dim=0, index=1),
        _apply("t_", "x"),
        _apply("setitem_", "x", 0.0, index=[2]),
        _backward("x", *range(1, 7)),
    )
    assert _numbers(found.values["x"]) == [[2.0, 8.0], [4.0, 10.0], [0.0, 0.0]]
    assert _numbers(found.values["v"]) == [8.0, 10.0, 0.0]
    assert _numbers(found.gradients["a"]) == [[2.0, 6.0, 0.0], [4.0, 8.0, 0.0]]


def test_what_is_detached_in_place_may_become_a_leaf(machine: Machine) -> None:
    """`x` keeps its values, and receives what flowed to `a` before."""
    start = (_apply("mul", "a", 3.0, to="x"), _backward("x", 1.0, 1.0))
    parted = (_apply("detach_", "x"), _apply("requires_grad_", "x"))
    use = (_apply("mul", "x", "x", to="y"), _backward("y", 1.0, 1.0))
    found = _run(machine, (A,), *start, *parted, *use)
    assert _numbers(found.gradients["a"]) == [3.0, 3.0]
    assert _numbers(found.gradients["x"]) == [6.0, 12.0]


def test_a_view_may_be_a_leaf_of_its_own(machine: Machine) -> None:
    """A write to its base changes its value, and leaves it the derivative that it has."""
    found = _run(
        machine,
        (Leaf("b", (2, 2), [1.0, 2.0, 3.0, 4.0]),),
        _apply("select", "b", to="v", dim=1, index=0),
        _apply("requires_grad_", "v"),
        _apply("mul_", "b", 10.0),
        _apply("mul", "v", "v", to="y"),
        _backward("y", 1.0, 1.0),
    )
    assert _numbers(found.values["y"]) == [100.0, 900.0]
    assert _numbers(found.gradients["v"]) == [20.0, 60.0]


def test_a_gradient_has_the_shape_that_its_leaf_had_then(machine: Machine) -> None:
    """`a` is transposed in `no_grad` before it is used, and once more when it has its gradient."""
    found = _run(
        machine,
        (_leaf("a", *range(1, 7), shape=(2, 3)),),
        _apply("t_", "a", modes=NO_GRAD),
        _apply("square", "a", to="y"),
        _backward("y", *[1.0] * 6),
        _apply("t_", "a", modes=NO_GRAD),
    )
    assert _numbers(found.values["a"]) == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert _numbers(found.gradients["a"]) == [[2.0, 8.0], [4.0, 10.0], [6.0, 12.0]]


def test_a_leaf_that_ceases_to_require_grad_drops_what_arrives(machine: Machine) -> None:
    """Until it requires grad again: then both its old graph and the new one add to it."""
    steps = (
        _apply("mul", "a", 3.0, to="x"),
        _apply("requires_grad_", "a", requires_grad=False),
        _backward("x", 1.0, 1.0, retain=True),
        _apply("requires_grad_", "a"),
        _apply("mul", "a", 10.0, to="y"),
        Backward(("x", "y"), ([1.0, 1.0], [1.0, 1.0])),
    )
    assert _numbers(_run(machine, (A,), *steps[:3]).gradients["a"]) == [0.0, 0.0]
    assert _numbers(_run(machine, (A,), *steps).gradients["a"]) == [13.0, 13.0]


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
