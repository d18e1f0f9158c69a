"""Each kind of difference between what was seen and what must be becomes a finding of that kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from conformance.examine import Examiner, Judged
from conformance.judge import Finding, judge
from conformance.oracle.machine import Machine
from conformance.records import KINDS
from conformance.subjects import ErrorSeen, Observation, Subject, TensorSeen
from tests.tampering import Tampered, backward, contents, leaf, program, step, with_tensor

SQUARE = program(
    '{"name":"a","shape":[2,3],"data":[1.0,2.0,3.0,4.0,5.0,1.0],"requires_grad":true},'
    + leaf("c", [1.0, 2.0], grad=True),
    step("mul", "a", "a", to="x0"),
    step("view_as", "x0", to="x1"),
    '{"do":"backward","of":["x1"],"cotangents":[[1.0,1.0,1.0,1.0,1.0,1.0]]}',
)
"""A square, a view of it, and a leaf that nothing reaches."""

RAISES = program(
    leaf("a", [1.0, 2.0], grad=True),
    step("exp", "a", to="x0"),
    step("mul_", "x0", 2.0),
    backward("x0", [1.0, 1.0]),
)
"""Backward, on the fourth line, finds that exp's result was overwritten."""

GRADIENT = [[2.0, 4.0, 6.0], [8.0, 10.0, 2.0]]
ON_LEAF = "a leaf Variable that requires grad is being used in an in-place operation."
MODIFIED = (
    "one of the variables needed for gradient computation has been modified by an inplace operation"
)


@pytest.fixture(scope="module")
def square(examiner: Examiner) -> Judged:
    """SQUARE as it is judged on a sound torch, watched after each step."""
    return examiner.examine(SQUARE, watched=True)


@pytest.fixture(scope="module")
def raises(examiner: Examiner) -> Judged:
    """RAISES as it is judged on a sound torch."""
    return examiner.examine(RAISES)


def findings(judged: Judged, observation: Observation) -> list[Finding]:
    """What is found where something else was seen."""
    return judge(judged.draft, judged.body, judged.prediction, judged.answer, observation)


def test_nothing_is_found_in_a_sound_torch(square: Judged, raises: Judged) -> None:
    """Both programs conform, one of them by raising."""
    assert square.verdict == raises.verdict == "conforms"
    assert findings(square, square.observation) == findings(raises, raises.observation) == []
    assert (raises.raised_step(), raises.raised_kind()) == (2, "saved tensor modified")


def wrong_gradient(seen: Observation) -> Observation:
    return with_tensor(seen, "a", grad=contents([GRADIENT[0], [8.0, 10.0, 4.0]]))


def no_gradient(seen: Observation) -> Observation:
    return with_tensor(seen, "a", grad=None)


def unreached_gradient(seen: Observation) -> Observation:
    return with_tensor(seen, "c", grad=contents([0.0, 1.0]))


def unreached_zeros(seen: Observation) -> Observation:
    return with_tensor(seen, "c", grad=contents([0.0, 0.0]))


def gradient_of_another_shape(seen: Observation) -> Observation:
    return with_tensor(seen, "a", grad=contents([2.0, 4.0, 6.0]))


def wrong_value(seen: Observation) -> Observation:
    return with_tensor(seen, "c", data=contents([1.0, 3.0]).data)


def another_dtype(seen: Observation) -> Observation:
    return with_tensor(seen, "c", dtype="int64", data=contents([1, 2], "int64").data)


def another_shape(seen: Observation) -> Observation:
    return with_tensor(seen, "c", shape=(2, 1))


def missing_tensor(seen: Observation) -> Observation:
    values = {name: value for name, value in seen.values.items() if name != "x1"}
    return msgspec.structs.replace(seen, values=values)


def memory_apart(seen: Observation) -> Observation:
    return with_tensor(seen, "x1", storage=99)


