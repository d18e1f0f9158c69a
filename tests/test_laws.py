"""Rules of autograd that only some versions of torch follow."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from conformance.model import Kind, predict
from conformance.model.errors import MESSAGES, OVERLAPS
from conformance.model.laws import LAWS, Law, broken_in
from conformance.model.quirks import OUT_RECORDED
from strategies.table.change import within
from strategies.table.changes import TABLES
from tests._agreement import program


def raised(torch: str, text: str) -> Kind | None:
    raises = predict(program(text).as_in(torch)).raises
    return None if raises is None else raises.kind


def test_what_is_no_version_follows_every_rule() -> None:
    assert broken_in("from source") == frozenset()


def test_the_table_s_version_lacks_the_rules_of_later_ones_alone() -> None:
    later = {law.name for law in LAWS if Version(law.since) > Version(TABLES)}
    assert broken_in(TABLES) == later


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_rule_says_where_it_comes_from(law: Law) -> None:
    assert law.source


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_no_message_is_known_of_a_version_before_the_rule(law: Law) -> None:
    """The two tables must not contradict one another."""
    known = [message for kind, message in (*MESSAGES, *OVERLAPS) if kind.value == law.name]
    for message in known:
        for since in SpecifierSet(message.torch):
            assert not (since.operator == ">=" and within(f"<{law.since}", since.version)), law


LEAF_VIEW = "a = leaf(2)\nx = a.view(shape=[2])\nx.mul_(2.0)\nbackward(x)"
PIECE = "a = leaf(2)\nb = a.mul(1.0)\nx, y = b.unbind()\nx.mul_(2.0)\nbackward(b)"
REST = "a = leaf(2)\nb = a.mul(1.0)\nx, y = b.unbind()\nb.mul_(2.0)\nbackward(x)"
QUIET = "a = leaf(2)\nb = a.mul(1.0)\nwith no_grad:\n    x = b.view(shape=[2])\n"
SHIFTED = "a = leaf(3)\nb = a.mul(1.0)\nx = b[1:]\ny = b[:-1]\nx.mul_(y)"
REPEATS = (
    "a = leaf(3)\nc = a.expand(shape=[2, 3])\nb = c.detach()\nx = b[0]\nx.mul_(a)\nbackward(b)"
)
DETACHED = "a = leaf(2)\nb = a.mul(1.0)\nx = b.exp()\ny = b.sin()\nb.detach_()\nbackward(y)"


@pytest.mark.parametrize(
    ("before", "since", "kind", "instead", "text"),
    [
        ("1.7.1", "1.8.1", Kind.VIEW_OF_LEAF_INPLACE, Kind.LEAF_MOVED, LEAF_VIEW),
        ("1.4.0", "1.8.1", Kind.MULTI_VIEW_INPLACE, None, PIECE),
        ("1.4.0", "1.8.1", Kind.MULTI_VIEW_REBASED, None, REST),
        ("1.4.0", "1.8.1", Kind.NO_GRAD_VIEW_INPLACE, Kind.LEAF_INPLACE, QUIET + "x.mul_(2.0)"),
        ("1.8.1", "1.10.2", Kind.NO_GRAD_VIEW_REBASED, None, QUIET + "b.mul_(2.0)\nbackward(x)"),
        ("1.2.0", "1.4.0", Kind.OVERLAP_PARTIAL, None, SHIFTED),
        ("1.8.1", "1.10.2", Kind.SAVED_DETACHED, None, DETACHED),
    ],
)
def test_a_check_that_came_later_is_not_made_before(
    before: str, since: str, kind: Kind, instead: Kind | None, text: str
) -> None:
    assert raised(since, text) == kind
    assert raised(before, text) == instead


def test_overlapping_gradients_were_written_before_torch_looked_at_them() -> None:
    """Nothing raises then, and nobody says what the gradients are."""
    assert raised("1.4.0", REPEATS) == Kind.BACKWARD_OVERLAP
    before = predict(program(REPEATS).as_in("1.2.0"))
    assert before.raises is None
    assert "share cells" in before.hidden


REPEATED = "a = const(1)\nb = const()\nx = a.expand(shape=[2])\n"


@pytest.mark.parametrize("write", ["x.fill_(b)", "x[...] = b"])
def test_a_fill_with_a_tensor_did_not_look_at_cells_that_repeat(write: str) -> None:
    assert raised("2.0.1", REPEATED + write) is None
    assert raised("2.4.1", REPEATED + write) == Kind.OVERLAP_SELF


def test_a_value_at_an_index_was_copied_before_it_was_a_fill() -> None:
    assert raised("1.8.1", REPEATED + "x[...] = b") == Kind.OVERLAP_SELF


@pytest.mark.parametrize(
    ("torch", "kind"), [("2.0.1", Kind.VIEW_OF_LEAF_INPLACE), ("2.4.1", Kind.OUT_GRAD)]
)
def test_out_by_fallback_was_refused_as_an_operation_in_place(torch: str, kind: Kind) -> None:
    draft = program("a = leaf(2)\nb = const(2)\nx = a.view(shape=[2])\nx.softmax_out(b, dim=0)")
    raises = predict(draft.as_in(torch), quirks=frozenset({OUT_RECORDED})).raises
    assert raises is not None and raises.kind == kind


@pytest.mark.parametrize(("torch", "kind"), [("2.0.1", None), ("2.4.1", Kind.OUT_GRAD)])
def test_matmul_did_not_look_itself_whether_out_may_be(torch: str, kind: Kind | None) -> None:
    text = (
        "a = leaf(2, 1)\nb = const(1)\nc = const(2)\nwith inference_mode:\n    with enable_grad:\n"
        "        c.matmul_out(a, b)"
    )
    assert raised(torch, text) == kind


@pytest.mark.parametrize(("torch", "reached"), [("2.8.0", True), ("2.13.0", False)])
def test_what_has_no_derivative_took_its_turn_in_backward(torch: str, *, reached: bool) -> None:
    text = "a = leaf()\nb = leaf()\nx = a.heaviside(a)\ny = b.mul(2.0)\nbackward(y, x)"
    prediction = predict(program(text).as_in(torch))
    assert prediction.raises is not None
    assert prediction.raises.kind == Kind.NOT_DIFFERENTIABLE
    assert prediction.graded["b"] is reached


BOTH_SAVED = "a = leaf(2, 2)\nb = a.mul(1.0)\nc = a.mul(2.0)\nd = a.mul(3.0)\nx = {}\n"
LOST = "{}.detach_()\nwith no_grad:\n    {}.mul_(2.0)\nbackward(x)"


@pytest.mark.parametrize(
    ("call", "first", "second"),
    [
        ("b.mul(c)", "b", "c"),
        ("b.lerp(c, d)", "d", "b"),
        ("b.addmm(c, d)", "d", "c"),
        ("b.clamp_tensor(c, d)", "b", "c"),
    ],
)
def test_what_was_saved_is_looked_at_in_the_order_of_formulas_before_2_4(
    call: str, first: str, second: str
) -> None:
    """`mul`'s derivative by `other` asks for `self`, and comes before that by `self`."""
    text = BOTH_SAVED.format(call) + LOST.format(first, second)
    assert raised("2.0.1", text) == Kind.SAVED_DETACHED
    assert raised("2.4.1", text) == Kind.SAVED_MODIFIED
