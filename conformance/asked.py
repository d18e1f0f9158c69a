"""What was found under some quirks, found again under others that make no difference to it."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
_holds = frozenset.__contains__


class Asked(frozenset[str]):
    """Quirks that remember which ones were asked for, there or not.

    What is found by asking `quirk in quirks` alone depends on no other quirk.
    """

    asked: set[object]

    def __new__(cls, quirks: Set[str]) -> Asked:
        made = super().__new__(cls, quirks)
        made.asked = set()
        return made

    def __contains__(self, quirk: object) -> bool:
        self.asked.add(quirk)
        return _holds(self, quirk)

    def tells_of(self, quirks: frozenset[str]) -> bool:
        """Whether what was asked would be answered the same among these."""
        return self.asked.isdisjoint(self ^ quirks)


@dataclass(slots=True)
class Findings(Generic[T]):
    """What was found of one thing, by the quirks that were asked for on the way."""

    _found: list[tuple[Asked, T]] = field(default_factory=list)

    def under(self, quirks: frozenset[str], find: Callable[[frozenset[str]], T]) -> T:
        """What `find` says; it is not asked again where it would ask for the same and be told the
        same.
        """
        for asked, found in self._found:
            if asked.tells_of(quirks):
                return found
        asking = Asked(quirks)
        found = find(asking)
        self.keep(asking, found)
        return found

    def holds(self, quirks: frozenset[str]) -> bool:
        """Whether `under` needs not ask."""
        return any(asked.tells_of(quirks) for asked, _ in self._found)

    def keep(self, asked: Asked, found: T) -> None:
        """Note what was found elsewhere by asking these quirks."""
        self._found.append((asked, found))