def memory_shared(seen: Observation) -> Observation:
    tensor = seen.values["a"]
    assert isinstance(tensor, TensorSeen)
    return with_tensor(seen, "c", storage=tensor.storage)


def memory_moved(seen: Observation) -> Observation:
    return with_tensor(seen, "x1", offset=1)


def flag(**fields: object) -> Callable[[Observation], Observation]:
    def change(seen: Observation) -> Observation:
        return with_tensor(seen, "x0", **fields)

    change.__name__ = next(iter(fields))
    return change


def flag_after_a_step(seen: Observation) -> Observation:
    first, *others = seen.trace
    flags = {**first.flags, "x0": msgspec.structs.replace(first.flags["x0"], version=3)}
    return msgspec.structs.replace(
        seen, trace=(msgspec.structs.replace(first, flags=flags), *others)
    )


CASES: tuple[tuple[Callable[[Observation], Observation], str, str], ...] = (
    (
        wrong_gradient,
        "silent wrong gradient",
        "a.grad[1, 2] is 4.0 and should be 2.0 (jax oracle, rtol 1e-09)",
    ),
    (no_gradient, "silent wrong gradient", "a.grad is None and should be there (model)"),
    (
        unreached_gradient,
        "silent wrong gradient",
        "c.grad is there and should be None (model): nothing reaches it",
    ),
    (
        unreached_zeros,
        "wrong flag",
        "c.grad is there and should be None (model): nothing reaches it",
    ),
    (
        gradient_of_another_shape,
        "wrong value",
        "a.grad has shape (3,) and should have (2, 3)",
    ),
    (wrong_value, "wrong value", "c[1] is 3.0 and should be 2.0 (jax oracle, rtol 1e-09)"),
    (another_dtype, "wrong value", "c has dtype int64 and should have float64"),
    (another_shape, "wrong value", "c has shape (2, 1) and should have (2,)"),
    (missing_tensor, "wrong value", "x1 is missing"),
    (memory_apart, "wrong aliasing", "x1 and x0 should share memory (model) and do not"),
    (memory_shared, "wrong aliasing", "c and a share memory and should not (model)"),
    (
        memory_moved,
        "wrong aliasing",
        "x1 starts at element 1 of its memory and should start at 0 (model)",
    ),
    (
        flag(requires_grad=False),
        "wrong flag",
        "x0: requires_grad is False and should be True (model)",
    ),
    (flag(version=7), "wrong flag", "x0: _version is 7 and should be 0 (model)"),
    (flag(is_leaf=True), "wrong flag", "x0: is_leaf is True and should be False (model)"),
    (flag(grad_fn=False), "wrong flag", "x0: has a grad_fn is False and should be True (model)"),
    (
        flag_after_a_step,
        "wrong flag",
        "after step 1, x0: _version is 3 and should be 0 (model)",
    ),
)
"""What is seen instead, the kind of the gravest finding, and its message."""


