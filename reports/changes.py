"""What is different between any two subjects of a report, and since the runs before them."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from conformance.records import RunRecords
from reports import comparison_words as words
from reports.columns import Column
from reports.comparison import (
    Change,
    Comparison,
    Item,
    NothingToCompare,
    Side,
    compare,
    compare_subjects,
)
from reports.comparison import Column as Compared
from reports.words import PageNames, moment

MOST_COLUMNS = 12
"""So many subjects are compared each with each; of more, each with its neighbours and the last."""
SHOWN: tuple[Change, ...] = ("new", "fixed", "still")


@dataclass(frozen=True)
class Difference:
    """Two subjects beside one another; `a` and `b` say what each is."""

    a: str
    b: str
    page: str
    compared: Compared

    @cached_property
    def counts(self) -> dict[Change, int]:
        """How many items became what."""
        return dict(Tally(item.change for item in self.compared.items))

    def of(self, change: Change) -> list[Item]:
        """The items that became this, but for those that are registered in both."""
        found = (item for item in self.compared.items if item.change == change)
        return [item for item in found if not words.merely_known(item)]

    @property
    def known(self) -> list[Item]:
        """What deviates in both as the register says."""
        return [item for item in self.compared.items if words.merely_known(item)]

    @property
    def untold(self) -> list[words.Untold]:
        """What nobody can tell of, by the reason."""
        return words.untold(self.compared.items)


@dataclass(frozen=True)
class Since:
    """A run beside the one before it."""

    before: RunRecords
    after: RunRecords
    comparison: Comparison
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Changes:
    """All comparisons of a report; `pairs` are by the numbers of two columns, the older first."""

    since: tuple[Since, ...]
    pairs: dict[tuple[int, int], Difference]
    columns: tuple[Column, ...]
    all_pairs: bool

    @property
    def differences(self) -> list[Difference]:
        """Each comparison that has a page."""
        earlier = [one for since in self.since for one in since.differences]
        return [*earlier, *self.pairs.values()]


def changes(
    runs: Sequence[RunRecords], before: Iterable[RunRecords], columns: Sequence[Column]
) -> Changes:
    """What changed since the runs before, and between any two subjects."""
    pages = PageNames()
    there = [column for column in columns if column.subject.status == "available"]
    every = len(there) <= MOST_COLUMNS
    last = there[-1] if there else None
    pairs = {
        (old.number, new.number): Difference(
            old.label,
            new.label,
            pages.new(f"diff-{old.number + 1}-{new.number + 1}"),
            compare_subjects(old.told, new.told, "name"),
        )
        for old, new in combinations(there, 2)
        if every or new is last or there.index(new) - there.index(old) == 1
    }
    return Changes(tuple(_since(runs, before, pages)), pairs, tuple(there), every)


def _since(
    runs: Sequence[RunRecords], before: Iterable[RunRecords], pages: PageNames
) -> Iterable[Since]:
    """Each run with the latest of the runs before that shares a subject with it."""
    earlier = sorted(before, key=_started, reverse=True)
    for after in runs:
        for old in earlier:
            if old.run and after.run and (old.run.id == after.run.id or not _shares(old, after)):
                continue
            try:
                comparison = compare(old, after)
            except NothingToCompare:
                continue
            yield Since(old, after, comparison, tuple(_of_run(comparison, pages)))
            break


def _of_run(comparison: Comparison, pages: PageNames) -> Iterable[Difference]:
    for column in comparison.columns:
        name = words.heading(column)
        a, b = (f"{name}, {_when(side)}" for side in (comparison.before, comparison.after))
        yield Difference(a, b, pages.new(f"diff-before-{column.after.name}"), column)


def _when(side: Side) -> str:
    """When a run was, and with which profile and seed."""
    return f"{moment(side.started)}, profile {side.profile}, seed {side.seed}"


def _started(records: RunRecords) -> str:
    return records.run.started if records.run else ""


def _shares(before: RunRecords, after: RunRecords) -> bool:
    names = [{s.name for s in r.run.subjects} if r.run else set() for r in (before, after)]
    return bool(names[0] & names[1])
