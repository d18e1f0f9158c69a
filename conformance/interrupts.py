"""Ctrl-C during a run: none is lost, and the second one ends the run at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_SAID = b"\nInterrupted again and ended at once; every verdict reached so far is kept.\n"
INTERRUPTED = 130
"""How an interrupted run ends."""


class Interrupts:
    """While it is entered, Ctrl-C raises KeyboardInterrupt and is remembered.

    An exception that is raised where nobody can catch it, as in a callback of the garbage
    collector, is dropped by Python; `check` raises it again. Ctrl-C after that ends the process,
    once `at_once` has been called: records are on disk as they happen.
    """

    def __init__(self, at_once: Callable[[], None] = lambda: None) -> None:
        self.heard = False
        self._at_once = at_once
        self._before: Any = None
        self._entered = False

    def __enter__(self) -> Interrupts:
        # Python gives signals to the main thread alone.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._hear)
            self._entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._entered:
            signal.signal(signal.SIGINT, self._before)
            self._entered = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was a Ctrl-C."""
        if self.heard:
            raise KeyboardInterrupt

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard:
            self._at_once()
            os.write(2, _SAID)
            os._exit(INTERRUPTED)
        self.heard = True
        raise KeyboardInterrupt
