"""A claim: one sentence that must hold, where it comes from, and where it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class Claim:
    """What the report says of a claim; `articles` are numbers of articles such as "000".

    `law` is what every case within the scope is held to.
    """

    id: str
    title: str
    sentence: str
    articles: tuple[str, ...]
    source: str
    scope: str
    law: str = ""


class UnknownClaim(Exception):
    """A claim was asked for that the suite does not have; the message says what to do."""


def proves(claim: str) -> Callable[[F], F]:
    """Mark a test as the property that proves or refutes a claim of the catalogue."""

    def mark(test: F) -> F:
        test.claim_id = claim  # type: ignore[attr-defined]
        return test

    return mark
