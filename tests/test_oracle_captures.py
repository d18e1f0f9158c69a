"""The oracle's gradients of tensors that are no leaves, which `torch.autograd.grad` returns."""

from __future__ import annotations

import pytest

from conformance.oracle.machine import Machine
from strategies.program import Backward
from tests.test_oracle_cases import NO_GRAD, A, _apply, _backward, _leaf, _numbers, _run


@pytest.fixture(scope="module")
def machine() -> Machine:
    """One machine for all tests; the first program compiles it."""
    return Machine()


def _sought(root: str, *inputs: str, cotangent: tuple[float, ...] = ()) -> Backward:
    return Backward((root,), (list(cotangent),) if cotangent else (), True, (), inputs, "grad")


def test_the_gradient_of_what_is_no_leaf(machine: Machine) -> None:
    """That of `x` is of all that was computed from it or its view, that of `v` of what read `v`."""
    found = _run(
        machine,
        (A,),
        _apply("mul", "a", 3.0, to="x"),
        _apply("select", "x", to="v", dim=0, index=1),
        _apply("select", "x", to="u", dim=0, index=1),
        _apply("square", "v", to="y"),
        _apply("mul", "u", 10.0, to="z"),
        _apply("sum", "x", to="s"),
        Backward(("y", "z", "s"), (), True, (), ("x", "v", "a"), "grad"),
    )
    assert _numbers(found.gradients["x"]) == [1.0, 12.0 + 10.0 + 1.0]
    assert _numbers(found.gradients["v"]) == 12.0
    assert _numbers(found.gradients["a"]) == [3.0, 69.0]


def test_the_gradient_of_a_result_is_of_what_it_is_now(machine: Machine) -> None:
    """Of `x` after the recorded write, whatever a write inside `no_grad` makes of its value."""
    found = _run(
        machine,
        (A,),
        _apply("clone", "a", to="x"),
        _apply("square", "x", to="before"),
        _apply("mul_", "x", 3.0),
        _apply("mul_", "x", 2.0, modes=NO_GRAD),
        _apply("square", "x", to="after"),
        Backward(("after",), ([1.0, 1.0],), True, (), ("x",), "grad"),
    )
    assert _numbers(found.gradients["x"]) == [12.0, 24.0]


def test_the_gradient_of_a_view_of_a_view(machine: Machine) -> None:
    """What reads a view of `v` reads `v`, at the places where its elements are."""
    found = _run(
        machine,
        (_leaf("m", 1.0, 2.0, 3.0, 4.0, shape=(2, 2)),),
        _apply("clone", "m", to="x"),
        _apply("t", "x", to="v"),
        _apply("select", "v", to="w", dim=0, index=1),
        _apply("square", "w", to="y"),
        _sought("y", "v", cotangent=(1.0, 1.0)),
    )
    assert _numbers(found.gradients["v"]) == [[0.0, 0.0], [4.0, 8.0]]


def test_a_result_that_becomes_a_leaf_adds_to_the_gradient_that_it_has(machine: Machine) -> None:
    """`x.grad` is what `torch.autograd.grad` returned, and then what backward adds."""
    found = _run(
        machine,
        (A,),
        _apply("mul", "a", 3.0, to="x"),
        _apply("square", "x", to="y"),
        _sought("y", "x", cotangent=(1.0, 1.0)),
        _apply("detach_", "x"),
        _apply("requires_grad_", "x"),
        _apply("mul", "x", 10.0, to="z"),
        _backward("z", 1.0, 1.0),
    )
    assert _numbers(found.gradients["x"]) == [16.0, 22.0]


def test_elements_that_share_cells_have_no_one_gradient(machine: Machine) -> None:
    """Which of an expanded view's elements a view of it reads is not looked into."""
    found = _run(
        machine,
        (_leaf("p", 2.0),),
        _apply("clone", "p", to="x"),
        _apply("expand", "x", to="v", shape=[2]),
        _apply("select", "v", to="w", dim=0, index=1),
        _apply("square", "w", to="y"),
        _sought("y", "v"),
    )
    assert found.unspecified == "the gradient of v, whose elements share cells"
