"""A claim on trial: what is drawn, counted, recorded and shrunk."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import strategies as st

from conformance.claims.catalogue import find_claim
from conformance.claims.scopes import fresh_in_no_grad
from conformance.deviations import register
from conformance.examine import Examiner, Judged
from conformance.hunt import Effort, Failing, GaveUp, hunt
from conformance.judge import Finding
from conformance.oracle.machine import Machine
from conformance.profiles import PROFILES, Profile
from conformance.records import RecordWriter, RunRecords, Verdict, read_run
from conformance.script_verdict import Asked, Code, Judgement
from conformance.subjects import JsonSeen, Observation, Subject
from conformance.trial import Disagreement, Script, Trial
from strategies import scenes
from strategies.draft import check
from strategies.drawing import programs
from strategies.printer import print_body
from strategies.program import Apply, Program, decode
from strategies.staging import drawn
from tests.tampering import Change, Tampered, leaf, program, step, with_tensor
from tests.test_script import output_of

CLAIM = "detach-shares"
QUICK = PROFILES["quick"]
RANDOM = replace(PROFILES["default"], name="random", examples=30)
Start = Callable[..., Trial]


@pytest.fixture
def put(tmp_path: Path, local: Subject, machine: Machine) -> Iterator[Start]:
    """Put a claim on trial on a subject whose answers are changed."""
    writers: list[RecordWriter] = []

    def start(
        change: Change = lambda body, seen: seen, profile: Profile = QUICK, folder: str = "out"
    ) -> Trial:
        out = tmp_path / folder
        writers.append(RecordWriter(out))
        examiner = Examiner(Tampered(local, change), machine)
        made = Trial(find_claim(CLAIM), examiner, profile, 5, writers[-1], out)
        made.begin()
        return made

    yield start
    for writer in writers:
        writer.close()


def ended(tried: Trial) -> RunRecords:
    """What is in the records once the trial has ended."""
    tried.finish()
    tried.records.close()
    return read_run(tried.out)


def asked(tried: Trial) -> list[str]:
    """The programs that the subject was asked to run."""
    subject = tried.examiner.subject
    assert isinstance(subject, Tampered)
    return subject.asked


def grows(body: str, seen: Observation) -> Observation:
    """A subject that loses the version of the first leaf wherever something is multiplied."""
    return with_tensor(seen, "a", version=77) if "mul" in body and "a" in seen.values else seen


def failed(tried: Trial) -> tuple[Verdict, Program]:
    """The recorded failure and its program, after the trial has failed as it must."""
    with pytest.raises(Disagreement):
        tried.holds(drawn(scenes.detached))
    records = ended(tried)
    (verdict,) = (v for v in records.verdicts if v.verdict == "deviates")
    return verdict, decode(bytes(records.programs[verdict.program].program))


# -- properties


def a_view_in_no_grad(program: Program) -> str:
    """A scope that holds where the first unrecorded operation is a view."""
    return "" if fresh_in_no_grad(program) == "view" else "no view"


def test_what_holds_is_counted(put: Start) -> None:
    """Every program that was judged is counted once, and recorded with its verdict."""
    tried = put()
    tried.holds(drawn(scenes.detached))
    records = ended(tried)
    attempt = records.attempts[CLAIM, "eager-cpu"]
    assert attempt.finish is not None and attempt.finish.verdict == "conforms"
    assert attempt.finish.counts == dict(tried.counts)
    judged = {verdict.program for verdict in attempt.verdicts}
    assert sum(tried.counts.values()) == len(attempt.verdicts) == len(judged)
    assert judged == set(records.programs)
    # Two programs may print alike, as one that names its generated numbers and one that has them.
    kept = (decode(bytes(source.program)) for source in records.programs.values())
    assert {print_body(check(program)).text for program in kept} == set(asked(tried))


def test_what_is_unspecified_is_recorded_with_what_was_seen(put: Start) -> None:
    """The reason, and how the subject ended; of what conforms nothing is kept."""
    around = program(leaf("a", [1.0, 2.0]), step("set_", "a", "a"))
    tried = put()
    tried.holds(st.sampled_from([around, program(leaf("a", [1.0, 2.0]), step("exp_", "a"))]))
    seen = {verdict.verdict: verdict for verdict in ended(tried).verdicts}
    assert seen["unspecified"].reason == "set_ is a way around autograd"
    assert seen["unspecified"].observed == "ends with a = [1, 2]"
    assert seen["conforms"].observed == ""


def test_each_of_given_programs_must_keep_the_law(put: Start) -> None:
    """What conforms and breaks it is a failure, which the reducer makes as short as any other."""
    tried = put()
    broken = Finding("wrong flag", "written", "no write", "a write")

    def law(judged: Judged) -> Finding | None:
        return broken if any(isinstance(s, Apply) for s in judged.program.steps) else None

    alone = program(leaf("a", [1.0, 2.0]))
    tried.every([alone], law=law)
    with pytest.raises(Disagreement):
        tried.every([alone, program(leaf("a", [1.0, 2.0]), *2 * [step("exp_", "a")])], law=law)
    (verdict,) = (v for v in ended(tried).verdicts if v.verdict == "deviates")
    assert verdict.minimal and verdict.message == "written"
    assert verdict.source is not None and len(verdict.source["steps"]) == 1


def test_failure_is_shrunk_and_recorded(put: Start) -> None:
    """The record has the kind, a script that runs by itself, and the command that repeats it."""
    verdict, shrunk = failed(put(grows))
    assert (verdict.kind, verdict.minimal) == ("wrong flag", True)
    assert verdict.message == "a: _version is 77 and should be 0 (model)"
    assert (verdict.expected, verdict.observed) == ("version 0", "version 77")
    assert len(shrunk.steps) <= 4 and len(shrunk.leaves) == 1
    assert verdict.script.startswith("# wrong flag: a: _version is 77")
    assert output_of(verdict.script) == ("conforms", 0), "the torch here is sound"


def test_command_repeats_the_failure(put: Start) -> None:
    """What the record says to type hands the very program to `check`."""
    verdict, shrunk = failed(put(grows))
    words = shlex.split(verdict.command)
    assert words[0] == "echo" and decode(words[1]) == shrunk
    assert words[2:] == "| autograd-conformance check - --subject eager-cpu".split()


def test_failure_is_recorded_with_what_it_takes_to_look_at_it(put: Start) -> None:
    """Its program, what that does step by step, and how soon it was met; the steps of all programs
    are counted by operation.
    """
    tried = put(grows)
    verdict, shrunk = failed(tried)
    assert decode(json.dumps(verdict.source)) == shrunk
    assert verdict.trace is not None
    assert len(verdict.trace.steps) == len(shrunk.steps)
    assert verdict.detected is not None
    assert 1 <= verdict.detected.cases <= len(asked(tried))
    finish = read_run(tried.out).attempts[CLAIM, "eager-cpu"].finish
    assert finish is not None
    assert finish.cells["mul"][0] + finish.cells["mul"][1] > 0


def test_law_of_the_claim_is_held(put: Start) -> None:
    """A program that conforms and breaks the claim's own law fails like any other."""
    finding = Finding("wrong value", "the law is broken", "this", "that")
    tried = put()
    with pytest.raises(Disagreement, match="the law is broken"):
        tried.holds(drawn(scenes.detached), law=lambda judged: finding)
    (verdict,) = (v for v in ended(tried).verdicts if v.verdict == "deviates")
    assert (verdict.kind, verdict.expected) == ("wrong value", "this")


