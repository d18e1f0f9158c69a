"""Corpora: what is recorded is what the judge needs, and nothing broken or hostile gets further."""

from __future__ import annotations

import gzip
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.corpus.choosing import Candidate, candidates, in_turns
from conformance.corpus.reading import read, shipped
from conformance.corpus.recorded import coarser, recorded
from conformance.corpus.recording import Recording
from conformance.corpus.schema import Line, decoded
from conformance.deviations import register
from conformance.examine import Examiner, ModelAndOracle
from conformance.oracle.machine import Machine
from conformance.subjects import Observation, Subject
from conformance.transform_causes import CAUSES
from conformance.verdict import Judging
from strategies.build import build
from strategies.choices import Seeded
from strategies.program import Program
from tests.tampering import Tampered, backward, contents, leaf, program, step, with_tensor
from tests.test_cli import Command, Said, ac

__all__ = ["ac"]

ROOT = Path(__file__).parents[1]
REMADE = (
    "autograd-conformance record --out conformance/corpus/programs.jsonl.gz "
    "--programs 6000 --seed 1"
)
"""What makes the shipped corpus."""
A = leaf("a", [1.0, 2.0], grad=True)
DOUBLE = program(A, step("mul", "a", 2.0, to="x0"), backward("x0", [1.0, 1.0]))
ODD = program(leaf("a", [1.0, -0.0]), step("reciprocal", "a", to="x0"), step("log", "a", to="x1"))
"""Its numbers are infinities, NaN and a zero with a sign."""
TIE = program(leaf("a", [1.0], grad=True), step("hardsigmoid", "a", to="x0"), backward("x0", [1.0]))
"""Its gradient is off by 3e-8 on the CPU: registered."""
LEAF = program(A, step("neg_", "a"))
"""It raises."""
OPEN = program(A, step("resize_", "a", params={"size": [1]}, modes=("no_grad",)))
Edit = Callable[[dict[str, Any]], object]


def recording(machine: Machine, *programs: Program) -> Recording:
    """These programs, recorded as far as they are decided."""
    made = Recording(7, ModelAndOracle(machine))
    chosen = [Candidate(one, frozenset(), 0) for one in programs]
    made.fill(chosen, len(chosen), lambda count: None)
    return made


def corpus(folder: Path, machine: Machine, *edits: Edit) -> Path:
    """A corpus of DOUBLE once for each edit of its line, and TIE at the end."""
    file = folder / "some.jsonl.gz"
    recording(machine, *[DOUBLE for _ in edits], TIE).write(file)
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    for line, edit in zip(lines[1:], edits, strict=False):
        edit(line)
    file.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    return file


def replayed(ac: Command, file: Path) -> Said:
    return ac("replay", str(file), "--in-process")


# -- the same verdicts


def test_a_corpus_says_what_the_model_and_the_oracle_say(
    machine: Machine, examiner: Examiner
) -> None:
    """Drawn programs get the verdict and the deviations that `check` gives them."""
    made = recording(machine, *(build(Seeded(3, index)) for index in range(60)))
    judging = Judging(examiner.subject)
    assert len(made.lines) > 40
    for line in made.lines:
        one = recorded(decoded(line, Line, "a line"))
        by_line, live = judging.judged(one.program, one), examiner.examine(one.program)
        assert (by_line.verdict, by_line.deviations) == (live.verdict, live.deviations)


def test_numbers_are_exact(machine: Machine) -> None:
    """Infinities, NaN and the sign of zero are read as they were."""
    (line,) = recording(machine, ODD).lines
    one = recorded(decoded(line, Line, "a line"))
    values = one.answer(one.draft, one.predict(one.draft)).values
    assert values["x0"].values.tolist() == [1.0, -np.inf]
    assert np.signbit(values["a"].values).tolist() == [False, True]
    assert values["x1"].values.tolist() == [0.0, -np.inf]


def test_slack_only_grows_and_by_less_than_a_hundredth() -> None:
    slack = np.array([0.0, 1e-300, 1.0, 1.0 + 2**-52, 3e-17, np.inf])
    up = coarser(slack)
    assert (up >= slack).all() and (up[:5] <= slack[:5] * 1.01).all()
    assert up[2] == 1.0


def test_what_is_left_open_is_counted_and_not_recorded(machine: Machine) -> None:
    made = recording(machine, OPEN, DOUBLE)
    assert len(made.lines) == 1
    assert made.left_out == {"the model leaves it open": 1}


@pytest.mark.parametrize(
    ("of", "wrong", "kind"),
    [
        (DOUBLE, {"grad": contents([2.0, 9.0])}, "silent wrong gradient"),
        (DOUBLE, {"version": 3}, "wrong flag"),
        (DOUBLE, {"storage": 99}, ""),
        (DOUBLE, {"data": np.array([1.0, 9.0]).tobytes()}, "wrong value"),
        (TIE, {"grad": contents([0.5])}, "silent wrong gradient"),
    ],
)
def test_a_subject_that_is_wrong_deviates(
    machine: Machine, local: Subject, of: Program, wrong: dict[str, Any], kind: str
) -> None:
    """By its gradients, flags and values, and beside what is registered; a memory of its own is
    no fault of a tensor that shares with none.
    """

    def change(body: str, seen: Observation) -> Observation:
        return with_tensor(seen, "a", **wrong)

    (line,) = recording(machine, of).lines
    one = recorded(decoded(line, Line, "a line"))
    judged = Judging(Tampered(local, change)).judged(one.program, one)
    assert (judged.verdict == "deviates") == bool(kind)
    assert not kind or judged.gravest.kind == kind


