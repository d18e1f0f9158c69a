"""docs/findings.md is true: each section is whole, and each script shows what the section says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from conformance.deviations import register
from tools.findings import (
    COMPILERS,
    ENDINGS,
    FIELDS,
    LINES,
    PAGE,
    SEVERITIES,
    UNCLEAR,
    Finding,
    compiler,
    ending,
    findings,
    run,
    stated,
    versions,
    with_table,
)

TEXT = PAGE.read_text(encoding="utf-8")
ALL = findings(TEXT)
NAMES = [finding.title for finding in ALL]
HERE = Version(torch.__version__).base_version
SILENT = SEVERITIES[:2]

each = pytest.mark.parametrize("finding", ALL, ids=NAMES)


# -- the sections


def test_headings_are_distinct() -> None:
    """A root cause has one section, and a section one heading."""
    assert [name for name, count in Counter(NAMES).items() if count > 1] == []


def test_causes_are_distinct() -> None:
    """No two sections give one cause."""
    causes = Counter(finding.fields["Cause"] for finding in ALL)
    assert [cause for cause, count in causes.items() if count > 1] == []


def test_there_are_as_many_as_the_page_is_for() -> None:
    """At least 40 root causes, of which at least 20 are silent."""
    assert len(ALL) >= 40
    assert sum(finding.fields["Severity"] in SILENT for finding in ALL) >= 20


@each
def test_section_is_whole(finding: Finding) -> None:
    """Severity, subject, cause, what is right and by which authority, versions, upstream."""
    assert tuple(finding.fields) == FIELDS
    assert all(finding.fields.values()), finding.fields
    assert finding.fields["Severity"] in SEVERITIES


@each
def test_script_is_short_and_imports_torch_alone(finding: Finding) -> None:
    """Anybody can run it on its own: 12 lines, torch, and at most Python's own math."""
    lines = finding.script.splitlines()
    assert 3 <= len(lines) <= LINES
    assert max(map(len, lines)) <= 100
    imports = [line for line in lines if re.match("import|from", line)]
    assert [line for line in imports if line != "import math"] == ["import torch"]


@each
def test_script_ends_by_saying_what_it_came_to(finding: Finding) -> None:
    """It has a line for each of the two endings, and prints what torch gives and what is right."""
    for how in ENDINGS:
        assert f'"{how}"' in finding.script
    assert '"torch:' in finding.script
    assert "right:" in finding.script


@each
def test_versions_name_the_one_that_the_page_is_about(finding: Finding) -> None:
    """It deviates on 2.13.0, which is stated with all others that were tried."""
    said = stated(finding.fields["Versions"])
    assert said["2.13.0"] == "deviates"
    assert versions(said) == finding.fields["Versions"]


def test_entries_of_the_register_exist_and_are_all_there() -> None:
    """Each deviation that is registered for torch 2.13 is named, and no other is."""
    named = re.findall(r"`([\w-]+)`", " ".join(re.findall(r"\(Register:\s(.*?)\)", TEXT)))
    entries = [deviation.entry for deviation in register()]
    known = [entry.id for entry in entries if SpecifierSet(entry.torch).contains("2.13.0")]
    assert sorted(named) == sorted(known)


def test_table_is_that_of_the_sections() -> None:
    """`python -m tools.findings` would change nothing."""
    assert with_table(TEXT) == TEXT


# -- the scripts


def wrong(found: Sequence[Finding]) -> dict[str, str]:
    """What the scripts printed that do not end as their section says of this torch."""
    version, outputs = run(found)
    assert Version(version).base_version == HERE
    said = {finding.title: stated(finding.fields["Versions"]).get(HERE) for finding in found}
    assert any(said.values()), f"no section says anything of torch {HERE}"
    return {
        title: output
        for title, output in outputs.items()
        if said[title] and ending(output) != said[title]
    }


def test_scripts_that_compile_nothing_deviate() -> None:
    """Eager, hooks, checkpoint, torch.func and forward mode."""
    assert wrong([finding for finding in ALL if not finding.compiled_by]) == {}


def test_scripts_that_compile_without_a_compiler_deviate() -> None:
    """torch.compile with a backend that makes no C++."""
    found = [f for f in ALL if f.compiled_by and not f.needs_compiler]
    assert wrong(found) == {}


@pytest.mark.skipif(not compiler(), reason=f"inductor needs one of {', '.join(COMPILERS)}")
def test_scripts_that_need_a_compiler_deviate() -> None:
    """torch.compile by inductor."""
    assert wrong([finding for finding in ALL if finding.needs_compiler]) == {}


def test_each_script_is_run_by_one_of_the_tests_above() -> None:
    """Every script that compiles says with which backend, in its subject too."""
    for finding in ALL:
        assert bool(finding.compiled_by) == ("torch.compile" in finding.script)


def test_a_script_that_conforms_is_noticed() -> None:
    """The check can fail: a script of something that torch does right ends otherwise."""
    right = Finding(
        "a sum", {"Versions": f"deviates on {HERE}"}, 'import torch\nprint("conforms")\n'
    )
    broken = Finding(
        "a fault of ours", {"Versions": f"deviates on {HERE}"}, "import torch\nraise ValueError\n"
    )
    seen = wrong([right, broken])
    assert [ending(output) for output in seen.values()] == ["conforms", UNCLEAR]
