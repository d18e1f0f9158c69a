"""A report in the Common Test Report Format (https://ctrf.io): one test for each claim and subject,
and for each entry of the register that no longer does what it says.
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any

from conformance.records import RowVerdict
from reports.page import Cell, ClaimView, Page

VERSION = "0.0.0"
"""Of the format's specification."""
STATUS: dict[RowVerdict, str] = {
    "conforms": "passed",
    "known deviation": "passed",
    "unspecified": "passed",
    "deviates": "failed",
    "unexpectedly conforms": "failed",
    "not exercised": "skipped",
    "gave up": "other",
    "suite error": "other",
    "interrupted": "other",
}
"""Verdict -> the format's word; the verdict itself is `rawStatus`."""
_STATUSES = ("passed", "failed", "skipped", "pending", "other")
_NAMES = uuid.UUID("6f1d6a5e-9a0c-5b57-8f2e-5c0f3d0a7b11")


def render_ctrf(page: Page) -> str:
    """The whole document; what the suite did not decide is `other`."""
    tests = [
        *(_of_cell(page, view, cell) for view in page.claims for cell in view.cells),
        *_of_register(page),
    ]
    counts = {status: sum(test["status"] == status for test in tests) for status in _STATUSES}
    starts = [_milliseconds(r.run.started) for r in page.runs if r.run]
    stops = [_milliseconds(r.end.finished) for r in page.runs if r.end]
    start = min(starts, default=0)
    document = {
        "reportFormat": "CTRF",
        "specVersion": VERSION,
        "generatedBy": "autograd-conformance",
        "results": {
            "tool": {
                "name": "autograd-conformance",
                "version": next((r.run.suite for r in page.runs if r.run), ""),
            },
            "summary": {
                "tests": len(tests),
                **counts,
                "start": start,
                "stop": max([start, *stops]),
            },
            "tests": tests,
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _of_cell(page: Page, view: ClaimView, cell: Cell) -> dict[str, Any]:
    test = {
        "id": _id(view.claim.id, cell.column.label),
        "name": view.claim.title or view.claim.id or "a claim without a name",
        "status": STATUS[cell.verdict],
        "rawStatus": cell.verdict,
        "duration": round(1000 * (cell.row.seconds if cell.row else 0)),
        "suite": [cell.column.label or "a subject without a name"],
        "tags": [view.claim.id],
        "extra": {"programs": dict(cell.counts)},
    }
    if cell.verdict == "deviates":
        test |= _failure(page, view, cell)
    elif cell.note:
        test["message"] = cell.note
    return test


def _failure(page: Page, view: ClaimView, cell: Cell) -> dict[str, str]:
    """The gravest of the findings; the others are in the report."""
    for group in page.findings:
        for item in group.shown:
            if item.verdict.claim == view.claim.id and cell.column in item.columns:
                message = ": ".join(filter(None, (group.kind, item.verdict.message)))
                return {"message": message, "trace": item.script}
    return {"message": cell.note}


def _of_register(page: Page) -> list[dict[str, Any]]:
    return [
        {
            "id": _id(item.entry.id, status.subject),
            "name": item.entry.title or item.entry.id or "an entry without a name",
            "status": "failed",
            "rawStatus": status.status,
            "duration": 0,
            "suite": [status.subject or "a subject without a name", "known deviations"],
            "message": status.note,
            "trace": item.script,
        }
        for item in page.known
        for status in item.statuses
        if status.status in ("deviates", "unexpectedly conforms")
    ]


def _id(name: str, subject: str) -> str:
    """The same in every run, so that tools can follow a test."""
    return str(uuid.uuid5(_NAMES, f"{name}\0{subject}"))


def _milliseconds(moment: str) -> int:
    try:
        return round(1000 * datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp())
    except ValueError:
        return 0
