"""Programs by hand that tell one fault apart: a write ignored, a stale operand, a cut alias."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conformance.model import predict
from conformance.oracle.answering import answer
from conformance.oracle.machine import Machine
from conformance.oracle.variants import (
    ALIAS_CUT,
    KINDS,
    SAVED_STALE,
    WRITE_IGNORED,
    CutAlias,
    IgnoredWrite,
    StaleOperand,
    answer_under,
    discriminates,
    variants,
)
from strategies.draft import Draft, check
from strategies.program import Apply, Backward, Leaf, Mode, Program

A = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
B = Leaf("b", (2,), [3.0, 5.0], requires_grad=True)
C = Leaf("c", (2,), [2.0, 4.0])
NO_GRAD: tuple[Mode, ...] = ("no_grad",)


def _apply(op: str, *args: Any, to: str = "", modes: tuple[Mode, ...] = (), **params: Any) -> Apply:
    return Apply(op, args, params, tuple(to.split()), "", modes)


def _backward(root: str) -> Backward:
    return Backward((root,), ([1.0, 1.0],))


def _draft(*steps: Apply | Backward, leaves: tuple[Leaf, ...] = (A, B, C)) -> Draft:
    return check(Program(leaves, steps))


def _told_apart(machine: Machine, draft: Draft) -> set[str]:
    prediction = predict(draft)
    assert prediction.raises is None
    found = answer(draft, prediction, machine)
    return set(discriminates(draft, prediction, found, machine))


def _gradient(machine: Machine, draft: Draft, change: Any, leaf: str = "a") -> list[float]:
    found = answer_under(change, draft, predict(draft), machine)
    values: list[float] = found.gradients[leaf].values.tolist()
    return values


# -- one fault at a time --------------------------------------------------------------------------


def test_an_ignored_write_alone(machine: Machine) -> None:
    """`x.mul_(3)` is the last thing that happens: nothing is stale, and there is no alias."""
    draft = _draft(_apply("clone", "a", to="x"), _apply("mul_", "x", 3.0), _backward("x"))
    assert _told_apart(machine, draft) == {WRITE_IGNORED}
    assert _gradient(machine, draft, IgnoredWrite(1)) == [1.0, 1.0]


def test_a_stale_operand_alone(machine: Machine) -> None:
    """The product reads a written tensor; the last write, of another one, reaches no loss."""
    draft = _draft(
        _apply("clone", "c", to="x"),
        _apply("mul_", "x", 3.0),
        _apply("mul", "a", "x", to="y"),
        _apply("neg_", "c"),
        _backward("y"),
    )
    assert _told_apart(machine, draft) == {SAVED_STALE}
    assert _gradient(machine, draft, StaleOperand(2, 1, 1)) == [2.0, 4.0]
    under = answer_under(StaleOperand(2, 1, 1), draft, predict(draft), machine)
    assert under.values["y"].values.tolist() == [6.0, 24.0]


def test_a_cut_alias_alone(machine: Machine) -> None:
    """A write through a view shows in its base, a sum saves nothing, and the last write is idle."""
    draft = _draft(
        _apply("clone", "a", to="x"),
        _apply("view_as", "x", to="v"),
        _apply("mul_", "v", 3.0),
        _apply("neg_", "c"),
        _backward("x"),
    )
    assert _told_apart(machine, draft) == {ALIAS_CUT}
    assert _gradient(machine, draft, CutAlias(1, ("v",))) == [1.0, 1.0]


def test_none(machine: Machine) -> None:
    """A write by a sum, an idle alias, and a product with what nobody wrote."""
    draft = _draft(
        _apply("mul", "a", "b", to="x"),
        _apply("view_as", "x", to="v"),
        _apply("add_", "x", 1.0),
        _backward("x"),
    )
    assert _told_apart(machine, draft) == set()


# -- what each variant computes -------------------------------------------------------------------


def test_an_ignored_write_in_no_grad(machine: Machine) -> None:
    """The gradient of a product sees the value that was not overwritten."""
    draft = _draft(
        _apply("copy_", "b", "c", modes=NO_GRAD),
        _apply("mul", "a", "b", to="y"),
        _backward("y"),
    )
    assert _gradient(machine, draft, IgnoredWrite(0)) == [3.0, 5.0]
    assert _told_apart(machine, draft) == {WRITE_IGNORED, SAVED_STALE}


def test_a_stale_target_of_an_in_place_step(machine: Machine) -> None:
    """`x.square_()` after `x.mul_(3)`: twice the old x, and the 3 of the write before it."""
    draft = _draft(
        _apply("clone", "a", to="x"),
        _apply("mul_", "x", 3.0),
        _apply("square_", "x"),
        _backward("x"),
    )
    assert _gradient(machine, draft, StaleOperand(2, 0, 1)) == [6.0, 12.0]
    under = answer_under(StaleOperand(2, 0, 1), draft, predict(draft), machine)
    assert under.values["x"].values.tolist() == [9.0, 36.0]


def test_a_stale_operand_that_was_written_through_its_base(machine: Machine) -> None:
    """The view is made after the write, and its memory is remembered from before it."""
    draft = _draft(
        _apply("clone", "a", to="x"),
        _apply("mul_", "x", 3.0),
        _apply("index", "x", to="v", index=[[1, None, None]]),
        _apply("exp", "v", to="y"),
        _apply("square", "v", to="z"),
        Backward(("z",), ([1.0],)),
    )
    assert _gradient(machine, draft, StaleOperand(4, 0, 1)) == [0.0, 12.0]


def test_a_cut_alias_takes_its_own_views_along(machine: Machine) -> None:
    """A view of the copy shares the copy's memory: a write there shows in the alias alone."""
    draft = _draft(
        _apply("clone", "a", to="x"),
        _apply("view_as", "x", to="v"),
        _apply("select", "v", to="w", dim=0, index=0),
        _apply("mul_", "w", 3.0),
        _backward("v"),
    )
    changes = variants(draft, predict(draft))[ALIAS_CUT]
    assert changes == (CutAlias(2, ("w",)), CutAlias(1, ("v", "w")))
    assert _gradient(machine, draft, changes[0]) == [1.0, 1.0]
    assert _gradient(machine, draft, changes[1]) == [3.0, 1.0]


