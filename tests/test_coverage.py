"""Every in-place name of torch is in the op table, or left out for a reason."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner
from packaging.version import Version

from conformance.cli.lists import ops
from conformance.coverage import Coverage, coverage_of
from conformance.subjects import Subject
from strategies.table import TABLE, Row
from strategies.table.exclusions import EXCLUDED, excluded
from strategies.table.spelled import spelled, spelled_in_place
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def coverage(local: Subject) -> Coverage:
    """What the table covers of the installed torch."""
    return coverage_of(local)


def test_every_in_place_name_is_accounted_for(coverage: Coverage) -> None:
    """A new torch with a new in-place name fails here until somebody has dealt with it."""
    assert [covered.name for covered in coverage.of("missing")] == []


def test_all_public_methods_with_an_underscore_are_looked_up(coverage: Coverage) -> None:
    """`dir(torch.Tensor)` is the measure."""
    names = {covered.name for covered in coverage.names}
    found = {n for n in dir(torch.Tensor) if n.endswith("_") and not n.startswith("_")}
    assert {f"Tensor.{name}" for name in found} <= names
    assert {"F.relu_", "F.dropout", "nn.ReLU", "torch._foreach_exp_", "Tensor.__iadd__"} <= names


def first_seen() -> dict[str, tuple[Version, Version]]:
    """The last tried torch that lacks a name and the first with it; nothing if none lacks it."""
    seen: dict[str, tuple[Version, Version]] = {}
    lacks = has = Version("0")
    for line in (ROOT / "tests" / "first_seen.txt").read_text().splitlines():
        if line.startswith("  "):
            seen.update((name, (lacks, has)) for name in line.split())
        elif line and not line.startswith("#"):
            lacks, has = has, Version("99" if line == "later" else line)
    return seen


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_first_version_is_none_that_lacks_the_operation(row: Row) -> None:
    """A row's first torch is newer than every tried one that can spell it in no way."""
    names = first_seen()
    ways = [spelled(way) for way in (*row.plain.values(), *row.in_place.values())]
    lacking = [max((names[n][0] for n in way if n in names), default=None) for way in ways if way]
    if lacking and None not in lacking:
        oldest = min(version for version in lacking if version is not None)
        assert Version(row.since).release > oldest.release[:2], (row.since, lacking)


def test_at_least_130_in_place_methods_are_rows(coverage: Coverage) -> None:
    methods = [one for one in coverage.of("row") if one.space == "Tensor" and one.name[-2:] != "__"]
    assert len(methods) >= 130


def test_nothing_is_both_spelled_and_excluded() -> None:
    assert [name for name in spelled_in_place(TABLE) if excluded(name)] == []


def test_every_exclusion_matches_a_name(coverage: Coverage) -> None:
    """A reason for a name that no torch has any more must go."""
    names = {covered.name for covered in coverage.names}
    for key in EXCLUDED:
        space, _, name = key.partition(".")
        spaces = {n.partition(".")[0] for n in names if n.partition(".")[2] == name}
        assert spaces and space in ("*", *spaces), key


def test_what_the_table_spells_exists_in_some_space(coverage: Coverage) -> None:
    """An in-place template calls what torch has; F and nn by their `inplace`."""
    names = {covered.name for covered in coverage.names}
    unknown = set(spelled_in_place(TABLE)) - names
    assert unknown <= {"Tensor.requires_grad_"} | {n for n in unknown if n.startswith("Tensor.__")}


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{0}.add_({1}{p})", ["Tensor.add_"]),
        ("torch._foreach_add_([{0}], [{1}]{p})", ["torch._foreach_add_"]),
        ("F.relu({0}{p}, inplace=True)", ["F.relu"]),
        ("nn.ReLU({p}, inplace=True)({0})", ["nn.ReLU"]),
        ("{0} **= {1}", ["Tensor.__ipow__"]),
        ("{0}[{p}] = {1}", ["Tensor.__setitem__"]),
    ],
)
def test_names_are_read_off_a_template(template: str, names: list[str]) -> None:
    assert spelled(template) == names


def test_a_row_that_goes_is_missed(local: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its row, `addcmul_` is missing, and `ops` says so."""
    rows: dict[str, Row] = {name: row for name, row in TABLE.items() if name != "addcmul"}
    monkeypatch.setattr("conformance.coverage.TABLE", rows)
    assert "Tensor.addcmul_" in [covered.name for covered in coverage_of(local).of("missing")]


def test_ops_prints_the_coverage() -> None:
    """`ops --json` has every name of torch with the operation that spells it, or the reason."""
    result = CliRunner().invoke(ops, ["--json"])
    printed = json.loads(result.output)
    assert "relu_" in [name for row in printed["operations"] for name in row["names"]]
    (coverage,) = printed["coverage"]
    assert coverage["torch"] == torch.__version__
    assert coverage["names"]["Tensor.relu_"] == {"status": "row", "operation": "relu_"}
    assert coverage["names"]["Tensor.share_memory_"]["status"] == "excluded"
    assert sum(coverage["counts"].values()) == len(coverage["names"])
