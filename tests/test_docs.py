"""What the documents say is true: commands, options, defaults, names, links, examples."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
import pytest
import torch
from click.testing import CliRunner
from rich.console import Console

from conformance.claims.catalogue import CATALOGUE
from conformance.claims.claim import Claim
from conformance.claims.laws import LAWS
from conformance.cli.main import commands
from conformance.cli.run import run
from conformance.deviations import register
from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.oracle.primitives import CODES
from conformance.planted import Fault
from conformance.profiles import PROFILES
from conformance.progress import Progress
from conformance.records import KINDS, RecordWriter, VerdictWord
from conformance.session import Plan, Session, find_profile
from conformance.subjects import InProcessSubject, parse_subject
from conformance.trial import Disagreement, Trial
from strategies.table import TABLE, pointwise
from strategies.table.aliases import with_aliases
from strategies.transforms import TRANSFORMS

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
)
VERDICTS = get_args(VerdictWord)
NEW_CLAIM = "fill-cuts-gradient"
"""The claim that CONTRIBUTING adds, so that it is not there yet."""


def text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, *languages: str) -> list[str]:
    """The fenced blocks of a document in any of the languages, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text(document), re.DOTALL | re.MULTILINE)
    return [body for language, body in found if language in languages]


def prose(document: str) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text(document), flags=re.DOTALL | re.MULTILINE)


