"""Processes on this machine that judge chunks; one that is killed costs what it was about to do."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from conformance.fuzz.chunks import Chunk, Done, Task, judge_chunk

_TRIES = 4
"""How often a chunk may be in flight where processes die: one that ends them itself is told of."""
_AHEAD = 2
"""Chunks for each process: the next one waits where it is needed."""
_PATIENCE_S = 0.5


class Stopped(Exception):
    """A campaign cannot go on for now, and loses nothing; the message is one sentence."""


def _begin() -> None:
    """What a process does first: it ends with its parent, and leaves Ctrl-C to that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Each process has one core, and threads of jax would take turns with those of the others.
    os.environ.setdefault("PJRT_NPROC", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class LocalPool:
    """So many processes, started anew when one of them dies.

    They are spawned: neither torch nor jax survives a fork.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.replaced = 0
        """How often processes had to be started again."""
        self._executor = self._started()

    def _started(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.workers, mp_context=context, initializer=_begin)

    def run(self, task: Task, chunks: Iterable[Chunk]) -> Iterator[Done]:
        """What becomes of each chunk, as they end; nothing where none ended for a moment.

        Raises Stopped if a chunk ends the processes that judge it, SubjectError if there is nobody
        to run its programs.
        """
        waiting, tries = deque(chunks), Counter[Chunk]()
        flying: dict[Future[Done], Chunk] = {}
        while waiting or flying:
            broken = False
            while waiting and len(flying) < _AHEAD * self.workers and not broken:
                try:
                    flying[self._executor.submit(judge_chunk, task, waiting[0])] = waiting[0]
                    waiting.popleft()
                except BrokenProcessPool:
                    broken = True
            wait(flying, timeout=_PATIENCE_S, return_when=FIRST_COMPLETED)
            for future in [future for future in flying if future.done()]:
                try:
                    done = future.result()
                except BrokenProcessPool:
                    broken = True
                    continue
                del flying[future]
                yield done
            if broken:
                tries.update(flying.values())
                waiting.extendleft(sorted(flying.values(), reverse=True))
                flying.clear()
                self._replace()
                _check_tries(tries)

    def _replace(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self.replaced += 1
        self._executor = self._started()

    def close(self) -> None:
        """End the processes, whatever they are about."""
        running = list((self._executor._processes or {}).values())
        manager: Any = self._executor._executor_manager_thread
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in running:
            with contextlib.suppress(ProcessLookupError, ValueError):
                process.terminate()
        if manager is not None:
            # At the end of this process it would be woken through a pipe that it may have closed.
            manager.join(timeout=_PATIENCE_S * 10)


def _check_tries(tries: Counter[Chunk]) -> None:
    """Raise Stopped for a chunk that was in flight each time that a process died."""
    for chunk, count in tries.items():
        if count >= _TRIES:
            last = chunk.first + chunk.count - 1
            raise Stopped(
                f"The processes that judge programs {chunk.first} to {last} died {count} times; "
                "if a program ends them, leave --in-process out, and go on with --resume."
            )
