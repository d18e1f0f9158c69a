"""From records to what a page shows: columns, the matrix of claims, findings, the register."""

from __future__ import annotations

import re
from collections import Counter as Tally
from dataclasses import dataclass
from functools import cached_property

from conformance.records import (
    Claim,
    Counterexample,
    Finish,
    Kind,
    Row,
    RowVerdict,
    RunRecords,
    Subject,
    Verdict,
    VerdictWord,
    summarise,
)
from reports.findings import Finding, FindingGroup, Known, findings, known_deviations, unjudged
from reports.words import ARTICLES, NO_ARTICLE, SEVERITY, gravity, slug

_MOST = 8
"""Reasons that are shown of one claim on one subject."""
_RESULT = re.compile(r"\bx\d+\b")
"""The name of a drawn result."""


@dataclass(frozen=True)
class Column:
    """One subject of one run.

    `label` tells it from every other column; `run` is there only where name and version do not.
    """

    label: str
    run: str
    subject: Subject
    records: RunRecords


@dataclass(frozen=True)
class Reason:
    """Why programs could not be decided, and what the subject did with them."""

    text: str
    programs: int
    raised: int
    """In how many of them the subject raised; the others ran to their end, if `seen`."""
    seen: tuple[Verdict, ...]
    """One program that raised and one that ran to its end, where the records tell."""


@dataclass(frozen=True)
class Cell:
    """One claim on one subject."""

    column: Column
    row: Row | None
    finish: Finish | None
    reasons: list[Reason]

    @property
    def verdict(self) -> RowVerdict:
        """The verdict of the claim; one that its run did not have is not exercised."""
        return self.row.verdict if self.row else "not exercised"

    @property
    def note(self) -> str:
        """What a reader must know of this cell."""
        return self.row.note if self.row else "this claim was not part of the run"

    @property
    def counts(self) -> list[tuple[VerdictWord, int]]:
        """Programs by verdict, most first."""
        return sorted(self.row.counts.items(), key=lambda item: -item[1]) if self.row else []


@dataclass(frozen=True)
class Bound:
    """A counterexample outside a claim's scope and the subjects on which it was found."""

    example: Counterexample
    subjects: list[str]


@dataclass(frozen=True)
class ClaimView:
    """A claim with its cells in the order of the columns."""

    claim: Claim
    anchor: str
    cells: list[Cell]
    bounds: list[Bound]

    @cached_property
    def worst(self) -> RowVerdict:
        """The verdict that needs attention most among all subjects."""
        return min((cell.verdict for cell in self.cells), key=SEVERITY.index)


@dataclass(frozen=True)
class Group:
    """The claims of one article."""

    title: str
    claims: list[ClaimView]


@dataclass(frozen=True)
class Page:
    """All that the template reads."""

    runs: list[RunRecords]
    columns: list[Column]
    groups: list[Group]
    findings: list[FindingGroup]
    known: list[Known]
    unjudged: list[Finding]

    @property
    def claims(self) -> list[ClaimView]:
        """Every claim in the order of the page."""
        return [claim for group in self.groups for claim in group.claims]

    @property
    def tally(self) -> list[tuple[RowVerdict, int]]:
        """How many claims have each verdict, the one that needs attention most first."""
        tally = Tally(claim.worst for claim in self.claims)
        return [(verdict, tally[verdict]) for verdict in SEVERITY if tally[verdict]]

    @property
    def programs(self) -> int:
        """Programs judged over all claims and subjects."""
        return sum(cell.row.programs for claim in self.claims for cell in claim.cells if cell.row)

    @property
    def exercised(self) -> int:
        """How many subjects were there to be exercised."""
        return sum(column.subject.status == "available" for column in self.columns)

    @property
    def deviating(self) -> int:
        """How many claims deviate, whether or not the records hold the programs that show it."""
        return sum(claim.worst == "deviates" for claim in self.claims)

    @property
    def incomplete(self) -> int:
        """How many claims were cut off, or not judged on some program, and so prove nothing yet."""
        troubled = {item.anchor for item in self.unjudged}
        unfinished = ("interrupted", "suite error", "gave up")
        return sum(
            claim.anchor in troubled or any(cell.verdict in unfinished for cell in claim.cells)
            for claim in self.claims
        )

    @property
    def torches(self) -> list[str]:
        """The versions of torch that were exercised, each once."""
        return list(dict.fromkeys(c.subject.torch for c in self.columns if c.subject.torch))

    @property
    def gravest_known(self) -> Kind:
        """The gravest kind in the register as the runs met it; there must be an entry."""
        return min((item.entry.kind for item in self.known), key=gravity)

    @property
    def broken(self) -> list[str]:
        """A sentence for each line that could not be read."""
        return [sentence for records in self.runs for sentence in records.broken]


