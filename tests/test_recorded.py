"""The records that ship, and the sample report that is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.records import RecordError, Run, RunRecords, Start, Verdict, read_run
from reports.site import FOLDER, read, render
from tests.test_pages import PROGRAM, ended, run_of
from tools import recorded
from tools.recorded import merge, name_of, sources

SHIPPED = [*sources().runs, *sources().before]


def test_there_is_something_of_each_sort() -> None:
    """Several versions, an earlier run of one of them, and planted faults."""
    found = sources()
    assert len(found.runs) >= 5 and found.before and found.planted


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_name_says_torch_and_device(path: Path) -> None:
    """A file is called by what it holds, and can be read to its last line."""
    records = read_run(path)
    assert records.broken == [] and records.end is not None
    assert path.name == f"{name_of(records)}.jsonl.gz"


def test_sample_report_keeps_its_sizes() -> None:
    """The index is below 300 KB and every page below 1 MB, with ten versions of torch."""
    files = dict(render(read(sources())))
    assert len(files["index.html"].encode()) < 300_000
    assert max(len(text.encode()) for text in files.values()) < 1_000_000
    assert "What changed since the previous run" in files["index.html"]
    assert "How soon planted faults are found" in files[f"{FOLDER}/figures.html"]


def test_every_planted_fault_that_ships_was_found() -> None:
    """A fault without a finding would be a claim that catches nothing."""
    (path,) = sources().planted
    records = read_run(path)
    for subject in records.run.subjects if records.run else ():
        found = [v.detected for v in records.verdicts if v.subject == subject.name]
        assert found and all(found), subject.name


def test_runs_are_packed_without_what_was_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All else is kept as it was."""
    run = run_of(tmp_path / "run", Start("c", "s", 7), ended("conforms"))
    with (run / "verdicts.jsonl").open("a") as file:
        file.write('{"type":"in-flight","claim":"c","subject":"s","program":"' + PROGRAM + '"}\n')
    monkeypatch.setattr(recorded, "FOLDER", tmp_path / "kept")
    recorded.commands.main(["keep", str(run)], standalone_mode=False)
    packed = read_run(tmp_path / "kept" / "torch-2.13.0-cpu.jsonl.gz")
    assert packed.attempts["c", "s"].finish == ended("conforms")
    assert packed.attempts["c", "s"].in_flight == ""


def test_a_run_without_a_subject_has_no_name(tmp_path: Path) -> None:
    """A file is of one torch on one device."""
    with pytest.raises(RecordError, match="no run of exactly one subject"):
        name_of(RunRecords(tmp_path))


def test_planted_runs_become_one_with_the_findings_alone(tmp_path: Path) -> None:
    """Every subject, every claim's end, and only what deviates."""
    runs = []
    for name in ("x", "y"):
        wrong = Verdict("c", name, PROGRAM, "deviates", "hang")
        right = Verdict("c", name, "0" * 16, "conforms")
        run = run_of(tmp_path / name, Start("c", name, 7), right, wrong, subject=name, id=name)
        with (run / "verdicts.jsonl").open("a") as file:
            file.write('{"type":"end","finished":"2026-03-11","seconds":1,"exit_code":1}\n')
        runs.append(read_run(run))
    head, *others = merge(runs)
    assert isinstance(head, Run) and [subject.name for subject in head.subjects] == ["x", "y"]
    assert [type(one).__name__ for one in others] == ["Start", "Verdict"] * 2 + ["End"]
