"""Subjects that compile or transform the functions of programs: what is judged, and as what."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from conformance.claims.test_transformed import test_transformed_same as same
from conformance.cli.main import main
from conformance.deviations import Deviation, register
from conformance.examine import Examiner
from conformance.judge import Finding
from conformance.oracle.machine import Machine
from conformance.records import RecordWriter, read_run
from conformance.standing import standing
from conformance.subjects import InProcessSubject, SubjectError, open_subject, parse_subject
from conformance.transform_causes import CAUSES
from conformance.trial import Disagreement
from conformance.unsupported import NO_FUNCTION
from strategies.program import Apply, Backward, Data, Leaf, Program
from strategies.transforms import LAWS, TRANSFORMS
from tests.test_program_claims import on_trial

MODES = tuple(
    name for name, one in TRANSFORMS.items() if not one.compiles or name == "compile-aot_eager"
)
"""Those that a program takes a fraction of a second in."""
ON_FUNCTIONS = tuple(mode for mode in MODES if TRANSFORMS[mode].on_functions)
A = Leaf("a", (2,), [0.5, 2.0], requires_grad=True)
ONES: tuple[Data, ...] = ([1.0, 1.0],)


@pytest.fixture(scope="module")
def examiners(machine: Machine) -> Iterator[dict[str, Examiner]]:
    """Examiners by mode, each started when it is first asked for."""

    class Started(dict[str, Examiner]):
        def __missing__(self, mode: str) -> Examiner:
            self[mode] = Examiner(open_subject(mode), machine)
            return self[mode]

    started = Started()
    yield started
    for examiner in started.values():
        examiner.subject.close()


def program(*steps: Apply | Backward) -> Program:
    return Program((A,), steps)


RIGHT = program(
    Apply("exp", ("a",), {}, ("x0",), function=1),
    Apply("mul", ("x0", "a"), {}, ("x1",), function=1),
    Backward(("x1",), ONES),
)


@pytest.mark.parametrize("mode", MODES)
def test_a_function_that_is_transformed_rightly_conforms(
    mode: str, examiners: dict[str, Examiner]
) -> None:
    judged = examiners[mode].examine(RIGHT)
    assert judged.verdict == "conforms", (judged.findings, judged.reason)
    assert ("function_1" in judged.body.text) == TRANSFORMS[mode].on_functions


@pytest.mark.parametrize("mode", ON_FUNCTIONS)
def test_a_program_without_a_function_is_not_exercised(
    mode: str, examiners: dict[str, Examiner]
) -> None:
    plain = program(Apply("exp", ("a",), {}, ("x0",)), Backward(("x0",), ONES))
    judged = examiners[mode].examine(plain)
    assert (judged.verdict, judged.reason) == ("not exercised", NO_FUNCTION)


def test_a_function_that_the_compiler_leaves_to_python_is_not_exercised(
    examiners: dict[str, Examiner],
) -> None:
    broken = program(
        Apply("mul", ("a", 2.0), {}, ("x0",), function=1),
        Apply("random_", ("x0",), {"at": 3}, modes=("no_grad",), function=1),
    )
    judged = examiners["compile-aot_eager"].examine(broken)
    assert judged.verdict == "not exercised"
    assert judged.reason.startswith("the compiler broke the graph: ")


def test_an_error_where_eager_has_one_is_right_and_so_is_the_gradient_of_what_was_computed(
    examiners: dict[str, Examiner],
) -> None:
    """exp saves its result, which is then overwritten: eager refuses, a copy does not."""
    stale = program(
        Apply("exp", ("a",), {}, ("x0",), function=1),
        Apply("mul", ("x0", 2.0), {}, ("x1",), function=1),
        Apply("mul_", ("x0", 3.0), {}, function=1),
        Backward(("x1",), ONES),
    )
    refused = examiners["compile-aot_eager"].examine(stale)
    copied = examiners["saved-copied"].examine(stale)
    assert (refused.verdict, refused.raised) == ("conforms", True)
    assert (copied.verdict, copied.raised) == ("conforms", False)


ENTRIES = [
    (mode, deviation)
    for deviation in register()
    for mode in MODES
    if deviation.entry.quirk in CAUSES and deviation.applies(f"{mode}-cpu", torch.__version__)
]


@pytest.mark.parametrize(
    ("mode", "deviation"), ENTRIES, ids=[f"{d.entry.id}-{mode}" for mode, d in ENTRIES]
)
def test_every_entry_reproduces(
    mode: str, deviation: Deviation, examiners: dict[str, Examiner]
) -> None:
    """It still deviates here, as the kind that it says, and no other entry has a part in it."""
    examiner = examiners[mode]
    assert deviation.program is not None
    assert standing(examiner, deviation).status == "still"
    judged = examiner.examine(deviation.program)
    assert [d.entry.id for d in judged.deviations] == [deviation.entry.id]
    assert judged.gravest.kind == deviation.entry.kind


@pytest.mark.parametrize(
    ("mode", "deviation"), ENTRIES, ids=[f"{d.entry.id}-{mode}" for mode, d in ENTRIES]
)
def test_no_cause_explains_what_is_graver(
    mode: str, deviation: Deviation, examiners: dict[str, Examiner]
) -> None:
    """Beside what it stands for, a dead worker and an error of no known words are news."""
    judging = examiners[mode].transformed
    assert judging is not None and deviation.program is not None
    judged = examiners[mode].examine(deviation.program)
    for kind in ("crash", "hang", "spurious error"):
        found = Finding(kind, "the sky fell", "nothing", "something")
        assert judging.cause_of(judged, found) is None


@pytest.mark.parametrize(
    ("mode", "deviation"), ENTRIES, ids=[f"{d.entry.id}-{mode}" for mode, d in ENTRIES]
)
def test_no_cause_is_told_by_words_alone(
    mode: str, deviation: Deviation, examiners: dict[str, Examiner]
) -> None:
    """The same finding of a function that writes nothing, views nothing and gives one is news."""
    judging = examiners[mode].transformed
    assert judging is not None and deviation.program is not None
    shown = examiners[mode].examine(deviation.program)
    other = examiners[mode].examine(RIGHT)
    for finding in shown.findings:
        elsewhere = replace(finding, step=len(RIGHT.steps) - 1)
        assert judging.cause_of(other, elsewhere) is None


def test_every_cause_has_an_entry() -> None:
    assert CAUSES.keys() <= {deviation.entry.quirk for deviation in register()}


@pytest.fixture
def mended() -> Iterator[None]:
    """Take back what the fault does to torch."""
    functionalize = torch.func.functionalize
    yield
    torch.func.functionalize = functionalize


@pytest.mark.usefixtures("mended")
def test_the_claim_catches_a_transform_that_forgets_gradients(
    machine: Machine, tmp_path: Path
) -> None:
    module = "tests.faults.functionalize_that_detaches"
    sys.modules.pop(module, None)
    subject = InProcessSubject("functionalize", "cpu", (module,), mode="functionalize")
    with RecordWriter(tmp_path) as records:
        trial = on_trial("transformed-same", subject, machine, records)
        with pytest.raises(Disagreement) as caught:
            same(trial)
    assert caught.value.finding.kind in ("spurious error", "silent wrong gradient", "wrong flag")


def test_modes_are_parts_of_a_subjects_name() -> None:
    spec = parse_subject("compile-aot_eager,device=cpu")
    assert (spec.mode, spec.device, parse_subject("eager-cpu").mode) == (
        "compile-aot_eager",
        "cpu",
        "eager",
    )
    with pytest.raises(SubjectError, match="names more than one mode"):
        parse_subject("functionalize,checkpoint")


def test_every_mode_says_what_promises_that_it_changes_nothing() -> None:
    for name, transform in TRANSFORMS.items():
        assert name == transform.name and transform.source.startswith("https://")
        assert transform.sentence and transform.law in LAWS


def test_a_claim_that_no_subject_is_asked_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["run", "--claim", "transformed-same", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["autograd-conformance", *given])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "No subject of this run is asked transformed-same; name one" in capsys.readouterr().err


def test_a_run_on_a_mode_asks_what_is_transformed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its register is checked, its claim is judged, and no other claim is there."""
    out = tmp_path / "out"
    given = ["run", "--subject", "saved-copied", "--profile", "quick", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["autograd-conformance", *given])
    with pytest.raises(SystemExit) as end:
        main()
    run = read_run(out)
    assert (end.value.code, {claim for claim, _ in run.attempts}) == (0, {"transformed-same"})
