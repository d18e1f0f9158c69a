"""Explanations: what an error is traced back to, and that they say nothing that is not so."""

from __future__ import annotations

from typing import Any

from conformance.explain import Explanation, explain, render
from conformance.explain.facts import Advice
from conformance.model import Kind
from conformance.subjects import Subject
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import check
from strategies.printer import print_body
from tests.tampering import backward, leaf, program, step

A = leaf("a", [1.0, 2.0], grad=True)
B = leaf("b", [3.0, 4.0])
ONES = [1.0, 1.0]
NO_GRAD = ["no_grad"]
FIRST = {"dim": 0, "index": 0}


def explained(*parts: str) -> Explanation:
    """Of a program of the leaves a and b, b without grad."""
    return explain(program(f"{A},{B}", *parts))


def advised(found: Explanation) -> Advice:
    return found.ending.advice[0]


def why(found: Explanation) -> str:
    return " ".join(found.ending.why)


# -- nodes


STRIDED: dict[str, Any] = {"size": [2], "stride": [1], "storage_offset": 0}


def test_as_strided_of_a_program_is_named_by_its_step() -> None:
    """Only a node that a view got anew is "renewed"; the operation as_strided has its own."""
    found = explained(step("as_strided", "a", to="x0", params=STRIDED), backward("x0", ONES))
    ran = found.steps[-1].backward
    assert ran is not None
    assert [one.node for one in ran.executed] == ["as_strided (step 1)", "a.grad"]


def test_a_view_that_is_read_after_a_write_is_renewed() -> None:
    found = explained(
        step("mul", "a", 2.0, to="x0"),
        step("view_as", "x0", to="x1"),
        step("add_", "x0", 1.0),
        step("mul", "x1", 2.0, to="x2"),
        backward("x2", ONES),
    )
    ran = found.steps[-1].backward
    assert ran is not None
    assert "AsStrided of x1 (renewed at step 4)" in [one.node for one in ran.executed]


# -- views made in no_grad


def stale_view(*last: str) -> Explanation:
    return explained(
        step("exp", "a", to="x0"),
        step("select", "x0", to="x1", params=FIRST, modes=NO_GRAD),
        step("mul_", "x0", 2.0, modes=NO_GRAD),
        *last,
    )


def test_ban_on_a_view_of_no_grad_says_when_it_holds_and_that_torch_differs() -> None:
    """By the documentation the view does not require grad, so that a step on it alone may run."""
    found = stale_view(step("mul", "x1", 3.0, to="x2"), backward("x2"))
    (ban,) = (change for change in found.steps[2].changes if change.startswith("from now on"))
    assert "recorded because another operand requires grad raises if it uses x1" in ban
    assert "known deviation no-grad-view-requires-grad" in ban
    assert found.steps[3].recorded is False and not found.steps[3].raises
    assert "torch itself raises at step 4" in found.ending.deviations[0]


def test_banned_view_raises_beside_an_operand_that_requires_grad() -> None:
    found = stale_view(step("mul", "a", "x1", to="x2"))
    assert (found.ending.step, found.ending.kind) == (4, Kind.NO_GRAD_VIEW_REBASED.value)


# -- nothing requires grad


def test_missing_grad_is_traced_back_over_steps_to_the_region(local: Subject) -> None:
    """The step inside no_grad is to blame, not the one that only read its result."""
    found = explained(
        step("exp", "a", to="x0", modes=NO_GRAD), step("sum", "x0", to="x1"), backward("x1")
    )
    assert found.ending.why[1:] == (
        "Step 2, `x1 = x0.sum()`, made x1 and was not recorded: x0 does not require grad.",
        "Step 1, `x0 = a.exp()`, made x0 and was not recorded: it is inside no_grad.",
    )
    advice = advised(found)
    assert "move step 1 out of no_grad" in advice.text and advice.then == "runs"
    assert advice.program is not None
    assert local.run(print_body(check(advice.program)).text, [], watch=False).error is None


def test_all_steps_of_the_way_are_moved_out() -> None:
    found = explained(
        step("exp", "a", to="x0", modes=NO_GRAD),
        step("sum", "x0", to="x1", modes=NO_GRAD),
        backward("x1"),
    )
    assert "move steps 1 and 2 out of no_grad" in advised(found).text


