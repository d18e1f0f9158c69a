"""What operations were before torch 2.0."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from conformance.model import Kind, predict
from conformance.oracle.answering import answer
from conformance.oracle.machine import Machine
from strategies.draft import Draft, Shaped, check
from strategies.printer import print_body
from strategies.program import Apply, Backward, Leaf, Program
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


def test_unfold_of_1_13_kept_its_operand() -> None:
    text = (
        "a = leaf(1, 1, 1)\nb = a.mul(2.0)\nx = b.im2col(kernel_size=1)\nb.mul_(2.0)\nbackward(x)"
    )
    assert raised("1.13.1", text) == Kind.SAVED_MODIFIED
    assert raised("2.0.1", text) is None


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


def lasting(leaves: Sequence[Leaf], *steps: Apply | Backward) -> Draft:
    return check(Program(tuple(leaves), steps))


A = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
INDEX = Leaf("i", (), [0.0], "int64")
DOUBLED = Apply("mul", ("a", 2.0), {}, ("x0",))
WRITTEN = Apply("mul_", ("x0", 2.0), {}, ())


@pytest.mark.parametrize(
    ("step", "torch", "kind"),
    [
        (Apply("take", ("x0", "i"), {}, ("x1",)), "1.12.1", None),
        (Apply("take", ("x0", "i"), {}, ("x1",)), "1.13.1", Kind.SAVED_MODIFIED),
        (Apply("stack", ("x0", "a"), {}, ("x1",)), "1.12.1", Kind.SAVED_MODIFIED),
        (Apply("stack", ("x0", "a"), {}, ("x1",)), "1.13.1", None),
    ],
)
def test_what_nodes_of_1_12_kept(step: Apply, torch: str, kind: Kind | None) -> None:
    end = Backward(("x1",), ([1.0] * (1 if step.op == "take" else 4),))
    raises = predict(lasting([A, INDEX], DOUBLED, step, WRITTEN, end).as_in(torch)).raises
    assert (raises and raises.kind) == kind


@pytest.mark.parametrize(
    ("text", "raises"),
    [
        ("x = a.detach()\nx.t_()", True),
        ("x = a.data()\nx.squeeze_()", True),
        ("x = a.detach()\nx.transpose_(dim0=1, dim1=-1)", False),
        ("x = a.detach()\ny = x.view(shape=[2, 1])\ny.t_()", False),
    ],
)
def test_what_was_detached_could_not_change_its_shape(text: str, raises: bool) -> None:
    """ "In-place size / stride / storage changes [...] will instead trigger an error"
    (torch.Tensor.detach, up to 1.12).
    """
    text = f"a = leaf(2, 1)\n{text}"
    assert raised("1.12.1", text) == (Kind.DETACHED_MOVED if raises else None)
    assert raised("1.13.1", text) is None


def test_fresh_results_had_been_written_once() -> None:
    for text, version in (("a.norm()", 1), ("a.norm(p=1.0)", 0), ("a.nanmean()", 1)):
        draft = program(f"a = leaf(2)\nx = {text}")
        assert predict(draft.as_in("1.12.1")).flags["x"].version == version
        assert predict(draft.as_in("1.13.1")).flags["x"].version == 0


def test_kl_div_passed_over_what_is_not_probable(machine: Machine) -> None:
    target = Leaf("t", (3,), [-1.0, 0.0, 1.0], requires_grad=True)
    given = Leaf("s", (3,), [1.0, 1.0, 1.0], requires_grad=True)
    step = Apply("kl_div", ("s", "t"), {"reduction": "none"}, ("x0",))
    draft = lasting([given, target], step, Backward(("x0",), ([1.0, 1.0, 1.0],)))
    there = draft.as_in("1.12.1")
    found = answer(there, predict(there), machine)
    assert found.values["x0"].values.tolist() == [0.0, 0.0, -1.0]
    assert found.gradients["s"].values.tolist() == [0.0, 0.0, -1.0]
    to_target = found.gradients["t"].values.tolist()
    assert to_target[0] != to_target[0]
    assert to_target[1:] == [0.0, 0.0]


def test_a_gradient_of_a_slice_was_written_even_if_nobody_wanted_it() -> None:
    text = "a = leaf()\nb = leaf()\nx = a.mul(2.0)\ny = x.expand(shape=[2])\ny.fill_(b)\n"
    text += "backward(x, inputs=['b'])"
    assert raised("1.12.1", text) == Kind.BACKWARD_OVERLAP
    assert raised("1.13.1", text) is None
