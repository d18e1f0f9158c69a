"""The report is a folder of safe pages that show what the records hold."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from conformance._trace_schema import Counter, Kept, Name, Storage, Visit
from conformance.records import (
    KINDS,
    VERDICTS,
    Claim,
    Counterexample,
    Detected,
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
    Trace,
    TraceStep,
    Verdict,
)
from reports.site import FOLDER, Sources, read, render, write_report
from reports.words import MEANINGS, clipped, duration, moment

HOSTILE = (
    "</script></style></pre><script>alert(1)</script><img src=x onerror=alert(1)>\"' {{ 7*7 }}"
)
VOID = {"meta", "link", "input"}


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


def trace(text: str) -> Trace:
    """A step that writes a memory with an alias, which a node had saved, and a backward call."""
    names = (Name(text, "leaf", requires_grad=True), Name(text, "view", text))
    kept = (Kept(text, text, 0), Kept(text, text, 0, "overwritten"), Kept(text, text, 0, "freed"))
    storage = Storage(0, text, names, (Counter((text, text), 0, 1),), kept)
    path = (Visit(text, (text,)), Visit(text, adds_to=text), Visit(text, raises=True))
    steps = (
        TraceStep(1, text, (text,), (text,), storages=(storage,)),
        TraceStep(2, text, raises=True, path=path),
        TraceStep(3, text, reached=False),
    )
    return Trace((text,), (storage,), steps, (text,), "raises", text, (text,), text, text)


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
                    source={text: text},
                    trace=trace(text),
                    detected=Detected(3, 0.5),
                )
            )
        writer.write(Verdict(*where, text, "known deviation", "wrong flag", deviation=text))
        writer.write(Verdict(*where, text, "unspecified", reason=text, observed=text))
        writer.write(Verdict(*where, text, "suite error", message=text, reason=text))
        for number in range(verdicts):
            writer.program(f"{number:016x}", {"steps": [["mul_", "x", 2.0]] * 8})
            writer.write(Verdict(*where, f"{number:016x}", "conforms"))
        writer.write(Counterexample(*where, text, text, text, 12, text, trace(text)))
        writer.write(
            Finish(
                where[0],
                where[1],
                "deviates",
                {"deviates": 3, "conforms": verdicts},
                1.5,
                text,
                Outside(300, True),
                {text: (3, 1, 0, 2, 0)},
            )
        )
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
                source={text: text},
                trace=trace(text),
            )
        )
        writer.write(Start(f"{text}-b", f"{text}-cpu", 7))
        if not cut:
            writer.write(Finish(f"{text}-b", f"{text}-cpu", "conforms", {"conforms": 9}, 2.0))
            writer.write(End(text, 3.0, 1))
    return folder


def pages(
    *runs: Path, before: tuple[Path, ...] = (), planted: tuple[Path, ...] = ()
) -> dict[str, str]:
    """Every file of a report by its path."""
    return dict(render(read(Sources(runs, before, planted))))


def only_pages(files: dict[str, str]) -> dict[str, str]:
    """The pages among them."""
    return {name: text for name, text in files.items() if name.endswith(".html")}


def report(tmp_path: Path, text: str = "plain", **options: object) -> dict[str, str]:
    """The report of one run in which every string is `text`, beside an earlier run like it."""
    run = write_run(tmp_path / "run", text, **options)  # type: ignore[arg-type]
    return only_pages(pages(run, before=(write_run(tmp_path / "before", text),), planted=(run,)))


def shown(folder: Path, page: str = "index.html") -> str:
    """The text of a page about one run, blanks as they are seen."""
    return " ".join(Parsed(pages(folder)[page]).text.split())


# -- pages are well-formed, safe, and lead to one another


def test_pages_are_well_formed_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    """Tags balance, ids are unique, and no page or anchor is missing."""
    made = report(tmp_path, upstream="https://example.org/issue")
    ids = {name: set(Parsed(html).ids) for name, html in made.items()}
    for name, html in made.items():
        parsed = Parsed(html)
        assert len(set(parsed.ids)) == len(parsed.ids), name
        for link in parsed.links:
            if not link.startswith(("https:", "data:")):
                path, _, anchor = link.partition("#")
                target = name if not path else str(Path(name).parent / path)
                target = target.replace(f"{FOLDER}/../", "")
                assert target in made, (name, link)
                assert not anchor or anchor in ids[target] | {"main"}, (name, link)


def test_every_page_can_be_reached_from_the_index(tmp_path: Path) -> None:
    """Nobody has to guess an address."""
    made = report(tmp_path)
    found, left = {"index.html"}, ["index.html"]
    while left:
        name = left.pop()
        for link in Parsed(made[name]).links:
            if not link.startswith(("https:", "data:", "#")):
                target = str(Path(name).parent / link.partition("#")[0]).replace(
                    f"{FOLDER}/../", ""
                )
                if target not in found:
                    found.add(target)
                    left.append(target)
    assert found == set(made)


# -- the index


def test_findings_come_gravest_first(tmp_path: Path) -> None:
    """The headline names the gravest kind, and the findings follow the order of kinds."""
    html = report(tmp_path)["index.html"]
    kinds = re.findall(r'<li class="finding">\s*<p><span class="kind">([^<]*)', html)
    assert kinds == ["silent wrong gradient", "wrong value", "spurious error"]
    assert "Gravest finding: silent wrong gradient" in Parsed(html).text


def test_more_findings_than_a_reader_needs_are_counted(tmp_path: Path) -> None:
    """One kind of one claim is shown five times; the rest is a number."""
    with RecordWriter(tmp_path) as writer:
        for n in range(500):
            writer.write(Verdict("c", "s", f"{n:016x}", "deviates", "hang", script="x\n" * n))
    made = pages(tmp_path)
    assert sum(f"{FOLDER}/finding" in name for name in made) == 5
    assert "495 more programs" in Parsed(made["index.html"]).text


def test_a_suite_error_is_no_finding(tmp_path: Path) -> None:
    """What the suite failed at stands apart from deviations."""
    with RecordWriter(tmp_path) as writer:
        writer.write(Verdict("c", "s", "ab" * 8, "suite error", message="we broke"))
    text = shown(tmp_path)
    assert text.index("Not judged") < text.index("we broke")
    assert "Gravest finding" not in text
    assert "Not a complete result: 1 claim" in text


def test_a_run_in_which_nothing_was_judged_is_no_success(tmp_path: Path) -> None:
    """A subject that is not there scores nothing, not zero deviations."""
    with RecordWriter(tmp_path) as writer:
        writer.write(Finish("c", "s", "not exercised", note="torch sees no CUDA device"))
    text = shown(tmp_path)
    assert "Nothing was judged." in text
    assert "No unregistered deviation" not in text


def test_a_claim_that_deviates_without_a_program_is_no_success(tmp_path: Path) -> None:
    """Where the line of the deviating program is lost, the verdict of the claim still counts."""
    with RecordWriter(tmp_path) as writer:
        writer.write(Finish("c", "s", "deviates", {"deviates": 1}))
    text = shown(tmp_path)
    assert "1 claim deviates, and the records hold no program that shows it" in text


def test_known_deviations_stand_with_their_age_and_upstream(tmp_path: Path) -> None:
    """Days since the entry was written, when the run started, and whom it was told."""
    with RecordWriter(tmp_path) as writer:
        host = Host("3.12", "Linux")
        writer.write(
            Run(
                "r",
                "2026-03-11T10:00:00+00:00",
                "0.1",
                "quick",
                7,
                "run",
                host,
                (Subject("s"),),
                (),
            )
        )
        for id, date in (("old", "2026-03-01"), ("odd", "some day")):
            writer.write(
                Deviation(id, "wrong flag", "c", f"The {id} one", "a cause", "s", "still",
                          "https://github.com/pytorch/pytorch/issues/7", date)
            )  # fmt: skip
    text = shown(tmp_path)
    assert "The old one wrong flag 10 days ◆ still deviates pytorch/pytorch #7" in text
    assert "The odd one wrong flag some day" in text


def test_a_known_deviation_that_no_record_describes_is_listed(tmp_path: Path) -> None:
    """A cut-off run has verdicts that name entries, of which it then met each, before them."""
    with RecordWriter(tmp_path) as writer:
        for program, deviation in (("ab" * 8, "flag-of-view"), ("cd" * 8, "flag-of-view, other")):
            writer.write(
                Verdict("c", "s", program, "known deviation", "wrong flag", deviation=deviation)
            )
    made = pages(tmp_path)
    assert "met by 2 programs" in Parsed(made[f"{FOLDER}/known-flag-of-view.html"]).text
    assert "met by 1 program" in Parsed(made[f"{FOLDER}/known-other.html"]).text


def test_a_cut_off_run_says_so(tmp_path: Path) -> None:
    """Interruption, a missing end and broken lines are all shown."""
    folder = write_run(tmp_path / "run", cut=True)
    with (folder / "verdicts.jsonl").open("a") as file:
        file.write('{"type":"fin')
    text = shown(folder)
    assert "interrupted" in text
    assert "the run was cut off" in text
    assert "1 line of the records could not be read" in text


# -- words


def test_every_verdict_is_explained_with_a_glyph_of_its_own() -> None:
    """Verdicts are told apart without colour."""
    assert set(MEANINGS) == {*VERDICTS, "interrupted"}
    assert len({glyph for glyph, _ in MEANINGS.values()}) == len(MEANINGS)


def test_kinds_are_listed_gravest_first() -> None:
    """A gradient that is wrong without a word is the gravest, a needless error the least grave."""
    assert (KINDS[0], KINDS[-1]) == ("silent wrong gradient", "spurious error")


# -- files


def test_the_report_is_written_into_a_new_folder(tmp_path: Path) -> None:
    """The path that comes back is the index; the other pages are in a folder beside it."""
    run = write_run(tmp_path / "run")
    target = write_report(Sources((run,)), tmp_path / "new" / "out", "start.html")
    assert target == tmp_path / "new" / "out" / "start.html"
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    matrix = target.parent / FOLDER / "matrix.html"
    assert 'href="../start.html"' in matrix.read_text(encoding="utf-8")


def test_pages_of_an_earlier_report_are_taken_away_and_nothing_else(tmp_path: Path) -> None:
    """A finding that is gone has no page any more; what others put there stays."""
    pages_of = tmp_path / "out" / FOLDER
    write_report(Sources((write_run(tmp_path / "run"),)), tmp_path / "out")
    (pages_of / "notes.html").write_text("mine")
    assert list(pages_of.glob("finding-*.html"))
    with RecordWriter(tmp_path / "clean") as writer:
        writer.write(Finish("c", "s", "conforms", {"conforms": 1}))
    write_report(Sources((tmp_path / "clean",)), tmp_path / "out")
    assert not list(pages_of.glob("finding-*.html"))
    assert (pages_of / "notes.html").read_text() == "mine"


def test_a_place_that_cannot_hold_the_report_is_named(tmp_path: Path) -> None:
    """A file where the folder should be is one sentence, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="report cannot be written to"):
        write_report(Sources((write_run(tmp_path / "run"),)), tmp_path / "file")


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
