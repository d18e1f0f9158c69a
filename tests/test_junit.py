"""JUnit's file holds every verdict of a folder, whatever its texts are made of."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from conformance.records import (
    Claim,
    Deviation,
    Finish,
    Host,
    RecordError,
    RecordWriter,
    Run,
    Start,
    Subject,
    Verdict,
    VerdictWord,
    read_run,
)
from reports.junit import render_junit
from reports.site import Sources, write_report

PLACE = ("a-claim", "eager-cpu")
OUTCOMES: dict[VerdictWord, str | None] = {
    "conforms": None,
    "known deviation": None,
    "unspecified": None,
    "deviates": "failure",
    "suite error": "error",
    "gave up": "error",
    "not exercised": "skipped",
}


def suite_of(folder: Path, *records: Verdict | Finish | Deviation | Start) -> ET.Element:
    """The test suite of a run of one claim with these lines."""
    with RecordWriter(folder) as writer:
        writer.write(
            Run(
                *("r1", "2026-01-01T00:00:00+00:00", "0.1", "quick", 7, "a command"),
                Host("3.12", "Linux"),
                (Subject("eager-cpu", "2.13.0"),),
                (Claim("a-claim", "A title", "It holds."),),
            )
        )
        for record in records:
            writer.write(record)
    root = ET.fromstring(render_junit([read_run(folder)]).encode())
    suite = root.find("testsuite")
    assert suite is not None
    return suite


@pytest.mark.parametrize(("verdict", "outcome"), OUTCOMES.items())
def test_outcome_of_each_verdict(tmp_path: Path, verdict: VerdictWord, outcome: str | None) -> None:
    """A deviation fails, what was not decided is an error, and what was not asked is skipped."""
    suite = suite_of(tmp_path, Start(*PLACE, 7), Finish(*PLACE, verdict, note="a reason"))
    (case,) = suite.findall("testcase")
    assert (case.get("classname"), case.get("name")) == ("eager-cpu", "a-claim")
    assert [child.tag for child in case if child.tag != "properties"] == [outcome] * bool(outcome)
    counts = {name: int(suite.get(name, "")) for name in ("failures", "errors", "skipped")}
    assert sum(counts.values()) == bool(outcome)


def test_claim_that_was_not_reached_is_an_error(tmp_path: Path) -> None:
    """A run that was cut off never looks like one that passed."""
    (case,) = suite_of(tmp_path).findall("testcase")
    error = case.find("error")
    assert error is not None and str(error.get("message")).startswith("interrupted: ")


def test_failure_has_the_message_and_the_script(tmp_path: Path) -> None:
    """And characters that XML does not know do no harm."""
    verdict = Verdict(
        *PLACE, "0" * 16, "deviates", "wrong value", "x is \x00 <b>", script="print(1)\n\x1b"
    )
    suite = suite_of(tmp_path, Start(*PLACE, 7), verdict, Finish(*PLACE, "deviates"))
    failure = suite.find("testcase/failure")
    assert failure is not None and failure.text == "print(1)\n\\x1b"
    assert failure.get("message") == "wrong value: x is \\x00 <b>"


@pytest.mark.parametrize("status", ["deviates", "unexpectedly conforms", "still", "not exercised"])
def test_entry_of_the_register(tmp_path: Path, status: str) -> None:
    """An entry that no longer does what it says fails the run, and is a case of its own."""
    entry = Deviation("one", "wrong flag", "a-claim", "A", "B", "eager-cpu", status)  # type: ignore[arg-type]
    suite = suite_of(tmp_path, entry, Start(*PLACE, 7), Finish(*PLACE, "conforms"))
    named = [
        case.get("name") for case in suite.findall("testcase") if case.find("failure") is not None
    ]
    assert named == (["one"] if status in ("deviates", "unexpectedly conforms") else [])


def test_report_of_several_runs_has_a_suite_for_each(tmp_path: Path) -> None:
    """`report` writes them beside its index, in the order of the runs, under names of their own."""
    for name, verdict in (("one", "conforms"), ("two", "deviates")):
        suite_of(tmp_path / name, Start(*PLACE, 7), Finish(*PLACE, verdict))  # type: ignore[arg-type]
    write_report(Sources((tmp_path / "one", tmp_path / "two")), tmp_path / "out")
    suites = ET.parse(tmp_path / "out" / "junit.xml").getroot().findall("testsuite")
    assert [suite.get("failures") for suite in suites] == ["0", "1"]
    assert len({suite.get("name") for suite in suites}) == 2


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    """It is named in one sentence."""
    suite_of(tmp_path / "run", Start(*PLACE, 7))
    (tmp_path / "out" / "junit.xml").mkdir(parents=True)
    with pytest.raises(RecordError, match="cannot be written"):
        write_report(Sources((tmp_path / "run",)), tmp_path / "out")
