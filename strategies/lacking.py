"""Drawing for a torch that lacks operations: what it lacks is not drawn, and all else is as ever.

A program is drawn as if nothing lacked. If it has an operation that lacks, it is drawn again from
the very same choices without such operations: so subjects that are asked one after the other get
the same programs, but for those that one of them cannot run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from strategies.choices import Choose, Seeded, T
from strategies.draft import Draft
from strategies.program import Apply, Program

P = TypeVar("P", Program, Program | None, Draft)

_LACKING: ContextVar[frozenset[str]] = ContextVar("lacking", default=frozenset())
_AVOIDED: ContextVar[frozenset[str]] = ContextVar("avoided", default=frozenset())


@contextmanager
def drawing_without(ops: frozenset[str]) -> Iterator[None]:
    """Within it nothing is drawn of these operations, by their names in programs."""
    token = _LACKING.set(ops)
    try:
        yield
    finally:
        _LACKING.reset(token)


def lacking() -> frozenset[str]:
    """The operations that are not to be drawn here."""
    return _LACKING.get()


def avoided() -> frozenset[str]:
    """The operations that a program which is being drawn again goes without."""
    return _AVOIDED.get()


def suited(choose: Choose, make: Callable[[Choose], P]) -> P:
    """What `make` draws; where that has an operation that lacks, what it draws without it."""
    ops = lacking()
    if not ops:
        return make(choose)
    noted = _Noted(choose)
    program = make(noted)
    steps = () if program is None else program.steps
    if not any(isinstance(step, Apply) and step.op in ops for step in steps):
        return program
    token = _AVOIDED.set(ops)
    try:
        return make(_Again(noted.made))
    finally:
        _AVOIDED.reset(token)


class _Noted:
    """Choices of another source, which are kept."""

    def __init__(self, source: Choose) -> None:
        self._source = source
        self.made: list[int] = []

    def below(self, n: int) -> int:
        choice = self._source.below(n)
        self.made.append(choice)
        return choice

    def apart(self, make: Callable[[], T]) -> T:
        return self._source.apart(make)


class _Again:
    """Choices made before, brought into the range asked for, and then some that follow from them;
    zeros where all of them were zeros.
    """

    def __init__(self, made: Sequence[int]) -> None:
        self._left = list(reversed(made))
        self._after = Seeded(0, hash(tuple(made))) if any(made) else None

    def below(self, n: int) -> int:
        if self._left:
            return self._left.pop() % n
        return self._after.below(n) if self._after is not None else 0

    def apart(self, make: Callable[[], T]) -> T:
        return make()
