"""Traces: the memory of a program after each step, as records keep it and reports draw it."""

from __future__ import annotations

import msgspec
import pytest

from conformance.explain import trace_of
from conformance.records import Trace, TraceStep
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import check
from tests.tampering import backward, leaf, program, step
from tests.test_explain import PROGRAMS

A = leaf("a", [1.0, 2.0], grad=True)
ONES = [1.0, 1.0]


def traced(name: str) -> Trace:
    return trace_of(check(PROGRAMS[name]))


def drawn(at: TraceStep) -> dict[str, tuple[list[str], list[tuple[int | None, int | None]]]]:
    """The storages that a step changed: their names, and each counter before and after."""
    return {
        storage.title: (
            [name.name for name in storage.names],
            [(counter.before, counter.after) for counter in storage.counters],
        )
        for storage in at.storages
    }


def test_memory_after_each_step() -> None:
    """Made, aliased, written: each step shows the storages that it changed and no others."""
    trace = traced("saved_then_modified_through_a_view")
    assert [name.how for storage in trace.storages for name in storage.names] == ["leaf"]
    made, viewed, written, ended = trace.steps
    assert drawn(made) == {"x0": (["x0"], [(None, 0)])}
    assert drawn(viewed) == {"x0": (["x0", "x1"], [(0, 0)])}
    assert drawn(written) == {"x0": (["x0", "x1"], [(0, 1)])}
    assert drawn(ended) == {}
    (storage,) = viewed.storages
    assert (storage.names[1].how, storage.names[1].of) == ("view", "x0")


def test_what_is_saved_is_held_then_overwritten() -> None:
    """A saved tensor stands with its node, its version, and what has become of it."""
    _, viewed, written, _ = traced("saved_then_modified_through_a_view").steps
    held = [(kept.node, kept.version, kept.state) for kept in viewed.storages[0].kept]
    gone = [(kept.node, kept.version, kept.state) for kept in written.storages[0].kept]
    assert held == [("sigmoid (step 1)", 0, "as saved")]
    assert gone == [("sigmoid (step 1)", 0, "overwritten")]


def test_backward_frees_what_was_saved() -> None:
    """After a backward its nodes hold nothing any more."""
    trace = traced("second_backward")
    first = trace.steps[2]
    assert {kept.state for storage in first.storages for kept in storage.kept} == {"freed"}
    assert trace.steps[3].raises and trace.outcome == "raises"


def test_path_of_the_gradient() -> None:
    """The nodes that backward runs, in order, with what each finds, and where it raises."""
    path = traced("saved_then_modified_through_a_view").steps[3].path
    assert [visit.node for visit in path] == ["CopySlices around mul_ (step 3)", "sigmoid (step 1)"]
    assert [visit.raises for visit in path] == [False, True]
    assert path[1].found == ("x0 was saved at version 0 and is now at 1, modified by step 3",)
    right = traced("nothing_wrong").steps[3].path
    assert {visit.adds_to for visit in right} == {"", "a", "b"}


def test_data_alias_has_a_counter_of_its_own() -> None:
    """`.data` shares the memory, and its writes count for itself alone."""
    text = program(
        A,
        step("mul", "a", 2.0, to="x0"),
        step("data", "x0", to="x1"),
        step("mul_", "x1", 3.0),
        backward("x0", ONES),
    )
    written = trace_of(check(text)).steps[2]
    assert drawn(written) == {"x0": (["x0", "x1"], [(0, 0), (0, 1)])}
    assert [name.how for name in written.storages[0].names] == ["new memory", ".data alias"]


def test_inference_tensors_have_no_version() -> None:
    """Neither before nor after a write."""
    made, written, *_ = traced("made_in_inference_mode").steps
    assert [counter.after for counter in made.storages[0].counters] == [None]
    assert drawn(written) == {}


def test_steps_after_an_error_are_not_reached() -> None:
    """They are listed, and change nothing."""
    trace = traced("leaf_in_place")
    assert [step.reached for step in trace.steps] == [True, False, False]
    assert [step.storages for step in trace.steps[1:]] == [(), ()]
    assert trace.kind and trace.why and trace.rule and trace.source


@pytest.mark.parametrize("index", range(60))
def test_any_program_has_a_trace(index: int) -> None:
    """It survives the records, and every name of the program stands in some storage once."""
    draft = check(build(Seeded(31, index)))
    trace = trace_of(draft)
    assert msgspec.json.decode(msgspec.json.encode(trace), type=Trace) == trace
    latest = {storage.id: storage for storage in trace.storages}
    for at in trace.steps:
        latest |= {storage.id: storage for storage in at.storages}
    names = [name.name for storage in latest.values() for name in storage.names]
    assert len(names) == len(set(names))
    if trace.outcome == "runs":
        assert set(names) == set(draft.values)


@pytest.mark.parametrize("torch", ["1.2.0", "1.8.1", "2.0.1", "2.15.0"])
def test_programs_have_traces_in_every_version(torch: str) -> None:
    """A finding on another torch is explained by the rows of that version."""
    for index in range(40):
        trace = trace_of(check(build(Seeded(47, index))).as_in(torch))
        assert trace.steps and trace.storages
