"""Custom functions that write what they take: what ctx is told, and what must come of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.examine import Examiner, Judged
from conformance.oracle.machine import Machine
from conformance.subjects import InProcessSubject
from strategies.program import Apply, Backward, Data, Leaf, Program, Step

A = Leaf("a", (2,), [0.5, 2.0], requires_grad=True)
B = Leaf("b", (2,), [1.0, 3.0])
ONES: tuple[Data, ...] = ([1.0, 1.0],)
MODE = "custom-function-dirty"
DOUBLED = Apply("mul", ("a", 2.0), {}, ("x0",))
CONSTANT = Apply("exp", ("x0",), {}, ("x1",), modes=("no_grad",), function=1)

WRITING: dict[str, tuple[Step, ...]] = {
    "what has a history": (DOUBLED, Apply("mul_", ("x0", 3.0), {}, function=1)),
    "a buffer, which gets one": (
        Apply("mul_", ("b", "a"), {}, function=1),
        Apply("mul", ("b", 2.0), {}, ("x0",)),
    ),
    "and gives something": (
        DOUBLED,
        Apply("mul_", ("x0", 3.0), {}, function=1),
        Apply("add", ("x0", "a"), {}, ("x1",), function=1),
        Apply("add_", ("x0", "x1"), {}),
    ),
    "a view of something": (
        DOUBLED,
        Apply("select", ("x0",), {"dim": 0, "index": 1}, ("x1",)),
        Apply("mul_", ("x1", 3.0), {}, function=1),
    ),
    "in no_grad": (DOUBLED, Apply("mul_", ("x0", 3.0), {}, modes=("no_grad",), function=1)),
    "and gives what has no gradient": (
        DOUBLED,
        Apply("mul_", ("x0", 3.0), {}, function=1),
        CONSTANT,
        Apply("mul_", ("x0", "x1"), {}),
    ),
}
"""What functions write; all end in x0."""


def examined(machine: Machine, steps: tuple[Step, ...], old: str = "", new: str = "") -> Judged:
    """The verdict on a program in the mode, part of whose text is another."""
    with InProcessSubject(MODE, mode=MODE) as subject:
        assert subject.transform is not None and old in subject.transform.setup
        setup = subject.transform.setup.replace(old, new)
        subject.transform = replace(subject.transform, setup=setup)
        return Examiner(subject, machine).examine(Program((A, B), steps))


@pytest.mark.parametrize("steps", WRITING.values(), ids=WRITING)
def test_what_a_custom_function_writes_has_the_right_gradient(
    steps: tuple[Step, ...], machine: Machine
) -> None:
    judged = examined(machine, (*steps, Backward(("x0",), ONES)))
    assert (judged.verdict, judged.raised) == ("conforms", False), (judged.findings, judged.reason)


def test_a_function_that_does_not_say_what_it_wrote_deviates(machine: Machine) -> None:
    """The history of what it wrote stays as it was."""
    steps = (*WRITING["what has a history"], Backward(("x0",), ONES))
    judged = examined(machine, steps, "ctx.mark_dirty(*gives[:len(ctx.dirty)])", "pass")
    assert (judged.verdict, judged.gravest.kind) == ("deviates", "silent wrong gradient")


def test_a_function_that_does_not_say_what_has_no_gradient_deviates(machine: Machine) -> None:
    steps = (DOUBLED, CONSTANT)
    assert examined(machine, steps).verdict == "conforms"
    judged = examined(machine, steps, "if not two.requires_grad", "if False")
    assert judged.gravest.message.startswith("x1: requires_grad is True and should be False")


def test_what_was_saved_before_it_was_written_raises(machine: Machine) -> None:
    """It "would lead to wrong gradients! but the engine would not know unless we mark_dirty"."""
    steps = (
        DOUBLED,
        Apply("mul", ("x0", "x0"), {}, ("x1",)),
        Apply("mul_", ("x0", 3.0), {}, function=1),
        Backward(("x1",), ONES),
    )
    judged = examined(machine, steps)
    assert (judged.verdict, judged.raised) == ("conforms", True)


NOT_FOR: dict[str, tuple[Step, ...]] = {
    "by two names": (
        Apply("view_as", ("b",), {}, ("x0",)),
        Apply("mul_", ("b", "x0"), {}, function=1),
    ),
    "shares memory": (Apply("view_as", ("b",), {}, ("x0",), function=1),),
    "writes a leaf": (Apply("mul_", ("a", 2.0), {}, modes=("no_grad",), function=1),),
    "changes the shape": (Apply("unsqueeze_", ("b",), {"dim": 0}, function=1),),
    "no version": (Apply("mul", ("a", 2.0), {}, ("x0",), modes=("inference_mode",)),),
}
"""Part of the reason why a function is not exercised -> such a one."""


@pytest.mark.parametrize(("why", "steps"), NOT_FOR.items(), ids=NOT_FOR)
def test_what_mark_dirty_cannot_say_is_not_exercised(
    why: str, steps: tuple[Step, ...], machine: Machine
) -> None:
    judged = examined(machine, (*steps, Apply("mul", ("a", 3.0), {}, ("x9",), function=2)))
    assert judged.verdict == "not exercised"
    assert why in judged.reason
