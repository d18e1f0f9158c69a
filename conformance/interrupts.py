"""Ctrl-C during a run: none is lost, and the second one ends the run at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_SAID = b"\nInterrupted again and ended at once; every verdict reached so far is kept.\n"
INTERRUPTED = 130
"""How an interrupted run ends."""


class Interrupts:
    """While it is entered, even twice, Ctrl-C raises KeyboardInterrupt and is remembered.

    An exception that is raised where nobody can catch it, as in a callback of the garbage
    collector, is dropped by Python; `check` raises it again. Ctrl-C after that ends the process,
    once `at_once` has been called: records are on disk as they happen.
    """

    def __init__(self, at_once: Callable[[], None] = lambda: None) -> None:
        self.heard = False
        self._at_once = at_once
        self._before: Any = None
        self._report: Any = None
        self._depth = 0

    def __enter__(self) -> Interrupts:
        # Python gives signals to the main thread alone.
        if threading.current_thread() is threading.main_thread():
            self._depth += 1
            if self._depth == 1:
                self._before = signal.signal(signal.SIGINT, self._hear)
                self._report, sys.unraisablehook = sys.unraisablehook, self._dropped
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._depth == 1:
            signal.signal(signal.SIGINT, self._before)
            sys.unraisablehook = self._report
        self._depth = max(0, self._depth - 1)

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was a Ctrl-C."""
        if self.heard:
            raise KeyboardInterrupt

    def _dropped(self, dropped: Any) -> None:
        """Say nothing of a Ctrl-C that Python drops: `check` does not forget it."""
        if not isinstance(dropped.exc_value, KeyboardInterrupt):
            self._report(dropped)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard:
            self._at_once()
            os.write(2, _SAID)
            os._exit(INTERRUPTED)
        self.heard = True
        raise KeyboardInterrupt
