"""Between which two versions of torch a verdict changes."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from io import StringIO
from math import ceil, log2
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from conformance import bisection
from conformance.behaviour import NOTHING_SEEN, RAISED, Behaviour, differences
from conformance.bisection import Answer, Bisected, TooFew, bisect
from conformance.claims.catalogue import ABOUT_PROGRAMS, CATALOGUE
from conformance.cli.bisect import print_bisected, rules
from conformance.subjects import Availability, SubjectError
from conformance.subjects.environments import VARIABLE
from strategies.program import Apply, Backward, Leaf, Program, encode
from tests.test_cli import DOUBLE, Command, ac, one_sentence

__all__ = ["ac"]

ROOT = Path(__file__).parents[1]


def there(*torches: str) -> list[Availability]:
    """Subjects that are called by their version."""
    return [Availability(name=f"py{torch}", available=True, torch=torch) for torch in torches]


class Fakes:
    """Subjects that answer by a table of verdicts; one without a verdict cannot be started."""

    def __init__(self, **verdicts: str) -> None:
        self.verdicts = {name.replace("_", "."): verdict for name, verdict in verdicts.items()}
        self.asked: list[str] = []

    def ask(self, name: str) -> Answer:
        self.asked.append(name)
        if not self.verdicts[name]:
            raise SubjectError(f"{name}: it ended before it said hello.")
        return Answer(name, name.removeprefix("py"), self.verdicts[name], f"{name} did it")


def torches(found: Bisected) -> tuple[str, str] | None:
    return found.boundary and (found.boundary[0].torch, found.boundary[1].torch)


# -- the search


def test_versions_are_sorted_as_versions() -> None:
    """1.10 is newer than 1.9, a nightly build is older than its release, builds do not matter."""
    given = there("2.13.0+cpu", "1.10.0", "2.13.0.dev20260101", "1.9.0a0+git1", "1.9.1")
    fakes = Fakes()
    fakes.verdicts = {one.name: f"v{one.torch}" for one in given}
    assert torches(bisect(given, fakes.ask)) == ("1.9.0a0+git1", "1.9.1")
    fakes.verdicts |= {"py1.9.1": "v1.9.0a0+git1", "py1.10.0": "v1.9.0a0+git1"}
    assert torches(bisect(given, fakes.ask)) == ("1.10.0", "2.13.0.dev20260101")


@pytest.mark.parametrize("changes", range(1, 16))
def test_boundary_is_found_in_few_questions(changes: int) -> None:
    """Wherever it lies, two questions for the ends and a binary search between them find it."""
    versions = [f"1.{minor}" for minor in range(16)]
    asked: list[str] = []

    def ask(name: str) -> Answer:
        asked.append(name)
        place = versions.index(name.removeprefix("py"))
        return Answer(name, versions[place], "deviates" if place < changes else "conforms", "")

    found = bisect(there(*reversed(versions)), ask)
    assert torches(found) == (versions[changes - 1], versions[changes])
    assert len(asked) == len(set(asked)) <= 2 + ceil(log2(15))
    assert len(found.answers) == len(asked) and found.subjects == 16


def test_same_verdict_at_both_ends() -> None:
    """Nothing between them is asked."""
    fakes = Fakes(py1_2="conforms", py1_8="deviates", py2_0="conforms")
    found = bisect(there("1.2", "1.8", "2.0"), fakes.ask)
    assert found.boundary is None and fakes.asked == ["py1.2", "py2.0"]
    assert (found.oldest.torch, found.newest.torch) == ("1.2", "2.0")


def did(*numbers: float, ended: str = "it runs to its end") -> Behaviour:
    return Behaviour(ended, {"a.grad": np.array(numbers)} if numbers else {})


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        (did(1.0, math.nan), did(1.0 + 1e-9, math.nan), []),
        (did(1.0), did(0.5), ["a.grad"]),
        (did(1.0), did(1.0, 1.0), ["a.grad"]),
        (did(1.0), did(ended="it raises at step 2: leaf in place"), [RAISED]),
        (did(1.0), NOTHING_SEEN, []),
    ],
)
def test_what_differs_of_two_versions(
    before: Behaviour, after: Behaviour, names: list[str]
) -> None:
    assert differences(before, after) == differences(after, before) == names


def test_same_verdict_on_what_has_changed() -> None:
    """Torch may be right both times, by a rule that changed: what it does is looked for then."""
    gradients = {"1.2": 1.0, "1.8": 1.0, "2.0": 0.5, "2.4": 0.5}

    def ask(name: str) -> Answer:
        torch = name.removeprefix("py")
        return Answer(name, torch, "conforms", "", did(gradients[torch]))

    assert torches(bisect(there(*gradients), ask)) == ("1.8", "2.0")


def test_verdict_that_is_neither() -> None:
    """What is not the oldest verdict is on the other side, whatever it is."""
    fakes = Fakes(py1_2="conforms", py1_8="not exercised", py2_0="deviates")
    found = bisect(there("1.2", "1.8", "2.0"), fakes.ask)
    assert torches(found) == ("1.2", "1.8") and found.newest.verdict == "deviates"


def test_equal_versions_keep_the_order_in_which_they_were_named() -> None:
    fakes = Fakes(b="conforms", a="deviates")
    given = [Availability(name=name, available=True, torch="2.13.0") for name in ("b", "a")]
    found = bisect(given, fakes.ask)
    assert found.boundary is not None
    assert [answer.subject for answer in found.boundary] == ["b", "a"]


@pytest.mark.parametrize("lost", ["py1.2", "py1.8", "py2.0", "py2.1"])
def test_subject_that_cannot_be_asked(lost: str) -> None:
    """Wherever it lies, the search goes on without it, asks nobody twice, and says so."""
    fakes = Fakes(py1_2="deviates", py1_4="deviates", py1_8="deviates", py2_0="conforms")
    fakes.verdicts |= {"py2.1": "conforms", lost: ""}
    found = bisect(there("1.2", "1.4", "1.8", "2.0", "2.1"), fakes.ask)
    expected = {"py1.8": ("1.4", "2.0"), "py2.0": ("1.8", "2.1")}.get(lost, ("1.8", "2.0"))
    assert torches(found) == expected
    assert len(fakes.asked) == len(set(fakes.asked))
    assert found.left_out == (f"{lost}: it ended before it said hello.",) * (lost in fakes.asked)


def test_fewer_than_two_subjects() -> None:
    """It says which one there is, and why the others are not."""
    absent = Availability(name="gone", available=False, reason="gone: there is no such file.")
    nameless = Availability(name="odd", available=True, torch="mine")
    with pytest.raises(TooFew) as refused:
        bisect([absent, nameless, *there("2.0")], Fakes().ask)
    said = str(refused.value)
    assert "only py2.0 (torch 2.0) could be started" in said and "gone: there is no such" in said
    assert "'mine' is no version of torch" in said and said.endswith("--subject python=PATH.")
    with pytest.raises(TooFew, match="no subject could be started"):
        bisect([absent], Fakes().ask)


# -- which claims it is for


def test_claims_about_programs_are_those_that_judge_some() -> None:
    """ABOUT_PROGRAMS names each claim whose test asks that programs hold, and no other."""
    found, every = set(), set()
    for file in (ROOT / "conformance" / "claims").glob("test_*.py"):
        module = importlib.import_module(f"conformance.claims.{file.stem}")
        for test in vars(module).values():
            if hasattr(test, "claim_id"):
                every.add(test.claim_id)
                calls: tuple[str, ...] = test.__code__.co_names
                found |= {test.claim_id} if {"holds", "every"} & {*calls} else set()
    assert found == ABOUT_PROGRAMS and every == CATALOGUE.keys()


# -- the command

Subjects = Callable[..., list[str]]


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subjects:
    """Options that name subjects of the local torch that say they are of another version."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def options(**versions: str) -> list[str]:
        words = []
        for module, version in versions.items():
            (tmp_path / f"{module}.py").write_text(
                f"import torch\ntorch.__version__ = {version!r}\n"
                + ("import tests.faults.mul_with_twice_the_gradient\n" if "bad" in module else "")
            )
            words += ["--subject", f"device=cpu,import={module}"]
        return words

    return options