def test_known_deviations_do_not_fail(put: Start) -> None:
    """They are counted, named by their entry, and are no verdict on another claim."""
    tried = put()
    tried.holds(drawn(scenes.done_in_region), scope=a_view_in_no_grad)
    assert tried.counts["known deviation"] > 0 and not tried.counts["deviates"]
    records = ended(tried)
    known = [v for v in records.verdicts if v.verdict == "known deviation"]
    assert {v.deviation for v in known} == {"no-grad-view-requires-grad"}
    assert "wrong flag" in {v.kind for v in known}
    assert len(known) == tried.counts["known deviation"]


def test_known_deviation_of_the_claim_itself(put: Start) -> None:
    """A claim with a registered deviation that still shows is a known deviation as a whole."""
    tried = put()
    tried.registered = True
    tried.holds(drawn(scenes.detached))
    assert tried.finish() == "known deviation"


def test_budget_for_shrinking(put: Start) -> None:
    """Where the budget is spent, the failure is kept as it is, and said not to be minimal."""
    verdict, _ = failed(put(grows, replace(QUICK, shrink_s=-1.0)))
    assert not verdict.minimal
    assert verdict.message == "a: _version is 77 and should be 0 (model)"


def test_run_goes_on_after_the_budget(put: Start) -> None:
    """The next property of the trial is put as usual."""
    tried = put(grows, replace(QUICK, shrink_s=-1.0))
    with pytest.raises(Disagreement):
        tried.holds(drawn(scenes.detached))
    before = len(asked(tried))
    with pytest.raises(Disagreement):
        tried.holds(drawn(scenes.other_paths))
    assert len(asked(tried)) > before


