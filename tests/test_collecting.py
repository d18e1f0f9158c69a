"""Cycles of objects are looked for when it was said, and Python's own settings come back."""

from __future__ import annotations

import gc
import weakref

import pytest

from conformance import collecting
from conformance.fuzz import chunks
from conformance.model import predict
from strategies.draft import check
from strategies.program import Apply, Backward, Leaf, Program


class Held:
    """What refers to itself, so that only a look for cycles ends it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_left_afterwards_is_collected_once() -> None:
    with collecting.afterwards():
        assert not gc.isenabled()
        gone = weakref.ref(Held())
        assert gone() is not None
    assert gc.isenabled() and gone() is None


def test_cycles_are_looked_for_seldom_and_then_as_before() -> None:
    before = gc.get_threshold()
    with collecting.seldom():
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() > before and gc.isenabled()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_settings_come_back_after_an_error() -> None:
    before = gc.get_threshold()
    for manager in (collecting.seldom(), collecting.afterwards()):
        with pytest.raises(ValueError, match="within"), manager:
            raise ValueError("within")
    assert gc.get_threshold() == before and gc.isenabled()


def test_nothing_is_looked_for_while_a_chunk_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    enabled: list[bool] = []
    monkeypatch.setattr(chunks, "_examiner", lambda task: None)
    monkeypatch.setattr(chunks, "_judged", lambda *given: enabled.append(gc.isenabled()))
    chunks.judge_chunk(chunks.Task("eager-cpu", True, 1), chunks.Chunk(0, 1))
    assert enabled == [False] and gc.isenabled()


def test_a_call_that_raised_holds_no_frames() -> None:
    """Its error would keep all that was judged with it until the next look for cycles."""
    leaf = Leaf("a", (1,), [2.0], requires_grad=True)
    calls = (Backward(("x0",)), Backward(("x0",)))
    steps = (Apply("square", ("a",), {}, ("x0",)), *calls)
    flow = predict(check(Program((leaf,), steps))).acted[-1].flow
    assert flow is not None and flow.raised is not None and flow.raised.__traceback__ is None
