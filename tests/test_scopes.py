"""Scopes of claims: each condition, on the smallest program that breaks it."""

from __future__ import annotations

import pytest

from conformance.claims import scopes
from conformance.trial import Scope
from strategies.program import Program
from tests.tampering import backward, leaf, program, step

_UNRECORDED = ("no_grad",)
_A = leaf("a", [1.0, 2.0], grad=True)


def ended(name: str) -> str:
    """A backward call from a tensor of two elements."""
    return backward(name, [1.0, 1.0])


def activated(*between: str, op: str = "relu_", after: str = "x0", **params: float) -> Program:
    """x0 is a + a, or what `between` makes; an activation overwrites it, and backward runs."""
    made = between or (step("add", "a", "a", to="x0"),)
    return program(_A, *made, step(op, "x0", params=params), ended(after))


CASES: tuple[tuple[Scope, str, Program], ...] = (
    (scopes.activation_only_through_its_result, "", activated()),
    (
        scopes.activation_only_through_its_result,
        "saved",
        activated(step("exp", "a", to="x0")),
    ),
    (
        scopes.activation_only_through_its_result,
        "negative parameter",
        activated(op="elu_", alpha=-0.5),
    ),
    (
        scopes.activation_only_through_its_result,
        "not to be written",
        program(_A, step("relu_", "a"), ended("a")),
    ),
    (
        scopes.activation_only_through_its_result,
        "read again",
        activated(step("add", "a", "a", to="x0"), step("view_as", "x0", to="x1"), after="x1"),
    ),
    (
        scopes.activation_only_through_its_result,
        "",
        activated(step("add", "a", "a", to="x0"), step("view_as", "x0", to="x1")),
    ),
    (scopes.fresh_results, "", program(_A, step("exp", "a", to="x0"))),
    (scopes.fresh_results, "view", program(_A, step("unsqueeze", "a", to="x0", params={"dim": 0}))),
    (scopes.fresh_results, "maybe-self", program(_A, step("contiguous", "a", to="x0"))),
    (scopes.leaf_written_in_grad_mode, "", program(_A, step("mul_", "a", 2.0))),
    (
        scopes.leaf_written_in_grad_mode,
        "no_grad",
        program(_A, step("mul_", "a", 2.0, modes=_UNRECORDED)),
    ),
    (
        scopes.leaf_written_in_grad_mode,
        "dropout that does nothing",
        program(_A, step("dropout_", "a")),
    ),
    (
        scopes.leaf_written_in_grad_mode,
        "writes no element",
        program(_A, step("requires_grad_", "a", params={"requires_grad": False})),
    ),
    (
        scopes.leaf_written_in_grad_mode,
        "writes no element",
        program(_A, step("detach_", "a")),
    ),
    (
        scopes.needed_and_modified,
        "",
        program(_A, step("exp", "a", to="x0"), step("mul_", "x0", 2.0), ended("x0")),
    ),
    (
        scopes.needed_and_modified,
        "node not executed",
        program(
            _A,
            step("add", "a", "a", to="x0"),
            step("sin", "x0", to="x1"),
            step("add", "x0", 1.0, to="x2"),
            step("mul_", "x0", 2.0),
            ended("x2"),
        ),
    ),
    (
        scopes.needed_and_modified,
        ".data",
        program(
            _A,
            step("exp", "a", to="x0"),
            step("data", "x0", to="x1"),
            step("mul_", "x1", 2.0),
            ended("x0"),
        ),
    ),
    (
        scopes.needed_and_modified,
        "nothing needed is modified",
        program(_A, step("exp", "a", to="x0"), ended("x0")),
    ),
    (
        scopes.needed_and_modified,
        "raises otherwise",
        program(_A, step("mul_", "a", 2.0), ended("a")),
    ),
    (scopes.no_way_around_autograd, "", program(_A, step("data", "a", to="x0"))),
    (
        scopes.no_way_around_autograd,
        ".data",
        program(_A, step("data", "a", to="x0"), step("mul_", "x0", 2.0)),
    ),
    (
        scopes.no_way_around_autograd,
        "",
        program(_A, step("data", "a", to="x0"), step("detach_", "x0")),
    ),
    (
        scopes.no_way_around_autograd,
        "",
        program(_A, step("gt", "a", 1.0, to="x0"), step("mul_", "x0", 2.0)),
    ),
    (
        scopes.no_way_around_autograd,
        "",
        program(_A, step("data", "a", to="x0"), step("unsqueeze_", "x0", params={"dim": 0})),
    ),
    (scopes.fresh_in_no_grad, "", program(_A, step("exp", "a", to="x0", modes=_UNRECORDED))),
    (
        scopes.fresh_in_no_grad,
        "view",
        program(_A, step("unsqueeze", "a", to="x0", params={"dim": 0}, modes=_UNRECORDED)),
    ),
    (
        scopes.fresh_in_no_grad,
        "in place",
        program(_A, step("mul_", "a", 2.0, modes=_UNRECORDED)),
    ),
    (
        scopes.fresh_in_no_grad,
        "maybe-self",
        program(_A, step("contiguous", "a", to="x0", modes=_UNRECORDED)),
    ),
    (
        scopes.not_saved_before,
        "",
        program(
            _A,
            step("add", "a", "a", to="x0"),
            step("mul_", "x0", 2.0, modes=_UNRECORDED),
            ended("x0"),
        ),
    ),
    (
        scopes.not_saved_before,
        "saved",
        program(
            _A,
            step("exp", "a", to="x0"),
            step("mul_", "x0", 2.0, modes=_UNRECORDED),
            ended("x0"),
        ),
    ),
    (scopes.detached_by_detach, "", program(_A, step("detach", "a", to="x0"))),
    (scopes.detached_by_detach, ".data", program(_A, step("data", "a", to="x0"))),
)


@pytest.mark.parametrize(
    ("scope", "condition", "case"),
    CASES,
    ids=[f"{scope.__name__}-{condition or 'holds'}" for scope, condition, _ in CASES],
)
def test_scope_names_the_condition(scope: Scope, condition: str, case: Program) -> None:
    """The scope says in a word what breaks it, and nothing where the claim holds."""
    assert scope(case) == condition
