"""What each page of a report shows, by small runs that were written for it."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

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
from reports.drawing import Box, draw
from reports.entries import entries
from reports.script_steps import statements
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


# -- findings


def test_a_finding_shows_what_it_takes_to_see_it_again(tmp_path: Path) -> None:
    """Script, message, commands, seed, how soon it was met, and that it is not minimal."""
    wrong = Verdict("c", "s", PROGRAM, "deviates", "hang", "it hangs", "print('the script')",
                    1, "an end", "none", command="replay me", minimal=False,
                    source={"leaves": [], "steps": []}, detected=Detected(44, 0.3))  # fmt: skip
    said = page(f"finding-c-{PROGRAM}", run_of(tmp_path, wrong, ended("deviates")))
    for fragment in (
        *("print('the script')", "it hangs", "Expected an end", "Observed none", "replay me"),
        *("not minimal", "Step 2", "Seed 7", "44 cases of the claim, 0.3 s"),
        """echo '{"leaves":[],"steps":[]}' | autograd-conformance bisect --program - --claim c""",
        *("✗ deviates s torch 2.13.0", "Upstream issue: none is known"),
    ):
        assert fragment in said, fragment


def test_a_script_is_found_among_the_programs(tmp_path: Path) -> None:
    """A verdict without its script has it in `programs.jsonl`."""
    with RecordWriter(tmp_path) as writer:
        writer.program(PROGRAM, "print('the whole script')")
        writer.write(Verdict("c", "s", PROGRAM, "deviates", "hang"))
    said = page(f"finding-c-{PROGRAM}", tmp_path)
    assert "print('the whole script')" in said
    assert "There is no drawing of memory: this is a whole script" in said


def test_a_whole_script_has_its_statements_as_steps_and_a_run_that_repeats_it(
    tmp_path: Path,
) -> None:
    """Numbered, with their lines; the claim is put to the subject again with the seed of the run.

    A program that an older suite recorded without its steps is no script: its command judges it.
    """
    script = "import torch\n\nx = torch.ones(2)\nfor n in range(2):\n    x.le_(1)\n\nprint(x)\n"
    wrong = Verdict("c", "a b", PROGRAM, "deviates", "hang", "it hangs", script, expected="an end")
    said = page(f"finding-c-{PROGRAM}", run_of(tmp_path / "new", wrong, subject="a b"))
    for fragment in (
        "Step 1 line 3 x = torch.ones(2) Step 2 lines 4-5 for n in range(2): x.le_(1)",
        "Step 3 line 7 print(x) The script",
        "autograd-conformance run --claim c --subject 'a b' --profile quick --seed 7",
        "nobody else was asked this very script",
    ):
        assert fragment in said, fragment
    old = msgspec.structs.replace(wrong, command="judge it")
    said = page(f"finding-c-{PROGRAM}", run_of(tmp_path / "old", old))
    assert "an older suite recorded it" in said and "judge it" in said and "Step 1" not in said


def test_statements_of_a_script_are_told_by_their_first_column() -> None:
    """Clauses, closing brackets, decorated functions and blank lines belong to what they are of."""
    script = "@f\ndef g():\n    pass\n\n\nif a:\n    b\nelse:\n    c\nd = (\n    1,\n)  # one\n"
    found = [(one.number, one.lines, one.code) for one in statements(script)]
    assert found == [
        (1, "lines 1-3", "@f\ndef g():\n    pass"),
        (2, "lines 6-9", "if a:\n    b\nelse:\n    c"),
        (3, "lines 10-12", "d = (\n    1,\n)  # one"),
    ]
    assert statements("import torch\n\n") == () == statements("   (\n")


@given(st.text(alphabet="a@ \n)\t\r\x0c", max_size=40))
def test_no_line_of_a_script_is_lost(script: str) -> None:
    """Whatever it holds, its statements are its lines in order, but for blank ones between them."""
    lines = script.split("\n")
    first = next((n for n, line in enumerate(lines) if line and line[0] in "a@"), len(lines))
    shown = [line for one in statements(script) for line in one.code.split("\n")]
    assert [*filter(str.strip, shown)] == [*filter(str.strip, lines[first:])]


def test_versions_are_told_from_one_another_by_the_very_program(tmp_path: Path) -> None:
    """Who deviates, who does not, who was not asked, and where the boundary lies."""
    wrong = Verdict("c", "s", PROGRAM, "deviates", "hang")
    right = Verdict("c", "s", PROGRAM, "conforms")
    runs = [
        run_of(tmp_path / "a", right, ended("conforms"), torch="1.2.0", id="a"),
        run_of(tmp_path / "b", ended("conforms"), torch="1.4.0", id="b"),
        run_of(tmp_path / "c", wrong, ended("deviates"), torch="2.4.1", id="c"),
    ]
    said = page(f"finding-c-{PROGRAM}", *runs)
    assert "✓ conforms s, torch 1.2.0" in said and "not asked s, torch 1.4.0" in said
    assert "Bisection: conforms on torch 1.2.0, deviates on torch 2.4.1." in said


def test_what_was_asked_later_counts_where_the_run_did_not_ask(tmp_path: Path) -> None:
    """Of subjects of the report and of others; without it, the page says how to ask."""
    wrong = Verdict("c", "s", PROGRAM, "deviates", "hang", "it hangs")
    alone = run_of(tmp_path / "alone", wrong, torch="2.4.1", id="a")
    assert "nobody else was asked" in page(f"finding-c-{PROGRAM}", alone)
    runs = [
        run_of(tmp_path / "old", ended("conforms"), torch="1.2.0", id="o"),
        run_of(
            tmp_path / "new",
            wrong,
            Elsewhere(PROGRAM, "s", "1.2.0", "unspecified", "nothing decides it"),
            Elsewhere(PROGRAM, "other", "2.0.1", "conforms"),
            torch="2.4.1",
            id="n",
        ),
    ]
    said = page(f"finding-c-{PROGRAM}", *runs)
    assert "~ unspecified s, torch 1.2.0 nothing decides it ✓ conforms other torch 2.0.1" in said
    assert "Bisection: conforms on torch 2.0.1, deviates on torch 2.4.1." in said


def test_entries_that_differ_are_marked(tmp_path: Path) -> None:
    """Expected beside observed, by index, with a word for those who do not see the colour."""
    wrong = Verdict(
        *("c", "s", PROGRAM, "deviates"),
        expected="[[1.0, nan], [inf, 2.0]]",
        observed="[[1.0, nan], [-inf, 2.0000000001]]",
        off=(2,),
    )
    html = pages(run_of(tmp_path, wrong))[f"{FOLDER}/finding-c-{PROGRAM}.html"]
    rows = re.findall(r"<tr( class=\"differs\")?><th scope=\"row\">(.*?)</tr>", html)
    assert [(bool(marked), text_of(row)) for marked, row in rows] == [
        (False, "[0, 0] 1.0 1.0"),
        (False, "[0, 1] nan nan"),
        (True, "[1, 0] inf -inf ✗ differs"),
        (False, "[1, 1] 2.0 2.0000000001"),
    ]


def test_entries_of_old_records_and_of_other_things() -> None:
    """Where no places are recorded, what reads differently differs; a word is no entry."""
    told = entries("[1.0, 2.0]", "[1.0, 3.0]", ())
    assert told is not None and [entry.differs for entry in told.shown] == [False, True]
    assert entries("0.0", "-0.5", ()) is not None
    for expected, observed in (("no error", "raises"), ("[1.0]", "[1.0, 2.0]"), ("[" * 99, "1.0")):
        assert entries(expected, observed, ()) is None


def test_of_many_entries_those_that_differ_are_shown() -> None:
    """And the others are counted."""
    many = [float(n) for n in range(200)]
    told = entries(str(many), str([0.0, *many[:-1]]), (7, 9))
    assert told is not None
    assert [entry.index for entry in told.shown] == ["[7]", "[9]"]
    assert (told.differing, told.more) == (2, 198)


# -- the drawing


def test_names_memories_and_nodes_are_drawn_side_by_side() -> None:
    """A write moves the version; what was saved stands beside it as it is now; lines join them."""
    written, ends, unreached = draw(trace("x"), wrong=1).steps
    assert written.memory is not None and ends.path is not None
    boxes = {box.look: box for box in written.memory.boxes}
    assert boxes["storage moved"].lines == ("memory of x", "version 0 → 1")
    assert boxes["name view"].lines == ("x", "a view of x")
    assert boxes["kept lost"].lines == ("x", "x at version 0", "✗ overwritten")
    assert [line.look for line in written.memory.lines].count("saves kept lost") == 1
    assert [box.look for box in ends.path.boxes] == ["visit", "visit arrives", "visit fails"]
    assert unreached.memory is None
    assert (written.wrong, ends.wrong) == (False, True)


def test_boxes_do_not_overlap_and_stay_inside_the_picture() -> None:
    """Whatever there is to draw."""
    picture = draw(trace("a name that is much too long for its box")).steps[0].memory
    assert picture is not None
    for box in picture.boxes:
        assert box.x >= 0 and box.x + box.width <= picture.width
        assert box.y >= 0 and box.y + box.height <= picture.height
        assert all(len(line) * 6.7 <= box.width for _, line in box.texts)
        assert not any(overlap(box, other) for other in picture.boxes if other is not box)


def overlap(one: Box, other: Box) -> bool:
    apart = one.x + one.width <= other.x or other.x + other.width <= one.x
    return not apart and one.y < other.y + other.height and other.y < one.y + one.height


def test_the_drawing_is_told_in_words(tmp_path: Path) -> None:
    """Those who do not see it are read the same."""
    wrong = Verdict("c", "s", PROGRAM, "deviates", "hang", trace=trace("x"), step=0)
    html = pages(run_of(tmp_path, wrong))[f"{FOLDER}/finding-c-{PROGRAM}.html"]
    labels = re.findall(r'<svg class="picture" role="img"[^>]*aria-label="([^"]*)"', html)
    assert labels[1].startswith(
        "After step 1: Memory of x, version 0 → 1: x (a leaf ∇), x (a view of x)"
    )
    assert "x saved x at version 0: overwritten" in labels[1]


def test_records_of_schema_1_make_pages() -> None:
    """What they do not keep is said to be missing, and nothing else is."""
    made = pages(SCHEMA_1)
    findings = [name for name in made if name.startswith(f"{FOLDER}/finding-")]
    assert findings and "an older suite recorded it" in text_of(made[findings[0]])
    assert "do not count operations" in text_of(made[f"{FOLDER}/operations.html"])


# -- operations, changes, articles, figures


def test_operations_are_a_heat_map_with_its_empty_cells(tmp_path: Path) -> None:
    """All claims together; what no program held is there too, and what cannot be is told apart."""
    cells = {"mul": (100, 7, 0, 1, 0), "sum": (1, 0, 0, 0, 0)}
    run = run_of(tmp_path, Finish("c", "s", "conforms", {"conforms": 1}, 1.0, "", None, cells))
    html = pages(run)[f"{FOLDER}/operations.html"]
    rows = dict(re.findall(r'<tr data-row[^>]*><th scope="row">(\w+)</th>(.*?)</tr>', html))
    shades = {name: re.findall(r'class="h(\w)"', row) for name, row in rows.items()}
    assert shades == {
        "exp": ["0", "0", "0", "0", "0"],
        "mul": ["5", "3", "0", "1", "0"],
        "sum": ["1", "n", "0", "0", "n"],
    }
    assert "3 operations, 108 steps of judged programs. 4 of 13 cells are filled." in text_of(html)


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
