"""Which of the drawn programs go into a corpus, and in which order."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from conformance.cells import COLUMNS, cells_of, operations, why_never
from strategies.around import CELLS, every
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import check
from strategies.program import Program, encode

Cells = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A drawn program, the cells of the table that its steps fall into, and its JSON's length."""

    program: Program
    cells: Cells
    length: int


def there_are() -> Cells:
    """Every cell that a drawn step can fall into."""
    rows = operations()
    return frozenset((r.name, c) for r in rows for c in COLUMNS if not why_never(r, c))


def candidates(count: int, seed: int, tick: Callable[[int], None]) -> list[Candidate]:
    """At least so many different programs, half of them around each operation, half by chance.

    They depend on count and seed alone.
    """
    each = max(1, count // 2 // len(CELLS))
    found: dict[str, Candidate] = {}
    for program in _drawn(count, each, seed):
        cells = frozenset(cells_of(check(program)))
        found.setdefault(program.id, Candidate(program, cells, len(encode(program))))
        tick(1)
    return list(found.values())


def _drawn(count: int, each: int, seed: int) -> Iterator[Program]:
    yield from (program for _, program in every(each, seed))
    yield from (build(Seeded(seed, index)) for index in range(count // 2))


def in_turns(found: Sequence[Candidate]) -> Iterator[Candidate]:
    """The candidates, in rounds: in each every cell is covered once more, by the fewest programs.

    Next comes the program with the most cells that the round has not yet covered, the shortest
    among equals. A program without any comes when no round has use for others.
    """
    left = dict(enumerate(found))
    while left:
        wanted = set[tuple[str, str]]().union(*(one.cells for one in left.values()))
        heap = [(-len(one.cells), one.length, index) for index, one in left.items()]
        heapq.heapify(heap)
        while heap:
            gain, length, index = heapq.heappop(heap)
            now = -len(left[index].cells & wanted)
            if now and now > gain:
                heapq.heappush(heap, (now, length, index))
            elif now:
                wanted -= left[index].cells
                yield left.pop(index)
        if all(not one.cells for one in left.values()):
            yield from left.values()
            return


def uncovered(chosen: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    """The cells that no chosen program has, in the table's order."""
    return sorted(there_are() - chosen.keys())
