"""What a report leaves for machines: JSON, CTRF, a summary in Markdown, a badge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import msgspec
import pytest

from conformance.records import VERDICTS, Deviation, Verdict, VerdictWord, read_run
from reports.badge import LABEL, badge_of
from reports.ctrf import STATUS
from reports.data import ReportData
from reports.page import build_page
from reports.site import Sources, write_report
from tests.test_pages import PROGRAM, ended, run_of
from tests.test_report import pages


def made(tmp_path: Path, *records: Any, **options: Any) -> dict[str, str]:
    return pages(run_of(tmp_path / "run", *records, **options))


# -- JSON


def test_report_as_json_holds_what_the_pages_say(tmp_path: Path) -> None:
    """Read by its own schema: subjects, cells in their order, findings with scripts and pages."""
    wrong = Verdict("c", "s", PROGRAM, "deviates", "hang", "it hangs", "print(1)")
    files = made(tmp_path, wrong, ended("deviates"))
    data = msgspec.json.decode(files["report.json"], type=ReportData, strict=True)
    assert data.schema == 1
    assert [(subject.label, subject.torch) for subject in data.subjects] == [("s", "2.13.0")]
    (claim,) = data.claims
    assert (claim.verdict, claim.cells[0].verdict, claim.cells[0].programs) == (
        *("deviates", "deviates", 3),
    )
    (finding,) = data.findings
    assert (finding.kind, finding.message, finding.script) == ("hang", "it hangs", "print(1)")
    assert {claim.page, finding.page} <= set(files)
    assert data.tally == {"deviates": 1} and data.judged == {"deviates": 3}


# -- CTRF

SCHEMA = Path(__file__).parent / "ctrf" / "schema-0.0.json"
"""The format's own schema, as its package `ctrf` 0.3.0 brings it (MIT License)."""


def ctrf(tmp_path: Path, *records: Any) -> dict[str, Any]:
    """The document, which keeps to the format's own schema."""
    found: dict[str, Any] = json.loads(made(tmp_path, *records)["ctrf.json"])
    judge = jsonschema.Draft7Validator(
        json.loads(SCHEMA.read_text(encoding="utf-8")),
        format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER,
    )
    judge.validate(found)
    assert not judge.is_valid({**found, "verdicts": []}), "it admits no keys of ours"
    return found


@pytest.mark.parametrize("verdict", VERDICTS)
def test_each_verdict_has_its_status(tmp_path: Path, verdict: VerdictWord) -> None:
    """A test fails where a claim deviates, and says the verdict in its own word besides."""
    results = ctrf(tmp_path, ended(verdict))["results"]
    (test,) = results["tests"]
    assert (test["status"], test["rawStatus"]) == (STATUS[verdict], verdict)
    assert results["summary"][STATUS[verdict]] == results["summary"]["tests"] == 1
    assert test["duration"] == 2000


def test_failure_has_message_and_script(tmp_path: Path) -> None:
    """What a tool shows of a failed test is the finding."""
    wrong = Verdict("c", "s", PROGRAM, "deviates", "hang", "it hangs", "print(1)")
    (test,) = ctrf(tmp_path, wrong, ended("deviates"))["results"]["tests"]
    assert (test["message"], test["trace"]) == ("hang: it hangs", "print(1)")


def test_entry_that_no_longer_fits_is_a_failed_test(tmp_path: Path) -> None:
    """As the exit code of the run says."""
    entry = Deviation(
        "d", "hang", "c", "An entry", "why", "s", "unexpectedly conforms", note="gone"
    )
    first, second = ctrf(tmp_path, ended("conforms"), entry)["results"]["tests"]
    assert (first["status"], second["status"], second["name"]) == ("passed", "failed", "An entry")


def test_a_test_keeps_its_id(tmp_path: Path) -> None:
    """Tools follow a test over runs by it."""
    ids = [
        [test["id"] for test in ctrf(tmp_path / verdict, ended(verdict))["results"]["tests"]]
        for verdict in VERDICTS[:2]
    ]
    assert ids[0] == ids[1]


# -- Markdown


def test_summary_says_verdicts_findings_and_how_to_repeat_it(tmp_path: Path) -> None:
    """A heading with the counts, the finding with its script folded, and the command."""
    wrong = Verdict("c", "s", PROGRAM, "deviates", "hang", "it *hangs*", "print(1)\n```\n")
    said = made(tmp_path, wrong, ended("deviates"))["summary.md"]
    assert said.startswith("## Autograd conformance: ✗ 1 deviates\n")
    for fragment in (
        "**hang** against *A claim* on s",
        r"it \*hangs\*",
        "````python\nprint(1)\n```\n````",
        "| A claim | ✗ deviates |",
        "```\nrun\n```",
    ):
        assert fragment in said, fragment


def test_summary_says_what_changed(tmp_path: Path) -> None:
    """Since the run before, as the index does."""
    old = run_of(tmp_path / "old", ended("conforms"), id="o", started="2026-03-01T10:00:00+00:00")
    new = run_of(tmp_path / "new", ended("deviates"), id="n")
    said = pages(new, before=(old,))["summary.md"]
    assert "Regression: 1 new" in said and "- new: A claim" in said


# -- badge


@pytest.mark.parametrize(
    ("records", "message", "colour"),
    [
        ([ended("deviates")], "1 of 1 claim deviating", "red"),
        ([ended("conforms")], "1 claim holds", "brightgreen"),
        ([ended("known deviation")], "1 claim holds, 1 with known deviations", "brightgreen"),
        ([ended("gave up")], "not a complete result", "blueviolet"),
        ([ended("not exercised", 0)], "not a complete result", "blueviolet"),
        (
            [
                ended("conforms"),
                Deviation("d", "hang", "c", "An entry", "why", "s", "unexpectedly conforms"),
            ],
            "the register no longer fits",
            "red",
        ),
    ],
)
def test_badge_says_how_the_claims_stand(
    tmp_path: Path, records: list[Any], message: str, colour: str
) -> None:
    """The image and the endpoint of a badge service say the same."""
    files = made(tmp_path, *records)
    endpoint = json.loads(files["badge.json"])
    assert endpoint == {"schemaVersion": 1, "label": LABEL, "message": message, "color": colour}
    root = ET.fromstring(files["badge.svg"])
    assert root.get("aria-label") == f"{LABEL}: {message}"
    assert badge_of(build_page([read_run(tmp_path / "run")])).message == message


def test_files_lie_beside_the_index(tmp_path: Path) -> None:
    """Under the names that the documents give."""
    write_report(Sources((run_of(tmp_path / "run", ended("conforms")),)), tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        *(
            "index.html",
            "report",
            "report.json",
            "ctrf.json",
            "junit.xml",
            "summary.md",
            "badge.json",
        ),
        "badge.svg",
    }
