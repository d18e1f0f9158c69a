"""What becomes of an entry of the register when a subject crashes, hangs or cannot say."""

from __future__ import annotations

import pytest

from conformance.abilities import Abilities
from conformance.deviations import Deviation, register
from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.standing import standing
from conformance.subjects import ErrorSeen, JsonSeen, Observation, Subject
from tests.tampering import Tampered

ENTRIES = {deviation.entry.id: deviation for deviation in register()}
PROGRAM = ENTRIES["hardsigmoid-float-constant"]
SCRIPT = ENTRIES["alpha-dropout-ignores-inplace"]


def examiner_of(local: Subject, machine: Machine, seen: Observation) -> Examiner:
    """A judge of a subject that answers everything with this observation."""
    return Examiner(Tampered(local, lambda body, was: seen), machine)


@pytest.mark.parametrize("deviation", [PROGRAM, SCRIPT], ids=["program", "script"])
@pytest.mark.parametrize(
    ("seen", "note"),
    [
        (Observation(crash="signal 11 (SIGSEGV)"), "crash: the worker died: signal 11 (SIGSEGV)"),
        (Observation(hang=True), "hang: "),
    ],
    ids=["crash", "hang"],
)
def test_dead_worker_is_no_fix(
    local: Subject, machine: Machine, deviation: Deviation, seen: Observation, note: str
) -> None:
    """A crash or a hang is another deviation than the registered one."""
    found = standing(examiner_of(local, machine, seen), deviation)
    assert found.status == "deviates" and found.note.startswith(note)


def test_program_that_does_something_else_deviates(local: Subject, machine: Machine) -> None:
    """So does a program that is wrong in a way that no entry predicts."""
    found = standing(examiner_of(local, machine, Observation()), PROGRAM)
    assert (found.status, found.note) == ("deviates", "wrong value: a is missing")


@pytest.mark.parametrize(
    ("seen", "note"),
    [
        (
            Observation(error=ErrorSeen(class_name="NameError", message="no nn")),
            "its script raised NameError: no nn",
        ),
        (Observation(values={"facts": JsonSeen(json={})}), "its script set no facts"),
        (Observation(values={"facts": JsonSeen(json=[1])}), "its script set no facts"),
        (Observation(), "its script set no facts"),
    ],
)
def test_script_that_says_nothing(
    local: Subject, machine: Machine, seen: Observation, note: str
) -> None:
    """A script that does not reach its end decides nothing."""
    found = standing(examiner_of(local, machine, seen), SCRIPT)
    assert found.status == "not exercised" and found.note.startswith(note)


def test_script_that_says_no(local: Subject, machine: Machine) -> None:
    """Only one that says so does."""
    seen = Observation(values={"facts": JsonSeen(json={"deviates": False})})
    assert standing(examiner_of(local, machine, seen), SCRIPT).status == "unexpectedly conforms"


def test_program_that_is_not_exercised(
    local: Subject, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torch without the operation says nothing of the entry."""
    monkeypatch.setattr(Abilities, "lacks", lambda self, draft: "Tensor.hardsigmoid")
    found = standing(Examiner(local, machine), PROGRAM)
    assert found.status == "not exercised" and "has no Tensor.hardsigmoid" in found.note
