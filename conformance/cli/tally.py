"""What a replay counted on one subject, as a table."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from conformance.progress import STYLES
from conformance.verdict import Judged

_SHOWN = 12


@dataclass(slots=True)
class Tally:
    """Verdicts on one subject; why programs were not exercised; which deviations showed."""

    subject: str
    torch: str
    verdicts: Counter[str] = field(default_factory=Counter)
    deviations: Counter[str] = field(default_factory=Counter)
    lacking: Counter[str] = field(default_factory=Counter)
    """Why programs were not exercised: the names that this torch does not have."""
    _since: float = field(default_factory=time.monotonic)

    def add(self, judged: Judged) -> None:
        """Count a program."""
        self.verdicts[judged.verdict] += 1
        self.deviations.update(deviation.entry.id for deviation in judged.deviations)
        if judged.verdict == "not exercised":
            self.lacking[judged.reason] += 1

    @property
    def code(self) -> int:
        """The exit code that the verdicts ask for."""
        if self.verdicts["deviates"]:
            return 1
        return 3 if self.verdicts["gave up"] else 0

    def print(self, console: Console) -> None:
        """The verdicts, most frequent first, then what is behind them."""
        total, seconds = self.verdicts.total(), time.monotonic() - self._since
        console.print(
            f"{self.subject}, torch {self.torch}: {total} programs in {seconds:.1f} s, "
            f"{total / max(seconds, 1e-9):.0f} a second",
            markup=False,
            highlight=False,
        )
        table = Table(box=None, pad_edge=False, show_edge=False)
        table.add_column("verdict", no_wrap=True)
        table.add_column("programs", justify="right")
        for verdict, count in self.verdicts.most_common():
            table.add_row(f"[{STYLES[verdict]}]{verdict}[/]", str(count))
        console.print(table)
        for title, counts in (
            ("known deviations", self.deviations),
            ("not exercised", self.lacking),
        ):
            if counts:
                console.print(f"{title}: {_listed(counts)}", markup=False, highlight=False)


def _listed(counts: Counter[str]) -> str:
    """The most frequent with their counts, and how many others there are."""
    shown = [f"{name} ({count})" for name, count in counts.most_common(_SHOWN)]
    if len(counts) > _SHOWN:
        rest = counts.total() - sum(count for _, count in counts.most_common(_SHOWN))
        shown.append(f"and {len(counts) - _SHOWN} more ({rest}); --json says it of each program")
    return ", ".join(shown)
