"""A printed script, run by itself, reaches the judge's verdict."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from msgspec import structs

from conformance.deviations import named, register
from conformance.examine import Examiner, Judged
from conformance.foretold import as_script
from conformance.judge import judge
from conformance.oracle.answers import Answer, Entries
from conformance.oracle.machine import Machine
from conformance.subjects import Observation, Subject
from strategies import activation_scenes, scenes
from strategies.build import build
from strategies.choices import Choose, Seeded
from strategies.draft import check
from strategies.program import Program, ProgramError
from tests.tampering import Tampered, backward, leaf, program, step

SCENES: tuple[Callable[[Choose], Program], ...] = (
    build,
    scenes.leaf_written,
    scenes.saved_then_written,
    activation_scenes.activation_in_place,
    scenes.written_in_no_grad,
    scenes.detached,
)
PROGRAMS = 12
"""Programs of each scene."""


def output_of(script: str) -> tuple[str, int]:
    """What a script prints and its exit code, run in this process."""
    said, space = io.StringIO(), {"__name__": "__main__"}
    code = 0
    hook = sys.excepthook
    with contextlib.redirect_stdout(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(script, "<script>", "exec"), space)
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception as error:
            if sys.excepthook is hook:
                raise
            code = _as_python_ends(error)
        finally:
            sys.excepthook = hook
    return said.getvalue().strip(), code


def _as_python_ends(error: Exception) -> int:
    """The exit code, after the hook that a script has set for its errors."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit as end:
        return int(end.code or 0)
    return 1


def says_the_same(judged: Judged) -> None:
    """Assert that the script prints the judge's verdict and exits accordingly."""
    agrees(judged, judged.script())


def agrees(judged: Judged, script: str) -> None:
    """Assert that a script prints this verdict, with its reason or its entries, and ends so."""
    said, code = output_of(script)
    should: str = judged.verdict
    if judged.verdict == "unspecified":
        should = f"unspecified: {judged.reason}"
    if judged.verdict == "known deviation":
        should = f"known deviation ({named(judged.deviations)}): "
    assert said.startswith(should), script
    assert code == (1 if judged.verdict == "deviates" else 0)


def judged_of(examiner: Examiner, scene: Callable[[Choose], Program]) -> Iterator[Judged]:
    """Programs of a scene that can be judged."""
    for index in range(PROGRAMS):
        judged = examiner.examine(scene(Seeded(11, index)))
        if judged.verdict != "unspecified":
            yield judged


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: str(scene.__name__))
def test_verdict_of_drawn_programs(examiner: Examiner, scene: Callable[[Choose], Program]) -> None:
    """Programs that raise and that do not: the script says what the judge says."""
    seen = list(judged_of(examiner, scene))
    assert len(seen) > PROGRAMS // 2
    for judged in seen:
        assert judged.verdict in ("conforms", "known deviation")
        says_the_same(judged)


def test_drawn_programs_raise_and_do_not(examiner: Examiner) -> None:
    """The scenes above hold both kinds of program."""
    raised = {judged.raised for scene in SCENES for judged in judged_of(examiner, scene)}
    assert raised == {True, False}


def test_short_script_agrees(examiner: Examiner) -> None:
    """The script for readers checks less, and says nothing else of what conforms."""
    for judged in judged_of(examiner, build):
        if judged.verdict == "conforms":
            assert output_of(judged.script(thorough=False)) == ("conforms", 0)


KNOWN = [
    deviation.program
    for deviation in register()
    if deviation.program is not None and deviation.applies("eager-cpu", version("torch"))
]
TIE = next(p for p in KNOWN if any(getattr(s, "op", "") == "hardsigmoid" for s in p.steps))


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: str(known.id))
def test_known_deviation_is_named(examiner: Examiner, machine: Machine, known: Program) -> None:
    """A script that sees what an entry predicts says so, before and after a torch was asked."""
    judged = examiner.examine(known)
    assert judged.verdict == "known deviation"
    says_the_same(judged)
    agrees(judged, foretold(known, machine))


