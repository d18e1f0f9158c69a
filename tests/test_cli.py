"""The command line: what bad input gets, and the forms that others rely on."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.claims.catalogue import CATALOGUE
from conformance.cli import main
from strategies.program import decode, encode
from strategies.table import OPERATIONS
from tests.tampering import backward, leaf, program, step
from tests.test_script import output_of

A = '{"name":"a","shape":[2],"data":[1.0,2.0],"requires_grad":true}'
DOUBLE = program(A, step("mul", "a", 2.0, to="x0"), backward("x0", [1.0, 1.0]))


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def ac(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """Run a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["autograd-conformance", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return Said(int(end.value.code or 0), said.out, said.err)

    return run


def one_sentence(said: Said, *words: str) -> None:
    """Assert that a usage error is one sentence on stderr that holds these words."""
    assert said.code == 2, said
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("Error: ") and line.endswith((".", "?"))
    for word in words:
        assert word in line, line


# -- bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("run --claim nope", ("claim 'nope'", "`autograd-conformance claims` lists them")),
        ("run --profile nope", ("profile 'nope'", "quick, default, nightly")),
        ("run --subject nope", ("subject 'nope'", "eager-cpu", "python=PATH")),
        ("run --subject python=", ("python=", "nothing after it")),
        ("run --subject python=/no/such", ("/no/such", "no such file", "name a Python")),
        ("run --subject python=/", ("python=/", "folder", "name the interpreter")),
        ("run --subject device=odd --in-process", ("device=odd", "has no device 'odd'")),
        ("run --subject eager-cpu --subject eager-cpu", ("named twice",)),
        ("run --resume", ("no run to resume", "leave --resume out")),
        ("run --resume --seed 3", ("its own seed", "leave --seed out")),
        ("run --shrink-seconds -1", ("--shrink-seconds", "--help")),
        ("run --programs 0", ("--programs", "--help")),
        ("run --seed x", ("--seed", "'x'", "--help")),
        ("check absent.json", ("absent.json", "cannot be read", "name a file")),
        ("check .", (". cannot be read", "name a file")),
        ("script absent.json", ("absent.json", "cannot be read", "name a file")),
        ("report absent", ("absent", "name the folder of a run")),
        ("script absent.json --device bogus", ("no device 'bogus'", "cpu, cuda", "cuda:1")),
        ("script absent.json --device meta", ("no device 'meta'", "cpu, cuda")),
        ("script absent.json --device cuda:1:2", ("no device 'cuda:1:2'",)),
        ("check absent.json --subject device=odd", ("absent.json", "cannot be read")),
        ("run --subject device=meta --in-process", ("'meta'", "no value can be read")),
        ("draw --n -1", ("--n", "-1", "--help")),
        ("draw --odd", ("--odd", "`autograd-conformance draw --help`")),
        ("odd", ("'odd'", "`autograd-conformance --help`")),
        ("check", ("FILE", "`autograd-conformance check --help`")),
    ],
)
def test_bad_arguments(ac: Command, arguments: str, words: tuple[str, ...]) -> None:
    """What was asked for and cannot be is named, with what to do instead."""
    one_sentence(ac(*arguments.split()), *words)


def test_device_is_no_place_for_code(ac: Command) -> None:
    """What is not the name of a device never enters a script."""
    one_sentence(ac("script", "x", "--device", 'cpu"); import os; ("'), "no device")
    one_sentence(ac("run", "--subject", 'device=cpu"); import os; ("'), "is no device")


