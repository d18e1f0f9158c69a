"""A Dask cluster that judges chunks: https://distributed.dask.org schedules, we submit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from conformance.fuzz.chunks import Chunk, Done, Task, judge_chunk
from conformance.fuzz.pools import Stopped
from conformance.usage import UsageError

_ANSWERS_S = 10.0
"""How long a scheduler may take to answer."""
_AHEAD = 3
"""Chunks for each thread of the cluster."""
_ASKED_S = 5.0
_TRIES = 5
_PAUSE_S = 0.05


class Cluster:
    """The cluster of a scheduler; raises UsageError where it does not answer.

    Its workers need this suite, of this version, and the subject.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise UsageError(
                "--scheduler needs Dask, which is not installed; install "
                "autograd-conformance[cluster]."
            ) from None
        self.address = address
        self._asked, self._counted = -_ASKED_S, 1
        try:
            self._client: Any = Client(address, timeout=_ANSWERS_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(
                f"No Dask scheduler answers at {address} ({str(error).partition(chr(10))[0]}); "
                "start one with `dask scheduler`, and name the address that it prints."
            ) from None

    def run(self, task: Task, chunks: Iterable[Chunk]) -> Iterator[Done]:
        """What becomes of each chunk, as they end; a chunk whose worker died is submitted again.

        Raises Stopped if the scheduler does not answer any more, or if a chunk ends the workers
        that judge it; SubjectError if there is nobody to run its programs.
        """
        waiting, tries = deque(chunks), Counter[Chunk]()
        flying: dict[Any, Chunk] = {}
        answered = time.monotonic()
        while waiting or flying:
            if self._client.status == "running":
                answered = time.monotonic()
                while waiting and len(flying) < _AHEAD * self._threads():
                    chunk = waiting.popleft()
                    flying[self._client.submit(judge_chunk, task, chunk, pure=False)] = chunk
            elif time.monotonic() - answered > _ANSWERS_S:
                raise Stopped(f"The Dask scheduler at {self.address} does not answer any more.")
            ended = [future for future in flying if future.status != "pending"]
            for future in ended:
                chunk = flying.pop(future)
                done = self._found(future)
                if done is not None:
                    yield done
                    continue
                tries[chunk] += 1
                if tries[chunk] >= _TRIES:
                    raise Stopped(
                        f"The workers of {self.address} died {tries[chunk]} times over programs "
                        f"{chunk.first} to {chunk.first + chunk.count - 1}."
                    )
                waiting.appendleft(chunk)
            if not ended:
                time.sleep(_PAUSE_S)

    def _threads(self) -> int:
        """How many chunks the cluster judges at once, as it was said lately."""
        now = time.monotonic()
        if now > self._asked + _ASKED_S:
            self._asked = now
            with contextlib.suppress(OSError, TimeoutError):
                self._counted = max(1, sum(self._client.nthreads().values()))
        return self._counted

    def _found(self, future: Any) -> Done | None:
        """What a chunk came to; None if its worker or the scheduler is gone."""
        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        gone = (asyncio.CancelledError, CancelledError, KilledWorker, CommClosedError)
        if future.status in ("cancelled", "lost"):
            return None
        try:
            found = future.result(timeout=_ANSWERS_S)
        except (*gone, TimeoutError, OSError):
            return None
        return found if isinstance(found, Done) else None

    def close(self) -> None:
        """Let the cluster go."""
        with contextlib.suppress(OSError, TimeoutError):
            self._client.close(timeout=1)
