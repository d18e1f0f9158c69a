"""What operations were before torch 2.0."""

from __future__ import annotations

import pytest

from conformance.model import Kind, predict
from strategies.draft import Shaped
from strategies.printer import print_body
from tests._agreement import program


def raised(torch: str, text: str) -> Kind | None:
    raises = predict(program(text).as_in(torch)).raises
    return None if raises is None else raises.kind


KEPT = "a = leaf(2)\nb = a.mul(2.0)\nx = b.mean({})\nb.mul_(2.0)\nbackward(x)"


@pytest.mark.parametrize(
    ("torch", "text", "kind"),
    [
        ("1.13.1", KEPT.format("dim=0"), Kind.SAVED_MODIFIED),
        ("1.13.1", KEPT.format(""), None),
        ("2.4.1", KEPT.format("dim=0"), None),
    ],
)
def test_the_mean_along_a_dimension_kept_its_operand(
    torch: str, text: str, kind: Kind | None
) -> None:
    assert raised(torch, text) == kind


@pytest.mark.parametrize(("torch", "offset"), [("1.13.1", 0), ("2.0.1", 2)])
def test_scattering_into_a_part_copied_the_part_alone(torch: str, offset: int) -> None:
    scattered = "y = x.slice_scatter(b, dim=0, start=0, length=1)"
    draft = program(f"a = leaf(2, 2)\nb = leaf(1, 2)\nx = a[1:]\n{scattered}")
    step = draft.as_in(torch).shaped[-1]
    assert isinstance(step, Shaped)
    assert step.results[0].layout.offset == offset


def test_a_step_is_given_where_torch_would_not_find_its_default() -> None:
    draft = program("a = leaf(2)\nb = leaf(1)\ny = a.slice_scatter(b, dim=0, start=0, length=1)")
    assert "0, 0, 0 + 1)" in print_body(draft.as_in("2.0.1")).text
    assert "0, 0, 0 + 1, 1)" in print_body(draft.as_in("1.13.1")).text