@pytest.mark.parametrize(
    ("change", "kind", "message"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_kind_and_message(
    square: Judged, change: Callable[[Observation], Observation], kind: str, message: str
) -> None:
    """One change gives one finding, which says what came out, what should, and who says so."""
    found = findings(square, change(square.observation))
    assert [(finding.kind, finding.message) for finding in found] == [(kind, message)]


def test_places_of_what_differs(square: Judged) -> None:
    """Only entries that differ by more than is allowed are named, in row-major order."""
    (gradient,) = findings(square, wrong_gradient(square.observation))
    (version,) = findings(square, flag(version=7)(square.observation))
    assert (gradient.off, version.off) == ((5,), ())


def test_unreadable_node(square: Judged) -> None:
    """A flag that raises when it is read, and should not, is a wrong flag."""
    message = (
        "Output 0 of UnbindBackward0 is a view and its base or another view of its base has been "
        "modified inplace. This view is the output of a function that returns multiple views."
    )
    change = flag(flags_error=message, grad_fn=None, is_leaf=None)
    found = findings(square, change(square.observation))
    assert {finding.kind for finding in found} == {"wrong flag"}
    assert any(f.message.startswith("reading the node of x0 does not raise") for f in found)


def test_gravest_first(square: Judged) -> None:
    """Findings come by gravity, in the order of the kinds."""
    seen = flag(version=7)(memory_apart(wrong_value(wrong_gradient(square.observation))))
    kinds = [finding.kind for finding in findings(square, seen)]
    assert kinds == ["silent wrong gradient", "wrong value", "wrong aliasing", "wrong flag"]
    assert kinds == [kind for kind in KINDS if kind in kinds]


# -- errors


def raised(message: str, line: int | None, class_name: str = "RuntimeError") -> ErrorSeen:
    return ErrorSeen(class_name=class_name, message=message, line=line)


def test_spurious_error(square: Judged) -> None:
    """A step that raises and should not hides everything else."""
    error = raised("not implemented for 'Double'", 3, "NotImplementedError")
    seen = msgspec.structs.replace(wrong_gradient(square.observation), error=error)
    (found,) = findings(square, seen)
    assert (found.kind, found.step) == ("spurious error", 0)
    assert found.message == (
        "step 1 (mul) raises and should not (model): NotImplementedError: not implemented for "
        "'Double'"
    )


def test_error_while_making_leaves(square: Judged) -> None:
    """An error before the first step is spurious, and says where it was."""
    seen = msgspec.structs.replace(square.observation, error=raised("no memory", 1))
    (found,) = findings(square, seen)
    assert found.kind == "spurious error" and found.step is None
    assert found.message.startswith("making the leaves raises and should not")


def test_missing_error(raises: Judged) -> None:
    """What must raise and does not is a missing error, with the model's reason."""
    (found,) = findings(raises, msgspec.structs.replace(raises.observation, error=None))
    assert (found.kind, found.step) == ("missing error", 2)
    assert found.message == (
        "step 3 (backward) should raise (model): exp saved x0 at version 0, and it is at version 1"
    )


@pytest.mark.parametrize(
    ("message", "line", "kind", "step"),
    [
        (ON_LEAF, 3, "spurious error", 1),
        (MODIFIED, 2, "spurious error", 0),
        (ON_LEAF, 4, "missing error", 2),
        ("something else", 4, "missing error", 2),
    ],
    ids=["earlier", "same-kind-earlier", "another-kind", "no-known-kind"],
)
def test_another_error(raises: Judged, message: str, line: int, kind: str, step: int) -> None:
    """The right error in the wrong place, and a wrong one in the right place, are told apart."""
    seen = msgspec.structs.replace(raises.observation, error=raised(message, line))
    (found,) = findings(raises, seen)
    assert (found.kind, found.step) == (kind, step)
    assert "instead of saved tensor modified at step 3 (backward)" in found.message
    assert message in found.message


def test_error_after_the_predicted_one(square: Judged, raises: Judged) -> None:
    """What raises later than it must did not raise where it must."""
    early = replace(raises.prediction.raises, step=0) if raises.prediction.raises else None
    prediction = replace(raises.prediction, raises=early)
    (found,) = judge(raises.draft, raises.body, prediction, raises.answer, raises.observation)
    assert (found.kind, found.step) == ("missing error", 0)


@pytest.mark.parametrize(
    ("seen", "kind", "message"),
    [
        (Observation(crash="signal 11 (SIGSEGV)"), "crash", "the worker died: signal 11 (SIGSEGV)"),
        (Observation(hang=True), "hang", "the program did not end in time"),
    ],
    ids=["crash", "hang"],
)
def test_worker_that_ends(
    machine: Machine, local: Subject, seen: Observation, kind: str, message: str
) -> None:
    """A worker that dies or does not answer is a deviation like any other."""
    judged = Examiner(Tampered(local, lambda body, was: seen), machine).examine(SQUARE)
    assert judged.verdict == "deviates"
    assert [(f.kind, f.message) for f in judged.findings] == [(kind, message)]
