"""A report in Markdown, as the summary of a CI job shows it."""

from __future__ import annotations

from collections.abc import Iterator

from reports import comparison_words as words
from reports.changes import Changes
from reports.findings import Finding, FindingGroup
from reports.markdown import escaped
from reports.page import Page
from reports.words import count, glyph, moment

_MOST = 20
"""Findings that are told one by one."""
_LINES = 60
"""Of a script."""


def render_summary(page: Page, changed: Changes) -> str:
    """The verdicts, a table of claims by subject, each finding with its script, what changed.

    Everything from the records is text: what Markdown or HTML would read as a mark is escaped.
    """
    return "\n".join(_lines(page, changed)) + "\n"


def _lines(page: Page, changed: Changes) -> Iterator[str]:
    tally = ", ".join(f"{glyph(word)} {n} {word}" for word, n in page.tally)
    yield f"## Autograd conformance: {tally or 'nothing was judged'}"
    yield ""
    yield (
        f"{count(len(page.claims), 'claim')} on {count(page.exercised, 'subject')}, "
        f"{count(page.programs, 'program')} judged."
    )
    for column in page.columns:
        subject = column.subject
        what = f"torch {subject.torch}, {column.where}" if subject.torch else subject.reason
        yield f"- {escaped(column.label)}: {escaped(what)}"
    yield from _findings(page)
    yield from _since(changed)
    yield from _table(page)
    for records in page.runs:
        if records.run:
            yield ""
            yield f"The run of {moment(escaped(records.run.started))} is repeated by"
            yield ""
            yield from _code(records.run.command)


def _findings(page: Page) -> Iterator[str]:
    told = [(group, item) for group in page.findings for item in group.shown]
    if not told:
        return
    yield ""
    yield "### Findings"
    for group, item in told[:_MOST]:
        yield from _finding(group, item)
    if len(told) > _MOST:
        yield ""
        yield f"{len(told) - _MOST} more are in the report."


def _finding(group: FindingGroup, item: Finding) -> Iterator[str]:
    yield ""
    kind = group.kind or "deviation"
    yield f"**{kind}** against *{escaped(group.title)}* on {escaped('; '.join(item.subjects))}"
    if item.verdict.message:
        yield ""
        yield escaped(item.verdict.message[:600])
    if item.script:
        yield ""
        yield f"<details><summary>Script, program {escaped(item.verdict.program)}</summary>"
        yield ""
        yield from _code(item.script, "python")
        yield ""
        yield "</details>"


def _since(changed: Changes) -> Iterator[str]:
    if not changed.since:
        return
    yield ""
    yield "### Since the previous run"
    for since in changed.since:
        yield ""
        yield words.summed_up(since.comparison)
        for difference in since.differences:
            for change in ("new", "fixed"):
                for item in difference.of(change)[:_MOST]:
                    said = ": ".join(filter(None, (words.name(item), words.finding(item)[:200])))
                    yield f"- {change}: {escaped(said)}"


def _table(page: Page) -> Iterator[str]:
    yield ""
    yield "<details><summary>Claims</summary>"
    yield ""
    yield f"| | {' | '.join(escaped(column.label) for column in page.columns)} |"
    yield "| --- |" + " --- |" * len(page.columns)
    for view in page.claims:
        cells = " | ".join(f"{glyph(cell.verdict)} {cell.verdict}" for cell in view.cells)
        yield f"| {escaped(view.claim.title)} | {cells} |"
    yield ""
    yield "</details>"


def _code(text: str, language: str = "") -> Iterator[str]:
    """A fenced block that nothing in it can close."""
    lines = text.splitlines()
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    yield f"{fence}{language}"
    yield from lines[:_LINES]
    if len(lines) > _LINES:
        yield f"# ... {len(lines) - _LINES} more lines are in the report"
    yield fence
