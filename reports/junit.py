"""JUnit's XML of runs: a suite for each, one test case for each claim on each subject, and for each
entry of the register that no longer does what it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from conformance.records import Deviation, Row, RunRecords, summarise

_SUITE = "autograd-conformance"
_REGISTER = "register of known deviations"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(runs: Iterable[RunRecords]) -> str:
    """All that the records of each run's folder hold, earlier parts of a resumed run included.

    `deviates` and what the register no longer says are failures; what the suite did not decide
    (`suite error`, `gave up`, `interrupted`) is an error, `not exercised` is skipped, and the rest
    passes.
    """
    suites = ET.Element("testsuites", name=_SUITE)
    held = tuple(runs)
    for number, records in enumerate(held, start=1):
        suites.append(_suite(records, f"{_SUITE}, run {number}" if len(held) > 1 else _SUITE))
    ET.indent(suites)
    start = '<?xml version="1.0" encoding="utf-8"?>\n'
    return start + ET.tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


def _suite(records: RunRecords, name: str) -> ET.Element:
    suite = ET.Element("testsuite", name=name)
    rows = summarise(records)
    for row in rows:
        _case_of_row(suite, row, records)
    for entry in records.deviations.values():
        if entry.status in ("deviates", "unexpectedly conforms"):
            _case_of_entry(suite, entry)
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite)))
    suite.set("time", f"{sum(row.seconds for row in rows):.3f}")
    if records.run is not None:
        suite.set("timestamp", _clean(records.run.started))
    return suite


def _case_of_row(suite: ET.Element, row: Row, records: RunRecords) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_clean(row.subject),
        name=_clean(row.claim),
        time=f"{row.seconds:.3f}",
    )
    properties = ET.SubElement(case, "properties")
    for name, value in (
        ("title", row.title),
        ("verdict", row.verdict),
        ("judged", str(row.programs)),
    ):
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    if row.verdict == "deviates":
        attempt = records.attempts[row.claim, row.subject]
        for verdict in attempt.verdicts:
            if verdict.verdict == "deviates":
                _outcome(case, "failure", f"{verdict.kind}: {verdict.message}", verdict.script)
                # JUnit's form allows one outcome a case; the others are in the report.
                return
        _outcome(case, "failure", row.note or "deviates")
    elif row.verdict in ("suite error", "gave up", "interrupted"):
        _outcome(case, "error", f"{row.verdict}: {row.note}")
    elif row.verdict == "not exercised":
        _outcome(case, "skipped", row.note)


def _case_of_entry(suite: ET.Element, entry: Deviation) -> None:
    case = ET.SubElement(suite, "testcase", classname=_clean(entry.subject), name=_clean(entry.id))
    properties = ET.SubElement(case, "properties")
    ET.SubElement(properties, "property", name="title", value=_clean(entry.title))
    said = f"{entry.status}, and {_REGISTER} says: {entry.title}"
    _outcome(case, "failure", said + (f"; {entry.note}" if entry.note else ""), entry.script)


def _outcome(case: ET.Element, tag: str, message: str, text: str = "") -> None:
    outcome = ET.SubElement(case, tag, message=_clean(message))
    if text:
        outcome.text = _clean(text)


def _clean(text: str) -> str:
    """Text without the characters that XML cannot hold, which are shown by their numbers."""
    return _NO_XML.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
