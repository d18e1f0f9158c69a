"""What a comparison of two runs says in words, whatever shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from reports.comparison import Change, Column, Comparison, Item, Seen, Side, Who
from reports.words import moment, visible

MEANINGS: dict[Change, str] = {
    "new": "deviates in B, and did not in A",
    "fixed": "deviated in A, and conforms in B",
    "still": "deviates in both",
    "not exercised": "one of the runs does not tell",
    "conforms": "deviates in neither",
}
"""Change -> what it means."""
LISTED: tuple[Change, ...] = ("new", "fixed", "still")
"""Changes that are listed one by one; those that nobody can tell of are grouped by the reason."""
_UNTOLD: Change = "not exercised"
_DECIDES = ("conforms", "unexpectedly conforms", "known deviation", "deviates")
_ALONE = re.compile(r"the entry is for torch (\S+) alone")
"""How a comparison says that a run was of no version that an entry is for."""
_LEFT_OUT = re.compile(r"(left out \(\d+ programs; [^)]*\)): .*")
"""What a torch does not have, by name: too long to be a reason."""
_SEVERAL = {"claim": "claims", "program": "programs", "entry": "entries"}
_OF = {"claim": "claim", "program": "program", "deviation": "entry"}


@dataclass(frozen=True)
class Untold:
    """Items of one kind that cannot be compared for one reason."""

    what: str
    reason: str
    items: tuple[Item, ...]

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return [_with_versions(item) for item in self.items]

    @property
    def count(self) -> str:
        """How many of what."""
        number = len(self.items)
        return f"{number} {self.what if number == 1 else _SEVERAL[self.what]}"

    @property
    def heading(self) -> str:
        """How many of what, and what each run says."""
        return f"{self.count}, {self.reason}"


def name(item: Item) -> str:
    """What an item is called: a claim by its title, the others by their ids."""
    if item.what == "claim":
        return visible(item.title)
    of = f" of {item.claim}" if item.what == "program" else ""
    return visible(f"{_OF[item.what]} {item.id}{of}")


def called(item: Item) -> str:
    """What an item is called among its like: an entry by its id."""
    return visible(item.id) if item.what == "deviation" else name(item)


def stood(item: Item, before: bool) -> str:
    """The verdict in one run, or a dash where the run did not have the item."""
    return visible((item.before if before else item.after).verdict) or "-"


def merely_known(item: Item) -> bool:
    """Whether it deviates in both runs as the register says: nothing to look at."""
    return item.before.verdict == item.after.verdict == "known deviation"


def finding(item: Item) -> str:
    """What came out where it deviates: of the second run, or of the first where it is fixed."""
    seen = item.before if item.change == "fixed" else item.after
    title = item.title if item.what == "deviation" else ""
    return visible(": ".join(filter(None, (seen.kind, title, seen.message))))


def run_of(side: Side) -> str:
    """One of the two runs: where it lies, when it was, with which profile and seed."""
    seed = "" if side.seed is None else f", seed {side.seed}"
    parts = (side.path, moment(side.started), side.profile and f"profile {side.profile}{seed}")
    return visible(", ".join(filter(None, parts)))


def subject(who: Who) -> str:
    """A subject with the version of its torch."""
    return visible(f"{who.name}, torch {who.torch or 'unknown'}")


def heading(column: Column) -> str:
    """Which subjects are compared, and on what grounds if not by name."""
    before, after = column.before, column.after
    if column.matched_by == "name":
        if before.torch == after.torch:
            return subject(before)
        versions = f"torch {before.torch or 'unknown'} in A, {after.torch or 'unknown'} in B"
        return visible(f"{before.name}, {versions}")
    return (
        f"{subject(before)} in A, and {subject(after)} in B: no name is in both runs, and each "
        "exercised one subject"
    )


def unmatched(comparison: Comparison) -> list[str]:
    """A sentence for each run with subjects that the other does not have."""
    sides = (("A", comparison.before), ("B", comparison.after))
    return [
        visible(f"Only in {letter}, and not compared: {', '.join(side.unmatched)}.")
        for letter, side in sides
        if side.unmatched
    ]


def untold(items: Iterable[Item]) -> list[Untold]:
    """What cannot be compared, by the reason: the one that is not there, or the one undecided.

    Entries of the register that are for other versions of torch are told of together, each with
    its versions.
    """
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        if item.change == _UNTOLD:
            groups.setdefault((_OF[item.what], _reason(item)), []).append(item)
    return [Untold(what, reason, tuple(found)) for (what, reason), found in groups.items()]


def _reason(item: Item) -> str:
    """What each run says; one that decides says its verdict alone."""
    return visible(f"A: {_told(item.before)}; B: {_told(item.after)}")


def _with_versions(item: Item) -> str:
    """Its name, and the versions of torch that it is for if one of the runs had another."""
    found = _ALONE.search(item.before.message) or _ALONE.search(item.after.message)
    return visible(f"{called(item)} ({found[1]})") if found else called(item)


def _told(seen: Seen) -> str:
    if seen.verdict in _DECIDES:
        return seen.verdict
    if _ALONE.fullmatch(seen.message):
        return "not for this torch"
    return ": ".join(filter(None, (seen.verdict, _LEFT_OUT.sub(r"\1", seen.message))))


def summed_up(comparison: Comparison) -> str:
    """One line: whether there is a regression, and how many items became what."""
    counts = comparison.counts
    first = "Regression" if comparison.regression else "No regression"
    listed = ", ".join(f"{counts[change]} {change}" for change in (*LISTED, _UNTOLD))
    return f"{first}: {listed}; {counts['conforms']} conform in both."
