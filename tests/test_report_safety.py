"""Whatever is in the records is text: it runs nothing, hides nothing, and leads nowhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conformance.records import (
    KINDS,
    SCHEMA,
    VERDICTS,
    Counterexample,
    Deviation,
    Elsewhere,
    End,
    Finish,
    InFlight,
    Past,
    RecordWriter,
    Run,
    Start,
    Verdict,
    read_run,
)
from reports.junit import render_junit
from reports.site import FOLDER
from reports.words import PageNames, address, site, visible
from tests._filled import filled
from tests.test_report import HOSTILE, Parsed, only_pages, pages, report

SHAPED = re.compile(
    r'(?s)<div class="memory".*?</div>|<li class="step statement">.*?</li>',
)
"""Parts of which a longer text, or one of several lines, needs another shape."""


TEXTS = st.text(min_size=1, max_size=80).map("t{}".format).filter(lambda text: ", " not in text)
"""Without what stands between the entries that a known deviation names: it tells two apart."""


def write_every_field(folder: Path, text: str) -> Path:
    """A run with records of each sort and of each word, in which every other field is `text`."""
    with RecordWriter(folder) as writer:
        writer.program("ab" * 8, text)
        writer.write(filled(Run, text, schema=SCHEMA))
        writer.write(filled(Start, text))
        writer.write(filled(InFlight, text))
        for turn in range(len(VERDICTS)):
            writer.write(filled(Verdict, text, turn))
            writer.write(filled(Deviation, text, turn, id=f"{text}{turn}"))
        for turn in range(len(KINDS)):
            writer.write(filled(Verdict, text, turn, verdict="deviates"))
            script = {"verdict": "deviates", "trace": None, "command": "", "message": f"{text}!"}
            writer.write(filled(Verdict, text, turn, **script))
        writer.write(filled(Counterexample, text))
        writer.write(filled(Elsewhere, text))
        writer.write(filled(Finish, text))
        writer.write(filled(End, text))
    (folder / "history.jsonl").write_bytes(msgspec.json.encode(filled(Past, text)) + b"\n")
    return folder


def files_of(folder: Path, text: str) -> dict[str, str]:
    """A report of such a run beside an earlier one, JUnit's file with it."""
    run, before = (write_every_field(folder / name, text) for name in ("run", "before"))
    return pages(run, before=(before,), planted=(run,)) | {
        "junit.xml": render_junit([read_run(run)])
    }


def structure(html: str) -> list[str]:
    """The tags of a page, but for parts whose shape depends on the text."""
    return Parsed(SHAPED.sub("", html)).tags


@settings(max_examples=15, deadline=None)
@given(text=TEXTS)
@example(HOSTILE)
@example("javascript:alert(1)//")
@example('t" onmouseover="alert(1)" x=\'')
@example("t\n```\n<script>alert(1)</script>\n--><!-- ]]> &amp; \u202e\x00")
def test_any_text_in_any_field_stays_text(text: str) -> None:
    """No string changes the structure of a page, leads out of the folder, or is a handler."""
    with tempfile.TemporaryDirectory() as place:
        files = files_of(Path(place) / "any", text)
        plain = only_pages(files_of(Path(place) / "plain", "plain"))
    made = only_pages(files)
    assert [*map(structure, made.values())] == [*map(structure, plain.values())]
    assert all(re.fullmatch(rf"index\.html|{FOLDER}/[a-z0-9-]+\.html", name) for name in made)
    for name, html in made.items():
        parsed = Parsed(html)
        assert not [attribute for attribute, _ in parsed.attributes if attribute.startswith("on")]
        shaped = {tag for part in SHAPED.findall(html) for tag in re.findall(r"<(\w+)", part)}
        drawn = {"div", "svg", "g", "rect", "line", "text", "p", "li", "small", "pre", "code"}
        assert shaped <= drawn, name
        for link in parsed.links:
            assert re.fullmatch(r"(\.\./)?[a-z0-9/-]+\.html(#[a-z0-9]+)?|#[a-z0-9-]+|data:,", link)
    forms_hold(files, text)


