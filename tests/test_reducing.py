"""The reducer: every program ends as the one that a person would write by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from conformance.model import QUIRKS, Kind, predict
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import check
from strategies.printer import print_body
from strategies.program import Apply, Backward, Generated, Leaf, Program, recording
from strategies.reducing import reduced, size, tidied
from strategies.table import OPERATIONS

LEAF = "a = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)"
ONE = "a = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)"


def raising(kind: Kind) -> Callable[[Program], bool]:
    """Whether a program must raise an error of this kind."""

    def still(program: Program) -> bool:
        raises = predict(check(program), quirks=QUIRKS).raises
        return raises is not None and raises.kind is kind

    return still


def writes_a_view_of_no_grad(program: Program) -> bool:
    """Whether a view that was made while nothing is recorded is written later."""
    views: set[object] = set()
    for step in program.steps:
        if isinstance(step, Apply):
            row, in_place = OPERATIONS[step.op]
            if row.kind == "view" and not recording(step.modes):
                views.update(step.to)
            if in_place and step.args[0] in views:
                return True
    return False


def examples(still: Callable[[Program], bool], count: int) -> list[Program]:
    """The first drawn programs for which this is true."""
    found: list[Program] = []
    for index in range(20000):
        program = build(Seeded(6, index))
        if still(program):
            found.append(program)
            if len(found) == count:
                return found
    raise AssertionError(f"only {len(found)} of 20000 programs")


def text(program: Program) -> list[str]:
    return print_body(check(program)).text.splitlines()


def test_what_always_holds_is_shown_by_a_leaf_alone() -> None:
    program = reduced(build(Seeded(1, 1)), lambda program: True).program
    assert text(program) == [LEAF]


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (Kind.LEAF_INPLACE, [[LEAF, "a.mul_(2.0)"]]),
        (
            Kind.VIEW_OF_LEAF_INPLACE,
            [[ONE, "a[0] = 2.0"], [LEAF, "x0 = a.view_as(a)", "x0.mul_(2.0)"]],
        ),
        (Kind.FREED, [[LEAF, "x0 = a.mul(2.0)", "x0.backward()", "x0.backward()"]]),
    ],
)
def test_examples_of_an_error_end_as_the_same_program(kind: Kind, shown: list[list[str]]) -> None:
    for program in examples(raising(kind), 4):
        assert text(reduced(program, raising(kind)).program) in shown


def test_an_overwritten_saved_tensor_needs_two_operations_a_write_and_backward() -> None:
    """What saves its result needs one operation less than what saves its operand."""
    still = raising(Kind.SAVED_MODIFIED)
    for program in examples(still, 4):
        smallest = reduced(program, still).program
        assert len(smallest.leaves) == 1 and len(smallest.steps) <= 4
        assert [leaf.shape for leaf in smallest.leaves] == [()]


def test_a_multi_output_view_needs_two_steps() -> None:
    still = raising(Kind.MULTI_VIEW_INPLACE)
    for program in examples(still, 3):
        smallest = reduced(program, still).program
        assert len(smallest.leaves) == 1 and len(smallest.steps) == 2
        assert smallest.leaves[0].shape in ((1,), (2,))


def test_a_region_stays_where_it_matters() -> None:
    for program in examples(writes_a_view_of_no_grad, 3):
        smallest = reduced(program, writes_a_view_of_no_grad).program
        assert text(smallest) == [
            LEAF,
            "with torch.no_grad():",
            "    x0 = a.view_as(a)",
            "x0.mul_(2.0)",
        ]


def test_what_is_reduced_still_shows_it_and_is_legal() -> None:
    still = raising(Kind.SAVED_MODIFIED)
    for program in examples(still, 4):
        outcome = reduced(program, still)
        assert outcome.minimal and still(outcome.program)
        assert check(outcome.program).program() == outcome.program
        assert size(outcome.program) <= size(program)


def test_a_minimal_program_stays_as_it_is() -> None:
    still = raising(Kind.LEAF_INPLACE)
    smallest = reduced(examples(still, 1)[0], still).program
    assert reduced(smallest, still).program == smallest


def test_a_budget_that_is_spent_ends_the_search() -> None:
    program = build(Seeded(1, 4))
    outcome = reduced(program, lambda program: True, deadline=time.monotonic() - 1)
    assert not outcome.minimal
    assert size(outcome.program)[:2] == size(program)[:2]


def test_no_candidate_is_judged_twice_and_every_one_is_legal() -> None:
    seen: list[Program] = []

    def still(program: Program) -> bool:
        seen.append(program)
        check(program)
        return len(program.steps) >= 4

    reduced(examples(lambda program: len(program.steps) >= 8, 1)[0], still)
    tried = seen[:-1]
    assert len({program.id for program in tried}) == len(tried)


def test_tidied_renames_in_order() -> None:
    steps = (
        Apply("exp", ("q",), to=("z",)),
        Apply("mul", ("z", "p"), to=("a",)),
        Backward(("a",), (Generated("dyadic", 1),)),
    )
    program = Program((Leaf("p", (2,), [1, 2]), Leaf("q", (2,), [1, 2])), steps)
    assert tidied(program).names == ("a", "b", "x0", "x1")
    assert text(tidied(program))[2:4] == ["x0 = b.exp()", "x1 = x0.mul(a)"]
