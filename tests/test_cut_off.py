"""Runs that end before their time: lost interrupts, full disks, faults of ours."""

from __future__ import annotations

from pathlib import Path

from conformance.records import read_run
from tests.test_run import START, ac, finished, quick

DROPPED = """\
import os, signal
from conformance.progress import Progress

def advance(self, count):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        {then}
    except KeyboardInterrupt:
        {caught}

Progress.advance = advance
"""


def dropped(then: str = "pass", caught: str = "pass") -> str:
    """A command whose every program meets a Ctrl-C, which somebody catches."""
    return DROPPED.format(then=then, caught=caught) + START


def test_interrupt_that_is_dropped(tmp_path: Path) -> None:
    """A Ctrl-C whose exception is lost ends the run before the next program all the same."""
    claims = ("relu-gradient-same", "detach-shares")
    done = ac(tmp_path, *quick(*claims), "--in-process", code=dropped())
    assert done.returncode == 130, done.stderr
    records = read_run(tmp_path / "out")
    assert records.end is not None and records.end.exit_code == 130
    assert not finished(records) and not records.broken
    assert "2 claims remain; go on with --resume." in done.stdout


AT_THE_END = """\
import os, signal
import pytest
from conformance import plugin

class Collected:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

finish = plugin.pytest_sessionfinish

def pytest_sessionfinish(session, exitstatus):
    finish(session, exitstatus)
    Collected()

plugin.pytest_sessionfinish = pytest_sessionfinish
"""


def test_interrupt_after_the_last_claim(tmp_path: Path) -> None:
    """One that is dropped while pytest tidies up makes no noise, and the run ends with 130."""
    done = ac(tmp_path, *quick("relu-golden"), "--in-process", code=AT_THE_END + START)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert finished(read_run(tmp_path / "out")) == ["relu-golden"]
    assert (tmp_path / "out" / "report.html").exists()


def test_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    """Whoever presses it again waits for nothing, and what was recorded stays."""
    again = "os.kill(os.getpid(), signal.SIGINT); print('went on')"
    done = ac(tmp_path, *quick("detach-shares"), code=dropped(caught=again))
    assert done.returncode == 130
    assert "ended at once; every verdict reached so far is kept" in done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr
    records = read_run(tmp_path / "out")
    assert records.end is None and not records.broken and not finished(records)


FULL = """\
from conformance.records import RecordWriter

write = RecordWriter._append

def append(self, file, obj):
    self.left = getattr(self, "left", 12) - 1
    if self.left < 0:
        from conformance.records import RecordError
        raise RecordError("The disk is full.")
    write(self, file, obj)

RecordWriter._append = append
"""


def test_records_that_cannot_be_continued(tmp_path: Path) -> None:
    """The run ends with that sentence, and no other claim is tried."""
    done = ac(tmp_path, *quick("detach-shares", "relu-golden"), code=FULL + START)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "Error: The disk is full."
    assert "Traceback" not in done.stderr and "INTERNALERROR" not in done.stderr


def test_fault_before_the_first_claim(tmp_path: Path) -> None:
    """What fails outside every claim is no verdict either: one sentence and exit code 3."""
    broken = f"import conformance.session as s; s.standing = lambda *both: 1 / 0; {START}"
    done = ac(tmp_path, *quick("relu-golden"), "--in-process", code=broken)
    assert done.returncode == 3
    assert "The suite itself failed" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr and "INTERNALERROR" not in done.stderr
    assert read_run(tmp_path / "out").end is not None
