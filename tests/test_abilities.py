"""What a torch is asked: what it has, and otherwise what is said of what was left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from conformance.abilities import Abilities, LeftOut, missing, release
from conformance.claims import test_grad_modes, test_raising
from conformance.claims._operators import operators_of
from conformance.claims.catalogue import CATALOGUE
from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.profiles import Profile
from conformance.progress import Progress
from conformance.records import RecordWriter, read_run
from conformance.session import Plan, Session
from conformance.subjects import InProcessSubject, Subject
from conformance.subjects.protocol import Hello
from conformance.trial import Trial
from strategies.draft import check, spelling
from strategies.program import Apply, Leaf, Program
from strategies.table import TABLE
from strategies.table.spelled import AUGMENTED
from tests.tampering import leaf, program, step

NOTHING = {module: frozenset[str]() for module in ("Tensor", "torch", "special", "nn", "F")}
FEW = Profile("default", 25, 25, 5, 2, 1, searched=20)


class Old(InProcessSubject):
    """The torch of this process, which says that it is another one."""

    def __init__(self, version: str, *, without: tuple[str, ...] = ()) -> None:
        super().__init__("old")
        names = {space: names - set(without) for space, names in self.hello.names.items()}
        self.hello: Hello = replace(self.hello, torch=version, names=names)


@pytest.mark.parametrize(
    ("op", "via", "lacking"),
    [
        ("sigmoid", "special.expit", "special.expit"),
        ("exp", "foreach", "torch._foreach_exp"),
        ("mul", "multiply", "Tensor.multiply"),
        ("mul", "operator", ""),
    ],
)
def test_names_that_a_subject_lacks_are_known(op: str, via: str, lacking: str) -> None:
    """A torch is asked only for names that it has, in whatever module they stand."""
    assert missing(spelling(TABLE[op], False, via), NOTHING) == lacking


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("1.2.0", (1, 2)), ("2.13.0+cpu", (2, 13)), ("2.16.0.dev20260101", (2, 16)), ("", None)],
)
def test_a_release_is_two_numbers(version: str, numbers: tuple[int, int] | None) -> None:
    assert release(version) == numbers


CLAMPED = program(
    f"{leaf('a', [1.0])},{leaf('b', [2.0])}", step("clamp_min_tensor", "a", "b", to="x0")
)
NAMED = program(
    leaf("a", [1.0], grad=True),
    step("mul", "a", 2.0, to="x0"),
    '{"do":"backward","of":["x0"],"cotangents":[[1.0]],"inputs":["a"]}',
)


def applied(op: str, via: str = "") -> Program:
    """An operation on one leaf, and on 2 if it is mul."""
    args = ("a", 2.0) if op == "mul" else ("a",)
    return Program((Leaf("a", (1,), [1.0]),), (Apply(op, args, to=("x0",), via=via),))


@pytest.mark.parametrize(
    ("version", "lacking"),
    [("1.8.1", "clamp_min_tensor"), ("1.9.1+cu102", ""), ("2.13.0", ""), ("a build of mine", "")],
)
def test_a_call_may_be_newer_than_its_name(version: str, lacking: str) -> None:
    """clamp_min() took numbers before it took tensors: the table says since when."""
    assert Abilities(Old(version)).lacks(check(CLAMPED)) == lacking


@pytest.mark.parametrize(("version", "lacking"), [("1.7.1", "inputs= of backward"), ("1.8.1", "")])
def test_backward_takes_inputs_since_1_8(version: str, lacking: str) -> None:
    assert Abilities(Old(version)).lacks(check(NAMED)) == lacking


def test_a_program_is_written_in_a_way_that_the_subject_has() -> None:
    """`multiply` is another name of `mul`: without it the same product is written so."""
    written, plain = applied("mul", "multiply"), applied("mul")
    assert Abilities(Old("1.2.0", without=("multiply",))).respelled(written) == plain
    assert Abilities(Old("2.13.0")).respelled(written) == written


def test_a_program_that_can_be_written_in_no_way_stays(machine: Machine) -> None:
    """It is not exercised, with the reason."""
    old = Old("1.2.0", without=("mish", "Mish"))
    written = applied("mish")
    assert Abilities(old).respelled(written) == written
    judged = Examiner(old, machine).examine(written)
    assert (judged.verdict, judged.lacking) == ("not exercised", "F.mish")
    assert judged.reason == "torch 1.2.0 has no F.mish"


def test_what_was_left_out_is_said() -> None:
    left = LeftOut()
    assert left.note("1.2.0") == ""
    left.update(("F.mish", "F.mish", "torch.sgn"))
    assert left.note("1.2.0") == "left out (3 programs; not in torch 1.2.0): F.mish, torch.sgn"


@pytest.fixture
def trial_on(tmp_path: Path, machine: Machine) -> Iterator[Mapping[str, Trial]]:
    """Trials of a claim on a torch of today, and on one without tanh."""
    with RecordWriter(tmp_path) as records:
        claim = next(iter(CATALOGUE.values()))
        subjects: dict[str, Subject] = {
            "new": InProcessSubject("new"),
            "old": Old("1.2.0", without=("tanh", "tanh_", "_foreach_tanh")),
        }
        yield {
            name: Trial(claim, Examiner(subject, machine), FEW, 0, records, tmp_path)
            for name, subject in subjects.items()
        }


def test_a_claim_notes_what_its_subject_was_not_asked(trial_on: Mapping[str, Trial]) -> None:
    """The note of a claim's verdict names it, and only for the torch that lacks it."""
    written = applied("tanh")
    for trial in trial_on.values():
        trial.begin()
        trial.every([written])
        trial.finish()
    run = read_run(trial_on["new"].out)
    notes = {
        name: attempt.finish.note
        for (_, name), attempt in run.attempts.items()
        if attempt.finish is not None
    }
    assert notes["new"] == ""
    assert re.fullmatch(
        r"not drawn: \d+ operations that torch 1\.2\.0 lacks \(see ops\); "
        r"left out \(1 programs; not in torch 1\.2\.0\): Tensor\.tanh",
        notes["old"],
    )


def test_an_operator_without_its_method_is_left_out(
    trial_on: Mapping[str, Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before torch 1.5 there is no `__ifloordiv__`, and Python makes x = x // y of x //= y."""
    found, _ = operators_of(trial_on["new"])
    monkeypatch.setitem(AUGMENTED, "//=", "__no_such_method__")
    fewer, note = operators_of(trial_on["new"])
    assert {op.symbol for op in found} - {op.symbol for op in fewer} == {"//"}
    assert "//=" in note


# -- like with like


@pytest.mark.parametrize(
    ("claim", "test"),
    [
        ("no-grad-other-paths", test_grad_modes.test_no_grad_other_paths),
        ("leaf-inplace-raises", test_raising.test_leaf_inplace_raises),
    ],
)
def test_all_subjects_of_a_run_are_asked_the_same(claim: str, test: object, tmp_path: Path) -> None:
    """With a seed that repeats nothing, too: a column of the report is compared with the next."""
    plan = Plan(tmp_path, FEW, ("eager-cpu", "device=cpu"), (claim,), seed=5)
    session = Session(plan, Progress(Console(quiet=True)))
    session.open()
    for name in plan.subjects:
        trial = session.trial(claim, name)
        trial.begin()
        test(trial)  # type: ignore[operator]
        trial.finish()
    session.close(0)
    asked = {
        name: [v.program for v in read_run(tmp_path).verdicts if v.subject == name]
        for name in plan.subjects
    }
    first, second = asked.values()
    assert first == second and len(first) >= FEW.examples // 2
