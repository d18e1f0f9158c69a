"""A child process that exchanges lines, with a time limit on each and no thread."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence

_CHUNK = 1 << 18
_TAIL = 8192
_MAX_LINE = 1 << 30
_GRACE_S = 2.0


class TimedOut(Exception):
    """The deadline passed before the line was complete."""


class Ended(Exception):
    """The child closed its end, or wrote a line that never ends."""


class LineProcess:
    """A child in a process group of its own; it dies with this object, or with this interpreter.

    Raises OSError where the command cannot be started.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            bufsize=0,
            start_new_session=True,
            env=env,
        )
        self._end = weakref.finalize(self, _kill, self._child, os.getpid())
        assert self._child.stdin and self._child.stdout and self._child.stderr
        self._in = self._child.stdin.fileno()
        self._out = self._child.stdout.fileno()
        self._err = self._child.stderr.fileno()
        os.set_blocking(self._in, False)
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self._poll.register(self._err, select.POLLIN)
        self._buffer = bytearray()
        self._tail = b""
        self._err_open = True

    @property
    def pid(self) -> int:
        """The child's process id, which is its group's id too."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._child.poll() is None

    def send(self, line: bytes, deadline: float) -> None:
        """Write a line and forget earlier last words.

        Raises Ended, or TimedOut after ``deadline`` (monotonic).
        """
        self._tail = b""
        rest = memoryview(line + b"\n")
        while rest:
            try:
                rest = rest[os.write(self._in, rest) :]
            except BlockingIOError:
                self._poll.register(self._in, select.POLLOUT)
                self._wait(deadline)
                self._poll.unregister(self._in)
            except BrokenPipeError:
                raise Ended from None

    def receive(self, deadline: float) -> bytes:
        """Return the next line; raises Ended, or TimedOut after ``deadline`` (monotonic)."""
        scanned = 0
        while (end := self._buffer.find(b"\n", scanned)) < 0:
            scanned = len(self._buffer)
            if self._out in self._wait(deadline):
                chunk = os.read(self._out, _CHUNK)
                if not chunk or scanned > _MAX_LINE:
                    raise Ended
                self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _wait(self, deadline: float) -> set[int]:
        left = deadline - time.monotonic()
        # poll() counts whole milliseconds: round up, or the last one is spent spinning.
        ready = {fd for fd, _ in self._poll.poll(max(0.0, left) * 1000 + 1)} if left > 0 else set()
        if not ready:
            raise TimedOut
        if self._err in ready:
            self._keep_tail()
        return ready

    def _keep_tail(self) -> None:
        chunk = os.read(self._err, _CHUNK)
        if not chunk:
            self._poll.unregister(self._err)
            self._err_open = False
        self._tail = (self._tail + chunk)[-_TAIL:]

    def close(self) -> None:
        """Kill the child's group and close the pipes; any number of times."""
        self._err_open = False
        self._end()

    def post_mortem(self) -> str:
        """Say how the child ended, killing it if it has not, then its last words on stderr."""
        try:
            how = _fate(self._child.wait(_GRACE_S))
        except subprocess.TimeoutExpired:
            how = "closed its output and went on"
        last_words = self.last_words()
        self.close()
        return f"{how}\n{last_words}" if last_words else how

    def last_words(self) -> str:
        """Return what the child printed to stderr since the last line sent, 8 KiB at most."""
        waiting = select.poll()
        waiting.register(self._err, select.POLLIN)
        while self._err_open and waiting.poll(0):
            self._keep_tail()
        return self._tail.decode("utf-8", "replace").strip()


def _fate(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"signal {-status}"


def _kill(child: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() != owner:
        # A fork of the host holds a copy of this object, and no right to the child.
        return
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
