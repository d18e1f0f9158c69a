"""Whole runs, as users start them: what they leave behind and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from conformance.claims.catalogue import CATALOGUE
from conformance.records import RunRecords, read_run
from conformance.subjects import WorkerSubject, open_subject
from tests.conftest import ROOT

START = "from conformance.cli import main; main()"
FAULTS = "device=cpu,import=tests.faults."


def environment(**more: str) -> dict[str, str]:
    """This environment, where the suite can be imported from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **more}


def ac(
    folder: Path, *arguments: str, code: str = START, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, in a folder."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The words on stdout, however they were broken into lines."""
    return " ".join(done.stdout.split())


def quick(*claims: str, out: str = "out") -> list[str]:
    """The arguments of a small run in the profile that repeats itself."""
    chosen = [word for claim in claims for word in ("--claim", claim)]
    return ["run", "--profile", "quick", "--out", out, *chosen]


# -- a run that goes through


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a stranger whose pytest is set up in every way that could matter."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\ntestpaths = odd\n")
    (folder / "conftest.py").write_text("raise RuntimeError('a stranger was imported')\n")
    (folder / "test_theirs.py").write_text("def test_theirs():\n    assert False\n")
    return folder


@pytest.fixture(scope="module")
def done(strange: Path) -> subprocess.CompletedProcess[str]:
    """A small run there."""
    claims = ("no-grad-truncates", "no-grad-result")
    return ac(strange, *quick(*claims), "--seed", "3", PYTEST_ADDOPTS="--no-such-option")


def test_stranger_changes_nothing(done: subprocess.CompletedProcess[str]) -> None:
    """No pytest.ini, conftest.py or PYTEST_ADDOPTS of the folder has a say."""
    assert done.returncode == 0, done.stderr
    assert "stranger" not in done.stdout + done.stderr


def test_what_a_run_leaves(done: subprocess.CompletedProcess[str], strange: Path) -> None:
    """A page, JUnit's file, and records that are whole."""
    out = strange / "out"
    for name in ("report.html", "junit.xml", "programs.jsonl", "verdicts.jsonl"):
        assert (out / name).stat().st_size > 0
    records = read_run(out)
    assert records.run is not None and (records.run.seed, records.run.profile) == (3, "quick")
    assert records.end is not None and records.end.exit_code == 0
    assert not records.broken
    finished = {claim: a.finish.verdict for (claim, _), a in records.attempts.items() if a.finish}
    assert finished == {"no-grad-truncates": "conforms", "no-grad-result": "known deviation"}
    assert {e.status for e in records.deviations.values()} == {"still"}


def test_what_a_run_says(done: subprocess.CompletedProcess[str]) -> None:
    """A line a claim on stderr as it ends, and a table of at most 80 columns on stdout."""
    assert "conforms         Gradient flow stops at a result computed in no_grad (" in done.stderr
    assert "known deviation" in done.stdout and "The report is out/report.html" in done.stdout
    assert max(len(line.rstrip()) for line in done.stdout.splitlines()) <= 80


def test_report_of_a_run(done: subprocess.CompletedProcess[str], strange: Path) -> None:
    """The records alone make a report."""
    made = ac(strange, "report", "out", "--out", "page")
    assert made.returncode == 0, made.stderr
    assert (strange / "page" / "index.html").stat().st_size > 0


def test_more_programs_than_the_profile_has(tmp_path: Path) -> None:
    """More are drawn, and the command that repeats the run says so; no option makes them fewer."""
    judged = {}
    for programs in ("60", "1"):
        some = ("--in-process", "--programs", programs)
        done = ac(tmp_path, *quick("no-grad-truncates", out=programs), *some)
        assert done.returncode == 0, done.stderr
        records = read_run(tmp_path / programs)
        assert records.run is not None and f"--programs {programs}" in records.run.command
        judged[programs] = sum(1 for _ in records.verdicts)
    assert judged["60"] > judged["1"] > 1


def order(folder: Path) -> list[str]:
    """The programs of a run in the order in which they were judged."""
    return [verdict.program for verdict in read_run(folder).verdicts]


