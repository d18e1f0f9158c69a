"""How a command ends by a fault of ours, or by output that nobody takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.cli import programs
from conformance.cli.faults import VARIABLE
from tests.test_cli import Command, ac

__all__ = ["ac"]


def in_a_shell(command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, in which ac is the command, and end as its first part does."""
    suite = f'ac() {{ "{sys.executable}" -c "from conformance.cli import main; main()" "$@"; }}'
    return subprocess.run(
        ["bash", "-c", f"{suite}\n{command}; exit ${{PIPESTATUS[0]}}"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_fault_of_the_suite(ac: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one sentence and exit code 3, never 1, which says that torch deviates."""
    monkeypatch.setattr(programs, "build", lambda choose: 1 / 0)
    said = ac("draw")
    assert (said.code, said.out) == (3, "")
    (line,) = said.err.splitlines()
    assert line.startswith("Error: The suite itself failed, which says nothing about the subject")
    assert "ZeroDivisionError: division by zero" in line and f"set {VARIABLE}=1" in line


def test_traceback_of_a_fault(ac: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there for who asks for it."""
    monkeypatch.setattr(programs, "build", lambda choose: 1 / 0)
    monkeypatch.setenv(VARIABLE, "1")
    said = ac("draw")
    assert said.code == 3 and "Traceback (most recent call last)" in said.err


@pytest.mark.parametrize("command", ["draw --n 3000", "claims", "ops --json", "--help"])
def test_closed_pipe_is_no_verdict(command: str) -> None:
    """Where nobody reads on, the end is the shell's for a closed pipe, in silence."""
    done = in_a_shell(f"ac {command} | true")
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("command", ["draw --n 3", "claims", "--help"])
def test_output_that_cannot_be_written(command: str) -> None:
    """It is one sentence and exit code 2."""
    done = in_a_shell(f"ac {command} >/dev/full")
    assert done.returncode == 2
    assert done.stderr == "Error: The output cannot be written (No space left on device).\n"


def test_standard_input_that_is_closed() -> None:
    """It is named like a file that cannot be read."""
    done = in_a_shell("ac check - <&-")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: <stdin> cannot be read (it is closed); name a file")