def test_a_write_in_no_grad_is_an_origin_if_it_would_have_brought_grad() -> None:
    found = explained(
        step("mul_", "b", "a", modes=NO_GRAD),
        step("mul_", "b", 2.0, modes=NO_GRAD),
        step("sum", "b", to="x0"),
        backward("x0"),
    )
    assert "Step 1, `b.mul_(a)`, wrote b and was not recorded: it is inside no_grad." in why(found)
    assert "b is a leaf that was made without requires_grad=True." in why(found)
    assert "Step 2" not in why(found)
    assert "move step 1 out" in advised(found).text


def test_detached_alias_is_read_around() -> None:
    found = explained(step("detach", "a", to="x0"), step("sum", "x0", to="x1"), backward("x1"))
    assert "Step 1, `x0 = a.detach()`, made x0" in why(found)
    assert advised(found).text.startswith("Read a in place of x0") and advised(found).then == "runs"


def test_tensor_that_was_cut_off_names_the_step_that_cut() -> None:
    found = explained(
        step("exp", "a", to="x0"),
        step("detach_", "x0"),
        step("sum", "x0", to="x1"),
        backward("x1"),
    )
    assert "Step 2, `x0.detach_()`, made x0 a leaf that does not require grad." in why(found)
    assert advised(found).text == "Leave out step 2, `x0.detach_()`."


def test_every_missing_grad_has_an_origin() -> None:
    """In drawn programs, the last thing told is a region, a cut, or a leaf without grad."""
    seen = 0
    for index in range(900):
        given = build(Seeded(21, index))
        found = explain(given)
        if found.ending.kind == Kind.NOTHING_REQUIRES_GRAD.value:
            seen += 1
            last = found.ending.why[-1]
            assert len(found.ending.why) > 1, render(found)
            assert "recorded" not in last or not last.endswith("not require grad."), render(found)
    assert seen > 20


# -- errors of one step


def test_moved_leaf_names_the_step_that_wrote_it() -> None:
    found = explain(
        program(
            f"{A},{leaf('c', [3.0, 4.0], grad=True)}",
            step("mul", "a", 2.0, to="x0"),
            step("requires_grad_", "a", params={"requires_grad": False}),
            step("mul_", "a", "c"),
            backward("x0", ONES),
        )
    )
    assert found.ending.kind == Kind.LEAF_MOVED.value
    assert "Step 2, `a.requires_grad_(False)`, let it not require grad any more" in why(found)
    assert "Step 3, `a.mul_(c)`, wrote it where autograd records" in why(found)


def test_target_that_does_not_fit_is_told_with_shapes() -> None:
    found = explain(program(f"{A},{leaf('c', [3.0])}", step("mul_", "c", "a")))
    assert "c has shape [1] and a has shape [2]: together they broadcast to [2]" in why(found)


def test_target_of_another_dtype_is_told_with_dtypes() -> None:
    found = explained(step("gt", "a", "b", to="x0"), step("mul_", "x0", "a"))
    assert "x0 is bool and the result is float64, which cannot be cast to bool." in why(found)


def test_target_that_overlaps_itself_names_the_expand() -> None:
    """Also if what is written is a view of what was expanded."""
    found = explained(
        step("expand", "b", to="x0", params={"shape": [2, 2]}),
        step("select", "x0", to="x1", params={"dim": 1, "index": 0}),
        step("mul_", "x1", "b"),
    )
    assert found.ending.kind == Kind.OVERLAP_SELF.value
    assert "Step 1, `x0 = b.expand((2, 2))`, made x0, of which several elements lie" in why(found)


def test_drawn_misfits_are_told_with_what_does_not_fit() -> None:
    """Every drawn error of a target's shape or dtype, or of cells that repeat, has its details."""
    wanted = {
        Kind.BROADCAST_TARGET.value: "has shape [",
        Kind.DTYPE_CAST.value: "cannot be cast to",
        Kind.OVERLAP_SELF.value: "several elements lie in one cell",
        Kind.LEAF_MOVED.value: "wrote it",
    }
    seen = dict.fromkeys(wanted, 0)
    for index in range(1500):
        found = explain(build(Seeded(22, index)))
        if found.ending.kind in wanted:
            seen[found.ending.kind] += 1
            assert wanted[found.ending.kind] in why(found), render(found)
    assert all(seen.values()), seen