def test_known_deviation_hides_nothing_beside_it(machine: Machine) -> None:
    """Where more is wrong than the entry predicts, the script deviates."""
    script = foretold(TIE, machine)
    assert output_of(script)[0].startswith("known deviation (hardsigmoid-float-constant, torch ")
    worse = script.replace(", a.grad, ", ", a.grad * 2, ")
    assert output_of(worse)[0].startswith("deviates: ") and output_of(worse)[1] == 1


def test_mended_deviation_conforms(machine: Machine) -> None:
    """On a torch that does as documented, the same script conforms."""
    script = foretold(TIE, machine)
    mended = script.replace("x0 = F.hardsigmoid(a)", "x0 = (a + 3.0) / 6.0")
    assert mended != script and output_of(mended) == ("conforms", 0)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: str(scene.__name__))
def test_foretold_verdict_is_the_judges(
    examiner: Examiner, machine: Machine, scene: Callable[[Choose], Program]
) -> None:
    """A script that was printed without a torch says what the judge says of what it saw."""
    for index in range(PROGRAMS):
        program = scene(Seeded(12, index))
        agrees(examiner.examine(program), foretold(program, machine))


HIDDEN = program(
    leaf("a", [1.0, 2.0], grad=True),
    step("exp", "a", to="x0"),
    step("data", "x0", to="x1"),
    step("mul_", "x1", 2.0),
    backward("x0", [1.0, 1.0]),
)
NEAR_A_KINK = program(
    leaf("a", [0.1], grad=True),
    step("mul", "a", 3.0, to="x0"),
    step("sub", "x0", 0.30000000000000004, to="x1"),
    step("relu", "x1", to="x2"),
    backward("x2", [1.0]),
)
UNDECIDED = program(
    leaf("a", [1.0, 2.0, 3.0]),
    step("unfold", "a", to="x0", params={"dimension": 0, "size": 2, "step": 1}),
    step("mul_", "x0", 2.0),
)


@pytest.mark.parametrize(
    "chosen", [HIDDEN, NEAR_A_KINK, UNDECIDED], ids=["hidden", "near a kink", "undecided"]
)
def test_unspecified_is_said_with_its_reason(
    examiner: Examiner, machine: Machine, chosen: Program
) -> None:
    """Where nothing is decided the script says so, whatever the program does."""
    judged = examiner.examine(chosen)
    assert judged.verdict == "unspecified"
    says_the_same(judged)
    agrees(judged, foretold(chosen, machine))


def test_unspecified_gradient_hides_no_wrong_flag(machine: Machine) -> None:
    """What is decided is checked all the same."""
    script = foretold(HIDDEN, machine).replace("x1.mul_(2.0)", "x1.mul_(2.0).requires_grad_()")
    assert output_of(script) == ("deviates: x1.requires_grad is True and should be False", 1)


@pytest.mark.parametrize(
    "name", "wrong check near unreadable raised error bool str type seen what input".split()
)
def test_any_legal_name_leaves_the_script_whole(machine: Machine, name: str) -> None:
    """A tensor may have the name of anything that a script would like to call its own."""
    head = leaf(name, [1.0, 2.0], grad=True)
    runs = program(head, step("exp", name, to="x0"), backward("x0", [1.0, 1.0]))
    raises = program(
        head, step("exp", name, to="x0"), step("mul_", "x0", 2.0), backward("x0", [1.0, 1.0])
    )
    for chosen in (runs, raises):
        assert output_of(foretold(chosen, machine)) == ("conforms", 0)