def build_page(runs: list[RunRecords]) -> Page:
    """Everything that a page about these runs shows."""
    rows = [{(row.claim, row.subject): row for row in summarise(records)} for records in runs]
    columns = _columns(runs, rows)
    by_column = dict(zip(map(id, runs), rows, strict=True))
    claims = _claims(runs, rows)
    anchors = _anchors(claims)
    views = {
        claim.id: ClaimView(
            claim,
            anchors[claim.id],
            [_cell(column, by_column[id(column.records)], claim.id) for column in columns],
            _bounds(columns, claim.id),
        )
        for claim in claims.values()
    }
    seen = [
        (column.label, verdict)
        for column in columns
        for claim in claims
        for verdict in _verdicts(column, claim)
        if verdict.verdict != "conforms"
    ]
    named = {claim.id: (claim.title, anchors[claim.id]) for claim in claims.values()}
    scripts = _scripts(runs)
    entries = [
        (column.label, entry)
        for column in columns
        for (_, subject), entry in column.records.deviations.items()
        if subject == column.subject.name
    ]
    return Page(
        runs,
        columns,
        _groups(list(views.values())),
        findings(seen, named, scripts),
        known_deviations(entries, seen, named, scripts),
        unjudged(seen, named, scripts),
    )


def _columns(runs: list[RunRecords], rows: list[dict[tuple[str, str], Row]]) -> list[Column]:
    found: list[tuple[Subject, RunRecords]] = []
    for records, summary in zip(runs, rows, strict=True):
        subjects = {s.name: s for s in records.run.subjects} if records.run else {}
        for _, name in summary:
            subjects.setdefault(name, Subject(name))
        found += [(subject, records) for subject in subjects.values()]
    names = Tally(subject.name for subject, _ in found)
    versions = Tally((subject.name, subject.torch) for subject, _ in found)
    columns = []
    for subject, records in found:
        label, run = subject.name, ""
        if names[subject.name] > 1:
            label += f", torch {subject.torch or 'unknown'}"
        if versions[subject.name, subject.torch] > 1:
            run = records.run.id if records.run else records.path.name
            label += f", run {run}"
        columns.append(Column(label, run, subject, records))
    return columns


def _claims(runs: list[RunRecords], rows: list[dict[tuple[str, str], Row]]) -> dict[str, Claim]:
    claims: dict[str, Claim] = {}
    for records in runs:
        for claim in records.run.claims if records.run else ():
            claims.setdefault(claim.id, claim)
    for summary in rows:
        for id, _ in summary:
            claims.setdefault(id, Claim(id, id, ""))
    return claims


def _anchors(claims: dict[str, Claim]) -> dict[str, str]:
    anchors: dict[str, str] = {}
    for number, id in enumerate(claims):
        anchor = f"claim-{slug(id)}"
        anchors[id] = anchor if anchor not in anchors.values() else f"{anchor}-{number}"
    return anchors


def _cell(column: Column, rows: dict[tuple[str, str], Row], claim: str) -> Cell:
    attempt = column.records.attempts.get((claim, column.subject.name))
    reasons = _reasons(_verdicts(column, claim))
    finish = attempt.finish if attempt else None
    return Cell(column, rows.get((claim, column.subject.name)), finish, reasons)


def _reasons(verdicts: list[Verdict]) -> list[Reason]:
    """The most common reasons, whatever results are called in them."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.reason and verdict.verdict in ("unspecified", "not exercised"):
            text = f"{verdict.verdict}: {_RESULT.sub('x', verdict.reason)}"
            groups.setdefault(text, []).append(verdict)
    found = []
    for text, group in groups.items():
        raised = [v for v in group if v.observed.startswith("raises")]
        ended = [v for v in group if v.observed and not v.observed.startswith("raises")]
        found.append(Reason(text, len(group), len(raised), (*raised[:1], *ended[:1])))
    return sorted(found, key=lambda reason: -reason.programs)[:_MOST]


def _verdicts(column: Column, claim: str) -> list[Verdict]:
    attempt = column.records.attempts.get((claim, column.subject.name))
    return attempt.verdicts if attempt else []


def _bounds(columns: list[Column], claim: str) -> list[Bound]:
    bounds: dict[tuple[str, str], Bound] = {}
    for column in columns:
        attempt = column.records.attempts.get((claim, column.subject.name))
        for example in attempt.counterexamples if attempt else ():
            bound = bounds.setdefault((example.program, example.title), Bound(example, []))
            bound.subjects.append(column.label)
    return list(bounds.values())


def _groups(views: list[ClaimView]) -> list[Group]:
    groups: dict[str, Group] = {title: Group(title, []) for title in ARTICLES.values()}
    groups[NO_ARTICLE] = Group(NO_ARTICLE, [])
    for view in views:
        first = view.claim.articles[0] if view.claim.articles else ""
        groups[ARTICLES.get(first, NO_ARTICLE)].claims.append(view)
    return [group for group in groups.values() if group.claims]


def _scripts(runs: list[RunRecords]) -> dict[str, str]:
    return {
        id: line.script for records in runs for id, line in records.programs.items() if line.script
    }