# -- searches


def written_twice(program: Program) -> str:
    """A scope that ends where more than one step writes."""
    writes = [s for s in program.steps if isinstance(s, Apply) and s.op.endswith("_")]
    return "written twice" if len(writes) > 1 else ""


def test_search_finds_what_bounds_the_scope(put: Start) -> None:
    """On the same strategy, outside the scope: the shrunk program is kept as a counterexample."""
    tried = put()
    tried.holds(drawn(scenes.detached), scope=written_twice)
    tried.searches(
        drawn(scenes.detached),
        scope=written_twice,
        condition="written twice",
        breaks=lambda judged: None if judged.raised else "broken",
        title="outside",
    )
    records = ended(tried)
    attempt = records.attempts[CLAIM, "eager-cpu"]
    (found,) = attempt.counterexamples
    assert (found.title, found.message) == ("outside", "broken")
    shrunk = decode(bytes(records.programs[found.program].program))
    assert written_twice(shrunk) and len(shrunk.steps) <= 4
    inside = [records.programs[v.program].program for v in attempt.verdicts]
    assert not any(written_twice(decode(bytes(held))) for held in inside)
    assert found.script.startswith("# outside\nimport torch\n")
    output_of(found.script)
    assert attempt.finish is not None and attempt.finish.verdict == "conforms"
    assert attempt.finish.outside is not None and attempt.finish.outside.found


def search(tried: Trial, breaks: Callable[[Judged], str | None], certain: str | None = "") -> None:
    """A search on one side of a scope."""
    tried.searches(
        drawn(scenes.detached),
        scope=written_twice,
        condition="written twice",
        breaks=breaks,
        title="beyond",
        certain=certain,
    )


def test_search_that_finds_nothing(put: Start) -> None:
    """The claim is not exercised, and the note says that its scope may have changed."""
    tried = put(profile=replace(QUICK, searched=15))
    tried.holds(drawn(scenes.detached))
    search(tried, lambda judged: None)
    finish = ended(tried).attempts[CLAIM, "eager-cpu"].finish
    assert finish is not None and finish.verdict == "not exercised"
    assert finish.note == ("nothing found outside the scope (beyond): the scope may have changed")
    assert finish.outside is not None
    assert (finish.outside.searched, finish.outside.found) == (15, False)


@pytest.mark.parametrize("certain", ["<1.2", None])
def test_search_that_need_find_nothing(put: Start, certain: str | None) -> None:
    """On such a version the claim holds more widely: it is no failure, and the note says so."""
    tried = put(profile=replace(QUICK, searched=15))
    tried.holds(drawn(scenes.detached))
    search(tried, lambda judged: None, certain)
    finish = ended(tried).attempts[CLAIM, "eager-cpu"].finish
    assert finish is not None and finish.verdict == "conforms"
    said = f"not seen on torch {tried.examiner.subject.torch} in 15 cases outside the scope: beyond"
    assert finish.note == said


def test_one_search_of_several_finds_nothing(put: Start) -> None:
    """What another search found does not make up for it."""
    tried = put(profile=replace(QUICK, searched=15))
    search(tried, lambda judged: None)
    search(tried, lambda judged: "broken")
    finish = ended(tried).attempts[CLAIM, "eager-cpu"].finish
    assert finish is not None and finish.verdict == "not exercised"
    assert finish.outside is not None and not finish.outside.found


def test_search_is_no_verdict_on_programs(put: Start) -> None:
    """What lies outside the scope is not counted among the judged."""
    tried = put(profile=replace(QUICK, searched=10))
    search(tried, lambda judged: None)
    assert not tried.counts


