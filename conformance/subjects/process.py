"""Subjects that run programs: in a worker process of their own, or in this one."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import CodeType

import msgspec

from conformance.subjects import worker
from conformance.subjects.errors import SubjectError
from conformance.subjects.lines import Ended, LineProcess, TimedOut
from conformance.subjects.observation import Observation
from conformance.subjects.protocol import (
    PROTOCOL,
    Answer,
    Hello,
    Request,
    read_answer,
    read_hello,
    write_line,
)
from conformance.subjects.subject import Subject
from strategies.printer import is_device

START_TRIES = 3
START_S = 120.0
_UNCOMPILED = (SyntaxError, ValueError, MemoryError, RecursionError, Warning)
"""What compiling a text may raise."""
_CRASH_LINE = re.compile(r'File "<program>", line (\d+)')


class WorkerSubject(Subject):
    """A subject in a process of its own, started again whenever a program has brought it down.

    ``command`` starts a worker; ``env`` replaces the environment where given. The worker starts at
    once and is given ``start_s`` seconds to say hello. Raises SubjectError where it does not.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        start_s: float = START_S,
        mode: str = "eager",
    ) -> None:
        self._command = list(command)
        self._env = env
        self._start_s = start_s
        self._last_id = 0
        self._process, hello = _start(name, self._command, env, start_s)
        super().__init__(name, hello, mode)

    @property
    def pid(self) -> int:
        """The process id of the worker that serves, or last served."""
        return self._process.pid

    def run(
        self,
        body: str,
        observe: Sequence[str],
        *,
        watch: bool = True,
        flags: bool = True,
        retained: Sequence[str] = (),
        timeout_s: float = 10.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Observation:
        """Run a program as Subject.run says; a crash or a hang is an observation too.

        It has ``timeout_s`` seconds from when ``meanwhile`` is done.
        """
        self._make_ready()
        self._last_id += 1
        request = Request(
            id=self._last_id,
            body=body,
            observe=observe,
            retained=retained,
            flags=flags,
            watch=watch,
            compiles=self.compiles,
        )
        started = time.monotonic()
        try:
            self._process.send(write_line(request), started + timeout_s)
            self._meanwhile(meanwhile)
            answer = read_answer(self._process.receive(time.monotonic() + timeout_s))
        except TimedOut:
            self._process.close()
            return Observation(hang=True, seconds=time.monotonic() - started)
        except Ended:
            crash = _condensed(self._process.post_mortem())
            return Observation(crash=crash, seconds=time.monotonic() - started)
        except msgspec.DecodeError as problem:
            self._process.close()
            crash = f"an answer that is none: {problem}"
            return Observation(crash=crash, seconds=time.monotonic() - started)
        return self._checked(answer)

    def _meanwhile(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException:
            # Nobody will read the answer that is on its way.
            self._process.close()
            raise

    def ping(self) -> float:
        """Return the seconds that a request takes that runs nothing."""
        self._make_ready()
        self._last_id += 1
        started = time.perf_counter()
        deadline = time.monotonic() + self._start_s
        self._process.send(write_line({"id": self._last_id, "ping": True}), deadline)
        self._process.receive(deadline)
        return time.perf_counter() - started

    def close(self) -> None:
        """Kill the worker; the next run starts another."""
        self._process.close()

    def kill(self) -> None:
        """Kill the worker's group, and wait for nothing."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _make_ready(self) -> None:
        if not self._process.alive:
            self._process.close()
            self._process, _ = _start(self.name, self._command, self._env, self._start_s)

    def _checked(self, answer: Answer) -> Observation:
        if answer.fault is not None:
            raise SubjectError(f"{self.name}: the worker could not read a request: {answer.fault}")
        if answer.id != self._last_id:
            self._process.close()
            return Observation(crash=f"an answer to request {answer.id}, not {self._last_id}")
        return answer.observation()


class InProcessSubject(Subject):
    """The running interpreter as a subject: the worker's code without the process, for speed.

    A program that crashes or hangs takes the host with it; ``timeout_s`` is not held. Raises
    SubjectError where torch or the device is missing.
    """

    def __init__(
        self,
        name: str,
        device: str = "cpu",
        imports: Sequence[str] = (),
        *,
        mode: str = "eager",
    ) -> None:
        hello = msgspec.convert(worker.load(device, imports), Hello)
        if hello.failed is not None:
            raise SubjectError(_refusal(name, hello.failed))
        super().__init__(name, hello, mode)
        self._compiled: dict[str, CodeType] = {}
        """The code of bodies that are to run next."""

    def expect(self, bodies: Sequence[str]) -> None:
        """Compile them one after the other: between runs of torch that takes half as long again.

        What cannot be compiled without a word is compiled as it runs, which is when it is heard.
        """
        self._compiled.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for body in bodies:
                with contextlib.suppress(
                    SyntaxError, ValueError, MemoryError, RecursionError, Warning
                ):
                    self._compiled[body] = worker.compiled(body)

    def run(
        self,
        body: str,
        observe: Sequence[str],
        *,
        watch: bool = True,
        flags: bool = True,
        retained: Sequence[str] = (),
        timeout_s: float = 10.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Observation:
        """Run a program as Subject.run says, in this process."""
        meanwhile()
        request = {
            "body": body,
            "observe": observe,
            "retained": retained,
            "flags": flags,
            "watch": watch,
            "compiles": self.compiles,
        }
        code = self._compiled.pop(body, None)
        return msgspec.convert(worker.execute(request, self.device, code), Answer).observation()

    def close(self) -> None:
        """Do nothing: the interpreter goes on."""


def _condensed(crash: str) -> str:
    # The dump that Python's fault handler leaves says at which line, and is full of paths.
    how, _, words = crash.partition("\n")
    words, _, dump = words.partition("Fatal Python error")
    line = _CRASH_LINE.search(dump)
    return f"{how}{f' at line {line[1]}' if line else ''}\n{words}".strip()


def _start(
    name: str, command: Sequence[str], env: Mapping[str, str] | None, start_s: float
) -> tuple[LineProcess, Hello]:
    for attempt in range(1, START_TRIES + 1):
        try:
            process = LineProcess(command, env)
        except OSError as problem:
            raise SubjectError(
                f"{name}: {command[0]} cannot be run ({problem.strerror})."
            ) from None
        try:
            hello = read_hello(process.receive(time.monotonic() + start_s))
        except Ended:
            # A start can fail for want of memory or of a device that is busy for a moment.
            if attempt == START_TRIES:
                raise SubjectError(
                    _silence(name, command, process.post_mortem(), attempt)
                ) from None
            process.close()
        except TimedOut:
            process.close()
            raise SubjectError(f"{name}: {command[0]} said no hello in {start_s:g} s.") from None
        except msgspec.DecodeError:
            process.close()
            raise SubjectError(f"{name}: {command[0]} answers, but not as a worker does.") from None
        else:
            return process, _accepted(name, process, hello)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _accepted(name: str, process: LineProcess, hello: Hello) -> Hello:
    if hello.failed is not None:
        process.close()
        raise SubjectError(_refusal(name, hello.failed))
    if hello.hello != PROTOCOL:
        process.close()
        raise SubjectError(
            f"{name}: its worker speaks version {hello.hello} of the protocol, not {PROTOCOL}."
        )
    if not is_device(hello.device or "cpu"):
        # It would stand in every script.
        process.close()
        raise SubjectError(f"{name}: its worker names {hello.device!r}, which is no device.")
    return hello


def _refusal(name: str, failed: str) -> str:
    if "No module named 'torch'" in failed:
        return (
            f"{name}: that interpreter has no torch; install it there, or name one that has it "
            "with python=PATH."
        )
    return f"{name}: {' '.join(failed.split()).rstrip('.')}."


def _silence(name: str, command: Sequence[str], fate: str, attempts: int) -> str:
    how, _, words = fate.partition("\n")
    last = words.strip().splitlines()[-1:]
    why = f": {last[0].strip().rstrip('.')}" if last else ""
    return (
        f"{name}: {command[0]} ended before it said hello, {attempts} times "
        f"({how}{why}); is it a Python?"
    )
