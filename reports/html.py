"""The report: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from conformance.records import RecordError, read_run
from reports import words
from reports.page import build_page

_TEMPLATES = Path(__file__).parent / "templates"


def render_single(runs: list[Path]) -> str:
    """One self-contained HTML page about runs (folders, or their verdicts files).

    Everything from the records is text: it is escaped, and a content security policy that knows the
    page's own script and style by their hashes lets no other run.
    Raises RecordError if a run cannot be read.
    """
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    page = build_page([read_run(path) for path in runs])
    return (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            words=words,
            # Safe to mark: both texts are files of this package.
            style=Markup(style),
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
    )


def write_single(runs: list[Path], target: Path) -> Path:
    """Write the page about the runs to a file, and return its path.

    Raises RecordError if a run cannot be read or the page cannot be written.
    """
    html = render_single(runs)
    try:
        target.write_text(html, encoding="utf-8")
    except OSError as error:
        raise RecordError(
            f"The report cannot be written to {target} ({error.strerror or error})."
        ) from error
    return target


def write_report(runs: list[Path], out: Path) -> Path:
    """Write `index.html` about the runs into the folder `out`, made if need be; return its path.

    Raises RecordError if a run cannot be read or the page cannot be written.
    """
    target = out / "index.html"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(
            f"The report cannot be written to {target} ({error.strerror or error})."
        ) from error
    return write_single(runs, target)


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
        clipped=words.clipped,
        count=words.count,
        duration=words.duration,
        glyph=words.glyph,
        moment=words.moment,
        slug=words.slug,
    )
    return environment


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
