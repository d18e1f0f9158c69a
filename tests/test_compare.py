"""Two runs beside one another: what is new, fixed, still there, or cannot be told."""

from __future__ import annotations

import gzip
import io
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from conformance.cli.compare import print_comparison
from conformance.records import (
    Claim,
    Deviation,
    Finish,
    Host,
    Kind,
    Record,
    RecordWriter,
    Run,
    Start,
    Subject,
    Verdict,
    VerdictWord,
    read_run,
)
from reports.comparison import (
    CHANGES,
    Column,
    Comparison,
    Item,
    NothingToCompare,
    Seen,
    Side,
    Who,
    compare,
)
from tests.test_cli import Command, ac, one_sentence, strict

__all__ = ["ac"]

ROOT = Path(__file__).parents[1]
CPU = Subject("eager-cpu", "2.13.0", "3.12", "cpu")
OLD = Subject("eager-cpu", "2.4.1", "3.11", "cpu")
OTHER = Subject("python=old/bin/python", "1.7.1", "3.8", "cpu")
CUDA = Subject("eager-cuda", device="cuda", status="not exercised", reason="no CUDA device")
CLAIM, TITLE = "a-claim", "Writes are seen"
ONE, TWO = "1" * 16, "2" * 16


def run_of(
    folder: Path, *records: Record, subjects: tuple[Subject, ...] = (CPU,), claims: int = 1
) -> Path:
    """A run's folder with these lines after its head."""
    said = (Claim(CLAIM, TITLE, "They are."), Claim("b-claim", "More is seen", "It is."))[:claims]
    head = ("2026-01-01T00:00:00+00:00", "0.1", "quick", 7, "a command", Host("3.12", "Linux"))
    with RecordWriter(folder) as writer:
        writer.write(Run(folder.name, *head, subjects, said))
        for record in records:
            writer.write(record)
    return folder


def ended(verdict: VerdictWord, subject: Subject = CPU, claim: str = CLAIM) -> list[Record]:
    """A claim that ends so."""
    return [Start(claim, subject.name, 7), Finish(claim, subject.name, verdict)]


def judged(program: str, verdict: VerdictWord, message: str = "", deviation: str = "") -> Verdict:
    kind: Kind | None = "wrong value" if verdict == "deviates" else None
    return Verdict(CLAIM, CPU.name, program, verdict, kind, message, deviation=deviation)


def wrong(program: str = ONE, message: str = "x is 1 and should be 2") -> list[Record]:
    """A claim that this program refutes."""
    start, end = ended("deviates")
    return [start, judged(program, "deviates", message), end]


def entry(status: str, torch: str = "", subject: Subject = CPU) -> Deviation:
    said = ("an-entry", "wrong flag", CLAIM, "It is odd", "A cause", subject.name, status)
    return Deviation(*said, torch=torch)  # type: ignore[arg-type]


def compared(before: Path, after: Path) -> Comparison:
    return compare(read_run(before), read_run(after))


def items(comparison: Comparison, what: str) -> list[Item]:
    return [item for item in comparison.items if item.what == what]


def only(comparison: Comparison, what: str) -> Item:
    (item,) = items(comparison, what)
    return item


# -- claims


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("conforms", "conforms", "conforms"),
        ("conforms", "deviates", "new"),
        ("conforms", "known deviation", "new"),
        ("conforms", "not exercised", "not exercised"),
        ("conforms", "gave up", "not exercised"),
        ("known deviation", "conforms", "fixed"),
        ("known deviation", "unexpectedly conforms", "fixed"),
        ("known deviation", "known deviation", "still"),
        ("known deviation", "deviates", "new"),
        ("deviates", "conforms", "fixed"),
        ("deviates", "known deviation", "still"),
        ("deviates", "deviates", "still"),
        ("deviates", "unspecified", "not exercised"),
        ("deviates", "suite error", "not exercised"),
        ("not exercised", "deviates", "new"),
        ("not exercised", "conforms", "not exercised"),
        ("not exercised", "known deviation", "not exercised"),
        ("unspecified", "unspecified", "not exercised"),
    ],
)
def test_change_of_a_claim(
    tmp_path: Path, before: VerdictWord, after: VerdictWord, change: str
) -> None:
    """What deviates now and did not is new; what nobody can tell of is not exercised."""
    old, new = run_of(tmp_path / "a", *ended(before)), run_of(tmp_path / "b", *ended(after))
    comparison = compared(old, new)
    assert only(comparison, "claim").change == change
    assert comparison.regression == (change == "new")