def section(document: str, title: str) -> str:
    """What stands under a heading of the second level."""
    return re.split(r"^## ", text(document).split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def rows(table: str) -> list[list[str]]:
    """The cells of the lines of a table, its two head lines included."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("|")
    ]


def words(document: str, program: str) -> Iterator[list[str]]:
    """The arguments of every call of a program in a document's shell blocks and code spans."""
    lines = [line for block in blocks(document, "sh", "console") for line in block.splitlines()]
    lines += re.findall(r"`([^`]+)`", prose(document))
    for line in lines:
        call: list[str] = []
        for part in [*shlex.split(line.removeprefix("$ "), comments=True), "|"]:
            if part in ("|", "&&", ">"):
                if call[:1] == [program]:
                    yield call[1:]
                call = []
            else:
                call.append(part)


# -- commands


CALLS = [
    pytest.param(call, id=f"{document}: {' '.join(call)}")
    for document in DOCUMENTS
    for call in words(document, "autograd-conformance")
]


@pytest.mark.parametrize("call", CALLS)
def test_command_is_understood(call: list[str]) -> None:
    """The command exists, takes these options, and knows the claims, profiles and subjects."""
    if not call:
        return
    command = commands.get_command(click.Context(commands), call[0])
    assert command is not None
    if any(argument.isupper() for argument in call[1:]) or len(call) == 1:
        return
    given = command.make_context(call[0], list(call[1:])).params
    assert {*given.get("claims", ())} <= {*CATALOGUE, NEW_CLAIM}
    assert given.get("profile", "quick") in PROFILES
    named = given.get("subjects") or (given.get("subject") or "eager-cpu",)
    for subject in named if isinstance(named, tuple) else (named,):
        parse_subject(subject)


def test_options_of_run_are_all_in_the_table_with_their_defaults() -> None:
    """An option's default in the README is the one that it has."""
    table = rows(section("README.md", "Judge a torch of your own"))[2:]
    said = {re.findall(r"--[a-z-]+", row[0])[0]: row[1] for row in table}
    options = [param for param in run.params if isinstance(param, click.Option)]
    assert set(said) == {option.opts[0] for option in options}
    for option in options:
        shown = re.fullmatch("`(.*)`", said[option.opts[0]])
        assert (shown[1] if shown else None) == (
            str(option.default) if option.show_default is True else None
        )


def test_profiles_are_those_of_the_table() -> None:
    """The README names every profile."""
    row = next(r for r in rows(text("README.md")) if r[0].startswith("`--profile"))
    assert re.findall("`(.*?)`", row[2]) == list(PROFILES)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_tox_environments_exist(document: str) -> None:
    """Every `tox run -e NAME` names an environment of tox.ini."""
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")
    sections = {name for section in tox.sections() for name in generated(section)}
    for call in words(document, "tox"):
        assert call[:2] == ["run", "-e"]
        assert f"testenv:{call[2]}" in sections or call[2].isupper(), call[2]


def generated(section: str) -> list[str]:
    """The names that a section of tox.ini stands for: one for each that its braces list."""
    before, brace, rest = section.partition("{")
    listed, _, after = rest.partition("}")
    return [f"{before}{name}{after}" for name in listed.split(",")] if brace else [section]


def test_torch_versions_are_those_of_tox() -> None:
    """The README's table of versions says what tox.ini says."""
    said = rows(section("README.md", "Other versions of torch"))
    labels, pythons = said[2][1:], said[3][1:]
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")
    (name,) = (s for s in tox.sections() if s.startswith("testenv:worker-"))
    bases = [re.split(r"\W+", line) for line in tox[name]["base_python"].splitlines()]
    for quoted, version, python in zip(labels, said[0][1:], pythons, strict=True):
        label = quoted.strip("`")
        assert f"{label}: torch=={version.removeprefix('torch ')}\n" in tox[name]["deps"]
        (base,) = (one for one in bases if label in one)
        assert ".".join(base[-2:]) == f"python{python}"
    assert len(labels) == tox[name]["deps"].count("torch==")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_test_files_exist(document: str) -> None:
    """Every `pytest tests/...` names a file of tests."""
    for call in words(document, "pytest"):
        for path in (argument for argument in call if argument.startswith("tests")):
            assert (ROOT / path).exists(), path


def test_modules_of_the_table_of_tests_exist() -> None:
    """CONTRIBUTING names no module of tests that is not there."""
    for name in re.findall(r"`(test_\w+\*?)`", section("CONTRIBUTING.md", "Tests, style, types")):
        assert list((ROOT / "tests").glob(f"{name}.py")), name


# -- verdicts


def test_verdicts_are_the_eight_with_their_exit_codes(tmp_path: Path) -> None:
    """The table has the eight words, and a run that reached one ends with the code beside it."""
    table = rows(section("README.md", "How to read a verdict"))[2:]
    assert tuple(sorted(row[0].strip("`") for row in table)) == tuple(sorted(VERDICTS))
    plan = Plan(tmp_path, find_profile("quick"))
    for verdict, _, code in table:
        session = Session(plan, Progress(Console(quiet=True)))
        session.verdicts["a claim", "a subject"] = verdict.strip("`")  # type: ignore[assignment]
        assert session.exit_code() == int(code), verdict


def test_one_comes_before_three(tmp_path: Path) -> None:
    """A run that deviates ends with 1, whatever else happened."""
    session = Session(Plan(tmp_path, find_profile("quick")), Progress(Console(quiet=True)))
    session.verdicts.update({("a", "s"): "suite error", ("b", "s"): "deviates"})
    assert session.exit_code() == 1


def test_kinds_are_in_order() -> None:
    """The README lists the kinds of deviation, gravest first."""
    said = re.sub(r"\s+", " ", section("README.md", "How to read a verdict"))
    assert ", ".join(KINDS) in said


def test_summary_is_of_claims_that_exist() -> None:
    """The summary fits 80 columns, and has the titles and verdicts of today."""
    block = text("README.md").split("<!-- summary: begin -->")[1].split("<!-- summary: end -->")[0]
    lines = re.search(r"```text\n(.*?)\n\n", block, re.DOTALL)
    assert lines is not None and all(len(line) <= 80 for line in block.splitlines())
    titles: list[str] = []
    for line in lines[1].splitlines()[1:]:
        row = re.fullmatch(rf"(\S.*?)  +({'|'.join(VERDICTS)}) +\d+", line.rstrip())
        if row:
            titles.append(row[1])
        elif not re.match(r"eager-\w+: not exercised", line):
            titles[-1] += " " + line.strip()
    assert set(titles) <= {claim.title for claim in CATALOGUE.values()}
    assert len(titles) >= len(CATALOGUE) - 2


# -- names and links


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    """Every relative link is to a file of the repository."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose(document)):
        if not target.startswith("http"):
            assert (ROOT / document).parent.joinpath(target).exists(), target


IDS = {*CATALOGUE, NEW_CLAIM, *(d.entry.id for d in register()), "autograd-conformance"}
SUBJECTS = {"eager-cpu", "eager-cuda", *TRANSFORMS}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_ids_exist(document: str) -> None:
    """Every hyphenated name in the text is a claim, a deviation, a subject or the suite itself."""
    for name in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", prose(document)):
        # Words that are added to the name of a mode stand in code as well.
        assert name in IDS | SUBJECTS or any(mode.endswith(name) for mode in TRANSFORMS), name


def test_every_claim_says_what_its_cases_are_held_to() -> None:
    """No claim without a law, and no law without a claim."""
    assert set(LAWS) == set(CATALOGUE)
    assert all(claim.law == LAWS[claim.id] for claim in CATALOGUE.values())


def test_quoted_claims_are_titles() -> None:
    """A claim quoted in the README is quoted by its title."""
    titles = {claim.title.replace("`", "") for claim in CATALOGUE.values()}
    for quoted in re.findall(r'^"([^"]+)"', section("README.md", "Three counterexamples"), re.M):
        assert quoted.replace("`", "") in titles


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_paths_in_the_text_exist(document: str) -> None:
    """A path in the text that starts with a folder of the repository is there."""
    for path in re.findall(
        r"`((?:strategies|conformance|reports|tests|docs|\.ci)/[^\s`]*)`", text(document)
    ):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("conformance.oracle.primitives", "PRIMITIVES"),
        ("conformance.oracle.functions", "VALUES"),
        ("conformance.oracle.functions", "PARTIALS"),
        ("conformance.model.quirks", "QUIRKS"),
        ("conformance.oracle.quirks", "REPLACED"),
        ("conformance.deviations", "SCRIPT_QUIRKS"),
        ("conformance.claims.catalogue", "ABOUT_PROGRAMS"),
        ("strategies.table.pointwise", "_addcmul"),
        ("tests.test_script_claims", "_MODULES"),
        ("tests.test_script_claims", "FAULTS"),
    ],
)
def test_places_that_contributors_change_exist(module: str, name: str) -> None:
    """CONTRIBUTING names these, and they are where it says."""
    assert f"`{name}`" in text("CONTRIBUTING.md")
    assert hasattr(importlib.import_module(module), name)


def test_methods_of_a_trial_exist() -> None:
    """What a claim's test can call is what CONTRIBUTING lists."""
    said = re.findall(r"^\| `trial\.(\w+)\(", text("CONTRIBUTING.md"), re.MULTILINE)
    assert said and all(callable(getattr(Trial, name)) for name in said)


# -- examples


EXAMPLES = re.findall(
    r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", text("README.md"), re.DOTALL | re.MULTILINE
)


@pytest.mark.parametrize(("script", "shown"), EXAMPLES)
def test_counterexample_does_what_it_says(script: str, shown: str) -> None:
    """The README's scripts print, or raise, what stands below them."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(script, "README.md", "exec"), {})
        except RuntimeError as error:
            print(f"RuntimeError: {error}")
    assert printed.getvalue() == shown


def test_there_are_three_counterexamples() -> None:
    assert len(EXAMPLES) == 3


def test_stale_view_is_mended_by_looking() -> None:
    """What the README says of the last counterexample: reading is_leaf makes the write succeed."""
    *before, last = EXAMPLES[2][0].splitlines()
    exec("\n".join([*before, "x0.is_leaf", last]), {})


def test_check_says_what_the_readme_shows(tmp_path: Path) -> None:
    """The README's program gets the README's verdict."""
    (program,) = blocks("README.md", "json")
    call, *shown = blocks("README.md", "console")[0].splitlines()
    file = tmp_path / "program.json"
    file.write_text(program, encoding="utf-8")
    arguments = [*shlex.split(call)[2:-1], str(file), "--in-process"]
    result = CliRunner().invoke(commands, arguments, standalone_mode=False)
    assert result.exception is None
    assert [line for line in result.stdout.splitlines() if line in shown] == shown


# -- walk-throughs


def test_operation_of_the_walk_through_is_a_row() -> None:
    """The line builds the table's own row, but for its further ways of writing."""
    line = next(b for b in blocks("CONTRIBUTING.md", "python") if b.startswith("_unary("))
    row = with_aliases(eval(line, vars(pointwise)))
    assert row == TABLE[row.name] and row.meaning in CODES


def walked(start: str) -> str:
    """The block of CONTRIBUTING that starts so."""
    return next(b for b in blocks("CONTRIBUTING.md", "python") if b.startswith(start))


@pytest.fixture
def new_claim(tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """The test of the walk-through's claim, and what puts it on trial in this process."""
    space: dict[str, Any] = {"Claim": Claim, "_NOTES": ""}
    exec(walked("# conformance/claims/"), space)
    claim = eval(walked("Claim("), space)
    assert claim.id == NEW_CLAIM and claim.id not in CATALOGUE
    with RecordWriter(tmp_path) as records, InProcessSubject("here") as subject:
        examiner = Examiner(subject, Machine())
        trial = Trial(claim, examiner, PROFILES["quick"], 0, records, tmp_path)
        trial.begin()
        yield space["test_fill_cuts_gradient"], trial


def test_claim_of_the_walk_through_conforms(new_claim: tuple[Any, Any]) -> None:
    test, trial = new_claim
    test(trial)
    assert test.claim_id == NEW_CLAIM
    assert trial.finish() == "conforms"


def test_claim_of_the_walk_through_catches_its_fault(
    new_claim: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails on the faulty torch, as the kind that CONTRIBUTING gives in its row of faults."""
    test, trial = new_claim
    for name in ("fill_", "zero_"):
        monkeypatch.setattr(torch.Tensor, name, getattr(torch.Tensor, name))
    exec(walked("# tests/faults/"), {})
    (row,) = blocks("CONTRIBUTING.md", "toml")[:1]
    ((name, fault),) = msgspec.toml.decode(row, type=dict[str, Fault]).items()
    with pytest.raises(Disagreement) as caught:
        test(trial)
    assert name == "fill_that_hides"
    (by,) = fault.by
    assert (by.claim, by.kinds) == (NEW_CLAIM, (caught.value.finding.kind,))
