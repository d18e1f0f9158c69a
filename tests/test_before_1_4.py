"""What operations and checks were before torch 1.4, and in it."""

from __future__ import annotations

import pytest

from conformance.model import Kind, predict
from strategies.draft import Shaped
from strategies.table.changes import missing_form
from tests._agreement import program


def raised(torch: str, text: str) -> Kind | None:
    raises = predict(program(text).as_in(torch)).raises
    return None if raises is None else raises.kind


@pytest.mark.parametrize(
    ("torch", "one", "other", "strides"),
    [
        ("1.2.0", "b", "c", (4, 1, 2)),
        ("1.2.0", "c", "b", (4, 1, 2)),
        ("1.4.0", "b", "c", (2, 1, 4)),
        ("1.4.0", "c", "b", (4, 1, 2)),
    ],
)
def test_where_a_sum_lay_did_not_depend_on_which_operand_came_first(
    torch: str, one: str, other: str, strides: tuple[int, ...]
) -> None:
    text = (
        "a = const(2, 2, 2)\nb = a.permute(dims=[1, 2, 0])\nc = a.permute(dims=[0, 2, 1])\n"
        f"x = {one}.add({other})"
    )
    assert program(text).as_in(torch).values["x"].layout.strides == strides


def test_truth_values_could_be_multiplied_by_a_number_and_not_divided() -> None:
    for op, missing in (("mul_", ""), ("div_", "division of truth values by a number")):
        draft = program(f"a = const(2)\nm = a.gt(1.0)\ns = const()\nm.{op}(s)").as_in("1.2.0")
        step = draft.shaped[-1]
        assert isinstance(step, Shaped)
        assert missing_form(step, "1.2.0") == missing
        assert missing_form(step, "1.4.0") == ""


@pytest.mark.parametrize(
    ("torch", "op", "kind"),
    [
        ("1.4.0", "atan2_", None),
        ("1.8.1", "atan2_", Kind.OVERLAP_PARTIAL),
        ("1.4.0", "mul_", Kind.OVERLAP_PARTIAL),
    ],
)
def test_some_kernels_did_not_look_at_what_lies_in_their_target(
    torch: str, op: str, kind: Kind | None
) -> None:
    text = f"a = const(2, 2)\nb = a.select(dim=0, index=1)\na.{op}(b)"
    assert raised(torch, text) == kind
    if kind is None:
        assert "overlap" in predict(program(text).as_in(torch)).open


def test_a_tensor_is_its_own_operand_all_the_same() -> None:
    assert not predict(program("a = const(2, 2)\na.atan2_(a)").as_in("1.4.0")).open
