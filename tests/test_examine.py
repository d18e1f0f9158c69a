"""One program on one subject, from printing to the verdict."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from conformance.asked import Findings
from conformance.deviations import register
from conformance.examine import Examiner, Judged
from conformance.model import predict
from conformance.model.quirks import INFERENCE_ALIAS, NO_GRAD_VIEW, STALE_LEAF
from conformance.oracle.answering import answer, looked_at
from conformance.oracle.machine import Machine
from conformance.subjects import ErrorSeen, InProcessSubject, Observation, Subject, TensorSeen
from strategies.build import build, grown
from strategies.choices import Seeded
from strategies.draft import check
from strategies.printer import print_body
from strategies.program import Apply, Backward, Generated, Leaf, Program, ProgramError
from tests.tampering import Change, Tampered, backward, contents, leaf, program, step, with_tensor

DOUBLE = program(
    leaf("a", [1.0, 2.0], grad=True), step("mul", "a", 2.0, to="x0"), backward("x0", [1.0, 1.0])
)
CALLED = Program(
    tuple(DOUBLE.leaves),
    tuple(
        msgspec.structs.replace(s, function=1) if isinstance(s, Apply) else s for s in DOUBLE.steps
    ),
)
"""The same with a function."""
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


def test_together_as_one_by_one(machine: Machine, local: Subject) -> None:
    """Programs that are judged together, deviating ones among them, get the verdicts of each."""
    drafts = [*(grown(Seeded(26112801, index)) for index in range(30)), check(TIE)]
    together = Examiner(local, machine).examine_all(drafts)
    alone = [Examiner(local, machine).examine(draft.program()) for draft in drafts]
    assert [(j.verdict, j.findings, j.deviations, j.reason) for j in together] == [
        (j.verdict, j.findings, j.deviations, j.reason) for j in alone
    ]
    assert together[-1].verdict == "known deviation"


def test_known_deviation_hides_nothing_beside_it(machine: Machine, local: Subject) -> None:
    """The same program with one more difference deviates."""

    def change(body: str, seen: Observation) -> Observation:
        return with_tensor(seen, "x0", version=5)

    assert Examiner(Tampered(local, change), machine).examine(TIE).verdict == "deviates"


def product_of_matrices(size: int) -> Program:
    names = ("a", "b")
    leaves = [Leaf(n, (size, size), Generated("dyadic", 1), requires_grad=True) for n in names]
    steps = (Apply("mm", names, to=("c",)), Apply("sum", ("c",), to=("s",)), Backward(("s",)))
    return Program(tuple(leaves), steps)


def test_the_oracle_gives_up_on_what_is_too_large(machine: Machine, local: Subject) -> None:
    """It computes nothing then, at once; what the model says is judged all the same."""
    large = product_of_matrices(256)
    judged = Examiner(local, machine).examine(large)
    assert judged.verdict == "gave up"
    assert judged.reason == "the oracle computes at most 1048576 numbers a program"

    def change(body: str, seen: Observation) -> Observation:
        return with_tensor(seen, "c", version=5)

    assert Examiner(Tampered(local, change), machine).examine(large).verdict == "deviates"
    assert Examiner(local, machine).examine(product_of_matrices(16)).verdict == "conforms"


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


LEAVES = f"{leaf('a', [1.0, 2.0], grad=True)},{leaf('b', [1.0, 2.0])}"


def failing(line: int) -> Change:
    """A subject that raises at a line."""

    def change(body: str, seen: Observation) -> Observation:
        error = ErrorSeen(class_name="RuntimeError", message="sizes must be equal", line=line)
        return msgspec.structs.replace(seen, error=error)

    return change


def test_what_comes_before_an_unspecified_step_is_judged(machine: Machine, local: Subject) -> None:
    """An error at a predicted step deviates; one at the step that is left open does not."""
    opened = program(
        LEAVES, step("mul", "a", 2.0, to="x0"), step("resize_", "b", params={"size": [1]})
    )
    body = print_body(check(opened))
    early, late = (Examiner(Tampered(local, failing(n)), machine) for n in body.step_lines)
    judged = early.examine(opened)
    assert (judged.verdict, judged.gravest.kind, judged.gravest.step) == (
        "deviates",
        "spurious error",
        0,
    )
    assert late.examine(opened).verdict == "unspecified"
    assert Examiner(local, machine).examine(opened).reason == "resize_ is a way around autograd"


def test_flags_before_an_unspecified_step_are_judged(machine: Machine, local: Subject) -> None:
    """A watched program's flags count up to the step that is left open."""
    opened = program(
        LEAVES, step("mul", "a", 2.0, to="x0"), step("resize_", "b", params={"size": [1]})
    )

    def change(body: str, seen: Observation) -> Observation:
        flags = {
            name: msgspec.structs.replace(f, version=7) for name, f in seen.trace[0].flags.items()
        }
        first = msgspec.structs.replace(seen.trace[0], flags=flags)
        return msgspec.structs.replace(seen, trace=(first, *seen.trace[1:]))

    examiner = Examiner(Tampered(local, change), machine)
    assert examiner.examine(opened, watched=True).gravest.message.startswith(
        "after step 1, a: _ver"
    )
    assert Examiner(local, machine).examine(opened, watched=True).verdict == "unspecified"


