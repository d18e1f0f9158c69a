"""The report in a real browser: filtered, expanded, followed, copied from, read by axe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import FAULT, READ_FAULT, ROOT, SCRIPT_CLAIM, SCRIPT_FAULT

KINDS = {
    "index": "../index.html",
    "matrix": "matrix.html",
    "claim": "claim-saved-inplace-raises.html",
    "finding": "finding-*.html",
    "known": "known-kron-saves-out-of-sight.html",
    "operations": "operations.html",
    "changes": "changes.html",
    "diff": "diff-1-2.html",
    "articles": "articles.html",
    "figures": "figures.html",
}
"""A page of each kind; a finding is of the report `scripted`, the others are of the sample, where
nothing may deviate."""


def page_of(index: Path, kind: str) -> Path:
    """The page of a kind, the first of several."""
    found = sorted((index.parent / "report").glob(KINDS[kind]))
    return found[0].resolve() if found else (index.parent / "report" / KINDS[kind]).resolve()


# -- the way to a finding


def test_from_the_matrix_to_the_verdict_of_a_copied_script(look: Any, faulty: Path) -> None:
    """Filter, expand, follow a cell to its finding, copy the script, run it: it says the same."""
    page = look().open(faulty)
    page.get_by_role("link", name="Matrix", exact=True).click()
    rows = page.locator("[data-row]:visible")
    before = rows.count()
    page.get_by_role("button", name="deviates", exact=True).click()
    assert 0 < rows.count() <= before
    page.get_by_role("button", name="Collapse all").click()
    assert rows.count() == 0
    page.locator(".branch:visible summary").first.click()
    assert rows.count() > 0
    page.locator("a.cell.v-deviates").first.click()
    assert "/report/finding-" in page.url
    button = page.get_by_role("button", name=re.compile("^Copy: Script"))
    button.click()
    page.get_by_text("Copied").wait_for()
    script = page.evaluate("navigator.clipboard.readText()")
    message = page.locator("p.message").first.inner_text()
    assert script.startswith(
        f"# {page.locator('h1').inner_text().lower()}: {message.split(chr(10))[0]}"
    )
    assert run(script, FAULT).startswith("deviates")
    assert run(script).startswith("conforms")


def run(script: str, fault: str = "") -> str:
    """What a script prints last, on the torch that is here, with a fault planted or not."""
    planted = f"import {fault}\n" if fault else ""
    done = subprocess.run(
        [sys.executable, "-c", planted + script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    verdicts = ("conforms", "deviates", "known deviation", "unspecified")
    return next(line for line in lines if line.startswith(verdicts))


def test_a_script_that_deviates_is_read_statement_by_statement(look: Any, read: Path) -> None:
    """Steps beside drawings of memory, and a script that says the verdict."""
    page = look().open(page_of(read, "finding"))
    assert page.locator(".step").count() > 2
    assert page.locator(".step .memory svg").count() > 1
    script = copied(page)
    assert run(script, READ_FAULT).startswith("deviates: ")
    assert run(script) == "conforms"


def copied(page: Any) -> str:
    """The script of a finding, by its button."""
    page.get_by_role("button", name=re.compile("^Copy: Script")).click()
    page.get_by_text("Copied").wait_for()
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_a_script_that_cannot_be_drawn_is_told_statement_by_statement(
    look: Any, scripted: Path
) -> None:
    """Numbered steps, a script that says the verdict, and a command that repeats the run."""
    page = look().open(page_of(scripted, "finding"))
    assert page.locator(".statement").count() > 2
    assert "There is no drawing of memory" in page.locator("main").inner_text()
    script = copied(page)
    assert run(script, SCRIPT_FAULT).startswith("deviates: ")
    assert run(script) == "conforms"
    page.reload()
    page.get_by_role("button", name=re.compile("^Copy: Command that replays")).click()
    page.get_by_text("Copied").wait_for()
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith(f"autograd-conformance run --claim {SCRIPT_CLAIM} --subject ")


def test_without_a_clipboard_the_script_is_selected(look: Any, faulty: Path) -> None:
    """The keys that copy a selection then do what the button cannot."""
    page = look().open(page_of(faulty, "finding"))
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.get_by_role("button", name=re.compile("^Copy: Script")).click()
    page.get_by_text("Selected").wait_for()
    assert page.evaluate("getSelection().toString()").startswith("# missing error: ")


def test_finding_by_words(look: Any, sample: Path) -> None:
    """The field narrows the claims by their titles, and says how many are left."""
    page = look().open(page_of(sample, "matrix"))
    total = page.locator("[data-row]").count()
    page.get_by_label("Claim", exact=True).fill("no_grad")
    left = page.locator("[data-row]:visible").count()
    assert 0 < left < total
    assert page.get_by_role("status").inner_text() == f"{left} of {total}"
    page.get_by_label("Claim", exact=True).fill("")
    assert page.locator("[data-row]:visible").count() == total


def test_operations_with_empty_cells(look: Any, sample: Path) -> None:
    """They can be shown alone."""
    page = look().open(page_of(sample, "operations"))
    page.get_by_role("button", name="with an empty cell").click()
    rows = page.locator("[data-row]:visible")
    assert rows.count() > 0
    assert page.locator("[data-row]:visible:not(:has(td.h0))").count() == 0


# -- for everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_no_violation(
    look: Any, sample: Path, scripted: Path, kind: str, width: int, scheme: str
) -> None:
    """Names, roles, contrast and structure, on every kind of page."""
    from axe_playwright_python.sync_playwright import Axe

    index = scripted if kind == "finding" else sample
    page = look(width=width, scheme=scheme).open(page_of(index, kind))
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_no_violation_where_a_program_deviates(
    look: Any, faulty: Path, width: int, scheme: str
) -> None:
    """This finding is a program, which has its memory drawn."""
    from axe_playwright_python.sync_playwright import Axe

    page = look(width=width, scheme=scheme).open(page_of(faulty, "finding"))
    assert page.locator(".memory svg").count() > 3
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_no_page_is_wider_than_a_narrow_screen(look: Any, sample: Path, hostile: Path) -> None:
    """At 360 px no page scrolls sideways; wide tables do, in frames of their own."""
    looked = look(width=360)
    for index in (sample, hostile):
        for path in [index, *sorted((index.parent / "report").glob("*.html"))]:
            page = looked.open(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path.name


@pytest.mark.parametrize("kind", KINDS)
def test_dark_is_dark(look: Any, sample: Path, scripted: Path, kind: str) -> None:
    """The page follows the reader's setting."""
    index = scripted if kind == "finding" else sample
    grounds = [
        look(scheme=scheme)
        .open(page_of(index, kind))
        .evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    light, dark = (sum(map(int, re.findall(r"\d+", ground)[:3])) for ground in grounds)
    assert light > 650 and dark < 150


def test_keys_are_enough(look: Any, sample: Path) -> None:
    """The first stop leads past the navigation; branches fold; every link can be reached."""
    page = look().open(page_of(sample, "matrix"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    summary = page.locator(".branch summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator(".branch").first.get_attribute("open") is None
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('.matrix a')")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_without_script_all_is_there(look: Any, sample: Path) -> None:
    """Every cell is seen, what needs a script is not, and branches fold all the same."""
    page = look(script=False).open(page_of(sample, "matrix"))
    assert page.locator("a.cell:visible").count() == page.locator("a.cell").count() > 100
    assert page.locator("button:visible, input:visible").count() == 0
    page.locator(".branch summary").first.click()
    assert page.locator("a.cell:visible").count() < page.locator("a.cell").count()


def test_print_has_no_controls(look: Any, scripted: Path) -> None:
    """On paper there is nothing to press, and scripts are whole."""
    page = look().open(page_of(scripted, "finding"))
    page.emulate_media(media="print")
    assert page.locator("button:visible, .top nav:visible").count() == 0
    cut = "[...document.querySelectorAll('pre')].filter(p => p.scrollHeight > p.clientHeight + 2)"
    assert page.evaluate(f"{cut}.length") == 0


def test_hostile_records_change_nothing_but_text(look: Any, hostile: Path) -> None:
    """No script of theirs runs on any page: no dialog, no complaint, no request, no image."""
    looked = look()
    for path in [hostile, *sorted((hostile.parent / "report").glob("*.html"))]:
        page = looked.open(path)
        assert page.evaluate("document.scripts.length") == 1
        assert page.locator("img, iframe, object").count() == 0
