"""The page of a finding: how to see it again, its numbers, its steps and their drawing."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from conformance.explain import trace_of_script
from conformance.records import Detected, Elsewhere, RecordWriter, Verdict
from reports.drawing import Box, draw
from reports.entries import entries
from reports.script_steps import statements
from reports.site import FOLDER
from tests.test_pages import PROGRAM, ended, page, run_of, text_of
from tests.test_report import pages, trace


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


def test_a_whole_script_has_a_drawing_of_what_was_read_of_it(tmp_path: Path) -> None:
    """Its statements as steps, the memory that each changed, and what was not read says so."""
    body = "x = torch.ones(2)\ny = x.view(2)\ny.mul_(2)\nx.resize_(1)\nz = x\n"
    script = f'import torch\n\n{body}print("deviates: all")\n'
    wrong = Verdict(
        *("c", "s", PROGRAM, "deviates", "wrong value", "it is wrong", script),
        trace=trace_of_script(body),
    )
    said = page(f"finding-c-{PROGRAM}", run_of(tmp_path, wrong))
    for fragment in (
        "A whole script, read statement by statement",
        "Step 3 y.mul_(2) writes y in place memory of x version 0 → 1 x a leaf y a view of x",
        "not read: what .resize_() does to its memory is not in the op table",
        "what it may write or share is drawn no longer: x, y",
        "It runs by itself, and prints the verdict.",
        "autograd-conformance run --claim c",
    ):
        assert fragment in said, fragment
    assert "Start" not in said


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


def test_subjects_of_one_version_that_disagree_bound_nothing(tmp_path: Path) -> None:
    """Then it is not the version that makes the difference."""
    wrong = Verdict("c", "s", PROGRAM, "deviates", "hang")
    right = Verdict("c", "s", PROGRAM, "conforms")
    runs = [
        run_of(tmp_path / "a", right, ended("conforms"), id="a"),
        run_of(tmp_path / "b", wrong, ended("deviates"), id="b"),
    ]
    said = page(f"finding-c-{PROGRAM}", *runs)
    assert "Bisection: those who were asked differ, and not by their version of torch." in said


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