@pytest.mark.parametrize("name", ["print", "float", "globals", "decorated_1"])
def test_name_that_a_script_calls_is_refused(name: str) -> None:
    """The few that a body or a script needs are no tensor's."""
    with pytest.raises(ProgramError, match=f"'{name}' cannot be a tensor's name"):
        check(program(leaf(name, [1.0]), step("neg", name, to="x0")))
    assert check(program(leaf("decorated_a", [1.0])))


def foretold(program: Program, machine: Machine) -> str:
    """The script that the command line prints: no torch was asked."""
    return as_script(program, machine, device="cpu", thorough=True)


def moved(answer: Answer, name: str) -> Answer:
    """The answer with every entry of one gradient moved."""
    entries = answer.gradients[name]
    wrong = Entries(entries.values * 2 + 1, entries.slack)
    return structs.replace(answer, gradients={**answer.gradients, name: wrong})


def test_wrong_expectation_deviates_on_both_sides(examiner: Examiner) -> None:
    """Where the expected gradient is another, judge and script both deviate."""
    falsified = 0
    for judged in judged_of(examiner, build):
        for name, graded in judged.prediction.graded.items():
            entries = judged.answer.gradients.get(name)
            if judged.raised or not graded or entries is None or not entries.values.size:
                continue
            wrong = replace(judged, answer=moved(judged.answer, name))
            findings = judge(
                wrong.draft, wrong.body, wrong.prediction, wrong.answer, wrong.observation
            )
            says_the_same(replace(wrong, verdict="deviates", registered=None))
            assert findings[0].kind == "silent wrong gradient"
            falsified += 1
    assert falsified >= 3


RAISES = program(
    leaf("a", [1.0, 2.0], grad=True),
    step("exp", "a", to="x0"),
    step("mul_", "x0", 2.0),
    backward("x0", [1.0, 1.0]),
)
QUIET = program(
    leaf("a", [1.0, 2.0], grad=True),
    step("mul", "a", 2.0, to="x0"),
    step("mul_", "x0", 2.0),
    backward("x0", [1.0, 1.0]),
)


def test_missing_error_deviates_on_both_sides(examiner: Examiner, local: Subject) -> None:
    """The script of a program that must raise, on a torch that does not raise, deviates."""
    expected = examiner.examine(RAISES)
    quiet = examiner.examine(QUIET)
    seen = judge(
        expected.draft, expected.body, expected.prediction, expected.answer, quiet.observation
    )
    assert [finding.kind for finding in seen] == ["missing error"]
    script = expected.script().replace("x0.mul_(2.0)\n", "pass\n", 1)
    assert output_of(script)[0].startswith("deviates: x0.backward(")


def test_crash_is_never_called_conforming(machine: Machine, local: Subject) -> None:
    """A judged crash still prints a script: the one that the subject died of."""
    dead = Tampered(local, lambda body, seen: Observation(crash="signal 11 (SIGSEGV)"))
    judged = Examiner(dead, machine).examine(QUIET)
    assert judged.verdict == "deviates" and judged.gravest.kind == "crash"
    assert output_of(judged.script())[0] == "conforms"


@pytest.mark.parametrize(
    ("chosen", "said", "code"),
    [
        (RAISES, "conforms\n", 0),
        (QUIET, "conforms\n", 0),
        (TIE, "known deviation (hardsigmoid-float-constant, ", 0),
        (HIDDEN, "unspecified: ", 0),
        (None, "deviates: ", 1),
    ],
    ids=["raises", "runs", "known deviation", "unspecified", "deviates"],
)
def test_in_an_interpreter_of_its_own(
    examiner: Examiner, tmp_path: Path, chosen: Program | None, said: str, code: int
) -> None:
    """The script needs torch alone: it runs from an empty folder, isolated from the suite, however
    many lines a message has that stands above it.
    """
    judged = examiner.examine(chosen or QUIET)
    if chosen is None:
        judged = replace(judged, answer=moved(judged.answer, "a"))
    file = tmp_path / "program.py"
    file.write_text(judged.script(header=("a title\nof two lines",)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith(said)
