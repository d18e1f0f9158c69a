"""Campaigns: the same verdicts whoever judges, and nothing lost whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from conformance.abilities import Abilities
from conformance.claims.catalogue import find_claim
from conformance.examine import Examiner
from conformance.fuzz.campaign import CLAIM
from conformance.fuzz.chunks import (
    LETTERS,
    SIZE,
    Chunk,
    Done,
    Task,
    chunks_of,
    drawn_for,
    judge_chunk,
)
from conformance.fuzz.journal import FORMAT, NAME, Header, Journal
from conformance.fuzz.pools import LocalPool
from conformance.fuzz.shrinking import Shrinker
from conformance.oracle.machine import Machine
from conformance.profiles import PROFILES
from conformance.records import RecordWriter, read_run
from conformance.subjects import Subject
from conformance.trial import CAMPAIGN, Disagreement, Trial
from conformance.usage import UsageError
from strategies.build import build
from strategies.choices import Seeded
from strategies.drawing import programs
from tests.tampering import Tampered
from tests.test_abilities import Old
from tests.test_run import FAULTS, START, ac, environment, said
from tests.test_trial import grows

TASK = Task("eager-cpu", True, 20261127)
CHUNKS = tuple(Chunk(first, 24) for first in range(0, 192, 24))
Told = dict[int, tuple[str, str]]


def told(done: Iterator[Done] | list[Done]) -> Told:
    """What is said of each chunk, by its first program; of each but once."""
    every = list(done)
    by_first = {one.first: (one.verdicts, one.programs) for one in every}
    assert len(by_first) == len(every)
    return by_first


@pytest.fixture(scope="module")
def expected() -> Told:
    """The verdicts of this very process."""
    return told([judge_chunk(TASK, chunk) for chunk in CHUNKS])


# -- the same whoever judges


def test_verdicts_depend_on_the_seed_alone(expected: Told) -> None:
    """Programs and verdicts of two processes are those of one."""
    pool = LocalPool(2)
    try:
        assert told(pool.run(TASK, CHUNKS)) == expected
    finally:
        pool.close()


def test_programs_are_those_of_draw(expected: Told) -> None:
    """A campaign draws by the seeded source, program by program, and judges what `check` judges."""
    first = CHUNKS[0]
    other = judge_chunk(TASK, Chunk(first.first, 2))
    assert other.verdicts == expected[0][0][:2]
    letters = set("".join(verdicts for verdicts, _ in expected.values()))
    assert {"c", "k"} <= letters <= set(LETTERS.values())


def test_programs_are_those_that_the_subject_can_run() -> None:
    """What a torch lacks is drawn again without it; all other programs are those of any torch."""
    able = Abilities(Old("2.13.0"))
    old = Abilities(Old("2.13.0", without=("exp", "exp_", "tanh", "tanh_")))
    changed = 0
    for index in range(200):
        there, here = drawn_for(able, 7, index), drawn_for(old, 7, index)
        uses = "exp" in old.lacks(there) or "tanh" in old.lacks(there)
        assert uses or here.program() == there.program()
        changed += here.program() != there.program()
        assert not old.lacks(here), here.program()
    assert changed > 20


def test_a_chunk_counts_cells_and_reasons() -> None:
    """Every program that is left open has a reason, every step a cell, every deviation a name."""
    done = judge_chunk(TASK, Chunk(0, 96))
    assert sum(done.reasons.values()) == done.verdicts.count("u") + done.verdicts.count("g")
    assert sum(done.deviations.values()) >= done.verdicts.count("k")
    steps = sum(len(build(Seeded(TASK.seed, i)).steps) for i in range(96))
    assert 0 < sum(sum(row[:2]) for row in done.cells.values()) <= steps


# -- killed processes


def test_a_killed_process_costs_nothing(expected: Told) -> None:
    """Kill -9 of a process that judges: its chunks are judged again, and each is told of once."""
    pool = LocalPool(2)
    try:
        found: list[Done] = []
        for done in pool.run(TASK, CHUNKS):
            if not found:
                victim = next(iter(pool._executor._processes))
                os.kill(victim, signal.SIGKILL)
            found.append(done)
        assert told(found) == expected
        assert pool.replaced == 1
    finally:
        pool.close()


def fuzz(*more: str, programs: int = 3 * SIZE, out: str = "out") -> list[str]:
    """The arguments of a small campaign."""
    counted = ["--programs", str(programs), "--out", out]
    return ["fuzz", "--in-process", *counted, *more]


def chunks_in(folder: Path) -> list[Done]:
    """The whole lines of a campaign's file that tell of chunks."""
    lines = (folder / NAME).read_bytes().splitlines() if (folder / NAME).exists() else []
    whole = [line for line in lines if b'"type":"chunk"' in line and line.endswith(b"}")]
    return [msgspec.json.decode(line, type=Done) for line in whole]


