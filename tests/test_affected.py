"""Other subjects are asked about the programs that deviated in a run."""

from __future__ import annotations

import json
from pathlib import Path

from conformance.elsewhere import Asking, questions
from conformance.examine import Examiner
from conformance.records import Elsewhere, RecordWriter, Source, Verdict, read_run
from strategies.program import Program, decode, encode
from tests.tampering import backward, leaf, program, step
from tests.test_cli import Command, ac, one_sentence

__all__ = ["ac"]

CLAIM = "saved-inplace-raises"
EXP = program(
    leaf("a", [1.0, 2.0], grad=True),
    step("exp", "a", to="x0"),
    step("mul_", "x0", 2.0),
    backward("x0", [1.0, 1.0]),
)


def source_of(made: Program) -> Source:
    found: Source = json.loads(encode(made))
    return found


def run_with(folder: Path, *verdicts: Verdict) -> Path:
    with RecordWriter(folder) as writer:
        for verdict in verdicts:
            writer.write(verdict)
    return folder


def deviating(subject: str = "other", claim: str = CLAIM, source: Source | None = None) -> Verdict:
    return Verdict(claim, subject, EXP.id, "deviates", "missing error", source=source)


def test_each_program_is_asked_once_and_the_answer_is_recorded(
    tmp_path: Path, examiner: Examiner
) -> None:
    """However many subjects it deviated on; the answer says torch, verdict and why."""
    source = source_of(EXP)
    runs = [
        read_run(run_with(tmp_path / "a", deviating(source=source))),
        read_run(run_with(tmp_path / "b", *(deviating(name, source=source) for name in "xy"))),
    ]
    asking = Asking(examiner)
    assert [asking.ask(run, questions(run)) for run in runs] == [1, 1]
    for run in runs:
        answers = read_run(run.path).elsewhere
        torch = examiner.subject.torch
        assert answers == {(EXP.id, "eager-cpu"): Elsewhere(EXP.id, "eager-cpu", torch, "conforms")}


def test_those_who_deviated_are_not_asked_again(tmp_path: Path, examiner: Examiner) -> None:
    """Their own run has the answer."""
    run = read_run(run_with(tmp_path, deviating("eager-cpu", source=source_of(EXP))))
    assert Asking(examiner).ask(run, questions(run)) == 0
    assert read_run(tmp_path).elsewhere == {}


def test_what_cannot_be_asked_is_left_out(tmp_path: Path) -> None:
    """Scripts, claims that only scripts are put to, programs of another suite, what conforms."""
    alien = {"leaves": [], "steps": [{"do": "apply", "op": "teleport", "args": [], "to": ["x"]}]}
    run = run_with(
        tmp_path,
        deviating(),
        deviating(claim="relu-default", source=source_of(EXP)),
        deviating(source=alien),
        Verdict(CLAIM, "other", EXP.id, "conforms", source=source_of(EXP)),
    )
    assert questions(read_run(run)) == {}


def test_command_adds_the_answers_of_those_that_can_be_asked(ac: Command, tmp_path: Path) -> None:
    """A subject that cannot be started is told of, and the others are asked."""
    run_with(tmp_path / "run", deviating(source=source_of(EXP)))
    said = ac("affected", "run", "--subject", "python=nowhere/python", "--subject", "eager-cpu")
    assert said.code == 0
    assert said.out == "1 program deviates; the answers are in the records.\n"
    assert "not asked" in said.err and "nowhere/python" in said.err
    (answer,) = read_run(tmp_path / "run").elsewhere.values()
    assert (answer.program, answer.verdict) == (EXP.id, "conforms")
    assert decode(json.dumps(source_of(EXP))).id == answer.program


def test_nobody_is_started_for_nothing(ac: Command, tmp_path: Path) -> None:
    """Where no program deviates, not even a subject that cannot be started is missed."""
    run_with(tmp_path / "run", Verdict(CLAIM, "other", EXP.id, "conforms", source=source_of(EXP)))
    said = ac("affected", "run", "--subject", "python=/no/such")
    assert (said.code, said.err) == (0, "")
    assert said.out == "No program deviates: there is nothing to ask.\n"


def test_only_folders_can_be_added_to(ac: Command, tmp_path: Path) -> None:
    """A file of records may be compressed, or somebody else's."""
    run_with(tmp_path / "run", deviating())
    one_sentence(ac("affected", "run/verdicts.jsonl"), "run/verdicts.jsonl is no folder")
    one_sentence(ac("affected", "run", "--subject", "eager-cpu", "--subject", "eager-cpu"), "twice")
