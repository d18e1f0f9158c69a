"""How claims stood in earlier runs of the same subject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from conformance.records import Past, RowVerdict, RunRecords, past_of

_MOST = 60
"""Runs that a strip shows, the latest."""
_VERDICTS: tuple[RowVerdict, ...] = tuple(
    word for part in get_args(RowVerdict) for word in (get_args(part) or (part,))
)


@dataclass(frozen=True)
class Stood:
    """A claim in one run: when that started, the torch of the subject then, and the verdict."""

    started: str
    torch: str
    verdict: RowVerdict
    current: bool = False


History = dict[tuple[str, str], list[Stood]]
"""Claim and subject's name -> how it stood, the oldest run first."""


def history(before: Iterable[RunRecords], runs: Sequence[RunRecords]) -> History:
    """All that earlier runs, the histories in their folders and these runs themselves tell."""
    current = [past_of(records) for records in runs]
    shown = {past.run for past in current}
    earlier: dict[str, Past] = {}
    for records in (*before, *runs):
        for past in (*records.history, past_of(records)):
            if past.run not in shown:
                earlier[past.run] = past
    every = [*((past, False) for past in earlier.values()), *((past, True) for past in current)]
    every.sort(key=lambda pair: pair[0].started)
    found: History = {}
    for past, is_current in every:
        for key, stood in _each(past, current=is_current):
            found.setdefault(key, []).append(stood)
    return {key: stood[-_MOST:] for key, stood in found.items()}


def _each(past: Past, *, current: bool) -> Iterator[tuple[tuple[str, str], Stood]]:
    for claim, by_subject in past.verdicts.items():
        for subject, word in by_subject.items():
            verdict = next((known for known in _VERDICTS if known == word), None)
            if verdict is not None:
                torch = past.torches.get(subject, "")
                yield (claim, subject), Stood(past.started, torch, verdict, current)
