"""The command `faults`: what it tries, what it prints, how it ends and how it goes on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from conformance.claims.catalogue import CATALOGUE
from conformance.cli import planted as command
from conformance.oracle.machine import Machine
from conformance.planted import (
    RESULTS,
    Bench,
    Fault,
    Tried,
    proofs,
    read_faults,
    read_tried,
    sentence,
)
from conformance.profiles import PROFILES
from conformance.records import read_run
from conformance.usage import UsageError
from tests.planted import FOLDER, subset
from tests.test_cli import Command, Said, ac, one_sentence

__all__ = ["ac"]

ROW = '[detach_that_copies]\nby = [{ claim = "detach-shares", as = ["wrong aliasing"] }]\n'


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with faults of its own: one that is caught, and one that nobody can see."""
    folder = tmp_path / "planted"
    folder.mkdir()
    shutil.copy(FOLDER / "detach_that_copies.py", folder)
    (folder / "nothing.py").write_text('"""Nothing is changed."""\n')
    row = '[nothing]\nby = [{ claim = "no-grad-golden", as = ["wrong value"] }]\n'
    (folder / "faults.toml").write_text(
        '[detach_that_copies]\nby = [{ claim = "detach-shares", '
        f'as = ["missing error", "wrong aliasing", "wrong value"] }}]\n{row}'
    )
    return folder


# -- the table


def test_every_module_of_faults_is_in_the_table() -> None:
    """But for the one that shows what torch would do without a registered deviation."""
    modules = {path.stem for path in FOLDER.glob("*.py")}
    assert modules - set(read_faults(FOLDER)) == {"view_that_forgets_in_no_grad"}


def test_every_claim_catches_a_fault_of_the_subset() -> None:
    caught = {by.claim for fault in subset().values() for by in fault.by}
    assert caught == set(CATALOGUE) == set(proofs())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (None, "There is no table of planted faults at"),
        ("[a", "cannot be read as a table of faults"),
        ('[a]\nby = [{ claim = "x", as = ["odd"] }]\n', "cannot be read as a table of faults"),
        ('[a]\nby = [{ claim = "x", as = [] }]\n', "names the claim 'x', which is not there"),
        (ROW, "there is no module detach_that_copies.py beside it"),
    ],
)
def test_table_that_cannot_be_used(tmp_path: Path, table: str | None, said: str) -> None:
    """One sentence says what is wrong with it."""
    if table is not None:
        (tmp_path / "faults.toml").write_text(table)
    with pytest.raises(UsageError) as refused:
        read_faults(tmp_path)
    assert said in str(refused.value) and str(refused.value).endswith(".")


# -- the command


QUICK = ("--profile", "quick", "--seed", "1", "--folder", "planted", "--out", "seen")


def lines(folder: Path) -> list[str]:
    return (folder / RESULTS).read_text().splitlines()


def test_command_tries_each_fault_and_ends_with_one_if_any_is_missed(
    ac: Command, here: Path, tmp_path: Path
) -> None:
    """It prints both, and leaves records that `report --planted` draws."""
    said = ac("faults", *QUICK)
    assert said.code == 1
    assert "Not caught: nothing by no-grad-golden, seed 1 (conforms)." in said.out
    assert "2 faults, 2 pairs of a fault and a claim, 2 trials: 1 not caught." in said.out
    assert "2/2 nothing by no-grad-golden, seed 1: NOT CAUGHT (conforms)" in said.err
    one, other = read_tried(tmp_path / "seen")
    assert one.caught and 1 <= one.size <= 4 and not one.script and one.programs >= 1
    assert not other.caught
    run = read_run(tmp_path / "seen" / "seed-1" / "detach_that_copies")
    (verdict,) = (v for v in run.verdicts if v.verdict == "deviates")
    assert verdict.detected is not None and verdict.detected.cases == one.programs