def wait_for(what: Callable[[], bool], seconds: float = 300.0) -> None:
    """Wait until something holds; fails if it does not."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.05)


def alive(pids: list[int]) -> list[int]:
    """Those of some processes that still run."""
    return [pid for pid in pids if _state(pid) not in ("", "Z")]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(entry.parent.name)
            found += [child, *children(child)]
    return found


def test_a_killed_campaign_is_resumed(tmp_path: Path) -> None:
    """Kill -9 of the whole command, then --resume: each program is judged, and recorded, once."""
    out = tmp_path / "out"
    command = [sys.executable, "-c", START, *fuzz("--workers", "2", "--seed", "7")]
    running = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    wait_for(lambda: bool(chunks_in(out)) or running.poll() is not None)
    offspring = children(running.pid)
    running.kill()
    running.wait()
    wait_for(lambda: not alive(offspring))
    before = chunks_in(out)
    with (out / NAME).open("ab") as file:
        file.write(b'{"type":"chunk","first":')
    done = ac(tmp_path, *fuzz("--workers", "1", "--resume"))
    assert done.returncode == 0, done.stderr
    after = chunks_in(out)
    assert after[: len(before)] == before
    ranges = sorted((one.first, one.first + len(one.verdicts)) for one in after)
    assert ranges == [(first, first + SIZE) for first in range(0, 3 * SIZE, SIZE)]
    again = judge_chunk(Task("eager-cpu", True, 7), Chunk(0, SIZE))
    (first,) = (one for one in after if one.first == 0)
    assert (first.verdicts, first.programs) == (again.verdicts, again.programs)
    (attempt,) = read_run(out).attempts.values()
    assert attempt.finish is not None and sum(attempt.finish.counts.values()) == 3 * SIZE
    assert (out / "report.html").exists() and "cells of the table are covered" in done.stdout


# -- what deviates


def test_a_failure_is_shrunk_and_comes_first_in_a_later_run(
    tmp_path: Path, local: Subject, machine: Machine
) -> None:
    """Hypothesis shrinks it from its choices; the example database hands it to the claim's run."""
    examiner = Examiner(Tampered(local, grows), machine)
    database = tmp_path / "examples"
    shrinker = Shrinker(examiner, seed=3, claim=CLAIM, database=database, shrink_s=20.0)
    index = next(i for i in range(500) if shrinker.judged(i).verdict == "deviates")
    found = shrinker.shrunk(index)
    assert found is not None
    small, error, _ = found
    assert len(small.program.steps) < len(build(Seeded(3, index)).steps)
    assert error.finding.kind == "wrong flag"
    profile = replace(PROFILES["default"], examples=1)
    with RecordWriter(tmp_path) as records:
        trial = Trial(find_claim(CLAIM), examiner, profile, 5, records, tmp_path)
        trial.begin()
        with pytest.raises(Disagreement):
            trial.holds(programs(), examples=1, found_as=CAMPAIGN)
    assert trial.detected is not None and trial.detected.cases == 1


def test_a_failure_ends_with_1_and_a_script(tmp_path: Path) -> None:
    """The report and the records of a campaign show what deviates as those of a run do."""
    subject = f"{FAULTS}version_not_bumped"
    words = ["--subject", subject, "--seed", "1", "--workers", "1", "--shrink-seconds", "5"]
    done = ac(tmp_path, *fuzz(*words, programs=64))
    assert done.returncode == 1, done.stderr
    records = read_run(tmp_path / "out")
    failures = [verdict for verdict in records.verdicts if verdict.verdict == "deviates"]
    assert failures and all(verdict.script and verdict.trace for verdict in failures)
    assert any((tmp_path / "out" / "examples").iterdir())
    assert "deviates" in said(done)


# -- what is left to do, and where it stands


@pytest.mark.parametrize(
    ("done", "left"),
    [
        ([], [(0, SIZE), (SIZE, 8)]),
        ([(0, SIZE)], [(SIZE, 8)]),
        ([(SIZE, 8)], [(0, SIZE)]),
        ([(0, 5)], [(5, SIZE), (SIZE + 5, 3)]),
        ([(0, SIZE + 8)], []),
        ([(0, 9), (20, 500)], [(9, 11)]),
    ],
)
def test_what_is_left_to_do(done: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    """Each program that no chunk told of, and no other."""
    told_of = [Done(first, "c" * count, "", "", 0.0, 0.0) for first, count in done]
    assert [(one.first, one.count) for one in chunks_of(SIZE + 8, told_of)] == left


HEADER = Header(FORMAT, "eager-cpu", "2.13.0", "0.1.0", 5)


def test_a_line_that_was_cut_off_is_judged_again(tmp_path: Path) -> None:
    """A kill while a line is written leaves its chunk to do, and what comes next on a new line."""
    whole, cut = (Done(first, "cck", "ab", "2.13.0", 0.1, 0.1) for first in (0, 3))
    with Journal(tmp_path, HEADER) as journal:
        journal.chunk(whole)
        journal.chunk(cut)
    text = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(text[:-20])
    with Journal(tmp_path, HEADER) as journal:
        assert journal.began and not journal.broken and journal.done == {0: whole}
        journal.chunk(cut)
    with Journal(tmp_path, HEADER) as journal:
        assert journal.done == {0: whole, 3: cut}


@pytest.mark.parametrize("other", [{"subject": "eager-cuda"}, {"torch": "2.4.1"}, {"suite": "2"}])
def test_another_campaign_is_not_gone_on_with(tmp_path: Path, other: dict[str, str]) -> None:
    """One sentence says what is different."""
    Journal(tmp_path, HEADER).close()
    with pytest.raises(UsageError, match=next(iter(other.values()))):
        Journal(tmp_path, msgspec.structs.replace(HEADER, **other))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--programs", "0"], "--programs"),
        (["--workers", "0"], "--workers"),
        (["--subject", "nobody"], "There is no subject 'nobody'"),
        (["--scheduler", "tcp://here:1", "--workers", "2"], "leave --workers out"),
        (["--scheduler", "nonsense://"], "No Dask scheduler answers at nonsense://"),
        (["--resume"], "There is no run to resume in out"),
    ],
)
def test_bad_options_are_one_sentence(tmp_path: Path, words: list[str], sentence: str) -> None:
    """What cannot be done says what to do, and ends with 2."""
    done = ac(tmp_path, "fuzz", *words)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert sentence in done.stderr
