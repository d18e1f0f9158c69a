"""How claims stood in earlier runs of the same subject."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from conformance.records import RowVerdict, RunRecords, summarise


@dataclass(frozen=True)
class Past:
    """A claim in one run: when that started, the torch of the subject then, and the verdict."""

    started: str
    torch: str
    verdict: RowVerdict
    current: bool = False


History = dict[tuple[str, str], list[Past]]
"""Claim and subject's name -> how it stood, the oldest run first."""


def history(before: Iterable[RunRecords], runs: Sequence[RunRecords]) -> History:
    """All that earlier runs and these tell, in the order in which the runs started."""
    found: History = {}
    seen: set[str] = set()
    every = [*((records, False) for records in before), *((records, True) for records in runs)]
    every.sort(key=lambda pair: pair[0].run.started if pair[0].run else "")
    for records, current in every:
        id = records.run.id if records.run else str(records.path)
        if id in seen and not current:
            continue
        seen.add(id)
        torches = {s.name: s.torch for s in records.run.subjects} if records.run else {}
        started = records.run.started if records.run else ""
        for row in summarise(records):
            past = Past(started, torches.get(row.subject, ""), row.verdict, current)
            found.setdefault((row.claim, row.subject), []).append(past)
    return found
