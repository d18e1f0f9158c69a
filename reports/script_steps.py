"""A script that is no program of the suite as numbered steps: one for each of its statements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_GOES_ON = re.compile(r"[\s)\]}#]|(?:else|elif|except|finally)\b")
"""How a line starts that belongs to the statement above it."""
_IMPORTS = ("import ", "from ")
_MOST = 100
"""Statements that are shown."""
_LONGEST = 20_000
"""Of a script, in characters; the rest is in the records."""


@dataclass(frozen=True)
class Statement:
    """A statement of a script, and the lines that it stands in."""

    number: int
    first: int
    last: int
    code: str

    @property
    def lines(self) -> str:
        """Where it stands."""
        several = self.last > self.first
        return f"lines {self.first}-{self.last}" if several else f"line {self.first}"


def statements(script: str) -> tuple[Statement, ...]:
    """The statements of a script but for its imports, by the first column of its lines.

    The text is not parsed: it is a stranger's.
    """
    found = (block for block in _blocks(script[:_LONGEST]) if not block[1][0].startswith(_IMPORTS))
    return tuple(
        Statement(number, first, first + len(lines) - 1, "\n".join(lines))
        for number, (first, lines) in zip(range(1, _MOST + 1), found, strict=False)
    )


def _blocks(script: str) -> Iterator[tuple[int, list[str]]]:
    """Lines that belong together, with the number of the first; blank lines end none."""
    block: list[str] = []
    start = 0
    for number, line in enumerate(script.split("\n"), start=1):
        opens = bool(line) and not _GOES_ON.match(line)
        if opens and not (block and block[-1].startswith("@")):
            if block:
                yield start, _without_blanks(block)
            block, start = [line], number
        elif block:
            block.append(line)
    if block:
        yield start, _without_blanks(block)


def _without_blanks(lines: list[str]) -> list[str]:
    """The lines but for blank ones at the end."""
    last = max(place for place, line in enumerate(lines) if line.strip())
    return lines[: last + 1]