def test_claim_that_a_run_left_out(tmp_path: Path) -> None:
    """It says nothing of the claim: nobody compares what conforms, and what deviates is new."""
    part = run_of(tmp_path / "a", *ended("conforms"))
    good = run_of(tmp_path / "b", *ended("conforms"), *ended("conforms", claim="b-claim"), claims=2)
    bad = run_of(tmp_path / "c", *ended("conforms"), *ended("deviates", claim="b-claim"), claims=2)
    other = items(compared(part, good), "claim")[1]
    assert (other.change, other.before.message) == (
        "not exercised",
        "this claim was not part of the run",
    )
    assert items(compared(part, bad), "claim")[1].change == "new"
    assert not compared(bad, part).regression


def test_run_that_was_cut_off(tmp_path: Path) -> None:
    """A claim that did not end proves nothing, but what deviated before is a regression."""
    whole = run_of(tmp_path / "a", *ended("conforms"))
    cut = run_of(tmp_path / "b", *wrong()[:2])
    comparison = compared(whole, cut)
    assert only(comparison, "claim").change == "not exercised"
    assert only(comparison, "program").change == "new" and comparison.regression


# -- programs


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("conforms", "deviates", "new"),
        ("known deviation", "deviates", "new"),
        ("unspecified", "deviates", "new"),
        (None, "deviates", "new"),
        ("deviates", "deviates", "still"),
        ("deviates", "known deviation", "still"),
        ("deviates", "conforms", "fixed"),
        ("deviates", "unspecified", "not exercised"),
        ("deviates", None, "not exercised"),
    ],
)
def test_change_of_a_program(
    tmp_path: Path, before: VerdictWord | None, after: VerdictWord | None, change: str
) -> None:
    """A program that deviates in one run is looked for in the other."""
    runs = []
    for name, verdict in (("a", before), ("b", after)):
        start, end = ended("conforms")
        lines = [judged(ONE, verdict)] if verdict is not None else []
        runs.append(run_of(tmp_path / name, start, *lines, end))
    item = only(compared(runs[0], runs[1]), "program")
    assert (item.id, item.change) == (ONE, change)


def test_programs_that_never_deviate_are_not_listed(tmp_path: Path) -> None:
    start, end = ended("conforms")
    run = run_of(tmp_path / "a", start, judged(ONE, "conforms"), judged(TWO, "unspecified"), end)
    assert items(compared(run, run), "program") == []


def test_another_program_of_a_claim_that_deviated_before(tmp_path: Path) -> None:
    """It was no deviation before, so it is new, and of the old one nobody can tell."""
    old, new = run_of(tmp_path / "a", *wrong(ONE)), run_of(tmp_path / "b", *wrong(TWO))
    comparison = compared(old, new)
    assert only(comparison, "claim").change == "still"
    changes = {item.id: item.change for item in items(comparison, "program")}
    assert changes == {ONE: "not exercised", TWO: "new"} and comparison.regression


# -- the register


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("still", "still", "still"),
        ("still", "unexpectedly conforms", "fixed"),
        ("unexpectedly conforms", "still", "new"),
        ("still", "deviates", "new"),
        ("deviates", "still", "still"),
        ("still", "not exercised", "not exercised"),
        ("not exercised", "still", "not exercised"),
        ("still", None, "not exercised"),
        (None, "still", "new"),
        (None, "deviates", "new"),
        (None, "unexpectedly conforms", "not exercised"),
    ],
)
def test_change_of_an_entry(
    tmp_path: Path, before: str | None, after: str | None, change: str
) -> None:
    """An entry is compared by what each run says of it."""
    old = run_of(tmp_path / "a", *([entry(before)] if before else []))
    new = run_of(tmp_path / "b", *([entry(after)] if after else []))
    assert only(compared(old, new), "deviation").change == change


def test_entry_that_is_for_other_versions(tmp_path: Path) -> None:
    """A run of a torch for which an entry says nothing did not ask it: nobody can tell."""
    old = run_of(tmp_path / "a", subjects=(OLD,))
    new = run_of(tmp_path / "b", entry("still", ">=2.13"))
    item = only(compared(old, new), "deviation")
    assert item.change == "not exercised"
    assert item.before.message == "the entry is for torch >=2.13 alone"
    run_of(tmp_path / "c", entry("still", ">=2.0"))
    assert only(compared(old, tmp_path / "c"), "deviation").change == "new"


