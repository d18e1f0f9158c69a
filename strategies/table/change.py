"""What an operation was in other versions of torch, as data: a change of its row, or a form of it
that came later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from strategies.draft import Shaped


Form = Literal["plain", "in place"]


@dataclass(frozen=True, slots=True)
class Change:
    """Fields of a row that have other values in some versions of torch, and where torch says so."""

    row: str
    """Its name, or several with spaces between; "" for every row that is spelled as `way` says."""
    torch: str
    """The versions, as a packaging specifier."""
    fields: Mapping[str, Any]
    source: str
    way: str = ""
    """The spelling that it is about; "" for all."""
    operands: int = 1
    """The least number of operands that it is about."""
    form: Form | Literal[""] = ""
    """The form that it is about; "" for both."""

    @property
    def rows(self) -> list[str]:
        return self.row.split()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A form of a row that is younger than the names which it is spelled with."""

    row: str
    """Its name, or several with spaces between; "" for every row."""
    since: str
    what: str
    """It, in words that complete "torch 1.2 has no ..."."""
    holds: Callable[[Shaped], bool]

    @property
    def rows(self) -> list[str]:
        return self.row.split()


@cache
def within(versions: str, torch: str) -> bool:
    """Whether a version of torch, which may be a development version, is one of those; what is no
    version is of none but of "".
    """
    try:
        return SpecifierSet(versions).contains(Version(torch), prereleases=True)
    except InvalidVersion:
        return not versions
