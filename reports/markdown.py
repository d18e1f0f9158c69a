"""A comparison of two runs in Markdown, as the summary of a CI job shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reports.comparison import Column, Comparison, Item
from reports.comparison_words import (
    LISTED,
    MEANINGS,
    finding,
    heading,
    name,
    run_of,
    stood,
    summed_up,
    unmatched,
    untold,
)

_MARKS = re.compile(r"([\\`*_\[\]|#~])")
_OPEN = ("new", "fixed")
"""Changes that are shown at once; the others are folded, since there may be many."""


def render_markdown(comparison: Comparison) -> str:
    """A heading, what is compared, a table of what is new and fixed, and the rest folded.

    Everything from the records is text: what Markdown or HTML would read as a mark is escaped.
    """
    return "\n".join(_lines(comparison)) + "\n"


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"## {summed_up(comparison)}"
    yield ""
    yield f"- A: {escaped(run_of(comparison.before))}"
    yield f"- B: {escaped(run_of(comparison.after))}"
    for sentence in unmatched(comparison):
        yield f"- {escaped(sentence)}"
    for column in comparison.columns:
        yield ""
        yield f"### {escaped(heading(column))}"
        yield from _column(column)


def _column(column: Column) -> Iterator[str]:
    for change in LISTED:
        items = [item for item in column.items if item.change == change]
        if not items:
            continue
        title = f"{change} ({len(items)}): {MEANINGS[change]}"
        yield ""
        yield from _table(title, items) if change in _OPEN else _folded(title, _table("", items))
    groups = untold(column.items)
    if groups:
        number = sum(len(group.names) for group in groups)
        title = f"not exercised ({number}): {MEANINGS['not exercised']}"
        lines = [
            f"- {escaped(group.heading)}: {'; '.join(map(escaped, group.names))}"
            for group in groups
        ]
        yield ""
        yield from _folded(title, lines)


def _table(title: str, items: list[Item]) -> Iterator[str]:
    if title:
        yield f"**{title}**"
        yield ""
    yield "| | A | B | |"
    yield "| --- | --- | --- | --- |"
    for item in items:
        cells = (name(item), stood(item, True), stood(item, False), finding(item))
        yield f"| {' | '.join(map(escaped, cells))} |"


def _folded(title: str, lines: Iterator[str] | list[str]) -> Iterator[str]:
    yield f"<details><summary>{title}</summary>"
    yield ""
    yield from lines
    yield ""
    yield "</details>"


def escaped(text: str) -> str:
    """A text on one line, in which nothing is a mark."""
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", flat)
