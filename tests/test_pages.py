"""What each page of a report shows, by small runs that were written for it."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import msgspec

from conformance.records import (
    Claim,
    Counterexample,
    Detected,
    Deviation,
    Elsewhere,
    Finish,
    Host,
    Past,
    RecordWriter,
    Run,
    Start,
    Subject,
    Verdict,
    VerdictWord,
    read_run,
    remember,
)
from reports.site import FOLDER
from tests.test_cli import Command, ac, one_sentence
from tests.test_report import Parsed, pages, trace, write_run

__all__ = ["ac"]

CLAIM = Claim("c", "A claim", "It holds.", ("003",), "https://e.org/notes", "Always.", "The law.")
PROGRAM = "ab" * 8
SCHEMA_1 = Path(__file__).parent / "schema_1"


def run_of(
    folder: Path,
    *records: Start | Verdict | Finish | Deviation | Counterexample | Elsewhere,
    torch: str = "2.13.0",
    subject: str = "s",
    id: str = "r",
    started: str = "2026-03-11T10:00:00+00:00",
) -> Path:
    """A run of one claim on one subject with these lines."""
    host, subjects = Host("3.12", "Linux"), (Subject(subject, torch, device="cpu"),)
    with RecordWriter(folder) as writer:
        operations = {"mul": "both", "exp": "both", "sum": "plain"}
        writer.write(
            Run(id, started, "0.1", "quick", 7, "run", host, subjects, (CLAIM,), 2, operations)  # type: ignore[arg-type]
        )
        for record in records:
            writer.write(record)
    return folder


def ended(verdict: VerdictWord, programs: int = 3, subject: str = "s") -> Finish:
    return Finish("c", subject, verdict, {verdict: programs}, 2.0)


def text_of(html: str) -> str:
    """What a page says, with a blank for each tag; neither style nor script."""
    bare = re.sub(r"(?s)<(style|script)>.*?</\1>|<[^>]*>", " ", html)
    return " ".join(unescape(bare).split())


def page(name: str, *runs: Path, before: tuple[Path, ...] = ()) -> str:
    return text_of(pages(*runs, before=before)[f"{FOLDER}/{name}.html"])


# -- matrix and claims


def test_every_cell_of_the_matrix_is_a_verdict_with_a_count_and_a_link(tmp_path: Path) -> None:
    """Glyph, word, programs judged, where to look; what deviates leads to its finding."""
    wrong = Verdict("c", "s", PROGRAM, "deviates", "hang", "it hangs")
    old = run_of(tmp_path / "old", wrong, ended("deviates"), torch="2.4.1")
    new = run_of(tmp_path / "new", ended("conforms", 1200))
    html = pages(new, old)[f"{FOLDER}/matrix.html"]
    cells = re.findall(r'<td><a class="cell v-([a-z-]+)" href="([^"]+)">(.*?)</a></td>', html)
    assert [(word, link) for word, link, _ in cells] == [
        ("deviates", f"finding-c-{PROGRAM}.html"),
        ("conforms", "claim-c.html#s2"),
    ], "the oldest torch comes first"
    assert [text_of(cell) for *_, cell in cells] == [
        "✗ deviates 3 programs",
        "✓ conforms 1,200 programs",
    ]


def test_rows_can_be_filtered_by_each_verdict_of_a_cell(tmp_path: Path) -> None:
    """Also by one that is no claim's worst."""
    old = run_of(tmp_path / "old", ended("not exercised", 0), torch="2.4.1")
    new = run_of(tmp_path / "new", ended("conforms"), id="n")
    html = pages(new, old)[f"{FOLDER}/matrix.html"]
    assert re.findall(r'data-show="([^"]*)"', html) == ["", "conforms", "not-exercised"]


def test_claims_stand_by_title_under_their_first_article(tmp_path: Path) -> None:
    """The matrix is a tree: articles, then claims, by their titles."""
    html = pages(write_run(tmp_path / "run"))[f"{FOLDER}/matrix.html"]
    said = text_of(html[html.index("<main") : html.index("</main>") + len("</main>")])
    words = [
        *("The inplace parameter of nn.ReLU()", "plain A", "What in-place means", "plain B"),
        *("Beyond the articles", "plain C"),
    ]
    places = [said.index(word) for word in words]
    assert places == sorted(places)
    assert "plain-a" not in said
    assert html.count('<details class="branch" open>') == 3


def test_two_runs_stand_side_by_side(tmp_path: Path) -> None:
    """Each version of torch has its own columns, and subjects of one name are told apart."""
    runs = [write_run(tmp_path / torch, torch=torch) for torch in ("2.13.0", "1.2.0")]
    made = pages(*runs)
    html = made[f"{FOLDER}/matrix.html"]
    head = Parsed(html[html.index("<thead") : html.index("</thead>") + len("</thead>")])
    assert head.tags.count("th") == 1 + 4
    assert "on plain-cpu, torch 1.2.0; plain-cpu, torch 2.13.0" in text_of(made["index.html"])


