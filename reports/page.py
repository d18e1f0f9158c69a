"""From records to what the pages show: columns, the matrix of claims, findings, the register."""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
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
    Verdict,
    VerdictWord,
    summarise,
)
from reports.affected import asked_of
from reports.columns import Column, columns_of
from reports.drawing import Drawing, draw
from reports.findings import Finding, FindingGroup, Known, findings, known_deviations, unjudged
from reports.history import Stood, history
from reports.words import ARTICLES, NO_ARTICLE, SEVERITY, PageNames, gravity

_MOST = 8
"""Reasons that are shown of one claim on one subject."""
_RESULT = re.compile(r"\bx\d+\b")
"""The name of a drawn result."""


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
    past: list[Stood]
    """How the claim stood on this subject in earlier runs and in this one, the oldest first."""
    finding: str = ""
    """The page of the gravest finding, if it deviates."""

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

    @property
    def steps(self) -> int:
        """Steps of the programs judged, if the records count them: each is plain or in place."""
        cells = self.finish.cells if self.finish else {}
        return sum(plain + in_place for plain, in_place, *_ in cells.values())


@dataclass(frozen=True)
class Bound:
    """A counterexample outside a claim's scope and the subjects on which it was found."""

    example: Counterexample
    subjects: list[str]

    @cached_property
    def drawing(self) -> Drawing | None:
        """It step by step, where the records have it."""
        return draw(self.example.trace) if self.example.trace is not None else None


@dataclass(frozen=True)
class ClaimView:
    """A claim with its cells in the order of the columns."""

    claim: Claim
    page: str
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

    @property
    def tally(self) -> list[tuple[RowVerdict, int]]:
        """How many of them have each verdict, the one that needs attention most first."""
        return _tally(self.claims)


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

    @cached_property
    def places(self) -> dict[tuple[str, str, str], str]:
        """What an item of a comparison is, its claim and its id -> the page about it."""
        found = {("claim", view.claim.id, view.claim.id): view.page for view in self.claims}
        for known in self.known:
            found["deviation", known.entry.claim, known.entry.id] = known.page
        for group in self.findings:
            for item in group.shown:
                found["program", item.verdict.claim, item.verdict.program] = item.page
        return found

    @property
    def tally(self) -> list[tuple[RowVerdict, int]]:
        """How many claims have each verdict, the one that needs attention most first."""
        return _tally(self.claims)

    @property
    def verdicts(self) -> list[RowVerdict]:
        """Every verdict that some claim has on some subject, those that need attention first."""
        found = {cell.verdict for claim in self.claims for cell in claim.cells}
        return [verdict for verdict in SEVERITY if verdict in found]

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
        troubled = {item.claim_page for item in self.unjudged}
        unfinished = ("interrupted", "suite error", "gave up")
        return sum(
            claim.page in troubled or any(cell.verdict in unfinished for cell in claim.cells)
            for claim in self.claims
        )

    @property
    def judged(self) -> list[tuple[VerdictWord, int]]:
        """Programs by verdict over all claims and subjects, those that need attention first."""
        tally: Tally[VerdictWord] = Tally()
        for claim in self.claims:
            for cell in claim.cells:
                tally.update(cell.row.counts if cell.row else {})
        return sorted(tally.items(), key=lambda item: SEVERITY.index(item[0]))

    @property
    def started(self) -> str:
        """When the latest of the runs started."""
        return max((records.run.started for records in self.runs if records.run), default="")

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


def _tally(claims: Iterable[ClaimView]) -> list[tuple[RowVerdict, int]]:
    tally = Tally(claim.worst for claim in claims)
    return [(verdict, tally[verdict]) for verdict in SEVERITY if tally[verdict]]


def build_page(runs: Sequence[RunRecords], before: Iterable[RunRecords] = ()) -> Page:
    """Everything that pages about these runs show; `before` are earlier ones, for the history."""
    rows = [{(row.claim, row.subject): row for row in summarise(records)} for records in runs]
    columns = columns_of(runs, rows)
    claims = _claims(runs, rows)
    pages = PageNames()
    named = {id: (claim.title, pages.new(f"claim-{id}")) for id, claim in claims.items()}
    seen = [
        (column, verdict)
        for column in columns
        for claim in claims
        for verdict in _verdicts(column, claim)
        if verdict.verdict != "conforms"
    ]
    scripts = _scripts(runs)
    groups = findings(seen, named, scripts, asked_of(runs, columns, seen), pages)
    found = {
        (item.verdict.claim, column.number): item.page
        for group in reversed(groups)
        for item in reversed(group.shown)
        for column in item.columns
    }
    past = history(before, runs)
    views = [
        ClaimView(
            claim,
            named[claim.id][1],
            [_cell(column, claim.id, past, found) for column in columns],
            _bounds(columns, claim.id),
        )
        for claim in claims.values()
    ]
    entries = [
        (column, entry)
        for column in columns
        for (_, subject), entry in column.records.deviations.items()
        if subject == column.subject.name
    ]
    return Page(
        _by_age(runs, columns),
        columns,
        _groups(views),
        groups,
        known_deviations(entries, seen, named, scripts, pages),
        unjudged(seen, named, scripts),
    )


def _by_age(runs: Iterable[RunRecords], columns: Iterable[Column]) -> list[RunRecords]:
    """The runs in the order of the columns."""
    first: dict[int, int] = {}
    for column in columns:
        first.setdefault(id(column.records), column.number)
    return sorted(runs, key=lambda records: first.get(id(records), len(first)))


def _claims(
    runs: Sequence[RunRecords], rows: Sequence[dict[tuple[str, str], Row]]
) -> dict[str, Claim]:
    claims: dict[str, Claim] = {}
    for records in runs:
        for claim in records.run.claims if records.run else ():
            claims.setdefault(claim.id, claim)
    for summary in rows:
        for id, _ in summary:
            claims.setdefault(id, Claim(id, id, ""))
    return claims


def _cell(
    column: Column,
    claim: str,
    past: dict[tuple[str, str], list[Stood]],
    found: dict[tuple[str, int], str],
) -> Cell:
    attempt = column.records.attempts.get((claim, column.subject.name))
    return Cell(
        column,
        column.rows.get((claim, column.subject.name)),
        attempt.finish if attempt else None,
        _reasons(_verdicts(column, claim)),
        past.get((claim, column.subject.name), []),
        found.get((claim, column.number), ""),
    )


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


def _bounds(columns: Sequence[Column], claim: str) -> list[Bound]:
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


def _scripts(runs: Sequence[RunRecords]) -> dict[str, str]:
    return {
        id: line.script for records in runs for id, line in records.programs.items() if line.script
    }