def test_deviation_that_was_registered_since(tmp_path: Path) -> None:
    """What deviated and is a known deviation now is still there, program and entry alike."""
    start, end = ended("known deviation")
    old = run_of(tmp_path / "a", *wrong())
    known = judged(ONE, "known deviation", deviation="another, an-entry")
    new = run_of(tmp_path / "b", entry("still"), start, known, end)
    comparison = compared(old, new)
    assert {item.change for item in comparison.items} == {"still"} and not comparison.regression
    assert {item.id for item in items(comparison, "deviation")} == {"an-entry", "another"}


# -- which subject is compared with which


def test_subjects_of_one_name(tmp_path: Path) -> None:
    """They are compared whatever their versions, and those of one run alone are named."""
    old = run_of(tmp_path / "a", *ended("conforms", OLD), subjects=(OLD, OTHER, CUDA))
    new = run_of(tmp_path / "b", *ended("deviates"), subjects=(CUDA, CPU))
    comparison = compared(old, new)
    (column,) = comparison.columns
    assert (column.before.torch, column.after.torch) == ("2.4.1", "2.13.0")
    assert column.matched_by == "name" and comparison.regression
    assert comparison.before.unmatched == (OTHER.name,) and comparison.after.unmatched == ()


def test_subject_that_only_one_run_exercised(tmp_path: Path) -> None:
    """A subject that was not there in one of the runs is compared all the same, with the reason."""
    there = Subject("eager-cuda", "2.13.0", device="cuda")
    old = run_of(tmp_path / "a", *ended("conforms"), subjects=(CPU, CUDA))
    new = run_of(
        tmp_path / "b", *ended("conforms"), *ended("conforms", there), subjects=(CPU, there)
    )
    cuda = compared(old, new).columns[1].items[0]
    assert (cuda.change, cuda.before.message) == ("not exercised", "no CUDA device")


def test_the_only_subjects_of_two_runs(tmp_path: Path) -> None:
    """Where no name is in both and each run exercised one, these are compared, and it says so."""
    old = run_of(tmp_path / "a", *ended("conforms", OTHER), subjects=(OTHER,))
    new = run_of(tmp_path / "b", *ended("deviates"), subjects=(CPU, CUDA))
    comparison = compared(old, new)
    (column,) = comparison.columns
    assert (column.before.name, column.after.name) == (OTHER.name, CPU.name)
    assert column.matched_by == "being the only one" and comparison.regression
    assert "no name is in both runs" in " ".join(shown(comparison).split())


def test_runs_without_a_subject_in_common(ac: Command, tmp_path: Path) -> None:
    """They are refused, with the subjects of each."""
    run_of(tmp_path / "a", subjects=(OTHER, Subject("device=npu", "2.1")))
    run_of(tmp_path / "b")
    with pytest.raises(NothingToCompare):
        compared(tmp_path / "a", tmp_path / "b")
    one_sentence(ac("compare", "a", "b"), "no subject in common", OTHER.name, CPU.name)


# -- the command