def test_same_seed_same_programs(tmp_path: Path) -> None:
    """A random profile repeats itself with --seed; the first run printed which to use."""
    first = "run --profile default --claim no-grad-truncates --in-process --out one".split()
    done = ac(tmp_path, *first)
    assert done.returncode == 0
    records = read_run(tmp_path / "one")
    assert records.run is not None
    words = records.run.command.removeprefix("autograd-conformance ").split()
    assert words[-2:] == ["--seed", str(records.run.seed)]
    assert records.run.command in done.stdout
    assert done.stderr.startswith(f"The seed is {records.run.seed}.\n")
    assert ac(tmp_path, *words, "--in-process", "--out", "two").returncode == 0
    assert order(tmp_path / "one") == order(tmp_path / "two") != []


def test_pytest_runs_the_claims(tmp_path: Path) -> None:
    """`pytest conformance` works from the repository, for one claim too."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "conformance", "-q", "-p", "no:cacheprovider"),
            *("--claim", "no-grad-truncates", "--profile", "quick", "--in-process"),
            *("--out", str(tmp_path / "out")),
        ],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert len(read_run(tmp_path / "out").attempts) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--claim", "nosuch"), "There is no claim 'nosuch'"),
        (("--profile", "nosuch"), "There is no profile 'nosuch'"),
        (("--subject", "nosuch"), "There is no subject 'nosuch'"),
        (("--out", "/dev/null/out"), "Records cannot be written to /dev/null/out"),
    ],
)
def test_pytest_says_what_cannot_be(arguments: tuple[str, ...], words: str) -> None:
    """It is one sentence, not an error of each module of claims."""
    command = (sys.executable, "-m", "pytest", "conformance", "-q", "-p", "no:cacheprovider")
    done = subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = filter(None, done.stderr.splitlines())
    assert line.startswith(f"ERROR: {words}")
    assert "error" not in done.stdout.lower()


# -- a run that is cut off


def interrupted(folder: Path, arguments: list[str]) -> tuple[int, str]:
    """Start a run, interrupt it when the first claim has ended, and return how it ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    try:
        said = until_a_claim_ends(process.stderr)
        process.send_signal(signal.SIGINT)
        said += process.stderr.read()
        return process.wait(timeout=60), said
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def until_a_claim_ends(stream: IO[str]) -> str:
    said = ""
    for line in stream:
        said += line
        if " judged, " in line:
            break
    return said


def finished(records: RunRecords) -> list[str]:
    return [claim for (claim, _), attempt in records.attempts.items() if attempt.finish]