def test_a_claim_page_says_what_it_is_and_what_was_covered(tmp_path: Path) -> None:
    """Sentence, scope, law, source as a link, counts, operations, and what bounds the scope."""
    finish = Finish(
        "c", "s", "conforms", {"conforms": 9}, 2.0, "a note", None, {"mul": (3, 1, 0, 0, 0)}
    )
    bound = Counterexample(
        "c", "s", PROGRAM, "print(1)", "twice the mask", 12, "read again", trace("x")
    )
    run = run_of(tmp_path, Start("c", "s", 7), bound, finish)
    said = page("claim-c", run)
    for fragment in (
        *(
            "It holds.",
            "Holds Always.",
            "Law The law.",
            "What in-place means",
            "9 programs in 2.0 s",
        ),
        *("1 operation in 4 steps", "a note", "read again", "twice the mask", "print(1)"),
        "Found on s after 12 cases.",
    ):
        assert fragment in said, fragment
    assert 'href="https://e.org/notes"' in pages(run)[f"{FOLDER}/claim-c.html"]


def test_earlier_runs_of_a_subject_are_a_strip(tmp_path: Path) -> None:
    """The oldest first, each with its day and verdict for those who do not see the colour."""
    old = run_of(tmp_path / "old", ended("deviates"), id="o", started="2026-03-01T10:00:00+00:00")
    other = run_of(tmp_path / "other", ended("conforms", subject="t"), id="t", subject="t")
    new = run_of(tmp_path / "new", ended("conforms"), id="n")
    html = pages(new, before=(other, old))[f"{FOLDER}/claim-c.html"]
    (strip,) = re.findall(r'<ol class="strip".*?</ol>', html, re.DOTALL)
    assert text_of(strip) == (
        "✗ 1 March 2026, 10:00 UTC, torch 2.13.0: deviates "
        "✓ 11 March 2026, 10:00 UTC, torch 2.13.0: conforms"
    )