def text_of(*steps: str, leaves: str = A) -> str:
    return f'{{"leaves":[{leaves}],"steps":[{",".join(steps)}]}}'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("holds no program", "`autograd-conformance draw`")),
        (b"\n  \n", ("holds no program",)),
        (b"\xff\xfe\x00", ("is not UTF-8 text", "name a file")),
        (b"hello", ("bad.json:1", "not a program", "docs/program-format.md")),
        (b"[1, 2]", ("bad.json:1", "Expected `object`, got `array`")),
        (b"[" * 100_000, ("bad.json:1", "not a program")),
        (b'{"leaves":[]}', ("bad.json:1", "missing required field `steps`")),
        (b'{"leaves":[],"steps":[]}', ("bad.json:1", "at least one leaf")),
        (text_of(leaves='{"name":"a","data":[]}').encode(), ("field `shape`", "$.leaves[0]")),
        (text_of(step("odd", "a", to="x0")).encode(), ("'odd'", "`autograd-conformance ops`")),
        (text_of(step("neg", "x1", to="x0")).encode(), ("step 1", "uses 'x1'", "earlier step")),
        (text_of(step("neg", "x0", to="x0")).encode(), ("step 1", "uses 'x0'", "earlier step")),
        (
            text_of(step("mm", "a", "a", to="x0")).encode(),
            ("step 1 (mm)", "not defined for operands of shape (2,), (2,)"),
        ),
        (
            text_of(leaves='{"name":"a","shape":[3],"data":[1.0,2.0]}').encode(),
            ("leaf 'a'", "3"),
        ),
        (text_of(backward("a")).encode(), ("step 1 (backward)", "needs a cotangent")),
        (text_of(leaves=A.replace('"a"', '"import"')).encode(), ("'import'", "identifier")),
        (text_of(leaves=A[:-1] + ',"odd":1}').encode(), ("unknown field `odd`",)),
        (encode(DOUBLE) + b"\n{}", ("bad.json:2",)),
    ],
)
@pytest.mark.parametrize("command", ["check", "script"])
def test_bad_program(
    ac: Command, tmp_path: Path, command: str, content: bytes, words: tuple[str, ...]
) -> None:
    """A file of programs that cannot be is named with the line and the place in it."""
    (tmp_path / "bad.json").write_bytes(content)
    one_sentence(ac(command, "bad.json"), *words, "bad.json")


def test_output_folder_that_is_a_file(ac: Command, tmp_path: Path) -> None:
    """Where records cannot be written, nothing runs."""
    (tmp_path / "out").write_text("mine")
    one_sentence(ac("run", "--in-process"), "out", "choose another folder")
    one_sentence(ac("run", "--in-process", "--out", "out/deep"), "out/deep", "another folder")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["report.html", "junit.xml", "ctrf.json", "previous", "examples", "report"]
)
def test_part_of_the_output_that_is_in_the_way(ac: Command, tmp_path: Path, name: str) -> None:
    """What could not be written when the run is over is told of before it starts."""
    there = tmp_path / "out" / name
    if "." in name:
        there.mkdir(parents=True)
    else:
        there.parent.mkdir()
        there.touch()
    said = ac("run", "--in-process", "--claim", "relu-golden")
    one_sentence(said, f"out/{name} is no", "remove it, or choose another folder with --out")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("name", ["junit.xml", "report.html", "verdicts.jsonl"])