def test_open_values_leave_flags_judged(machine: Machine, local: Subject) -> None:
    """Where operands overlap partially no value is judged, but every flag after it is."""
    overlapping = program(
        '{"name":"a","shape":[2,2],"data":[1.0,2.0,3.0,4.0]}',
        step("select", "a", params={"dim": 1, "index": 0}, to="x0"),
        step("add_", "a", "x0"),
        step("mul_", "a", 2.0),
    )

    def values(body: str, seen: Observation) -> Observation:
        return with_tensor(seen, "a", data=contents([[9.0, 9.0], [9.0, 9.0]]).data)

    def version(body: str, seen: Observation) -> Observation:
        return with_tensor(seen, "a", version=1)

    judged = Examiner(Tampered(local, values), machine).examine(overlapping)
    assert (judged.verdict, judged.reason) == ("unspecified", "partially overlapping operands")
    judged = Examiner(Tampered(local, version), machine).examine(overlapping)
    assert judged.gravest.kind == "wrong flag"


def test_gradients_written_where_elements_share_cells_are_open(examiner: Examiner) -> None:
    """torch computes [1, 2] for b, and [1, 4] would be right, but nothing documents either."""
    sharing = program(
        f"{leaf('a', [1.0, 2.0, 3.0, 4.0])},{leaf('b', [1.0, 1.0], grad=True)}",
        step("unfold", "a", params={"dimension": 0, "size": 2, "step": 1}, to="x0"),
        step("detach", "x0", to="x1"),
        step("select", "x1", params={"dim": 0, "index": 0}, to="x2"),
        step("mul_", "x2", "b"),
        '{"do":"backward","of":["x1"],"cotangents":[[1.0,1.0,1.0,1.0,1.0,1.0]]}',
    )
    judged = examiner.examine(sharing)
    assert judged.verdict == "unspecified"
    assert judged.reason == "the gradient of mul_ is written where elements share cells"
    assert judged.answer.values.keys() == {"a", "b", "x0", "x1", "x2"}


# -- watched and unwatched ------------------------------------------------------------------------

SEED = 20200910
PROGRAMS = 400


def _flow(judged: Judged) -> tuple[object, ...]:
    """Where gradients flow by the model: a look that makes a view's node anew can change that."""
    prediction = judged.prediction
    acted = [(act.recorded, act.connected, act.places) for act in prediction.acted]
    return prediction.raises, prediction.left_open, prediction.graded, acted


def _gradients(judged: Judged) -> dict[str, bytes | None]:
    return {
        name: seen.grad.data if seen.grad is not None else None
        for name, seen in judged.observation.values.items()
        if isinstance(seen, TensorSeen) and name in judged.prediction.graded
    }