@pytest.mark.parametrize("written", ["x", "d"])
def test_a_cut_detached_alias(machine: Machine, written: str) -> None:
    """A write through either side shows in the other's value, which a product's gradient needs."""
    other = "d" if written == "x" else "x"
    draft = _draft(
        _apply("clone", "b", to="x"),
        _apply("detach", "x", to="d"),
        _apply("copy_", written, "c"),
        _apply("mul", "a", other, to="y"),
        _backward("y"),
    )
    (change,) = variants(draft, predict(draft))[ALIAS_CUT]
    assert _gradient(machine, draft, change) == [3.0, 5.0]
    assert ALIAS_CUT in _told_apart(machine, draft)


# -- what is no candidate, and what does not count ------------------------------------------------


def test_a_cut_alias_whose_base_becomes_a_leaf(machine: Machine) -> None:
    """The view would take its base's new history; as a copy it reaches no leaf."""
    draft = _draft(
        _apply("view_as", "c", to="v"),
        _apply("mul_", "v", 2.0),
        _apply("requires_grad_", "c"),
        _backward("v"),
    )
    right = answer(draft, predict(draft), machine).gradients["c"].values.tolist()
    assert right == [1.0, 1.0]
    assert _gradient(machine, draft, CutAlias(0, ("v",)), "c") == [0.0, 0.0]
    assert _told_apart(machine, draft) == {ALIAS_CUT}


def test_what_follows_the_last_backward_is_no_candidate() -> None:
    """No gradient is left that a write, an operand or an alias could change."""
    draft = _draft(
        _apply("clone", "a", to="x"),
        _backward("x"),
        _apply("view_as", "x", to="v"),
        _apply("mul_", "v", 3.0),
        _apply("exp", "x", to="y"),
    )
    assert variants(draft, predict(draft)) == dict.fromkeys(KINDS, ())


