"""What a campaign shows while it works: how far it is, how fast, verdicts and covered cells."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from conformance.progress import STYLES, Progress
from conformance.records import VerdictWord

_EVERY_S = 10.0
"""Where there is no terminal, a line is printed as often."""
_RECENT_S = 10.0
"""The rate is that of so long a time."""


class FuzzProgress(Progress):
    """One bar over a campaign's programs, with counts that change as they come."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._bars = Bars(
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.0f}/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[shown]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("", total=None, programs=0, rate=0.0, shown="")
        self._printed = time.monotonic()
        self._lately: list[tuple[float, int]] = []
        self._total = 0

    def expect(self, total: int) -> None:
        self._total = total
        super().expect(total)

    def rate(self, judged: int) -> float:
        """Programs a second, lately."""
        now = time.monotonic()
        self._lately.append((now, judged))
        while len(self._lately) > 2 and self._lately[0][0] < now - _RECENT_S:
            self._lately.pop(0)
        (then, before), (_, after) = self._lately[0], self._lately[-1]
        return (after - before) / (now - then) if now > then else 0.0

    def show(self, verdicts: Mapping[VerdictWord, int], cells: int, there_are: int) -> None:
        """Show how many programs have which verdict, and how many cells are covered."""
        judged = sum(verdicts.values())
        rate = self.rate(judged)
        counts = Counter(verdicts).most_common()
        styled = [f"[{STYLES[word]}]{count} {word}[/]" for word, count in counts]
        covered = f"{cells}/{there_are} cells"
        shown = ", ".join([*styled, covered])
        self._bars.update(self._task, completed=judged, rate=rate, shown=shown)
        now = time.monotonic()
        if not self.console.is_terminal and now > self._printed + _EVERY_S:
            self._printed = now
            plain = ", ".join([*(f"{count} {word}" for word, count in counts), covered])
            line = f"{judged} of {self._total}, {rate:.0f} a second: {plain}"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)