def test_it_names_the_two_versions(ac: Command, tmp_path: Path, older: Subjects) -> None:
    """The last version with the one verdict and the first with the other, and what each said."""
    (tmp_path / "one.json").write_bytes(encode(DOUBLE))
    named = older(good="2.4.1", bad="1.9.0", bad_too="2.0.1")
    said = ac("bisect", "--program", "one.json", *named, "--subject", "python=/no/such")
    assert said.code == 0
    assert max(len(line.rstrip()) for line in said.out.splitlines()) <= 80
    lines = said.out.splitlines()
    assert lines[0] == f"Program {DOUBLE.id}, of: No error means correct gradients"
    assert [line.split()[:2] for line in lines[3:6]] == [
        ["1.9.0", "deviates"],
        ["2.0.1", "deviates"],
        ["2.4.1", "conforms"],
    ]
    flat = " ".join(said.out.split())
    assert "changes between torch 2.0.1 (deviates) and torch 2.4.1 (conforms)." in flat
    assert "torch 2.0.1: deviates silent wrong gradient: a.grad[0] is 4.0 and should be" in flat
    assert "not asked, python=/no/such: there is no such file" in flat


def test_it_shows_what_changed_where_torch_is_right_both_times() -> None:
    """What is seen on either side, and what the op table knows of it."""
    clamp = Apply(op="clamp", args=("a",), params={"min": 1.0}, to=("x0",))
    leaf = Leaf(name="a", shape=(), data=[1.0], requires_grad=True)
    program = Program(leaves=(leaf,), steps=(clamp, Backward(of=("x0",))))
    before = Answer("old", "2.13.0", "conforms", "", did(1.0))
    after = Answer("new", "2.15.0", "conforms", "", did(0.0))
    found = Bisected((before, after), (before, after), 2, ())
    heard = StringIO()
    print_bisected(found, "Of a program", Console(file=heard, width=80), rules(program, found))
    flat = " ".join(heard.getvalue().split())
    assert "conforms. What torch does changes between torch 2.13.0 and torch 2.15.0." in flat
    assert "torch 2.13.0: conforms a.grad is [1] torch 2.15.0: conforms a.grad is [0]" in flat
    assert "clamp, otherwise on torch >=2.15: Gradients for non-differentiable functions" in flat


