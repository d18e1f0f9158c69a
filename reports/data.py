"""A report as JSON: what its pages say, for machines. The schema is published in docs/schemas."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from conformance.records import Kind, RowVerdict, VerdictWord
from reports.page import Page

SCHEMA = 1
"""The version of the form; it grows if a key changes its meaning, and not if one is added."""


class SubjectData(Struct, frozen=True):
    """A column of the matrix: one subject of one run."""

    label: str
    name: str
    torch: str
    python: str
    device: str
    mode: str
    status: str
    reason: str
    run: str


class RunData(Struct, frozen=True):
    """A run; `seconds` is null where it was cut off."""

    id: str
    started: str
    seconds: float | None
    suite: str
    profile: str
    seed: int
    command: str


class CellData(Struct, frozen=True):
    """A claim on the subject of the same place in `subjects`."""

    verdict: RowVerdict
    programs: int
    seconds: float
    counts: dict[VerdictWord, int]
    note: str


class ClaimData(Struct, frozen=True):
    """A claim with its cells, one for each of `subjects`; `page` is relative to the index."""

    id: str
    title: str
    sentence: str
    articles: tuple[str, ...]
    scope: str
    source: str
    verdict: RowVerdict
    page: str
    cells: tuple[CellData, ...]


class AnswerData(Struct, frozen=True):
    """What a subject makes of the program of a finding; `verdict` is empty where nobody asked."""

    subject: str
    torch: str
    verdict: str


class FindingData(Struct, frozen=True):
    """A program that deviates and is not registered, the gravest first."""

    kind: Kind | None
    claim: str
    program: str
    message: str
    expected: str
    observed: str
    minimal: bool
    subjects: tuple[str, ...]
    script: str
    replay: str
    page: str
    answers: tuple[AnswerData, ...]
    boundaries: tuple[str, ...]


class KnownData(Struct, frozen=True):
    """An entry of the register; `status` is by the label of each subject that was asked."""

    id: str
    kind: Kind
    claim: str
    title: str
    torch: str
    date: str
    upstream: str
    status: dict[str, str]
    page: str


class ReportData(Struct, frozen=True):
    """All of a report; `tally` counts claims by their worst verdict, `judged` programs."""

    schema: int
    runs: tuple[RunData, ...]
    subjects: tuple[SubjectData, ...]
    tally: dict[RowVerdict, int]
    judged: dict[VerdictWord, int]
    claims: tuple[ClaimData, ...]
    findings: tuple[FindingData, ...]
    known_deviations: tuple[KnownData, ...]
    broken_lines: tuple[str, ...]


def report_data(page: Page, folder: str) -> ReportData:
    """A report as data; `folder` is where its pages are."""
    return ReportData(
        SCHEMA,
        tuple(
            RunData(
                records.run.id,
                records.run.started,
                records.end.seconds if records.end else None,
                records.run.suite,
                records.run.profile,
                records.run.seed,
                records.run.command,
            )
            for records in page.runs
            if records.run
        ),
        tuple(
            SubjectData(
                column.label,
                column.subject.name,
                column.subject.torch,
                column.subject.python,
                column.subject.device,
                column.subject.mode,
                column.subject.status,
                column.subject.reason,
                column.records.run.id if column.records.run else "",
            )
            for column in page.columns
        ),
        dict(page.tally),
        dict(page.judged),
        tuple(_claims(page, folder)),
        tuple(_findings(page, folder)),
        tuple(
            KnownData(
                item.entry.id,
                item.entry.kind,
                item.entry.claim,
                item.entry.title,
                item.entry.torch,
                item.entry.date,
                item.entry.upstream,
                {status.subject: status.status for status in item.statuses},
                f"{folder}/{item.page}",
            )
            for item in page.known
        ),
        tuple(page.broken),
    )


def render_json(page: Page, folder: str) -> str:
    """The same as readable text."""
    return msgspec.json.format(msgspec.json.encode(report_data(page, folder))).decode() + "\n"


def _claims(page: Page, folder: str) -> list[ClaimData]:
    return [
        ClaimData(
            view.claim.id,
            view.claim.title,
            view.claim.sentence,
            view.claim.articles,
            view.claim.scope,
            view.claim.source,
            view.worst,
            f"{folder}/{view.page}",
            tuple(
                CellData(
                    cell.verdict,
                    cell.row.programs if cell.row else 0,
                    cell.row.seconds if cell.row else 0.0,
                    cell.row.counts if cell.row else {},
                    cell.note,
                )
                for cell in view.cells
            ),
        )
        for view in page.claims
    ]


def _findings(page: Page, folder: str) -> list[FindingData]:
    return [
        FindingData(
            group.kind,
            item.verdict.claim,
            item.verdict.program,
            item.verdict.message,
            item.verdict.expected,
            item.verdict.observed,
            item.verdict.minimal,
            tuple(item.subjects),
            item.script,
            item.replay,
            f"{folder}/{item.page}",
            tuple(AnswerData(one.label, one.torch, one.verdict) for one in item.asked),
            tuple(item.boundaries),
        )
        for group in page.findings
        for item in group.shown
    ]
