"""The lines that host and worker exchange; docs/subject-protocol.md describes them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from conformance.subjects.observation import (
    CompilerSeen,
    ErrorSeen,
    JsonSeen,
    Observation,
    StepSeen,
    TensorSeen,
)

PROTOCOL = 1


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a worker: what it is, or why it cannot be (``failed``)."""

    hello: int
    failed: str | None = None
    torch: str = ""
    python: str = ""
    device: str = ""
    device_name: str = ""
    platform: str = ""
    names: dict[str, frozenset[str]] = {}
    cuda: bool = False
    float64: bool = True


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One program for a worker: body, names to report, and what to read of them."""

    id: int
    body: str
    observe: Sequence[str]
    retained: Sequence[str] = ()
    flags: bool = True
    watch: bool = True
    compiles: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's answer to one request; ``fault`` where it could not read the request."""

    id: int | None
    fault: str | None = None
    pong: bool = False
    error: ErrorSeen | None = None
    values: dict[str, TensorSeen | JsonSeen] = {}
    trace: tuple[StepSeen, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    compiler: CompilerSeen | None = None

    def observation(self) -> Observation:
        """Return what was seen, without what belongs to the exchange."""
        return Observation(
            error=self.error,
            values=self.values,
            trace=self.trace,
            warnings=self.warnings,
            seconds=self.seconds,
            compiler=self.compiler,
        )


read_hello = msgspec.json.Decoder(Hello).decode
read_answer = msgspec.json.Decoder(Answer).decode
write_line = msgspec.json.Encoder().encode