def test_an_error_that_is_missing_deviates(machine: Machine, local: Subject) -> None:
    (line,) = recording(machine, LEAF).lines
    one = recorded(decoded(line, Line, "a line"))
    silent = Tampered(local, lambda body, seen: Observation())
    assert Judging(local).judged(one.program, one).verdict == "conforms"
    assert Judging(silent).judged(one.program, one).gravest.kind == "missing error"


def test_known_deviations_are_known_without_the_oracle(machine: Machine, local: Subject) -> None:
    """Without the entry the same line deviates."""
    (line,) = recording(machine, TIE).lines
    one = recorded(decoded(line, Line, "a line"))
    assert Judging(local).judged(one.program, one).verdict == "known deviation"
    assert Judging(local, known=()).judged(one.program, one).verdict == "deviates"


# -- what is chosen


def test_every_cell_is_covered_before_any_is_covered_twice() -> None:
    """All cells that the candidates have are covered long before the candidates are used up."""
    drawn = candidates(100, 5, lambda count: None)
    every = frozenset[tuple[str, str]]().union(*(one.cells for one in drawn))
    order = list(in_turns(drawn))
    assert sorted(one.program.id for one in order) == sorted(one.program.id for one in drawn)
    covered: set[tuple[str, str]] = set()
    rounds = 0
    while covered != every:
        covered |= order[rounds].cells
        rounds += 1
    assert rounds < len(order) / 2


def test_the_same_seed_makes_the_same_bytes(ac: Command, tmp_path: Path, machine: Machine) -> None:
    for name in ("one", "two"):
        said = ac("record", "--out", name, "--programs", "3", "--seed", "4")
        assert said.code == 0 and "3 programs" in said.out
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


# -- files that are not as they should be


def _hostile(line: dict[str, Any]) -> None:
    line["program"]["steps"][0]["op"] = "mul(__import__('os').system('touch owned'))"


def _shape(line: dict[str, Any]) -> None:
    line["said"]["tensors"]["x0"]["numbers"]["shape"] = [3]


def _others(line: dict[str, Any]) -> None:
    tensor = line["said"]["tensors"]["x0"]
    tensor["shape"] = tensor["numbers"]["shape"] = [2, 1]


BROKEN: list[tuple[Edit, tuple[str, ...]]] = [
    (lambda line: line["program"]["steps"][0].update(op="mulberry"), ("'mulberry'", "ops`")),
    (_hostile, ("unknown operation", "ops`")),
    (_shape, ("16 bytes of values", "24 of shape [3]", "corpus-format.md")),
    (_others, ("x0 has shape [2] and not [2, 1]",)),
    (lambda line: line["said"]["tensors"].pop("a"), ("a, x0 and not x0",)),
    (lambda line: line["said"].update(steps=1), ("more is said",)),
    (lambda line: line["said"].update(open="why"), ("unless all of them are open",)),
    (lambda line: line["said"].update(raises={"step": 7, "kind": "x", "why": ""}), ("$.said",)),
    (lambda line: line.update(note=1), ("unknown field `note`",)),
    (lambda line: line.pop("said"), ("missing required field `said`",)),
    (lambda line: line.update(under=[{"quirks": ["a", "b"], "said": line["said"]}]), ("a, b",)),
    (lambda line: line["program"].update(leaves=0), ("not a program",)),
]


@pytest.mark.parametrize(("edit", "words"), BROKEN)
def test_a_broken_line_is_named_and_the_rest_is_judged(
    ac: Command, tmp_path: Path, machine: Machine, edit: Edit, words: tuple[str, ...]
) -> None:
    """One sentence with file and line, exit code 2, and nothing of the line runs."""
    file = corpus(tmp_path, machine, edit)
    said = replayed(ac, file)
    (sentence,) = said.err.splitlines()
    assert said.code == 2 and sentence.startswith(f"Error: {file}:2: ")
    assert all(word in sentence for word in words), sentence
    assert "1 programs" in said.out and "known deviation" in said.out
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: b"", ("nothing is in it", "record --out FILE")),
        (lambda data: gzip.compress(b""), ("nothing is in it", "record --out FILE")),
        (lambda data: b"{}\n", ("not compressed by gzip",)),
        (lambda data: data[:40], ("cut off or damaged",)),
        (lambda data: data[:-12], ("cut off or damaged",)),
        (lambda data: gzip.compress(b"{}\n"), (":1: ", "the first line of a corpus")),
        (lambda data: gzip.compress(b"[" * 90_000), (":1: ", "the first line of a corpus")),
        (
            lambda data: gzip.compress(gzip.decompress(data).replace(b"1", b"9", 1)),
            ("corpus format 9", "reads 1"),
        ),
        (
            lambda data: gzip.compress(b"".join(gzip.decompress(data).splitlines(True)[:2])),
            ("1 programs where its first line says 2",),
        ),
    ],
)
def test_a_file_that_is_no_whole_corpus_gets_one_sentence(
    ac: Command,
    tmp_path: Path,
    machine: Machine,
    spoil: Callable[[bytes], bytes],
    words: tuple[str, ...],
) -> None:
    file = tmp_path / "spoilt.jsonl.gz"
    recording(machine, DOUBLE, TIE).write(file)
    file.write_bytes(spoil(file.read_bytes()))
    said = replayed(ac, file)
    (sentence,) = said.err.splitlines()
    assert said.code == 2 and sentence.startswith(f"Error: {file}")
    assert all(word in sentence for word in words), sentence


