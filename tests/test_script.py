"""A printed script, run by itself, reaches the judge's verdict."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.examine import Examiner, Judged
from conformance.judge import judge
from conformance.oracle.interpret import Answer, Entries
from conformance.oracle.machine import Machine
from conformance.subjects import Observation, Subject
from strategies import activation_scenes, scenes
from strategies.build import build
from strategies.choices import Choose, Seeded
from strategies.program import Program
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
    with contextlib.redirect_stdout(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(script, "<script>", "exec"), space)
        except SystemExit as end:
            code = int(end.code or 0)
    return said.getvalue().strip(), code


def says_the_same(judged: Judged) -> None:
    """Assert that the script prints the judge's verdict and exits accordingly."""
    conforms = judged.verdict == "conforms"
    said, code = output_of(judged.script())
    assert said.partition(":")[0] == ("conforms" if conforms else "deviates"), judged.script()
    assert code == (0 if conforms else 1)


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


def test_known_deviation_deviates(examiner: Examiner) -> None:
    """A script knows no register: what it sees is not what is documented."""
    for known in filter(None, (deviation.program for deviation in examiner.known)):
        judged = examiner.examine(known)
        assert judged.verdict == "known deviation"
        says_the_same(judged)


def moved(answer: Answer, name: str) -> Answer:
    """The answer with every entry of one gradient moved."""
    entries = answer.gradients[name]
    wrong = Entries(entries.values * 2 + 1, entries.slack)
    return replace(answer, gradients={**answer.gradients, name: wrong})


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
            says_the_same(replace(wrong, verdict="deviates"))
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
    ("chosen", "code"), [(RAISES, 0), (QUIET, 0), (None, 1)], ids=["raises", "runs", "deviates"]
)
def test_in_an_interpreter_of_its_own(
    examiner: Examiner, tmp_path: Path, chosen: Program | None, code: int
) -> None:
    """The script needs torch alone: it runs from an empty folder, isolated from the suite."""
    known = next(filter(None, (deviation.program for deviation in examiner.known)))
    judged = examiner.examine(chosen or known)
    file = tmp_path / "program.py"
    file.write_text(judged.script(header=("a title",)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith("conforms" if code == 0 else "deviates: ")
