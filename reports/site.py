"""The report: a folder of pages that need no network, no server, no script and no other file.

docs/report.md says which page shows what, and from which records.
"""

from __future__ import annotations

import base64
import gc
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from conformance.records import RecordError, RunRecords, read_run
from reports import comparison_words, words
from reports.articles import articles
from reports.badge import LABEL, badge_of, render_badge_json
from reports.changes import Changes, changes
from reports.ctrf import render_ctrf
from reports.data import render_json
from reports.junit import render_junit
from reports.operations import COLUMNS, heat_map
from reports.page import Page, build_page
from reports.plots import plots
from reports.summary import render_summary

_TEMPLATES = Path(__file__).parent / "templates"
FOLDER = "report"
"""Where all pages but the index are, beside it."""
_STYLES = {
    "matrix.html": "matrix",
    "articles.html": "matrix",
    "claim.html": "steps",
    "finding.html": "steps",
    "known.html": "steps",
    "operations.html": "heat",
    "figures.html": "bars",
}
"""Template -> the style that its pages need besides that of all pages."""
GENERATOR = '<meta name="generator" content="autograd-conformance">'
"""Stands in every page, so that old pages are known as ours when they are taken away."""


@dataclass(frozen=True)
class Sources:
    """What a report is made of: folders of runs, or their verdicts files.

    `before` are earlier runs, of which the latest is what each run is compared with. `planted` are
    runs whose subjects have a fault on purpose: they show how soon a claim finds it.
    """

    runs: tuple[Path, ...]
    before: tuple[Path, ...] = ()
    planted: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Read:
    """The records themselves."""

    runs: tuple[RunRecords, ...]
    before: tuple[RunRecords, ...] = ()
    planted: tuple[RunRecords, ...] = ()


def read(sources: Sources) -> Read:
    """Read all records of a report; raises RecordError if some cannot be read."""
    groups = (sources.runs, sources.before, sources.planted)
    # Records refer to no other records: looking for cycles among them takes a fifth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return Read(*(tuple(read_run(path) for path in group) for group in groups))
    finally:
        if collecting:
            gc.enable()


def render(records: Read, index: str = "index.html") -> Iterator[tuple[str, str]]:
    """Each file of the report with its path beside the index, which comes first.

    Everything from the records is text: it is escaped, and a content security policy that knows the
    pages' own script and style by their hashes lets no other run.
    """
    page = build_page(records.runs, records.before)
    changed = changes(records.runs, records.before, page.columns)
    shared = _shared() | {
        "page": page,
        "changes": changed,
        "several": len(page.columns) > 1,
    }

    def made(template: str, name: str, **values: Any) -> tuple[str, str]:
        inside = template != "index.html"
        place = f"{FOLDER}/{name}" if inside else index
        links = {"to": "" if inside else f"{FOLDER}/", "home": f"../{index}" if inside else index}
        every = shared | links | _style(template) | {"here": name} | values
        return place, _environment().get_template(template).render(every)

    yield made("index.html", index)
    yield from _for_machines(page, changed)
    yield made("matrix.html", "matrix.html")
    for view in page.claims:
        yield made("claim.html", view.page, view=view)
    for group in page.findings:
        for item in group.shown:
            yield made("finding.html", item.page, item=item, kind=group.kind)
    for known in page.known:
        yield made("known.html", known.page, item=known)
    exercised = [column for column in page.columns if column.subject.status == "available"]
    shared |= {"cells": COLUMNS, "exercised": exercised}
    yield made("operations.html", "operations.html", heat=heat_map(exercised), column=None)
    for column in exercised if len(exercised) > 1 else ():
        name = f"operations-{column.number + 1}.html"
        yield made("operations.html", name, heat=heat_map([column]), column=column)
    yield made("changes.html", "changes.html")
    for difference in changed.differences:
        yield made("diff.html", difference.page, difference=difference)
    yield made("articles.html", "articles.html", told=articles(page))
    yield made("figures.html", "figures.html", plots=plots(page, records.planted))


def _for_machines(page: Page, changed: Changes) -> Iterator[tuple[str, str]]:
    """The report in other forms, each a file beside the index."""
    yield "report.json", render_json(page, FOLDER)
    yield "ctrf.json", render_ctrf(page)
    yield "junit.xml", render_junit(page.runs)
    yield "summary.md", render_summary(page, changed)
    yield "badge.json", render_badge_json(page)
    badge = _environment().get_template("badge.svg")
    yield "badge.svg", badge.render(badge=badge_of(page), label=LABEL)


def write_report(sources: Sources, out: Path, index: str = "index.html") -> Path:
    """Write the report into the folder `out`, made if need be; return the path of its index.

    Pages of an earlier report in the same folder that are not written anew are taken away.
    Raises RecordError if records cannot be read or a page cannot be written.
    """
    return write_pages(read(sources), out, index)


def write_pages(records: Read, out: Path, index: str = "index.html") -> Path:
    """The same of records that have been read."""
    target = out / index
    try:
        (out / FOLDER).mkdir(parents=True, exist_ok=True)
        written = set()
        for name, text in render(records, index):
            (out / name).write_text(text, encoding="utf-8")
            written.add(out / name)
        for old in (out / FOLDER).glob("*.html"):
            if old not in written and _is_ours(old):
                old.unlink()
    except OSError as error:
        raise RecordError(
            f"The report cannot be written to {target} ({error.strerror or error})."
        ) from error
    return target


def _is_ours(page: Path) -> bool:
    with page.open(encoding="utf-8", errors="replace") as file:
        return GENERATOR in file.read(2000)


@cache
def _shared() -> dict[str, Any]:
    """What every page has: words, and its script, which is a file of this package."""
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    return {
        "words": words,
        "words_of": comparison_words,
        "script": Markup(script),
        "generator": Markup(GENERATOR),
        "script_hash": _hash(script),
    }


@cache
def _style(template: str) -> dict[str, Any]:
    """The style of a page: its own, and that of all pages, whose rules for paper come last."""
    names = [_STYLES[template]] if template in _STYLES else []
    parts = [(_TEMPLATES / f"{name}.css").read_text(encoding="utf-8") for name in (*names, "base")]
    style = "".join(parts)
    return {"style": Markup(style), "style_hash": _hash(style)}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Exactly str: markup is this package's own, everything else comes from records.
        finalize=lambda value: words.visible(value) if type(value) is str else value,
    )
    environment.filters.update(
        address=words.address,
        clipped=words.clipped,
        count=words.count,
        duration=words.duration,
        glyph=words.glyph,
        moment=words.moment,
        site=words.site,
        slug=words.slug,
        some=words.some,
    )
    return environment


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