def test_an_inert_write_is_no_write() -> None:
    """A dropout that does nothing is not the last write, and makes nothing stale."""
    draft = _draft(
        _apply("clone", "a", to="x"),
        _apply("mul_", "x", 3.0),
        _apply("dropout_", "x"),
        _apply("exp", "x", to="y"),
        _backward("y"),
    )
    found = variants(draft, predict(draft))
    assert found[WRITE_IGNORED] == (IgnoredWrite(1),)
    assert found[SAVED_STALE] == (StaleOperand(3, 0, 1),)


@pytest.mark.parametrize(
    "relabel",
    [
        _apply("transpose_", "x", dim0=0, dim1=0),
        _apply("detach_", "z"),
        _apply("requires_grad_", "c"),
    ],
    ids=["transpose_", "detach_", "requires_grad_"],
)
def test_what_writes_no_element_is_no_write(relabel: Apply) -> None:
    """A change of shape, of history or of the flag is not the last write, and stales nothing."""
    draft = _draft(
        _apply("clone", "a", to="x"),
        _apply("mul_", "x", 3.0),
        _apply("exp", "b", to="z"),
        relabel,
        _apply("exp", "x", to="y"),
        _backward("y"),
    )
    found = variants(draft, predict(draft))
    assert found[WRITE_IGNORED] == (IgnoredWrite(1),)
    assert found[SAVED_STALE] == (StaleOperand(4, 0, 1),)


@pytest.mark.parametrize("late", [False, True])
def test_a_write_before_a_change_of_shape(machine: Machine, late: bool) -> None:
    """The product reads what was written before it, or after, the target took another shape."""
    moved = _apply("unsqueeze_", "x", dim=0)
    write = _apply("mul_", "x", 3.0)
    draft = _draft(
        _apply("clone", "a", to="x"),
        *((moved, write) if late else (write, moved)),
        _apply("exp", "x", to="y"),
        Backward(("y",), ([1.0, 1.0],)),
    )
    stale = StaleOperand(3, 0, 2 if late else 1)
    assert variants(draft, predict(draft))[SAVED_STALE] == (stale,)
    assert _told_apart(machine, draft) == {WRITE_IGNORED, SAVED_STALE}
    expected = (3.0 * np.exp([1.0, 2.0])).tolist()
    assert _gradient(machine, draft, stale) == pytest.approx(expected)


def test_a_write_to_other_cells_makes_nothing_stale() -> None:
    """The first entry is written, the second is read."""
    draft = _draft(
        _apply("clone", "a", to="x"),
        _apply("setitem_", "x", 7.0, index=[0]),
        _apply("select", "x", to="v", dim=0, index=1),
        _apply("exp", "v", to="y"),
        Backward(("y",)),
    )
    assert variants(draft, predict(draft))[SAVED_STALE] == ()


def test_a_change_of_a_thousandth_does_not_count(machine: Machine) -> None:
    """Ignoring a factor of 1.0005 moves the gradient by less than the least change."""
    steps = (_apply("clone", "a", to="x"), _apply("mul_", "x", 1.0005), _backward("x"))
    assert _told_apart(machine, _draft(*steps)) == set()


def test_what_raises_or_is_unspecified_discriminates_nothing(machine: Machine) -> None:
    """Such a program has no gradients to change; an infinite gradient is not compared."""
    raising = _draft(_apply("exp", "a", to="x"), _apply("mul_", "x", 3.0), _backward("x"))
    prediction = predict(raising)
    assert prediction.raises is not None
    found = answer(raising, prediction, machine)
    assert discriminates(raising, prediction, found, machine) == frozenset()
    infinite = _draft(
        _apply("clone", "c", to="x"),
        _apply("fill_", "x", 0.0),
        _apply("div", "a", "x", to="y"),
        _backward("y"),
    )
    assert _told_apart(machine, infinite) == set()
    found = answer(infinite, predict(infinite), machine)
    assert np.isinf(found.gradients["a"].values).all()
