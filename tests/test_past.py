"""What older versions of torch did and the register says that they should not have done."""

from __future__ import annotations

import pytest

from conformance.deviations import Deviation, register
from conformance.model import Kind, predict
from conformance.model.quirks import (
    FORMER,
    NO_GRAD_VIEW,
    NOTHING_SUMMED,
    SLICES_WANT_ALL,
    VIEW_ASSERTED,
)
from conformance.oracle.answering import answer
from conformance.oracle.machine import Machine
from tests._agreement import program

PAST = [d for d in register() if d.program is not None and d.entry.quirk in FORMER]
_VIEW = "a = leaf(2)\nwith no_grad: x = a.view(shape=[2])\ny = x.view(shape=[2])\n"


@pytest.mark.parametrize("deviation", PAST, ids=lambda deviation: deviation.entry.id)
def test_the_entry_of_a_past_quirk_ends_before_the_table_s_version(deviation: Deviation) -> None:
    assert not deviation.applies("eager-cpu", "2.13.0")


@pytest.mark.parametrize("text", ["y.mul_(2.0)", "z = a.detach()\nz.mul_(2.0)\nw = y.exp()"])
def test_a_view_of_a_view_from_no_grad_failed_an_assertion(text: str) -> None:
    draft = program(_VIEW + text)
    raises = predict(draft, quirks=frozenset({NO_GRAD_VIEW, VIEW_ASSERTED})).raises
    assert raises is not None
    assert raises.kind == Kind.VIEW_ASSERTED


WRITTEN = "a = leaf(1)\nd = leaf(1)\nx = a.mul(2.0)\ny = x.view(shape=[1])\ny.mul_(d)\n"


@pytest.mark.parametrize("call", ["inputs=['a']", "inputs=['a'], via='grad'"])
def test_a_written_slice_filled_the_grad_of_leaves_that_nobody_asked_for(
    machine: Machine, call: str
) -> None:
    draft = program(f"{WRITTEN}backward(x, {call})")
    for quirks, filled in ((frozenset[str](), False), (frozenset({SLICES_WANT_ALL}), True)):
        prediction = predict(draft, quirks=quirks)
        assert prediction.graded["d"] is filled
        if filled:
            found = answer(draft, prediction, machine, quirks=quirks)
            assert found.gradients["d"].values.tolist() == [2.0]


def test_a_gradient_of_which_a_part_was_left_out_is_not_judged() -> None:
    draft = program(f"{WRITTEN}z = x.mul(d)\nbackward(z, inputs=['a'])")
    assert predict(draft, quirks=frozenset({SLICES_WANT_ALL})).hidden


def test_a_node_that_torch_did_not_count_is_left_open() -> None:
    draft = program(
        "a = leaf(1)\nx = a.mul(2.0)\ny = x.view(shape=[1])\nz = y.mul(2.0)\ny.mul_(z)\n"
        "backward(x, inputs=['z'], via='grad')"
    )
    assert "did not count" in predict(draft, quirks=frozenset({SLICES_WANT_ALL})).unspecified


def test_an_einsum_of_nothing_was_not_recorded() -> None:
    draft = program("a = leaf(0)\nx = a.einsum(a, equation='i,j->ij')")
    assert predict(draft).flags["x"].requires_grad
    assert not predict(draft, quirks=frozenset({NOTHING_SUMMED})).flags["x"].requires_grad


@pytest.mark.parametrize(("value", "passes"), [(1.0, 1.0), (-1.0, 0.0)])
def test_threshold_in_place_asked_its_result(machine: Machine, value: float, passes: float) -> None:
    """Only in place, and only where what was put there is above the threshold."""
    text = "b = a.mul(-1.0)\n{}threshold{}(threshold=0.0, value={})\nbackward({})"
    for in_place in (True, False):
        form = ("b.", "_", value, "b") if in_place else ("x = b.", "", value, "x")
        there = program("a = leaf(1)\n" + text.format(*form)).as_in("1.12.1")
        found = answer(there, predict(there), machine, quirks=frozenset({"threshold-by-result"}))
        assert found.gradients["a"].values.tolist() == [-passes if in_place else 0.0]
