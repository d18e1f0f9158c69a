"""What was expected beside what came out, entry by entry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NUMBERS = re.compile(r"[\[\],\s0-9.eE+\-naif]{1,20000}")
_MOST = 60
"""Entries that are shown."""
_DEEPEST = 16


@dataclass(frozen=True)
class Entry:
    """One entry of a tensor: its index, what it must be, what it was, and whether that differs."""

    index: str
    expected: str
    observed: str
    differs: bool


@dataclass(frozen=True)
class Entries:
    """The entries that are shown, and how many of each sort are not."""

    shown: tuple[Entry, ...]
    differing: int
    more: int


def entries(expected: str, observed: str, off: Sequence[int]) -> Entries | None:
    """The two texts as entries of tensors of one shape; None where they are something else.

    `off` are the places of entries that differ by more than is allowed. Where the records do not
    say them, what reads differently differs.
    """
    pair = [_read(text) for text in (expected, observed)]
    if pair[0] is None or pair[1] is None:
        return None
    left, right = dict(pair[0]), dict(pair[1])
    if [*left] != [*right]:
        return None
    wrong = {place for place in off if place < len(left)}
    if not wrong:
        wrong = {n for n, index in enumerate(left) if left[index] != right[index]}
    found = [Entry(i, left[i], right[i], n in wrong) for n, i in enumerate(left)]
    shown = found
    if len(found) > _MOST:
        # Those that differ are what a reader looks for; order is kept.
        shown = [entry for entry in found if entry.differs][:_MOST]
    return Entries(tuple(shown), len(wrong), len(found) - len(shown))


def _read(text: str) -> list[tuple[str, str]] | None:
    """Index -> number of nested lists of numbers, or of one number."""
    if not _NUMBERS.fullmatch(text):
        return None
    try:
        held = json.loads(text.replace("nan", "NaN").replace("inf", "Infinity"))
        found = list(_flat(held, ()))
    except (ValueError, RecursionError):
        return None
    return found or None


def _flat(held: object, index: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(held, list):
        if len(index) == _DEEPEST:
            raise ValueError("nested too deeply")
        for number, one in enumerate(held):
            yield from _flat(one, (*index, number))
    else:
        yield f"[{', '.join(map(str, index))}]" if index else "", repr(held)