def test_search_does_not_pass_over_a_deviation(put: Start) -> None:
    """A program outside the scope that does not do what it must there fails the claim."""
    tried = put(grows)
    with pytest.raises(Disagreement, match="_version is 77 and should be 0"):
        search(tried, lambda judged: None)
    assert tried.finish() == "deviates"


# -- scripts


def script(threshold: int, number: int) -> Script:
    """A script that shows a number, which must not reach the threshold."""

    def judge(seen: Observation) -> Judgement:
        shown = seen.values["x"]
        assert isinstance(shown, JsonSeen)
        asked = [Asked("_holds", ("x is large", Code(f"x < {threshold}")))]
        if shown.json < threshold:
            return Judgement([], asked)
        said = (f"x is {shown.json}", f"below {threshold}", str(shown.json))
        return Judgement([Finding("wrong value", *said)], asked)

    return Script(f"x = {number}\n", ("x",), judge)


def test_scripts_are_shrunk_and_recorded(put: Start) -> None:
    """The smallest script that fails is kept, as it runs by itself, under what is wrong."""
    tried = put()
    with pytest.raises(Disagreement, match="x is 10"):
        tried.scripts(st.integers(0, 500).map(lambda number: script(10, number)), examples=60)
    (verdict,) = (v for v in ended(tried).verdicts if v.verdict == "deviates")
    assert (verdict.kind, verdict.expected, verdict.minimal) == ("wrong value", "below 10", True)
    assert output_of(verdict.script) == ("deviates: x is large", 1)
    assert verdict.script.startswith("# wrong value: x is 10\nimport math\n")


def test_scripts_that_hold(put: Start) -> None:
    """Each script that shows what it must is a program that conforms."""
    tried = put()
    tried.scripts(st.integers(0, 9).map(lambda number: script(10, number)), examples=20)
    assert tried.finish() == "conforms" and tried.counts["conforms"] >= 10


def test_once(put: Start) -> None:
    """One script that is not drawn holds, or fails as it is."""
    tried = put()
    tried.once(script(10, 3))
    with pytest.raises(Disagreement, match="x is 12"):
        tried.once(script(10, 12))
    assert dict(tried.counts) == {"conforms": 1, "deviates": 1}
    assert tried.finish() == "deviates"


@pytest.mark.parametrize(
    ("seen", "kind"),
    [(Observation(crash="signal 6 (SIGABRT)"), "crash"), (Observation(hang=True), "hang")],
)
def test_script_that_ends_the_worker(put: Start, seen: Observation, kind: str) -> None:
    """A script that brings the worker down is a deviation of that kind."""
    tried = put(lambda body, was: seen)
    with pytest.raises(Disagreement):
        tried.once(script(10, 3))
    (verdict,) = ended(tried).verdicts
    assert (verdict.verdict, verdict.kind) == ("deviates", kind)


@pytest.mark.parametrize("registered", [True, False])
def test_script_that_is_known_to_end_the_worker(put: Start, registered: bool) -> None:
    """It is a known deviation where that is registered for this torch, and only as a crash."""
    tried = put(lambda body, was: Observation(crash="signal 8 (SIGFPE)"))
    (known,) = (d for d in register() if d.entry.quirk == "mvlgamma-of-integers")
    if registered:
        tried.examiner.known = (*tried.examiner.known, known)
        tried.once(replace(script(10, 3), ends=known.entry.quirk))
        assert dict(tried.counts) == {"known deviation": 1}
    else:
        with pytest.raises(Disagreement, match="SIGFPE"):
            tried.once(replace(script(10, 3), ends=known.entry.quirk))


def test_scripts_are_drawn_within_their_scope(put: Start) -> None:
    """A script that says which condition of the scope it breaks is left to the searches."""
    tried = put()
    tried.scripts(beyond(10), examples=30)
    assert tried.finish() == "conforms" and tried.counts["conforms"] > 5
    assert set(asked(tried)) <= {f"x = {number}\n" for number in range(10)}


def beyond(threshold: int) -> st.SearchStrategy[Script]:
    """Scripts of numbers below 20; those that reach the threshold say that they do."""

    def made(number: int) -> Script:
        return replace(script(10, number), beyond="large" if number >= threshold else "")

    return st.integers(0, 19).map(made)


def search_scripts(tried: Trial, threshold: int, kind: str) -> None:
    """A search among those scripts for a finding of a kind."""
    tried.searches_scripts(
        beyond(threshold), condition="large", title="large numbers", kinds=(kind,)
    )