def test_watching_changes_no_gradient(examiner: Examiner) -> None:
    """A program gives the same gradients, bit for bit, whether its tensors are looked at or not.

    The exception is a look that gives an outdated view its node before its base leaves the graph,
    as the model predicts; either way nothing deviates.
    """
    compared = changed = 0
    for index in range(PROGRAMS):
        drawn = build(Seeded(SEED, index))
        blind, watched = examiner.examine(drawn), examiner.examine(drawn, watched=True)
        assert "deviates" not in (blind.verdict, watched.verdict), blind.body.text
        if _flow(blind) != _flow(watched):
            changed += 1
        elif not blind.raised:
            assert _gradients(blind) == _gradients(watched), blind.body.text
            compared += any(blind.prediction.graded.values())
    assert compared > PROGRAMS // 3 and changed < PROGRAMS // 20, (compared, changed)


def test_gradient_of_a_view_whose_flags_cannot_be_read_is_not_asked_for(examiner: Examiner) -> None:
    """Whether such a view is a leaf raises, so that nobody knows whether it has a gradient."""
    written = program(
        leaf("a", [1.0]),
        step("view_as", "a", to="x0", modes=("no_grad",)),
        step("requires_grad_", "x0"),
        backward("x0", [1.0]),
        step("mul_", "a", "x0"),
    )
    judged = examiner.examine(written)
    assert judged.prediction.graded["x0"] and judged.prediction.flags["x0"].unreadable is not None
    assert judged.verdict == "conforms", judged.findings


def test_the_oracle_looks_at_no_more_than_it_says(machine: Machine) -> None:
    """Of predictions that agree in what the oracle looks at, values and gradients are the same."""
    agreed = 0
    for index in range(250):
        draft = check(build(Seeded(11, index)))
        documented = predict(draft)
        for quirk in (NO_GRAD_VIEW, STALE_LEAF, INFERENCE_ALIAS):
            other = predict(draft, quirks=frozenset({quirk}))
            if other.flags != documented.flags and looked_at(other) == looked_at(documented):
                one, two = (answer(draft, said, machine) for said in (documented, other))
                agreed += 1
                assert one.unspecified == two.unspecified
                for found, again in ((one.values, two.values), (one.gradients, two.gradients)):
                    assert found.keys() == again.keys()
                    for name, entries in found.items():
                        np.testing.assert_array_equal(entries.values, again[name].values)
                        np.testing.assert_array_equal(entries.slack, again[name].slack)
    assert agreed > 5


def test_quirks_that_are_not_asked_for_change_nothing(machine: Machine) -> None:
    """What was found under some quirks stands under others, if those asked for are the same."""
    found = Findings[str]()
    asked = []

    def find(quirks: frozenset[str]) -> str:
        asked.append(quirks)
        return "a" if "one" in quirks else "b"

    assert found.under(frozenset(), find) == found.under(frozenset({"two"}), find) == "b"
    assert found.under(frozenset({"one"}), find) == "a"
    assert found.under(frozenset({"one", "two"}), find) == "a"
    assert asked == [frozenset(), frozenset({"one"})]


@pytest.mark.parametrize(("times", "verdict", "asked"), [(1, "conforms", 2), (9, "deviates", 3)])
@pytest.mark.parametrize("mode", ["eager", "hooks", "double-backward"])
def test_a_program_that_does_not_end_in_time_is_run_again(
    machine: Machine, mode: str, times: int, verdict: str, asked: int
) -> None:
    """Once, since a machine may stand still; a subject that hangs twice in a row is believed."""
    hung: list[str] = []

    def change(body: str, seen: Observation) -> Observation:
        hung.append(body)
        return Observation(hang=True) if len(hung) <= times else seen

    subject = Tampered(InProcessSubject(mode, mode=mode), change)
    examiner = Examiner(subject, machine)
    assert examiner.examine(CALLED).verdict == verdict
    if times > 1:
        assert examiner.examine(CALLED).gravest.kind == "hang"
    assert len(subject.asked) == asked
