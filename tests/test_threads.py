"""Threads that run backward at once: that they do, and what must come of it."""

from __future__ import annotations

from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
import torch

from conformance.examine import Examiner, Judged
from conformance.oracle.machine import Machine
from conformance.subjects import InProcessSubject
from strategies.build import build
from strategies.choices import Seeded
from strategies.copies import in_copies
from strategies.draft import check
from strategies.functions import functions_of
from strategies.program import Apply, Backward, Data, Leaf, Program
from strategies.setups import AT_ONCE
from strategies.transforms import TRANSFORMS

A = Leaf("a", (2,), [0.5, 2.0], requires_grad=True)
ONES: tuple[Data, ...] = ([1.0, 1.0],)
RIGHT = Program(
    (A,),
    (
        Apply("exp", ("a",), {}, ("x0",), function=1),
        Apply("mul", ("x0", "a"), {}, ("x1",), function=1),
        Backward(("x1",), ONES),
    ),
)
PATIENCE_S = 30.0
"""Threads that ran one after the other would wait so long for each other, and then fail."""


def set_up(mode: str) -> dict[str, Any]:
    """What a script in a mode has defined before its program begins."""
    defined: dict[str, Any] = {"torch": torch}
    exec(TRANSFORMS[mode].setup, defined)
    return defined


def test_backward_calls_of_the_copies_run_at_once() -> None:
    """The last one to be called runs them all, and each is there while the others are."""
    called, met = set_up("threads")["called"], Barrier(AT_ONCE, timeout=PATIENCE_S)
    there: list[int] = []

    def meet() -> None:
        there.append(met.wait())

    for _ in range(AT_ONCE):
        assert there == []
        called(meet)()
    assert sorted(there) == list(range(AT_ONCE))


def test_a_graph_is_shared_by_threads_that_go_through_it_at_once() -> None:
    """A hook in the middle of the graph waits until every thread has come to it."""
    met = Barrier(AT_ONCE, timeout=PATIENCE_S)
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda gradient: (met.wait(), None)[1])
    found = set_up("threads-sharing")["sharing"]([y.exp()], [torch.ones(2)], [x])
    assert len(found) == AT_ONCE
    assert all(torch.equal(one, 2 * (2 * x).exp()) for one in found)


def test_copies_share_nothing_and_are_legal() -> None:
    """Each has its own leaves and functions, and a program's own names come first."""
    for index in range(200):
        program = build(Seeded(23, index))
        copies = in_copies(program, 3)
        check(copies)
        assert len(set(copies.names)) == 3 * len(program.names)
        assert set(program.names) < set(copies.names)
        assert len(functions_of(copies.steps)) == 3 * len(functions_of(program.steps))


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    function = Leaf("function", (), [1.0])
    copies = in_copies(Program((A, Leaf("a_2", (), [1.0]), function), ()), 2)
    assert copies.names == ("a", "t0", "a_2", "a_2_2", "function", "t1")


def examined(machine: Machine, mode: str, of: Program, old: str = "", new: str = "") -> Judged:
    """The verdict on a program in a mode, part of whose text is another."""
    with InProcessSubject(mode, mode=mode) as subject:
        assert subject.transform is not None and old in subject.transform.setup
        setup = subject.transform.setup.replace(old, new)
        subject.transform = replace(subject.transform, setup=setup)
        return Examiner(subject, machine).examine(of)


@pytest.mark.parametrize("mode", ["threads", "threads-sharing"])
def test_a_thread_that_goes_wrong_is_noticed(mode: str, machine: Machine) -> None:
    """Of all but the first one the work is forgotten."""
    assert examined(machine, mode, RIGHT).verdict == "conforms"
    forgetful = "return work() if not start.wait() else (None,)"
    wrong = examined(machine, mode, RIGHT, "start.wait()\n        return work()", forgetful)
    assert (wrong.verdict, wrong.gravest.kind) == ("deviates", "silent wrong gradient")


def test_every_copy_is_judged(machine: Machine) -> None:
    judged = examined(machine, "threads", RIGHT)
    assert judged.program == RIGHT
    assert {name for name, there in judged.prediction.graded.items() if there} == {
        "a",
        "a_2",
        "a_3",
    }


def test_what_one_backward_call_refuses_all_copies_refuse(machine: Machine) -> None:
    """The error of the first copy is the one that comes out, at its place."""
    stale = Program(
        (A,),
        (
            Apply("exp", ("a",), {}, ("x0",), function=1),
            Apply("mul_", ("x0", 3.0), {}),
            Backward(("x0",), ONES),
        ),
    )
    judged = examined(machine, "threads", stale)
    assert (judged.verdict, judged.raised) == ("conforms", True)