def test_one_fault_alone(ac: Command, here: Path) -> None:
    """A part of the matrix can be run by itself, and ends with 0 where all is caught."""
    said = ac("faults", *QUICK, "--fault", "detach_that_copies", "--markdown")
    assert said.code == 0
    (row,) = (line for line in said.out.splitlines() if line.startswith("| `detach_that_copies` |"))
    assert "| `detach-shares` |" in row


def test_what_was_tried_is_not_tried_again(ac: Command, here: Path, tmp_path: Path) -> None:
    """--resume goes on where a run was stopped, in the middle of a line if need be."""
    ac("faults", *QUICK, "--fault", "nothing")
    (before,) = lines(tmp_path / "seen")
    with (tmp_path / "seen" / RESULTS).open("a") as file:
        file.write('{"fault":"detach_that_co')
    said = ac("faults", *QUICK, "--resume")
    assert "nothing by" not in said.err
    assert lines(tmp_path / "seen")[0] == before
    assert "2 faults, 2 pairs" in said.out


def test_a_fault_that_is_caught_as_something_else_counts_as_missed(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    """The table says as what; anything else may be another fault."""
    monkeypatch.chdir(tmp_path)
    folder = here.relative_to(tmp_path)
    (fault,) = (f for name, f in read_faults(folder).items() if name != "nothing")
    by = replace_kinds(fault, "crash")
    bench = Bench(folder, Path("seen"), replace(PROFILES["quick"], shrink_s=5.0), machine)
    (one,) = bench.put("detach_that_copies", fault, {"detach-shares": by.by[0]}, 1)
    assert not one.caught and one.why.endswith("which the table does not expect")


def replace_kinds(fault: Fault, kind: str) -> Fault:
    """The fault, to be caught as something else."""
    by = msgspec.structs.replace(fault.by[0], kinds=(kind,))
    return msgspec.structs.replace(fault, by=(by,))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fault", "nope"), ("no fault 'nope'",)),
        (("--claim", "nope"), ("claim 'nope'",)),
        (("--profile", "nope"), ("profile 'nope'",)),
        (("--folder", "elsewhere"), ("no table of planted faults", "--folder")),
        (("--folder", "/tmp"), ("does not lie below",)),
    ],
)
def test_bad_input_of_faults_is_one_sentence(
    ac: Command, here: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    given: Said = ac("faults", *QUICK, *arguments)
    one_sentence(given, *words)


# -- what is printed


def tried(fault: str, claim: str, seed: int, *, caught: bool = True, size: int = 3) -> Tried:
    kind = "wrong value" if caught else ""
    return Tried(fault, claim, seed, "default", caught, kind, 10 * seed, 1.0 * seed, size)


SEEN = [
    *(tried("one", "detach-shares", seed) for seed in (1, 2, 3)),
    *(tried("two", "relu-golden", seed, caught=seed < 3) for seed in (1, 2, 3)),
]


def test_matrix_has_a_row_for_each_fault_and_a_letter_for_each_claim() -> None:
    """In the catalogue's order; one seed that misses is enough not to be marked as caught."""
    assert list(command.matrix(SEEN))[:3] == ["    ab", "one .x", "two -."]


def test_markdown_has_the_median_and_the_most(tmp_path: Path) -> None:
    """And says what each fault does, in the words of its module."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(f'"""It is {name}."""\n')
    assert list(command.as_markdown(SEEN, tmp_path))[2:] == [
        "| `one` | It is one | `detach-shares` | wrong value | 3/3 | 20 (most 30) | "
        "2.0 (most 3.0) | 3 steps |",
        "| `two` | It is two | `relu-golden` | wrong value | 2/3 | 15 (most 20) | "
        "1.5 (most 2.0) | 3 steps |",
    ]


def test_the_document_of_faults_has_each_with_its_sentence_and_claims() -> None:
    text = (FOLDER.parents[1] / "docs" / "planted-faults.md").read_text()
    for name, fault in read_faults(FOLDER).items():
        for by in fault.by:
            row = f"| `{name}` | {sentence(FOLDER, name).rstrip('.')} | `{by.claim}` |"
            assert row in text, row
