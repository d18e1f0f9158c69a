"""Programs that deviate by a registered cause in another way than the entry's own program."""

from __future__ import annotations

import pytest

from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.subjects import InProcessSubject
from strategies.program import Apply, Backward, Data, Leaf, Program

ONES: tuple[Data, ...] = ([1.0, 1.0],)
A = Leaf("a", (2,), [0.5, 2.0], requires_grad=True)
BUFFER = Leaf("b", (2,), [1.0, 2.0])

OTHERWISE = {
    "a buffer that requires grad by what is written": (
        "checkpoint-reentrant",
        "checkpoint-reentrant-writes-again",
        Program(
            (A, BUFFER),
            (
                Apply("mul_", ("b", "a"), {}, function=1),
                Apply("mul", ("b", 2.0), {}, ("x0",), function=1),
                Backward(("x0",), ONES),
            ),
        ),
    ),
    "an output that may not be run backward": (
        "checkpoint-reentrant",
        "checkpoint-reentrant-runs-everything",
        Program(
            (A,),
            (
                Apply("mul", ("a", 2.0), {}, ("x0",), function=1),
                Apply("celu_", ("x0",), {"alpha": -1}, function=1),
                Apply("mul", ("a", 2.0), {}, ("x1",), function=1),
                Backward(("x1",), ONES),
                Apply("mul", ("a", "x0"), {}, ("x2",)),
            ),
        ),
    ),
    "an element of a view of its input": (
        "checkpoint-reentrant",
        "checkpoint-reentrant-gives-view",
        Program(
            (A,),
            (
                Apply("mul", ("a", 2.0), {}, ("x0",)),
                Apply("view_as", ("x0",), {}, ("x1",), function=1),
                Apply("setitem_", ("x1", 2.0), {"index": [0]}),
            ),
        ),
    ),
    "a view of its input that is read": (
        "checkpoint-reentrant",
        "checkpoint-reentrant-gives-view",
        Program(
            (A,),
            (
                Apply("view_as", ("a",), {}, ("x0",), function=1),
                Apply("mul_", ("a", 2.0), {}, modes=("no_grad",)),
                Apply("mul", ("x0", 2.0), {}, ("x1",)),
            ),
        ),
    ),
    "what is written through a detached alias": (
        "functionalize",
        "functionalize-write-without-history",
        Program(
            (A, BUFFER),
            (
                Apply("detach", ("b",), {}, ("x0",), function=1),
                Apply("mul_", ("x0", "a"), {}, function=1),
                Backward(("x0",), ONES),
            ),
        ),
    ),
    "what logic writes": (
        "functionalize",
        "functionalize-underived",
        Program(
            (A,),
            (
                Apply("mul", ("a", 2.0), {}, ("x0",), function=1),
                Apply("logical_or_", ("x0", "a"), {}, function=1),
                Backward(("x0",), ONES),
            ),
        ),
    ),
    "a view made in no_grad that the function writes": (
        "checkpoint",
        "checkpoint-of-written-input",
        Program(
            (A,),
            (
                Apply("view_as", ("a",), {}, ("x0",), modes=("no_grad",)),
                Apply("mul_", ("x0", 2.0), {}, modes=("no_grad",), function=1),
                Apply("mul", ("a", "a"), {}, ("x1",), function=1),
                Backward(("x1",), ONES),
            ),
        ),
    ),
    "an input that requires grad by another deviation": (
        "checkpoint-reentrant",
        "checkpoint-reentrant-writes-leaf",
        Program(
            (A,),
            (
                Apply("view_as", ("a",), {}, ("x0",), modes=("no_grad",)),
                Apply("mul", ("x0", 2.0), {}, ("x1",)),
                Apply("mul_", ("x1", 2.0), {}, function=1),
                Apply("mul", ("a", 2.0), {}, ("x2",), function=1),
                Backward(("x2",), ONES),
            ),
        ),
    ),
    "a view of what a list made require grad": (
        "mutation-allowed",
        "mutation-allowed-lists",
        Program(
            (A, BUFFER),
            (
                Apply("view_as", ("b",), {}, ("x0",)),
                Apply("minimum_", ("x0", "a"), {}),
                Apply("mul_", ("x0", 2.0), {}),
            ),
        ),
    ),
    "a part of an input that is written": (
        "functionalize",
        "functionalize-moved-input",
        Program(
            (Leaf("a", (3,), [1.0, 2.0, 3.0]),),
            (
                Apply(
                    "as_strided_",
                    ("a",),
                    {"size": [2], "stride": [1], "storage_offset": 1},
                    function=1,
                ),
                Apply("mul_", ("a", 2.0), {}, function=1),
            ),
        ),
    ),
}


@pytest.mark.parametrize(("mode", "known", "program"), OTHERWISE.values(), ids=OTHERWISE)
def test_a_program_is_known_by_its_cause(
    mode: str, known: str, program: Program, machine: Machine
) -> None:
    with InProcessSubject(mode, mode=mode) as subject:
        judged = Examiner(subject, machine).examine(program)
    assert known in [deviation.entry.id for deviation in judged.deviations], judged.findings


def test_a_function_that_writes_what_it_has_made_conforms(machine: Machine) -> None:
    """When it runs again that is made anew; a buffer alone is written twice."""
    program = Program(
        (A,),
        (
            Apply("mul", ("a", 2.0), {}, ("x0",), function=1),
            Apply("mul_", ("x0", 2.0), {}, function=1),
            Backward(("x0",), ONES),
        ),
    )
    with InProcessSubject("checkpoint-reentrant", mode="checkpoint-reentrant") as subject:
        assert Examiner(subject, machine).examine(program).verdict == "conforms"