def test_it_says_that_nothing_changed(ac: Command, tmp_path: Path, older: Subjects) -> None:
    (tmp_path / "one.json").write_bytes(encode(DOUBLE))
    said = ac("bisect", "--program", "one.json", *older(good="1.9.0"), "--subject", "eager-cpu")
    assert said.code == 0
    assert "The verdict is the same from torch 1.9.0 to torch " in " ".join(said.out.split())


def test_too_few_subjects_is_an_exit_code_of_its_own(
    ac: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3, in one sentence on stderr that says which subjects there are; so by default."""
    (tmp_path / "one.json").write_bytes(encode(DOUBLE))
    said = ac("bisect", "--program", "one.json", "--subject", "python=/no/such")
    assert said.code == 3 and said.out == ""
    assert "no subject could be started; python=/no/such: there is no such file" in said.err
    monkeypatch.delenv(VARIABLE, raising=False)
    cuda = Availability(name="eager-cuda", available=True, torch="2.13.0", device="cuda")
    monkeypatch.setattr(bisection, "available_subjects", lambda: [*there("2.13.0"), cuda])
    said = ac("bisect", "--program", "one.json")
    assert said.code == 3 and "only py2.13.0 (torch 2.13.0) could be started" in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--program one.json --claim relu-golden", ("'relu-golden' runs scripts", "detach-shares")),
        ("--program one.json --claim odd", ("no claim 'odd'",)),
        ("--program one.json --subject odd", ("no subject 'odd'",)),
        ("--program one.json --subject eager-cpu --subject eager-cpu", ("named twice",)),
        ("--program absent.json", ("absent.json", "cannot be read")),
        ("--program two.jsonl", ("holds 2 programs", "a file of its own")),
        ("", ("--program", "`autograd-conformance bisect --help`")),
    ],
)
def test_bad_arguments(ac: Command, tmp_path: Path, arguments: str, words: tuple[str, ...]) -> None:
    """What cannot be done is one sentence, and starts nobody."""
    (tmp_path / "one.json").write_bytes(encode(DOUBLE))
    (tmp_path / "two.jsonl").write_bytes(encode(DOUBLE) + b"\n" + encode(DOUBLE))
    one_sentence(ac("bisect", *arguments.split()), *words)