def test_history_in_the_folder_goes_further_back(tmp_path: Path) -> None:
    """Runs whose records are gone are in the strip all the same, each once."""
    run = run_of(tmp_path, ended("deviates"), id="n")
    for id, day, verdict in (("a", "01", "conforms"), ("b", "02", "gave up"), ("c", "03", "odd")):
        past = Past(id, f"2026-03-{day}T10:00:00+00:00", {"s": "2.0"}, {"c": {"s": verdict}})
        with (tmp_path / "history.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(past) + b"\n")
    remember(read_run(run))
    remember(read_run(run))
    html = pages(run)[f"{FOLDER}/claim-c.html"]
    (strip,) = re.findall(r'<ol class="strip".*?</ol>', html, re.DOTALL)
    assert re.findall(r"2026, 10:00 UTC, torch \S+ ([a-z ]+)", text_of(strip)) == [
        *("conforms ", "gave up ", "deviates"),
    ]


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
        writer.write(Verdict("d", "s", PROGRAM, "unspecified", reason="too ill-conditioned"))
    said = page("claim-c", tmp_path)
    assert "unspecified: x, which exp saved, was overwritten (4 programs; 1 raised)" in said
    assert "Program 0000000000000000 ends with a.grad = [2]" in said
    assert "Program 0000000000000001 raises at step 3: no" in said
    assert "too ill-conditioned (1 program)" in page("claim-d", tmp_path)


# -- old records


def test_records_of_schema_1_make_pages() -> None:
    """What they do not keep is said to be missing, and nothing else is."""
    made = pages(SCHEMA_1)
    findings = [name for name in made if name.startswith(f"{FOLDER}/finding-")]
    assert findings and "an older suite recorded it" in text_of(made[findings[0]])
    assert "do not count operations" in text_of(made[f"{FOLDER}/operations.html"])


# -- operations, changes, articles, figures


def test_operations_are_a_heat_map_with_its_empty_cells(tmp_path: Path) -> None:
    """All claims together; what no program held is there too, and what cannot be is told apart.

    An operation that the run does not list can be written as it was met.
    """
    cells = {"mul": (100, 7, 0, 1, 0), "sum": (1, 0, 0, 0, 0), "add_out": (0, 2, 0, 0, 0)}
    run = run_of(tmp_path, Finish("c", "s", "conforms", {"conforms": 1}, 1.0, "", None, cells))
    html = pages(run)[f"{FOLDER}/operations.html"]
    rows = dict(re.findall(r'<tr data-row[^>]*><th scope="row">(\w+)</th>(.*?)</tr>', html))
    shades = {name: re.findall(r'class="h(\w)"', row) for name, row in rows.items()}
    assert shades == {
        "add_out": ["n", "1", "0", "0", "0"],
        "exp": ["0", "0", "0", "0", "0"],
        "mul": ["5", "3", "0", "1", "0"],
        "sum": ["1", "n", "0", "0", "n"],
    }
    assert "4 operations, 110 steps of judged programs. 5 of 17 cells are filled." in text_of(html)


def test_changes_since_the_previous_run_stand_on_the_index(tmp_path: Path) -> None:
    """How many, which, when, and a page with all of them."""
    old = run_of(tmp_path / "old", ended("conforms"), id="o", started="2026-03-01T10:00:00+00:00")
    wrong = Verdict("c", "s", PROGRAM, "deviates", "hang", "it hangs")
    new = run_of(tmp_path / "new", wrong, ended("deviates"), id="n")
    made = pages(new, before=(old,))
    said = text_of(made["index.html"])
    assert "Regression: 2 new, 0 fixed" in said
    assert "new A claim hang: it hangs" in said
    assert "started on 1 March 2026, 10:00 UTC" in said
    assert "conforms ✗ deviates hang: it hangs" in text_of(made[f"{FOLDER}/diff-before-s.html"])


def test_command_takes_earlier_runs_and_planted_faults(ac: Command, tmp_path: Path) -> None:
    """By name; without a name, the run that was in the folder before is the earlier one."""
    old = run_of(tmp_path / "old", ended("deviates"), id="o", started="2026-03-01T10:00:00+00:00")
    new = run_of(tmp_path / "new", ended("conforms"), id="n")
    said = ac("report", "new", "--before", "old", "--planted", "old", "--out", "a")
    assert (said.code, said.out) == (0, "The report is a/index.html.\n")
    assert "1 fixed" in text_of((tmp_path / "a" / "index.html").read_text(encoding="utf-8"))
    old.rename(new / "previous")
    assert ac("report", "new", "--out", "b").code == 0
    assert "1 fixed" in text_of((tmp_path / "b" / "index.html").read_text(encoding="utf-8"))
    one_sentence(ac("report", "new", "--before", "nowhere"), "no records at nowhere")


def test_any_two_subjects_are_compared(tmp_path: Path) -> None:
    """Each pair has a page, and the number of changes leads to it."""
    stood: dict[str, VerdictWord] = {"1.2.0": "deviates", "2.4.1": "conforms", "2.13.0": "deviates"}
    runs = [
        run_of(tmp_path / torch, ended(verdict), torch=torch, id=torch)
        for torch, verdict in stood.items()
    ]
    made = pages(*runs)
    assert {name for name in made if "diff" in name} == {
        f"{FOLDER}/diff-{pair}.html" for pair in ("1-2", "1-3", "2-3")
    }
    said = text_of(made[f"{FOLDER}/changes.html"])
    assert "s, torch 1.2.0 to s, torch 2.4.1: 1 fixed" in said
    assert "s, torch 2.4.1 to s, torch 2.13.0: 1 new" in said
    assert "s, torch 1.2.0 to s, torch 2.13.0: no change" in said


def test_of_many_subjects_neighbours_and_the_last_are_compared(tmp_path: Path) -> None:
    """A page for each of a hundred pairs would be of no use."""
    runs = [
        run_of(tmp_path / str(n), ended("conforms"), torch=f"1.{n}", id=str(n)) for n in range(14)
    ]
    made = pages(*runs)
    assert sum("diff" in name for name in made) == 13 + 12
    assert f"{FOLDER}/diff-1-14.html" in made and f"{FOLDER}/diff-1-3.html" not in made


def test_articles_stand_sentence_by_sentence_with_every_version(tmp_path: Path) -> None:
    """Today is the newest torch; the others stand beside it from the oldest on."""
    old = run_of(tmp_path / "old", ended("deviates"), torch="1.2.0", id="o")
    new = run_of(tmp_path / "new", ended("conforms"), id="n")
    html = pages(new, old)[f"{FOLDER}/articles.html"]
    said = text_of(html)
    assert "Today is torch 2.13.0 on cpu, eager" in said and "from torch 1.2.0 on" in said
    row = said[said.index("It holds. Holds: Always.") :]
    assert row.startswith(
        "It holds. Holds: Always. ✓ conforms 3 programs ✗ deviates 3 programs ✓ conforms 3 programs"
    )


def test_figures_show_effort_standing_and_detection(tmp_path: Path) -> None:
    """Programs and time by claim, verdicts by version, and how soon a planted fault was found."""
    run = run_of(tmp_path / "run", ended("conforms", 1200))
    fault = "device=cpu,import=tests.faults.mul_in_place_that_copies"
    wrong = Verdict("c", fault, PROGRAM, "deviates", "hang", detected=Detected(44, 0.3))
    caught = run_of(tmp_path / "caught", Start("c", fault, 7), wrong, subject=fault)
    missed = run_of(tmp_path / "missed", Start("c", f"{fault}_not", 7), subject=f"{fault}_not")
    html = pages(run, planted=(caught, missed))[f"{FOLDER}/figures.html"]
    said = text_of(html)
    assert "A claim 1,200 2.0 s" in said
    assert "s torch 2.13.0 ✓ 1 conforms" in said
    assert "mul in place that copies not A claim not found" in said
    assert "mul in place that copies A claim hang 44 0.3 s" in said
    widths = [
        float(width) for width in re.findall(r'<rect class="b-\w+"[^>]*width="([\d.]+)"', html)
    ]
    assert widths == [1000.0, 1000.0, 1000.0]
