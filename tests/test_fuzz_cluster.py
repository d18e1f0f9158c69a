"""A campaign on a Dask cluster whose worker and whose scheduler are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from conformance.fuzz.chunks import SIZE, Chunk, Task, judge_chunk
from tests.test_fuzz import children, chunks_in, fuzz, wait_for
from tests.test_run import START, ac, environment

pytest.importorskip("distributed", reason="dask's distributed is not installed: no cluster here")
PROGRAMS = 8 * SIZE


@pytest.fixture
def started(tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """A scheduler and one worker, each a process of its own, the worker under a nanny."""
    address = tmp_path / "scheduler.json"
    file = ["--scheduler-file", str(address)]
    commands = {
        "scheduler": [*file, "--port", "0", "--no-dashboard", "--host", "127.0.0.1"],
        "worker": [*file, "--nthreads", "1", "--no-dashboard", "--death-timeout", "60"],
    }
    running = {}
    for kind, words in commands.items():
        module = ["-m", "distributed.cli.dask_" + kind]
        running[kind] = subprocess.Popen(
            [sys.executable, *module, *words],
            cwd=tmp_path,
            env=environment(DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="5s"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(address.exists)
    yield running
    for process in reversed(running.values()):
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()


def test_worker_and_scheduler_are_killed(
    tmp_path: Path, started: dict[str, subprocess.Popen[bytes]]
) -> None:
    """A chunk whose worker dies is judged by the next one; without a scheduler the campaign ends
    with one sentence, and goes on here: each program is judged once.
    """
    address = msgspec.json.decode((tmp_path / "scheduler.json").read_bytes())["address"]
    out = tmp_path / "out"
    words = fuzz("--scheduler", address, "--seed", "7", programs=PROGRAMS)
    running = subprocess.Popen(
        [sys.executable, "-c", START, *words],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: bool(chunks_in(out)) or running.poll() is not None)
    (judging,) = children(started["worker"].pid)[-1:]
    os.kill(judging, signal.SIGKILL)
    before = len(chunks_in(out))
    wait_for(lambda: len(chunks_in(out)) > before or running.poll() is not None)
    started["scheduler"].kill()
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 3, errors
    (sentence,) = (line for line in errors.splitlines() if line.startswith("Error: "))
    assert "does not answer any more" in sentence and "go on with --resume" in sentence
    judged = chunks_in(out)
    assert before < len(judged) < PROGRAMS // SIZE
    done = ac(tmp_path, *fuzz("--workers", "1", "--resume", programs=PROGRAMS))
    assert done.returncode == 0, done.stderr
    after = chunks_in(out)
    assert after[: len(judged)] == judged
    firsts = sorted(one.first for one in after)
    assert firsts == list(range(0, PROGRAMS, SIZE))
    again = judge_chunk(Task("eager-cpu", True, 7), Chunk(0, SIZE))
    (first,) = (one for one in after if one.first == 0)
    assert (first.verdicts, first.programs) == (again.verdicts, again.programs)
