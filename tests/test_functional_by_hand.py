"""The programs without mutation by themselves: gradients by hand, and what has no meaning."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from strategies.program import Backward, Program
from tests import _functional
from tests.tampering import backward, leaf, program, step


def _read(*steps: str) -> Program:
    """x = 2 a, then the steps, then the gradient of sum(y)."""
    return program(
        leaf("a", [1.0, 2.0], grad=True),
        step("mul", "a", 2.0, to="x"),
        *steps,
        backward("y", [1.0, 1.0]),
    )


def _in_no_grad(made: str) -> str:
    return made[:-1] + ',"modes":["no_grad"]}'


def _in_inference_mode(made: str) -> str:
    return made[:-1] + ',"modes":["inference_mode"]}'


SQUARE = step("mul", "x", "x", to="y")
MIXED = step("mul", "x", "a", to="y")
OFF = step("requires_grad_", "a", params={"requires_grad": False})
BY_HAND: dict[str, tuple[Program, list[float]]] = {
    "recorded write": (_read(step("mul_", "x", 3.0), SQUARE), [72.0, 144.0]),
    "unrecorded write": (_read(_in_no_grad(step("mul_", "x", 3.0)), SQUARE), [24.0, 48.0]),
    "overwritten": (_read(step("zero_", "x"), step("add", "x", "x", to="y")), [0.0, 0.0]),
    "view made in no_grad": (
        _read(_in_no_grad(step("view_as", "x", to="v")), step("mul", "x", "v", to="y")),
        [4.0, 8.0],
    ),
    "written through detach": (
        _read(step("detach", "x", to="v"), step("mul_", "v", 3.0), SQUARE),
        [24.0, 48.0],
    ),
    "derivative of the alias": (
        _read(step("detach", "x", to="v"), step("mul_", "v", "a"), step("clone", "v", to="y")),
        [2.0, 4.0],
    ),
    "written in inference mode": (
        _read(_in_inference_mode(step("mul_", "x", 3.0)), SQUARE),
        [24.0, 48.0],
    ),
    "another shape": (
        _read(step("unsqueeze_", "x", params={"dim": 1}), step("squeeze_", "x"), SQUARE),
        [8.0, 16.0],
    ),
    "detached in place": (_read(step("detach_", "x"), MIXED), [2.0, 4.0]),
    "view of what was detached": (
        _read(step("view_as", "x", to="v"), step("detach_", "x"), step("mul", "v", "x", to="y")),
        [4.0, 8.0],
    ),
    "view of what was detached and written": (
        _read(
            step("view_as", "x", to="v"),
            step("detach_", "x"),
            _in_no_grad(step("mul_", "x", 3.0)),
            step("mul", "v", "a", to="y"),
        ),
        [6.0, 12.0],
    ),
    "became a leaf": (_read(step("detach_", "x"), step("requires_grad_", "x"), MIXED), [2.0, 4.0]),
    "turned where nothing is recorded": (
        _read(
            _in_no_grad(step("unsqueeze_", "x", params={"dim": 1})),
            _in_no_grad(step("squeeze_", "x")),
            SQUARE,
        ),
        [8.0, 16.0],
    ),
    "ceased to require grad": (_read(OFF, step("clone", "x", to="y")), []),
    "ceased and began again": (_read(OFF, step("requires_grad_", "a"), MIXED), [4.0, 8.0]),
}
"""Program -> gradient at a, which is [1, 2], worked out by hand from the claims; [] for None."""


@pytest.mark.parametrize("what", BY_HAND)
def test_gradients_by_hand(what: str) -> None:
    each, expected = BY_HAND[what]
    gradient = _functional.run(each).gradients["a"]
    assert ([] if gradient is None else gradient.tolist()) == expected


def test_no_path_is_no_gradient() -> None:
    """A leaf that no backward reaches has None."""
    unread = program(
        ",".join(leaf(name, [1.0], grad=True) for name in "ab"),
        step("neg", "a", to="y"),
        backward("y", [1.0]),
    )
    assert _functional.run(unread).gradients["b"] is None


def test_inputs_alone_receive() -> None:
    """A backward call for some leaves, and `torch.autograd.grad`, leave the others alone."""
    each = program(
        ",".join(leaf(name, [3.0], grad=True) for name in "ab"),
        step("mul", "a", "b", to="y"),
    )
    for via in ("", "grad"):
        call = Backward(("y",), retain_graph=True, inputs=("b",), via=via)
        named = Program(each.leaves, (*each.steps, call, Backward(("y",))))
        gradients = _functional.run(named).gradients
        assert {name: None if g is None else g.tolist() for name, g in gradients.items()} == {
            "a": [3.0],
            "b": [6.0],
        }


def test_a_leaf_that_was_computed_has_no_gradient() -> None:
    """What becomes part of the graph is no leaf any more."""
    each = _read(OFF, step("copy_", "a", "x"), step("clone", "a", to="y"))
    assert "a" not in _functional.run(each).gradients


def test_a_view_that_waits_for_its_base_is_unsupported() -> None:
    """Which history of `x` its view follows is said nowhere, if it was written and not yet read."""
    each = _read(
        step("view_as", "x", to="v"),
        step("mul_", "x", 3.0),
        step("detach_", "x"),
        step("clone", "v", to="y"),
    )
    with pytest.raises(_functional.Unsupported, match="began another history"):
        _functional.run(each)


def test_data_is_unsupported() -> None:
    """What `.data` does to a gradient is no function of values."""
    with pytest.raises(_functional.Unsupported, match=r"`\.data` hides"):
        _functional.run(_read(step("data", "x", to="v"), SQUARE))


def test_recorded_write_through_a_view_of_no_grad_is_unsupported() -> None:
    """Torch refuses it, so that it has no gradient to compare."""
    forbidden = _read(_in_no_grad(step("view_as", "x", to="v")), step("mul_", "v", 3.0), SQUARE)
    with pytest.raises(_functional.Unsupported, match="a view made in no_grad"):
        _functional.run(forbidden)


def test_nothing_is_shared_with_model_and_oracle() -> None:
    """Of this project it imports the program, the table and the leaves' numbers."""
    tree = ast.parse(Path(_functional.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {name for name in modules if name and name.split(".")[0] in ("strategies", "conformance")}
    assert own == {
        "strategies.program",
        "strategies.table",
        "strategies.table.out",
        "strategies.values",
    }