def shown(comparison: Comparison) -> str:
    """The comparison on a terminal of 80 columns."""
    out = io.StringIO()
    print_comparison(comparison, Console(file=out, width=80))
    return out.getvalue()


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs in which something became of everything."""
    long = f"x is {'1' * 90} and [bold]should[/bold] be 2"
    start, end = ended("conforms", claim="b-claim")
    gone = ended("gave up", claim="b-claim")
    before = run_of(tmp_path / "a", *wrong(), start, end, entry("still", ">=1.2"), claims=2)
    return before, run_of(tmp_path / "b", *wrong(TWO, long), *gone, claims=2)


def test_exit_codes(ac: Command, tmp_path: Path, runs: tuple[Path, Path]) -> None:
    """1 for a regression, 0 without one, 2 for what are no records."""
    assert ac("compare", "a", "b").code == 1
    assert ac("compare", "a", "a").code == 0
    one_sentence(ac("compare", "a", "absent"), "absent", "give the folder that a run wrote")
    (tmp_path / "bad.jsonl").write_text("hello\n")
    one_sentence(ac("compare", "bad.jsonl", "a"), "bad.jsonl", "no records of a run")
    one_sentence(ac("compare", "a"), "B", "`autograd-conformance compare --help`")
    one_sentence(ac("compare", "a", "b", "--json", "--markdown"), "one form", "leave")


def test_records_wherever_they_lie(ac: Command, tmp_path: Path, runs: tuple[Path, Path]) -> None:
    """A folder, its file, a compressed file and a folder of one are the same run."""
    plain = (tmp_path / "a" / "verdicts.jsonl").read_bytes()
    (tmp_path / "packed").mkdir()
    for name in ("packed/verdicts.jsonl.gz", "torch-2.13-cpu.jsonl.gz"):
        (tmp_path / name).write_bytes(gzip.compress(plain))
    told = [
        strict(ac("compare", where, "b", "--json").out)["columns"]
        for where in ("a", "a/verdicts.jsonl", "packed", "torch-2.13-cpu.jsonl.gz")
    ]
    assert told[0][0]["items"] and all(columns == told[0] for columns in told)


def test_line_that_cannot_be_read(ac: Command, tmp_path: Path, runs: tuple[Path, Path]) -> None:
    """It is named on stderr, and the rest is compared."""
    with (tmp_path / "a" / "verdicts.jsonl").open("a") as file:
        file.write("{\n")
    said = ac("compare", "a", "b", "--json")
    assert "verdicts.jsonl" in said.err and "left out" in said.err
    assert strict(said.out)["regression"] is True


def test_terminal(runs: tuple[Path, Path]) -> None:
    """What is new comes first, with what came out, as it is; nothing is wider than 80 columns."""
    text = shown(compared(*runs))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert re.search(rf"new \(1\).*\n  program {TWO} of a-claim +- +deviates", text)
    flat = " ".join(text.split())
    assert f"new, program {TWO} of a-claim wrong value: x is" in flat
    assert "[bold]should[/bold] be 2" in flat
    assert "A: conforms; B: gave up More is seen" in flat
    why = "A: known deviation; B: the run had no such entry"
    assert f"not exercised: 1 entry, {why} an-entry" in flat
    assert flat.endswith("Regression: 1 new, 0 fixed, 1 still, 3 not exercised; 0 conform in both.")


def test_entries_for_other_versions_are_told_of_together(tmp_path: Path) -> None:
    """Whatever their versions, which stand beside each."""
    first = entry("still", "<2.8")
    second = msgspec.structs.replace(first, id="another-entry", torch="<2.13")
    old = run_of(tmp_path / "a", first, second, subjects=(OLD,))
    flat = " ".join(shown(compared(old, run_of(tmp_path / "b"))).split())
    names = "an-entry (<2.8); another-entry (<2.13)"
    assert f"2 entries, A: known deviation; B: not for this torch {names}" in flat


def test_markdown_is_safe(ac: Command, tmp_path: Path) -> None:
    """What stands in the records makes no mark, no row and no element of its own."""
    run_of(tmp_path / "a", *ended("conforms"))
    run_of(tmp_path / "b", *wrong(ONE, "a | b\n<script>`x`</script> *y* [z](http://w)"))
    said = ac("compare", "a", "b", "--markdown")
    assert said.code == 1
    assert said.out.startswith("## Regression: 2 new")
    (row,) = (line for line in said.out.splitlines() if line.startswith("| program"))
    assert row.count("|") == 6 and row.count("\\|") == 1
    assert "<script" not in said.out and "\\[z\\]" in row and "\\`x\\`" in row
    assert said.out.count("<details>") == said.out.count("</details>")


def test_json_is_as_documented(ac: Command, runs: tuple[Path, Path]) -> None:
    """docs/comparison.md names every key of every object, the words of `change`, and no others."""
    document = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    for kind in (Comparison, Side, Column, Who, Item, Seen):
        part = document.split(f"\n### {kind.__name__}\n")[1].split("\n### ")[0]
        said = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", part, re.MULTILINE)
        keys = [key.strip("`") for row in said for key in row.split(", ")]
        assert keys == [field.name for field in fields(kind)], kind
    table = document.split("\n## What can become")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\| `([a-z ]+)` \|", table, re.MULTILINE)) == CHANGES
    whole: dict[str, Any] = strict(ac("compare", "a", "b", "--json").out)
    assert list(whole) == [field.name for field in fields(Comparison)]
    assert whole["counts"] == {"new": 1, "fixed": 0, "still": 1, "not exercised": 3, "conforms": 0}
    example = json.loads(re.findall(r"```json\n(.*?)```", document, re.DOTALL)[0])
    assert list(example) == list(whole) and list(example["columns"][0]["items"][0]) == list(
        whole["columns"][0]["items"][0]
    )