def test_search_of_scripts_finds_the_claims_own_failure(put: Start) -> None:
    """The shrunk script is kept as a counterexample, with what it shows."""
    tried = put()
    search_scripts(tried, 5, "wrong value")
    attempt = ended(tried).attempts[CLAIM, "eager-cpu"]
    (found,) = attempt.counterexamples
    assert (found.title, found.message) == ("large numbers", "x is 10")
    assert output_of(found.script) == ("x 10", 0)
    assert attempt.finish is not None and attempt.finish.outside is not None
    assert attempt.finish.outside.found and not attempt.verdicts


def test_search_of_scripts_for_another_failure(put: Start) -> None:
    """Failures of another kind are not what is looked for: the claim is not exercised."""
    tried = put(profile=replace(QUICK, searched=15))
    search_scripts(tried, 5, "silent wrong gradient")
    finish = ended(tried).attempts[CLAIM, "eager-cpu"].finish
    assert finish is not None and finish.verdict == "not exercised"
    assert (
        finish.note == "nothing found outside the scope (large numbers): the scope may have changed"
    )


# -- drawing


@pytest.mark.parametrize("profile", [QUICK, RANDOM], ids=lambda profile: str(profile.name))
def test_subjects_are_asked_the_same(
    put: Start, local: Subject, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two subjects get the same programs in the same order, in every profile."""
    one = put(profile=profile, folder="one")
    monkeypatch.setattr(local, "name", "another")
    two = put(profile=profile, folder="two")
    for tried in (one, two):
        tried.holds(programs(), examples=30)
    assert two.subject_name == "another" and one.subject_name == "eager-cpu"
    assert asked(one) == asked(two)


def test_failures_are_kept_in_the_output_folder(put: Start) -> None:
    """A random profile keeps its failures under the output folder, and tries them first."""
    first = put(grows, RANDOM)
    failed(first)
    assert any((first.out / "examples").rglob("*"))
    again = put(grows, replace(RANDOM, examples=1))
    again.seed = 99
    with pytest.raises(Disagreement):
        again.holds(drawn(scenes.detached))
    assert asked(again)[0] in asked(first)


def test_profile_that_repeats_itself_keeps_nothing(put: Start) -> None:
    """The quick profile depends on no earlier run."""
    tried = put(grows)
    failed(tried)
    assert not (tried.out / "examples").exists()


def test_nothing_can_be_drawn(put: Start) -> None:
    """A strategy that rejects everything is given up, which is no verdict on torch."""
    nothing = st.just(program(leaf("a", [1.0]), step("neg", "a", to="x0"))).filter(lambda _: False)
    with pytest.raises(GaveUp, match="No case could be drawn"):
        put().holds(nothing)


def test_fault_of_the_suite_is_no_finding(put: Start) -> None:
    """An exception that is no Disagreement is not taken for one."""

    def law(judged: object) -> Finding | None:
        raise ZeroDivisionError("a bug of ours")

    tried = put()
    with pytest.raises(ZeroDivisionError, match="a bug of ours"):
        tried.holds(drawn(scenes.detached), law=law)
    assert tried.verdict is None and not tried.counts["deviates"]


class Number:
    """A case that is one number."""

    def __init__(self, value: int) -> None:
        self.value = value

    @property
    def id(self) -> str:
        return str(self.value)


class Found(Failing):
    """A failure of some gravity."""

    def __init__(self, gravity: int) -> None:
        super().__init__(f"gravity {gravity}")
        self.gravity = gravity


def test_hunt_never_ends_with_something_less_grave(tmp_path: Path) -> None:
    """A case that fails gravely is not shrunk into a smaller one that fails less gravely."""

    def test(case: Number) -> None:
        if case.value >= 1000:
            raise Found(0)
        if case.value >= 10:
            raise Found(5)

    effort = Effort(100, None, tmp_path, 20.0, "a key")
    numbers = st.integers(1000, 5000).map(Number) | st.integers(0, 5000).map(Number)
    caught = hunt(numbers, test, effort)
    assert caught is not None and caught.minimal
    found = caught.error
    assert found.gravity == (0 if caught.case.value >= 1000 else 5)
    assert caught.case.value in (10, 1000)