def test_part_of_the_output_on_a_full_disk(ac: Command, tmp_path: Path, name: str) -> None:
    """A file that takes nothing ends the run before a claim is judged."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to("/dev/full")
    one_sentence(ac("run", "--in-process", "--profile", "quick", "--claim", "relu-golden"), "out")


def test_report_of_no_records(ac: Command, tmp_path: Path) -> None:
    """A file that holds no records is named."""
    (tmp_path / "verdicts.jsonl").write_text("hello\n")
    one_sentence(ac("report", "."), "verdicts.jsonl", "no records of a run")


def test_interpreter_without_torch(ac: Command, tmp_path: Path) -> None:
    """An interpreter that has no torch is named, with what to do."""
    venv.EnvBuilder(with_pip=False).create(tmp_path / "bare")
    python = tmp_path / "bare" / "bin" / "python"
    said = ac("run", "--subject", f"python={python}")
    one_sentence(said, str(python), "has no torch", "install it there")


@pytest.mark.parametrize("content", ["#!/bin/sh\nexit 3\n", "#!/bin/sh\necho hello\nsleep 60\n"])
def test_interpreter_that_is_none(ac: Command, tmp_path: Path, content: str) -> None:
    """A program that is no Python is named."""
    fake = tmp_path / "python"
    fake.write_text(content)
    fake.chmod(0o755)
    one_sentence(ac("run", "--subject", f"python={fake}"), str(fake))


# -- good paths


def test_no_arguments_is_help(ac: Command) -> None:
    """The bare command prints the help."""
    said = ac()
    assert said.code == 0 and said.out.startswith("Usage: autograd-conformance")
    assert said.out == ac("--help").out


def test_draw_repeats_itself(ac: Command) -> None:
    """Programs come one a line; program i depends on seed and i alone."""
    said = ac("draw", "--n", "5", "--seed", "7")
    lines = said.out.splitlines()
    assert said.code == 0 and len(lines) == 5
    assert [encode(decode(line)).decode() for line in lines] == lines
    assert ac("draw", "--n", "3", "--seed", "7").out.splitlines() == lines[:3]
    assert ac("draw", "--n", "5", "--seed", "8").out != said.out
    assert ac("draw", "--n", "0").out == ""


def strict(text: str) -> Any:
    """JSON without the tokens that JSON does not have."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_check_prints_what_others_rely_on(ac: Command, tmp_path: Path) -> None:
    """One line a program, strict JSON though values are not finite, with the agreed keys."""
    odd = program(
        leaf("a", [0.0, 4.0], grad=True),
        step("log", "a", to="x0"),
        step("mul", "x0", 0.0, to="x1"),
        backward("x1", [1.0, 1.0]),
    )
    drawn = ac("draw", "--n", "12", "--seed", "1").out.encode()
    (tmp_path / "programs.jsonl").write_bytes(encode(odd) + b"\n" + drawn)
    said = ac("check", "programs.jsonl", "--json", "--in-process")
    answers = [strict(line) for line in said.out.splitlines()]
    assert said.code == 0 and len(answers) == 13
    wanted = {"program", "verdict", "kind", "prediction", "oracle", "observation"}
    assert all(wanted <= answer.keys() for answer in answers)
    first = answers[0]
    assert decode(json.dumps(first["program"])) == odd
    assert (first["verdict"], first["kind"]) == ("conforms", None)
    assert first["observation"]["values"]["x0"][0] == "-inf"
    assert first["oracle"]["values"]["x1"][0] == "nan"


def test_check_says_it_in_words(ac: Command, tmp_path: Path) -> None:
    """Without --json a line says the verdict, and why an error is right."""
    raises = program(A, step("mul_", "a", 2.0))
    (tmp_path / "one.json").write_bytes(encode(raises))
    said = ac("check", "one.json", "--in-process")
    assert said.code == 0
    assert said.out.splitlines() == [
        f"{raises.id}  conforms",
        "  it raises at step 1, as it must: a is a leaf that requires grad",
    ]


def test_check_gives_up_with_its_own_exit_code(ac: Command, tmp_path: Path) -> None:
    """A program that is too large for the oracle is neither right nor wrong."""
    square = '{"name":"a","shape":[256,256],"data":{"generator":"dyadic","seed":1}}'
    large = text_of(step("mm", "a", "a", to="x0"), leaves=square)
    (tmp_path / "large.json").write_text(large)
    said = ac("check", "large.json", "--in-process")
    assert said.code == 3 and "gave up: the oracle computes at most" in said.out


def test_check_of_one_pretty_program(ac: Command, tmp_path: Path) -> None:
    """A single program may spread over lines."""
    pretty = json.dumps(json.loads(encode(DOUBLE)), indent=2)
    (tmp_path / "one.json").write_text(pretty)
    assert ac("check", "one.json", "--in-process").out == f"{DOUBLE.id}  conforms\n"


def test_check_of_a_known_deviation_exits_with_0(ac: Command, tmp_path: Path) -> None:
    """What is registered is no failure, and the entry is named."""
    known = program(A, step("hardsigmoid", "a", to="x0"), backward("x0", [1.0, 1.0]))
    (tmp_path / "one.json").write_bytes(encode(known))
    said = ac("check", "one.json", "--in-process")
    assert said.code == 0 and "known deviation" in said.out
    assert "hardsigmoid-float-constant: " in said.out


