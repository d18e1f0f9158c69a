"""The report is one safe, self-contained page that shows what the records hold."""

from __future__ import annotations

import base64
import hashlib
import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.records import (
    KINDS,
    VERDICTS,
    Claim,
    Counterexample,
    Deviation,
    End,
    Finish,
    Host,
    Kind,
    Outside,
    RecordError,
    RecordWriter,
    Run,
    Start,
    Subject,
    Verdict,
)
from reports.html import render_single, write_report
from reports.words import MEANINGS, clipped, duration, moment, visible

HOSTILE = (
    "</script></style></pre><script>alert(1)</script><img src=x onerror=alert(1)>\"' {{ 7*7 }}"
)
VOID = {"meta", "link"}


class Parsed(HTMLParser):
    """Tags, ids, links and text of a page; raises AssertionError where tags do not balance."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def links(self) -> list[str]:
        return [value for name, value in self.attributes if name == "href"]


def write_run(
    folder: Path,
    text: str = "plain",
    *,
    torch: str | None = None,
    upstream: str | None = None,
    verdicts: int = 0,
    cut: bool = False,
) -> Path:
    """A run in which every string that a stranger may choose is `text`."""
    with RecordWriter(folder) as writer:
        writer.write(
            Run(
                text,
                text,
                text,
                text,
                7,
                text,
                Host(text, text, text, text, text),
                (
                    Subject(f"{text}-cpu", torch or text, text, "cpu", text),
                    Subject(f"{text}-cuda", status="not exercised", reason=text),
                ),
                (
                    Claim(f"{text}-a", f"{text} A", text, ("000",), text, text, text),
                    Claim(f"{text}-b", f"{text} B", text, ("003", "001"), text, text),
                    Claim(f"{text}-c", f"{text} C", text, (text,)),
                ),
            )
        )
        where = (f"{text}-a", f"{text}-cpu")
        writer.write(Start(*where, 7))
        kinds: list[Kind] = ["spurious error", "silent wrong gradient", "wrong value"]
        for kind in kinds:
            writer.write(
                Verdict(
                    *where,
                    text,
                    "deviates",
                    kind,
                    *(text, text, text, text, text),
                    command=text,
                    minimal=False,
                )
            )
        writer.write(Verdict(*where, text, "known deviation", "wrong flag", deviation=text))
        writer.write(Verdict(*where, text, "unspecified", reason=text, observed=text))
        writer.write(Verdict(*where, text, "suite error", message=text, reason=text))
        for number in range(verdicts):
            writer.program(f"{number:016x}", {"steps": [["mul_", "x", 2.0]] * 8})
            writer.write(Verdict(*where, f"{number:016x}", "conforms"))
        writer.write(Counterexample(*where, text, text, text, 12, text))
        counts = {"deviates": 3, "conforms": verdicts}
        writer.write(Finish(*where, "deviates", counts, 1.5, text, Outside(300, True)))  # type: ignore[arg-type]
        address = text if upstream is None else upstream
        writer.write(
            Deviation(
                text,
                "wrong flag",
                where[0],
                text,
                text,
                where[1],
                status="still",
                upstream=address,
                date=text,
                torch=text,
                script=text,
            )
        )
        writer.write(Start(f"{text}-b", f"{text}-cpu", 7))
        if not cut:
            writer.write(Finish(f"{text}-b", f"{text}-cpu", "conforms", {"conforms": 9}, 2.0))
            writer.write(End(text, 3.0, 1))
    return folder


def page(tmp_path: Path, text: str = "plain", **options: object) -> Parsed:
    return Parsed(render_single([write_run(tmp_path / "run", text, **options)]))  # type: ignore[arg-type]


def test_the_page_is_well_formed_and_every_link_inside_it_leads_somewhere(tmp_path: Path) -> None:
    """Tags balance, ids are unique, and no anchor is missing."""
    parsed = page(tmp_path)
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids)


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """Markup in any field adds no tag to the page and is shown as it is."""
    parsed = page(tmp_path, HOSTILE)
    assert parsed.tags == page(tmp_path / "benign").tags
    assert HOSTILE in parsed.text
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]


@settings(max_examples=25, deadline=None)
@given(text=st.text(min_size=1))
def test_any_text_stays_text(text: str) -> None:
    """No string changes the structure of the page."""
    with tempfile.TemporaryDirectory() as folder:
        parsed = Parsed(render_single([write_run(Path(folder) / "any", text, upstream="-")]))
        plain = Parsed(render_single([write_run(Path(folder) / "plain", upstream="-")]))
    assert parsed.tags == plain.tags


def test_text_that_hides_or_reorders_is_shown_as_escapes() -> None:
    """Overrides of direction, zero-width characters, controls and surrogates are visible."""
    assert visible("a\u202eb\u200bc\x00d\x1b[0me\ud800") == (
        "a\\u202eb\\u200bc\\u0000d\\u001b[0me\\ud800"
    )
    assert visible("line\n\tnext, 中文") == "line\n\tnext, 中文"


def test_nothing_is_fetched(tmp_path: Path) -> None:
    """The page refers to no other file; its only addresses are links that a reader may follow."""
    html = render_single([write_run(tmp_path / "run", upstream="https://example.org/issue")])
    parsed = Parsed(html)
    assert not {"img", "iframe", "object", "form", "video"} & set(parsed.tags)
    assert not [value for name, value in parsed.attributes if name in ("src", "srcset", "style")]
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", html)
    assert {link for link in parsed.links if not link.startswith("#")} == {
        "data:,",
        "https://example.org/issue",
    }


def test_the_policy_admits_the_pages_own_style_and_script_alone(tmp_path: Path) -> None:
    """The hashes in the policy are those of the two texts."""
    html = render_single([write_run(tmp_path / "run", HOSTILE)])
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_an_address_that_is_not_https_is_no_link(tmp_path: Path) -> None:
    """An entry of the register cannot bring a script in by its address."""
    assert "javascript:alert(1)" not in page(tmp_path, upstream="javascript:alert(1)").links


def test_the_page_works_without_its_script(tmp_path: Path) -> None:
    """All that needs the script is hidden until the script shows it."""
    html = render_single([write_run(tmp_path / "run")])
    assert re.search(r'<div id="filter"[^>]* hidden', html)
    assert html.count("<button") == html[: html.index("<table")].count("<button")


def test_claims_stand_by_title_under_their_first_article(tmp_path: Path) -> None:
    """The matrix names claims and articles by their titles."""
    html = render_single([write_run(tmp_path / "run")])
    matrix = Parsed(html[html.index("<table") : html.index("</table>") + len("</table>")])
    words = [
        "The inplace parameter of nn.ReLU()",
        "plain A",
        "What in-place means",
        "plain B",
        "Beyond the articles",
        "plain C",
    ]
    places = [matrix.text.index(word) for word in words]
    assert places == sorted(places)
    assert "plain-a" not in matrix.text


def test_findings_come_gravest_first(tmp_path: Path) -> None:
    """The headline names the gravest kind, and the findings follow the order of kinds."""
    html = render_single([write_run(tmp_path / "run")])
    kinds = re.findall(r'<article class="finding">\s*<h3><span class="kind">([^<]*)', html)
    assert kinds == ["silent wrong gradient", "wrong value", "spurious error"]
    assert "Gravest finding: silent wrong gradient" in Parsed(html).text


def test_a_finding_shows_what_it_takes_to_see_it_again(tmp_path: Path) -> None:
    """Script, expected, observed, message and command are there."""
    with RecordWriter(tmp_path) as writer:
        writer.program("ab" * 8, "print('the whole script')")
        writer.write(
            Verdict("c", "s", "ab" * 8, "deviates", "hang", "it hangs", expected="an end",
                    observed="none", command="replay me", minimal=False)
        )  # fmt: skip
    text = Parsed(render_single([tmp_path])).text
    shown = ["print('the whole script')", "an end", "none", "it hangs", "replay me", "not minimal"]
    assert [fragment for fragment in shown if fragment not in text] == []


def test_more_findings_than_a_reader_needs_are_counted(tmp_path: Path) -> None:
    """One kind of one claim is shown five times; the rest is a number."""
    with RecordWriter(tmp_path) as writer:
        for n in range(500):
            writer.write(Verdict("c", "s", f"{n:016x}", "deviates", "hang", script="x\n" * n))
    parsed = Parsed(render_single([tmp_path]))
    assert parsed.text.count("Expected") + parsed.text.count("Program") == 5
    assert "495 more programs" in parsed.text


def test_a_suite_error_is_no_finding(tmp_path: Path) -> None:
    """What the suite failed at stands apart from deviations."""
    with RecordWriter(tmp_path) as writer:
        writer.write(Verdict("c", "s", "ab" * 8, "suite error", message="we broke"))
    text = Parsed(render_single([tmp_path])).text
    assert text.index("Not judged") < text.index("we broke")
    assert "Gravest finding" not in text
    assert "Not a complete result: 1 claim" in text


def test_a_run_in_which_nothing_was_judged_is_no_success(tmp_path: Path) -> None:
    """A subject that is not there scores nothing, not zero deviations."""
    with RecordWriter(tmp_path) as writer:
        writer.write(Finish("c", "s", "not exercised", note="torch sees no CUDA device"))
    text = Parsed(render_single([tmp_path])).text
    assert "Nothing was judged." in text
    assert "No unregistered deviation" not in text


def test_a_claim_that_deviates_without_a_program_is_no_success(tmp_path: Path) -> None:
    """Where the line of the deviating program is lost, the verdict of the claim still counts."""
    with RecordWriter(tmp_path) as writer:
        writer.write(Finish("c", "s", "deviates", {"deviates": 1}))
    text = Parsed(render_single([tmp_path])).text
    assert "1 claim deviates, and the records hold no program that shows it" in text


def test_a_known_deviation_that_no_record_describes_is_listed(tmp_path: Path) -> None:
    """A cut-off run has verdicts that name an entry before the entry itself."""
    with RecordWriter(tmp_path) as writer:
        writer.write(
            Verdict("c", "s", "ab" * 8, "known deviation", "wrong flag", deviation="flag-of-view")
        )
    text = Parsed(render_single([tmp_path])).text
    assert "flag-of-view" in text
    assert "met by 1 program" in text


def test_unspecified_programs_are_shown_with_what_the_subject_did(tmp_path: Path) -> None:
    """By reason, whatever the results are called: how many raised, and a program of each sort.

    Records of older versions do not tell what was seen, and are shown without it.
    """
    reason = "x{}, which exp saved, was overwritten"
    with RecordWriter(tmp_path) as writer:
        for number, did in enumerate(("ends with a.grad = [2]", "raises at step 3: no", "", "")):
            writer.write(
                Verdict("c", "s", f"{number:016x}", "unspecified", reason=reason.format(number),
                        observed=did)
            )  # fmt: skip
        writer.write(Verdict("d", "s", "ab" * 8, "unspecified", reason="too ill-conditioned"))
    text = " ".join(Parsed(render_single([tmp_path])).text.split())
    assert "unspecified: x, which exp saved, was overwritten (4 programs; 1 raised)" in text
    assert "Program 0000000000000000 ends with a.grad = [2]" in text
    assert "Program 0000000000000001 raises at step 3: no" in text
    assert "too ill-conditioned (1 program)" in text


def test_a_cut_off_run_says_so(tmp_path: Path) -> None:
    """Interruption, a missing end and broken lines are all shown."""
    folder = write_run(tmp_path / "run", cut=True)
    with (folder / "verdicts.jsonl").open("a") as file:
        file.write('{"type":"fin')
    text = Parsed(render_single([folder])).text
    assert "interrupted" in text
    assert "the run was cut off" in text
    assert "1 line of the records could not be read" in text


def test_two_runs_stand_side_by_side(tmp_path: Path) -> None:
    """Each version of torch has its own columns, and subjects of one name are told apart."""
    runs = [write_run(tmp_path / torch, torch=torch) for torch in ("2.13.0", "1.2.0")]
    html = render_single(runs)
    head = Parsed(html[html.index("<thead") : html.index("</thead>") + len("</thead>")])
    assert head.tags.count("th") == 1 + 4
    assert "On plain-cpu, torch 2.13.0; plain-cpu, torch 1.2.0" in " ".join(
        Parsed(html).text.replace("On", "On ").split()
    )


def test_every_verdict_is_explained_with_a_glyph_of_its_own() -> None:
    """Verdicts are told apart without colour."""
    assert set(MEANINGS) == {*VERDICTS, "interrupted"}
    assert len({glyph for glyph, _ in MEANINGS.values()}) == len(MEANINGS)


def test_kinds_are_listed_gravest_first() -> None:
    """A gradient that is wrong without a word is the gravest, a needless error the least grave."""
    assert (KINDS[0], KINDS[-1]) == ("silent wrong gradient", "spurious error")


def test_a_default_run_makes_a_small_page(tmp_path: Path) -> None:
    """12,000 verdicts stay far below a megabyte."""
    html = render_single([write_run(tmp_path / "run", verdicts=12_000)])
    assert len(html.encode()) < 300_000
    assert "12,003 programs" in html


def test_the_report_is_written_into_a_new_folder(tmp_path: Path) -> None:
    """The path that comes back is the page."""
    target = write_report([write_run(tmp_path / "run")], tmp_path / "new" / "out")
    assert target == tmp_path / "new" / "out" / "index.html"
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_place_that_cannot_hold_the_report_is_named(tmp_path: Path) -> None:
    """A file where the folder should be is one sentence, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="report cannot be written to"):
        write_report([write_run(tmp_path / "run")], tmp_path / "file")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (7800, "2 h 10 min")],
)
def test_durations_read_naturally(seconds: float, text: str) -> None:
    """Seconds are rounded before they are split."""
    assert duration(seconds) == text


def test_moments_keep_what_is_not_a_date() -> None:
    """A hostile or unknown start time is shown as it is."""
    assert moment("2025-11-21T20:29:13Z") == "21 November 2025, 20:29 UTC"
    assert moment("yesterday") == "yesterday"


def test_very_long_text_is_cut_and_says_so() -> None:
    """One monstrous message cannot make the page unusable."""
    assert clipped("x" * 20_001).endswith("... (1 more characters are in the records)")
