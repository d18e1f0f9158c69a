"""Ctrl-C is heard though its exception is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from conformance.interrupts import Interrupts
from tests.conftest import ROOT


class Collected:
    """Its end is a Ctrl-C at a place where Python drops every exception."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_interrupt_in_a_finaliser_is_raised_again() -> None:
    """What the garbage collector swallowed, in silence, the next check raises."""
    with Interrupts() as interrupts:
        interrupts.check()
        Collected()
        assert interrupts.heard
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_interrupt_is_raised_where_it_arrives() -> None:
    """As ever in Python, and outside the block the handler is the one before."""
    before = signal.getsignal(signal.SIGINT)
    interrupts = Interrupts()
    with interrupts:
        with interrupts:
            pass
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert interrupts.heard and signal.getsignal(signal.SIGINT) is before


def test_second_interrupt_ends_the_process() -> None:
    """It lets go of what must not stay, and ends with 130 whatever would catch an exception."""
    code = (
        "import os, signal\n"
        "from conformance.interrupts import Interrupts\n"
        "with Interrupts(lambda: print('let go', flush=True)):\n"
        "    for _ in range(3):\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "        except KeyboardInterrupt:\n"
        "            print('caught', flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "caught\nlet go\n")
    assert "Interrupted again and ended at once" in done.stderr