def test_interrupted_and_resumed(tmp_path: Path) -> None:
    """Ctrl-C keeps every verdict; --resume keeps finished claims and ends with the same seed."""
    claims = ("relu-gradient-same", "no-error-means-correct", "detach-shares")
    code, said = interrupted(tmp_path, quick(*claims))
    assert code == 130, said
    assert "Traceback" not in said
    before = read_run(tmp_path / "out")
    assert before.run is not None
    kept = finished(before)
    assert 1 <= len(kept) < 3 and not before.broken
    resumed = ac(tmp_path, *quick(*claims), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    after = read_run(tmp_path / "out")
    assert after.run is not None
    assert (after.run.id, after.run.seed) == (before.run.id, before.run.seed)
    assert sorted(finished(after)) == sorted(claims) and after.end is not None
    for claim in kept:
        key = (claim, "eager-cpu")
        assert after.attempts[key].finish == before.attempts[key].finish


def test_resumed_with_another_claim(tmp_path: Path) -> None:
    """A folder's page, table and JUnit file are of all that it holds, by title."""
    assert ac(tmp_path, *quick("relu-golden"), "--in-process").returncode == 0
    done = ac(tmp_path, *quick("no-grad-golden"), "--in-process", "--resume")
    assert done.returncode == 0, done.stderr
    junit = (tmp_path / "out" / "junit.xml").read_text()
    for claim in ("relu-golden", "no-grad-golden"):
        assert f'name="{claim}"' in junit and CATALOGUE[claim].title in junit
        assert claim not in done.stdout
    assert done.stdout.count("The figures of the article") == 2


# -- a run that finds something


def test_faulty_subject(tmp_path: Path) -> None:
    """A deviation that is not registered makes the run exit with 1, and is in the records."""
    subject = FAULTS + "no_grad_that_records"
    done = ac(tmp_path, *quick("no-grad-truncates"), "--subject", subject)
    assert done.returncode == 1, done.stderr
    (verdict,) = (v for v in read_run(tmp_path / "out").verdicts if v.verdict == "deviates")
    assert verdict.kind == "silent wrong gradient" and verdict.minimal
    assert verdict.command.endswith(f"--subject {subject}")
    assert "deviates" in done.stdout


def test_deviation_that_is_gone(tmp_path: Path) -> None:
    """A registered deviation that no longer shows makes the run exit with 1 until it is removed."""
    subject = FAULTS + "view_that_forgets_in_no_grad"
    done = ac(tmp_path, *quick("no-grad-result"), "--subject", subject)
    assert done.returncode == 1, done.stderr
    entries = read_run(tmp_path / "out").deviations.values()
    (entry,) = (entry for entry in entries if entry.status == "unexpectedly conforms")
    assert (entry.id, entry.status) == ("no-grad-view-requires-grad", "unexpectedly conforms")
    assert "unexpectedly conforms" in said(done)


def test_fault_of_the_suite(tmp_path: Path) -> None:
    """An exception of ours is no verdict on torch: the run says so and exits with 3."""
    broken = f"import strategies.scenes as s; s.truncated = lambda choose: 1 / 0; {START}"
    done = ac(tmp_path, *quick("no-grad-truncates"), "--in-process", code=broken)
    assert done.returncode == 3, done.stderr
    finish = next(iter(read_run(tmp_path / "out").attempts.values())).finish
    assert finish is not None and finish.verdict == "suite error"
    assert finish.note == "ZeroDivisionError: division by zero"
    assert "suite error" in done.stdout


def test_worker_finds_modules_where_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module that a subject imports may lie in the folder where the run is started."""
    (tmp_path / "local_fault.py").write_text("import torch\ntorch.is_faulty = True\n")
    monkeypatch.chdir(tmp_path)
    with open_subject("device=cpu,import=local_fault") as subject:
        assert isinstance(subject, WorkerSubject)
        assert "is_faulty" in subject.names["torch"]


# -- a subject that is none

HELLO = """\
print(json.dumps({"hello": 1, "torch": "2.13.0", "python": "3.11", "device": "cpu"}), flush=True)
"""


def worker(folder: Path, code: str) -> str:
    """The subject whose worker is this code."""
    (folder / "worker.py").write_text("import json, os, sys\n" + code)
    return f"command={sys.executable} worker.py"


def test_worker_that_answers_nonsense(tmp_path: Path) -> None:
    """It deviates by crashes; no entry of the register is taken for mended."""
    subject = worker(tmp_path, HELLO + "for line in sys.stdin:\n    print('[]', flush=True)\n")
    done = ac(tmp_path, *quick("relu-golden"), "--subject", subject)
    assert done.returncode == 1, done.stderr
    assert "unexpectedly conforms" not in said(done)
    entries = read_run(tmp_path / "out").deviations.values()
    assert {entry.status for entry in entries} == {"deviates"}
    assert all(entry.note.startswith("crash: ") for entry in entries)


ONCE = (
    """\
if os.path.exists("again"):
    sys.exit("broken")
open("again", "w").close()
"""
    + HELLO
    + "sys.exit(5 if sys.stdin.readline() else 0)"
)


def test_worker_that_cannot_start_again(tmp_path: Path) -> None:
    """The subject is lost: one sentence says why, and no claim gets a verdict on it."""
    done = ac(tmp_path, *quick("relu-golden", "detach-shares"), "--subject", worker(tmp_path, ONCE))
    assert done.returncode == 1, "the crash before it was lost deviates from the register"
    assert "Traceback" not in done.stdout + done.stderr
    assert " ".join(done.stderr.split()).count("ended before it said hello, 3 times") == 1
    records = read_run(tmp_path / "out")
    finishes = [attempt.finish for attempt in records.attempts.values() if attempt.finish]
    assert [finish.verdict for finish in finishes] == ["gave up", "gave up"]
    assert all("ended before it said hello" in finish.note for finish in finishes)
    entries = [entry.status for entry in records.deviations.values()]
    assert entries[0] == "deviates" and set(entries[1:]) == {"not exercised"}
