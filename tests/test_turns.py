"""Turns: every way of writing an operation is put to what its scene is for."""

from __future__ import annotations

from collections import Counter

import pytest

from conformance.model import Kind, predict
from strategies import turns
from strategies.draft import Draft, Shaped, Value, check
from strategies.table import OPERATIONS
from strategies.turns import ODD_ENDS, Turn, Way, each

REFUSED: dict[Turn, tuple[Kind, ...]] = {
    turns.leaf_written: (Kind.LEAF_INPLACE, Kind.VIEW_OF_LEAF_INPLACE),
    turns.saved_then_written: (Kind.SAVED_MODIFIED,),
}
"""As what a write must be refused in a turn: of a part of a leaf it is as of a view of one."""
ALLOWED = (turns.leaf_written_in_no_grad, turns.written_in_no_grad, turns.detached_then_written)


def drafts(turn: Turn, ways: tuple[Way, ...], seed: int = 0) -> list[tuple[Way, Draft]]:
    """One program for each way."""
    return list(zip(ways, map(check, each(turn, ways, 1, seed)), strict=True))


def step_of(draft: Draft, way: Way) -> Shaped:
    """The last step of the way's operation that is written in this way."""
    return next(
        step
        for step in reversed(draft.shaped)
        if isinstance(step, Shaped) and (step.step.op, step.step.via) == (way.op, way.via)
    )


def test_every_way_of_writing_in_place_has_its_turns() -> None:
    """But for rows that end the law, and a dropout that does nothing: it writes nothing."""
    ways = Counter(way.op for way in turns.WRITES)
    for op, (row, in_place) in OPERATIONS.items():
        if in_place and not row.inert and not row.writes_out and row.name not in ODD_ENDS:
            # Each on a tensor, and the first on a view.
            assert ways.pop(op) == len(row.in_place) + 1
    assert not ways


@pytest.mark.parametrize("turn", REFUSED)
def test_what_must_be_refused_is(turn: Turn) -> None:
    """Each write is refused, or is found by backward, whatever the operation."""
    for way, draft in drafts(turn, turns.WRITES):
        raises = predict(draft).raises
        assert raises is not None and raises.kind in REFUSED[turn], way


@pytest.mark.parametrize("turn", ALLOWED)
def test_what_is_allowed_raises_nothing(turn: Turn) -> None:
    for way, draft in drafts(turn, turns.WRITES):
        assert predict(draft).raises is None, way


def test_squares_are_written_through_a_view() -> None:
    """By every in-place operation."""
    assert {way.op for way in turns.ON_VIEWS} == {way.op for way in turns.WRITES}
    for way, draft in drafts(turns.square_written, turns.ON_VIEWS):
        target = step_of(draft, way).operands[0]
        clone = draft.shaped[0 if way.row.operands[0].dtype != "bool" else 1]
        assert isinstance(target, Value) and isinstance(clone, Shaped), way
        assert len(set(draft.leaves[0].shape[-2:])) == 1 < len(draft.leaves[0].shape)


def test_views_are_made_of_what_is_not_contiguous() -> None:
    for way, draft in drafts(turns.viewed, turns.VIEWS):
        operand = step_of(draft, way).operands[0]
        assert isinstance(operand, Value)
        assert not (way.on_view and operand.layout.is_contiguous), way


def test_each_view_is_written_and_pieces_are_refused() -> None:
    for way, draft in drafts(turns.viewed_then_written, turns.VIEWS):
        raises = predict(draft).raises
        assert (raises is not None) == way.row.multi, way
        assert raises is None or raises.kind is Kind.MULTI_VIEW_INPLACE


def test_what_is_broadcast_requires_grad_and_is_smaller() -> None:
    for way, draft in drafts(turns.broadcast, turns.BROADCASTS):
        step = step_of(draft, way)
        small, whole = draft.leaves[-1], draft.leaves[0]
        assert small.name in step.step.args and small.requires_grad
        assert small.shape == whole.shape[1:] and whole.shape[0] > 1


def test_programs_depend_on_seed_way_and_number_alone() -> None:
    ways = turns.WRITES[:9]
    three = list(each(turns.saved_then_written, ways, 3, 7))
    assert list(each(turns.saved_then_written, ways, 1, 7)) == three[::3]
    assert list(each(turns.saved_then_written, ways, 1, 8)) != three[::3]


def test_a_way_that_nothing_suits_is_named() -> None:
    with pytest.raises(LookupError, match="'neg'"):
        list(each(turns.broadcast, (Way("neg"),), 1, 0))
