"""Figures that people would rather look at than read: how much, how long, since when, how soon."""

from __future__ import annotations

import math
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from conformance.records import RowVerdict, RunRecords, Verdict
from reports.columns import Column
from reports.page import Page
from reports.words import SEVERITY, duration

_WIDE = 1000
"""Of every bar's picture, in units of its own."""


@dataclass(frozen=True)
class Bar:
    """A bar of some length, and what it says."""

    length: float
    text: str


@dataclass(frozen=True)
class Effort:
    """What a claim took, over all subjects."""

    title: str
    page: str
    programs: Bar
    seconds: Bar


@dataclass(frozen=True)
class Part:
    """A stretch of a bar that is made of several: claims of one verdict."""

    verdict: RowVerdict
    start: float
    length: float
    count: int


@dataclass(frozen=True)
class Standing:
    """The claims of one subject by verdict."""

    column: Column
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Detection:
    """A planted fault and how soon a claim found it; without a bar, it did not."""

    fault: str
    claim: str
    kind: str
    cases: Bar | None
    seconds: str


@dataclass(frozen=True)
class Plots:
    """All figures; what the longest bars stand for is said in words, since bars grow by tens."""

    efforts: tuple[Effort, ...]
    most_programs: str
    most_seconds: str
    standings: tuple[Standing, ...]
    detections: tuple[Detection, ...]
    most_cases: str


def plots(page: Page, planted: Sequence[RunRecords]) -> Plots:
    """The figures of a report, and of the runs whose subjects have a planted fault."""
    done = [
        (
            view,
            sum(cell.row.programs for cell in view.cells if cell.row),
            sum(cell.row.seconds for cell in view.cells if cell.row),
        )
        for view in page.claims
    ]
    most = max((programs for _, programs, _ in done), default=0)
    longest = max((seconds for _, _, seconds in done), default=0.0)
    efforts = tuple(
        Effort(
            view.claim.title,
            view.page,
            Bar(_by_tens(programs, most, 1), f"{programs:,}"),
            Bar(_by_tens(seconds, longest, 0.1), duration(seconds)),
        )
        for view, programs, seconds in done
    )
    found, most_cases = _detections(planted)
    return Plots(
        efforts,
        f"{most:,}",
        duration(longest),
        tuple(_standing(page, n, column) for n, column in enumerate(page.columns)),
        found,
        f"{most_cases:,}",
    )


def _by_tens(value: float, most: float, least: float) -> float:
    """A length that grows by the same for each power of ten, from `least` up."""
    if value <= 0 or most <= 0:
        return 0.0
    steps = math.log10(max(value, least) / least) + 0.15
    return round(_WIDE * steps / (math.log10(max(most, least) / least) + 0.15), 1)


def _standing(page: Page, number: int, column: Column) -> Standing:
    tally = Tally(view.cells[number].verdict for view in page.claims)
    total = sum(tally.values())
    parts, start = [], 0.0
    for verdict in reversed(SEVERITY):
        if tally[verdict]:
            length = _WIDE * tally[verdict] / total
            parts.append(Part(verdict, round(start, 1), round(length, 1), tally[verdict]))
            start += length
    return Standing(column, tuple(parts))


def _detections(planted: Iterable[RunRecords]) -> tuple[tuple[Detection, ...], int]:
    """Each fault by each claim that was put to it, those that took longest first."""
    found: list[tuple[str, str, Verdict | None]] = []
    for records in planted:
        titles = {c.id: c.title for c in records.run.claims} if records.run else {}
        for (claim, subject), attempt in records.attempts.items():
            wrong = [v for v in attempt.verdicts if v.verdict == "deviates"]
            first = next((v for v in wrong if v.detected), wrong[0] if wrong else None)
            found.append((_fault(subject), titles.get(claim, claim), first))
    cases = [v.detected.cases for _, _, v in found if v and v.detected]
    most = max(cases, default=0)
    found.sort(key=lambda one: -(one[2].detected.cases if one[2] and one[2].detected else 0))
    missed = [one for one in found if one[2] is None]
    caught = [one for one in found if one[2] is not None]
    return tuple(_detection(*one, most) for one in (*missed, *caught)), most


def _detection(fault: str, claim: str, verdict: Verdict | None, most: int) -> Detection:
    if verdict is None:
        return Detection(fault, claim, "", None, "")
    seen = verdict.detected
    if seen is None:
        return Detection(fault, claim, verdict.kind or "", Bar(0, "found"), "")
    bar = Bar(_by_tens(seen.cases, most, 1), f"{seen.cases:,}")
    return Detection(fault, claim, verdict.kind or "", bar, duration(seen.seconds))


def _fault(subject: str) -> str:
    """A fault by the name of the module that plants it."""
    return subject.rpartition("import=")[2].rpartition(".")[2].replace("_", " ")