def test_a_line_that_is_nested_too_deeply_costs_no_other(
    ac: Command, tmp_path: Path, machine: Machine
) -> None:
    file = tmp_path / "deep.jsonl.gz"
    recording(machine, DOUBLE, TIE).write(file)
    first, _, last = gzip.decompress(file.read_bytes()).splitlines()
    deep = b'{"program":' + b"[" * 90_000 + b"]" * 90_000 + b',"said":{}}'
    file.write_bytes(gzip.compress(b"\n".join([first, deep, last, b""])))
    said = replayed(ac, file)
    assert said.code == 2 and f"{file}:3" not in said.err and f"{file}:2" in said.err


def test_names_that_torch_lacks_are_counted_by_name(machine: Machine, local: Subject) -> None:
    """A subject without `Tensor.mul` does not exercise a program with it."""
    names = {**local.names, "Tensor": local.names["Tensor"] - {"mul"}}
    subject = Tampered(local)
    subject.hello = type(local.hello)(
        **{f: getattr(local.hello, f) for f in local.hello.__struct_fields__} | {"names": names}
    )
    (line,) = recording(machine, DOUBLE).lines
    one = recorded(decoded(line, Line, "a line"))
    judged = Judging(subject).judged(one.program, one)
    assert judged.verdict == "not exercised" and "Tensor.mul" in judged.reason


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("replay absent.gz", ("absent.gz", "cannot be read")),
        ("replay .", (".", "cannot be read")),
        ("replay --subject nope", ("subject 'nope'",)),
        ("replay --subject eager-cpu --subject eager-cpu", ("named twice",)),
        ("record --out absent/corpus.gz", ("absent/corpus.gz", "cannot be written")),
        ("record --out .", ("cannot be written", "folder")),
        ("record", ("--out", "--help")),
    ],
)
def test_bad_usage_gets_one_sentence(ac: Command, arguments: str, words: tuple[str, ...]) -> None:
    said = ac(*arguments.split())
    (sentence,) = said.err.splitlines()
    assert said.code == 2 and all(word in sentence for word in words), said


def test_json_is_that_of_check_and_names_the_subject(
    ac: Command, tmp_path: Path, machine: Machine
) -> None:
    file = corpus(tmp_path, machine)
    said = ac("replay", str(file), "--in-process", "--json")
    (line,) = map(json.loads, said.out.splitlines())
    assert (line["subject"], line["verdict"], said.code) == ("eager-cpu", "known deviation", 0)


# -- the corpus that ships


def test_the_shipped_corpus_is_of_this_table_and_register() -> None:
    """At least 5000 programs, in at most 3 MB, every line readable, every quirk known."""
    corpus = read(shipped())
    quirks = {
        deviation.entry.quirk for deviation in register() if deviation.program
    } - CAUSES.keys()
    count = sum(1 for _ in corpus)
    assert not corpus.broken and quirks <= {*corpus.header.quirks}, (
        f"The shipped corpus is not of this suite ({[*map(str, corpus.broken[:1])]}); make it "
        f"anew: {REMADE}"
    )
    assert count >= 5000 and shipped().stat().st_size <= 3_000_000


def test_the_command_that_makes_it_is_documented() -> None:
    assert REMADE in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_local_torch_deviates_from_none_of_a_slice(local: Subject) -> None:
    judging = Judging(local)
    for one in itertools.islice(read(shipped()), 0, None, 12):
        judged = judging.judged(one.program, one, draft=one.draft)
        assert judged.verdict in ("conforms", "known deviation", "not exercised"), judged.findings


def test_replay_needs_neither_jax_nor_hypothesis(tmp_path: Path, machine: Machine) -> None:
    """Where importing them raises, a corpus is judged all the same; `check` cannot be."""
    file = corpus(tmp_path, machine)
    script = tmp_path / "without.py"
    script.write_text(
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('jax', 'jaxlib', 'hypothesis'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from conformance.cli import main\n"
        "main()\n",
        encoding="utf-8",
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(script), *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            timeout=120,
        )

    ended = run("replay", str(file))
    assert ended.returncode == 0, ended.stderr
    assert "known deviation" in ended.stdout
    assert run("check", str(file)).returncode == 3
