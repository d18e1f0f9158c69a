"""One program on one subject, from printing to the verdict."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from conformance.deviations import register
from conformance.examine import Examiner, _missing
from conformance.oracle.machine import Machine
from conformance.subjects import Observation, Subject
from strategies.draft import spelling
from strategies.program import ProgramError
from strategies.table import TABLE
from tests.tampering import Tampered, backward, contents, leaf, program, step, with_tensor

DOUBLE = program(
    leaf("a", [1.0, 2.0], grad=True), step("mul", "a", 2.0, to="x0"), backward("x0", [1.0, 1.0])
)
TIE = program(leaf("a", [1.0], grad=True), step("hardsigmoid", "a", to="x0"), backward("x0", [1.0]))
"""Its gradient is off by 3e-8 on the CPU: registered."""


def wrong(body: str, seen: Observation) -> Observation:
    return with_tensor(seen, "a", grad=contents([2.0, 9.0]))


def test_conforms(examiner: Examiner) -> None:
    """Nothing is found, and nothing is named."""
    judged = examiner.examine(DOUBLE)
    assert (judged.verdict, judged.findings, judged.deviations) == ("conforms", (), ())


def test_deviates(machine: Machine, local: Subject) -> None:
    """A difference that no registered quirk predicts deviates, though quirks are registered."""
    judged = Examiner(Tampered(local, wrong), machine).examine(DOUBLE)
    assert judged.verdict == "deviates"
    assert judged.gravest.message.startswith("a.grad[1] is 9.0 and should be 2.0")


def test_known_deviation(examiner: Examiner) -> None:
    """What a registered quirk predicts exactly is known, by the name of its entry."""
    judged = examiner.examine(TIE)
    assert judged.verdict == "known deviation"
    assert [d.entry.id for d in judged.deviations] == ["hardsigmoid-float-constant"]
    assert judged.gravest.kind == "silent wrong gradient"


def test_known_deviation_hides_nothing_beside_it(machine: Machine, local: Subject) -> None:
    """The same program with one more difference deviates."""

    def change(body: str, seen: Observation) -> Observation:
        return with_tensor(seen, "x0", version=5)

    assert Examiner(Tampered(local, change), machine).examine(TIE).verdict == "deviates"


def test_unregistered_quirk_deviates(machine: Machine, local: Subject) -> None:
    """Without the register, the same torch deviates."""
    assert Examiner(local, machine, known=()).examine(TIE).verdict == "deviates"


def test_two_known_deviations_at_once(examiner: Examiner) -> None:
    """A program that shows two quirks names both."""
    both = program(
        leaf("a", [1.0], grad=True),
        step("hardsigmoid", "a", to="x0"),
        '{"do":"apply","op":"view_as","args":["a"],"to":["x1"],"modes":["no_grad"]}',
        backward("x0", [1.0]),
    )
    judged = examiner.examine(both)
    assert judged.verdict == "known deviation"
    assert {d.entry.id for d in judged.deviations} == {
        "hardsigmoid-float-constant",
        "no-grad-view-requires-grad",
    }


def test_entries_for_other_versions_do_not_apply(machine: Machine, local: Subject) -> None:
    """An entry for other versions of torch excuses nothing here."""
    old = tuple(
        replace(known, entry=msgspec.structs.replace(known.entry, torch="<1.0"))
        for known in register()
    )
    examiner = Examiner(local, machine, known=old)
    assert examiner.known == ()
    assert examiner.examine(TIE).verdict == "deviates"


def test_ill_conditioned_is_unspecified(examiner: Examiner) -> None:
    """A comparison within its own rounding error is not judged, and the reason is given."""
    edge = program(
        leaf("a", [0.1], grad=True),
        step("mul", "a", 3.0, to="x0"),
        step("sub", "x0", 0.30000000000000004, to="x1"),
        step("relu", "x1", to="x2"),
        backward("x2", [1.0]),
    )
    judged = examiner.examine(edge)
    assert judged.verdict == "unspecified" and judged.reason


def test_without_the_oracle(machine: Machine, local: Subject) -> None:
    """Numbers are not judged where the oracle was not asked, flags and memory are."""
    assert Examiner(Tampered(local, wrong), machine).examine(DOUBLE, oracle=False).findings == ()

    def change(body: str, seen: Observation) -> Observation:
        return with_tensor(seen, "x0", is_leaf=True)

    judged = Examiner(Tampered(local, change), machine).examine(DOUBLE, oracle=False)
    assert judged.gravest.kind == "wrong flag"


def test_watched_asks_after_each_step(machine: Machine, local: Subject) -> None:
    """A watched program looks at its tensors after every step; the gradients are the same."""
    subject = Tampered(local)
    examiner = Examiner(subject, machine)
    assert examiner.examine(DOUBLE, watched=True).verdict == "conforms"
    assert examiner.examine(DOUBLE).verdict == "conforms"
    assert [body.count("watch(") for body in subject.asked] == [2, 0]


def test_no_program(examiner: Examiner) -> None:
    """What is no program is refused before anybody runs it."""
    with pytest.raises(ProgramError, match="uses 'b', which no leaf or earlier step makes"):
        examiner.examine(program(leaf("a", [1.0]), step("neg", "b", to="x0")))


def test_hidden_write_is_unspecified(examiner: Examiner) -> None:
    """A write through .data to what backward needs is outside the law, whatever torch does."""
    judged = examiner.examine(
        program(
            leaf("a", [1.0, 2.0], grad=True),
            step("exp", "a", to="x0"),
            step("data", "x0", to="x1"),
            step("mul_", "x1", 2.0),
            backward("x0", [1.0, 1.0]),
        )
    )
    assert judged.verdict == "unspecified"
    assert judged.reason == (
        "x0, which exp saved, was overwritten through .data, where its version counter does not "
        "see it"
    )


def test_harmless_write_through_data_is_judged(examiner: Examiner) -> None:
    """Where backward needs nothing of what .data overwrites, gradients are judged as ever."""
    judged = examiner.examine(
        program(
            leaf("a", [1.0, 2.0], grad=True),
            step("add", "a", "a", to="x0"),
            step("data", "x0", to="x1"),
            step("mul_", "x1", 2.0),
            backward("x0", [1.0, 1.0]),
        )
    )
    assert (judged.verdict, judged.reason) == ("conforms", "")


@pytest.mark.parametrize(
    ("op", "via", "lacking"),
    [
        ("sigmoid", "special.expit", "special.expit"),
        ("exp", "foreach", "torch._foreach_exp"),
        ("mul", "multiply", "Tensor.multiply"),
        ("mul", "operator", ""),
    ],
)
def test_ways_of_writing_that_a_subject_lacks_are_known(op: str, via: str, lacking: str) -> None:
    """A torch is asked only for names that it has, in whatever module they stand."""
    names = {module: frozenset[str]() for module in ("Tensor", "torch", "special", "nn", "F")}
    assert _missing(spelling(TABLE[op], False, via), names) == lacking