def forms_hold(files: dict[str, str], text: str) -> None:
    """JSON says the text itself, XML can be read, and Markdown has no tag that is not ours."""
    assert json.loads(files["report.json"])["claims"][0]["sentence"] == text
    assert json.loads(files["ctrf.json"])["results"]["tests"]
    assert ET.fromstring(files["junit.xml"]).tag == "testsuites"
    badge = {element.tag.rpartition("}")[2] for element in ET.fromstring(files["badge.svg"]).iter()}
    assert badge <= {"svg", "title", "rect", "path", "g", "text"}
    fenced = re.sub(r"(?ms)^(`{3,})\w*$.*?^\1$", "", files["summary.md"])
    assert set(re.findall(r"<(/?\w+)", fenced)) <= {"details", "/details", "summary", "/summary"}


def test_a_text_is_seen_as_it_is() -> None:
    """Markup in a record is read on the page."""
    with tempfile.TemporaryDirectory() as place:
        assert HOSTILE in Parsed(files_of(Path(place), HOSTILE)["index.html"]).text


def test_text_that_hides_or_reorders_is_shown_as_escapes() -> None:
    """Overrides of direction, zero-width characters, controls and surrogates are visible."""
    assert visible("a\u202eb\u200bc\x00d\x1b[0me\ud800") == (
        "a\\u202eb\\u200bc\\u0000d\\u001b[0me\\ud800"
    )
    assert visible("line\n\tnext, 中文") == "line\n\tnext, 中文"


def test_nothing_is_fetched(tmp_path: Path) -> None:
    """Pages refer to no other file; their only addresses are links that a reader may follow."""
    for html in report(tmp_path, upstream="https://example.org/issue").values():
        parsed = Parsed(html)
        assert not {"img", "iframe", "object", "video", "use", "image"} & set(parsed.tags)
        assert not [name for name, _ in parsed.attributes if name in ("src", "srcset", "style")]
        assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", html)
        outside = {link for link in parsed.links if link.startswith(("http", "data", "//"))}
        assert outside <= {"data:,", "https://example.org/issue"}


def test_the_policy_admits_the_pages_own_style_and_script_alone(tmp_path: Path) -> None:
    """The hashes in the policy are those of the two texts."""
    for html in report(tmp_path, HOSTILE).values():
        (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
        for tag in ("style", "script"):
            (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize(
    "text",
    ["javascript:alert(1)", "http://example.org", 'https://e.org/"onclick=', "https:///x", ""],
)
def test_what_is_no_plain_address_is_no_link(tmp_path: Path, text: str) -> None:
    """An entry of the register cannot bring a script in by its address."""
    assert not address(text)
    for html in report(tmp_path, upstream=text or "-").values():
        assert text not in Parsed(html).links or not text


def test_issues_are_named_as_readers_know_them() -> None:
    """A link to an issue says which project and which number, another its host."""
    assert site("https://github.com/pytorch/pytorch/issues/11390") == "pytorch/pytorch #11390"
    assert site("https://docs.pytorch.org/docs/stable/nn.html") == "docs.pytorch.org"


def test_names_of_pages_are_plain_and_unique() -> None:
    """Whatever a claim is called, its page is a file beside the others."""
    names = PageNames()
    given = [names.new(wish) for wish in ("claim-a", "claim/a", "../../etc", "…", "x" * 300)]
    assert given[:4] == ["claim-a.html", "claim-a-2.html", "etc.html", "page.html"]
    assert len(given[4]) < 100


def test_pages_work_without_their_script(tmp_path: Path) -> None:
    """All that needs the script is hidden until the script shows it."""
    for name, html in report(tmp_path).items():
        parsed = Parsed(html)
        forms = re.findall(r"<form.*?</form>", html, re.DOTALL)
        assert all(" hidden" in form[: form.index(">")] for form in forms), name
        assert parsed.tags.count("button") == sum(form.count("<button") for form in forms)