def test_check_shows_what_the_subject_did_where_nothing_is_decided(
    ac: Command, tmp_path: Path
) -> None:
    """A write through .data, resize_ and set_ are unspecified, and shown with what torch does."""
    hidden = program(
        A,
        step("exp", "a", to="x0"),
        step("data", "x0", to="x1"),
        step("zero_", "x1"),
        backward("x0", [1.0, 1.0]),
    )
    smaller = program(A, step("mul", "a", 2.0, to="x0"), step("detach", "x0", to="x1"),
                      step("resize_", "x1", params={"size": [1]}))  # fmt: skip
    other = program(A, step("detach", "a", to="x0"), step("set_", "x0", "a"), step("exp_", "a"))
    (tmp_path / "three.jsonl").write_bytes(b"\n".join(map(encode, (hidden, smaller, other))))
    lines = ac("check", "three.jsonl", "--in-process").out.splitlines()
    assert [line.split(":")[0] for line in lines[::2]] == [
        f"{one.id}  unspecified" for one in (hidden, smaller, other)
    ]
    assert lines[1] == "  the subject ends with a.grad = [0, 0], x1 = [0, 0], x0 = [0, 0]"
    assert lines[3] == "  the subject ends with a.grad = None, x1 = [2], x0 = [2, 4]"
    assert lines[5].startswith("  the subject raises at step 3: RuntimeError: a leaf Variable")


def test_check_of_a_faulty_subject_exits_with_1(
    ac: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deviation is told of with its kind, and is the exit code."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    (tmp_path / "one.json").write_bytes(encode(DOUBLE))
    subject = "device=cpu,import=tests.faults.mul_with_twice_the_gradient"
    said = ac("check", "one.json", "--subject", subject)
    assert said.code == 1
    assert said.out.splitlines() == [
        f"{DOUBLE.id}  deviates",
        "  silent wrong gradient: a.grad[0] is 4.0 and should be 2.0 (jax oracle, rtol 1e-09)",
    ]


@pytest.mark.parametrize("options", [(), ("--short",)])
def test_script_runs_and_conforms(ac: Command, tmp_path: Path, options: tuple[str, ...]) -> None:
    """The printed script is a whole program that says its verdict."""
    (tmp_path / "one.json").write_bytes(encode(DOUBLE))
    said = ac("script", "one.json", *options)
    assert said.code == 0
    assert output_of(said.out) == ("conforms", 0)


def test_script_of_one_among_several(ac: Command, tmp_path: Path) -> None:
    """A script is of one program: of several, one is asked for."""
    raises = program(A, step("mul_", "a", 2.0))
    (tmp_path / "two.jsonl").write_bytes(encode(DOUBLE) + b"\n" + encode(raises) + b"\n")
    one_sentence(ac("script", "two.jsonl"), "holds 2 programs", "--program N, from 1 to 2")
    one_sentence(ac("script", "two.jsonl", "--program", "3"), "no program 3", "holds 2")
    for number, expected in ((1, "x0 = a.mul(2.0)"), (2, "a.mul_(2.0)")):
        said = ac("script", "two.jsonl", "--program", str(number))
        assert said.code == 0 and expected in said.out
        assert output_of(said.out) == ("conforms", 0)


def test_standard_input(tmp_path: Path) -> None:
    """A program can come from a pipe."""
    done = subprocess.run(
        [sys.executable, "-c", "from conformance.cli import main; main()", "script", "-"],
        cwd=Path(__file__).parents[1],
        input=encode(DOUBLE),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert output_of(done.stdout.decode()) == ("conforms", 0)


def test_lists_as_json(ac: Command) -> None:
    """Ids and names are strings."""
    claims = strict(ac("claims", "--json").out)
    assert [claim["id"] for claim in claims] == list(CATALOGUE)
    names = [name for row in strict(ac("ops", "--json").out)["operations"] for name in row["names"]]
    assert names == list(OPERATIONS) and "relu_" in names


def test_subjects_as_json(ac: Command) -> None:
    """Each subject says whether it is here, and if not, why."""
    found = {one["name"]: one for one in strict(ac("subjects", "--json").out)}
    assert found["eager-cpu"]["available"] and found["eager-cpu"]["torch"]
    cuda = found["eager-cuda"]
    assert cuda["available"] or cuda["reason"]


@pytest.mark.parametrize(
    "command",
    ["claims", "ops", "subjects", "--help", "run --help", "compare --help", "bisect --help"],
)
def test_fits_a_terminal(ac: Command, command: str) -> None:
    """No line is longer than 80 columns."""
    said = ac(*command.split())
    assert said.code == 0 and said.out
    assert max(len(line.rstrip()) for line in said.out.splitlines()) <= 80
