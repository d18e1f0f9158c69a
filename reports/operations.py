"""Which operations were drawn how often: plain, in place, on a view, in no_grad, after a save."""

from __future__ import annotations

import math
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from conformance.records import Forms
from reports.columns import Column

COLUMNS = (
    ("plain", "steps that write no operand"),
    ("in place", "steps of the form that writes its operand"),
    ("on a view", "steps whose first operand is a view"),
    ("in no_grad", "steps that autograd does not record"),
    ("saved, then modified", "steps that write a tensor which a node had saved"),
)
"""Title and meaning of each cell, in the order in which records count them."""
SHADES = 5
"""Of the heat map, beside empty cells."""


@dataclass(frozen=True)
class Heat:
    """One cell; without a count, no step can fall into it."""

    count: int | None
    shade: int
    """0 is empty, and SHADES the darkest."""


@dataclass(frozen=True)
class Operation:
    """An operation with its cells."""

    name: str
    cells: tuple[Heat, ...]

    @property
    def empty(self) -> bool:
        """Whether some cell is empty that could be filled."""
        return any(cell.count == 0 for cell in self.cells)


@dataclass(frozen=True)
class HeatMap:
    """The operations of some subjects."""

    operations: tuple[Operation, ...]
    steps: int
    filled: int
    possible: int
    told: bool
    """Whether the records count operations at all: those of schema 1 do not."""


def heat_map(columns: Iterable[Column]) -> HeatMap:
    """What was drawn for these subjects, all claims together."""
    counts: dict[str, list[int]] = {}
    forms: dict[str, Forms] = {}
    for column in columns:
        forms |= column.records.run.operations if column.records.run else {}
        for (_, subject), attempt in column.records.attempts.items():
            if subject != column.subject.name or attempt.finish is None:
                continue
            for name, cells in attempt.finish.cells.items():
                row = counts.setdefault(name, [0] * len(COLUMNS))
                for place, count in enumerate(cells):
                    row[place] += count
    names = sorted({*forms, *counts})
    most = max((count for row in counts.values() for count in row), default=0)
    found = tuple(
        Operation(name, tuple(_cells(counts.get(name), _forms(name, forms, counts), most)))
        for name in names
    )
    tally = Tally(
        "empty" if cell.count == 0 else "filled"
        for operation in found
        for cell in operation.cells
        if cell.count is not None
    )
    steps = sum(row[0] + row[1] for row in counts.values())
    return HeatMap(found, steps, tally["filled"], tally.total(), bool(counts))


def _forms(name: str, listed: Mapping[str, Forms], counts: Mapping[str, list[int]]) -> Forms:
    """How an operation can be written: as the run lists it, or else as it was met."""
    if name in listed:
        return listed[name]
    plain, in_place, *_ = counts[name]
    return "both" if plain and in_place else "plain" if plain else "in place"


def _cells(counts: list[int] | None, forms: Forms, most: int) -> Iterable[Heat]:
    for place, (title, _) in enumerate(COLUMNS):
        count = counts[place] if counts else 0
        never = (forms == "in place" and title == "plain") or (
            forms == "plain" and title in ("in place", "saved, then modified")
        )
        if never and not count:
            yield Heat(None, 0)
        else:
            yield Heat(count, _shade(count, most))


def _shade(count: int, most: int) -> int:
    """By powers of ten: one operation is drawn a thousand times as often as another."""
    if not count:
        return 0
    return 1 + min(SHADES - 1, int(SHADES * math.log(count) / math.log(most + 1)))
