"""What a run says while it works: a live line in a terminal, a line a claim elsewhere."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

STYLES: dict[str, str] = {
    "conforms": "green",
    "deviates": "bold red",
    "known deviation": "yellow",
    "unexpectedly conforms": "bold magenta",
    "unspecified": "dim",
    "not exercised": "dim",
    "gave up": "bold red",
    "suite error": "bold red",
    "interrupted": "bold red",
}
"""Verdict -> how a terminal shows it."""


class Output(Console):
    """Standard output, as wide as the terminal; rich would end the process with 1, which says that
    torch deviates, where nobody reads it.
    """

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "nobody reads the output")


class Remarks(Console):
    """Standard error: where nobody reads it, the run goes on in silence."""

    def __init__(self) -> None:
        super().__init__(stderr=True)

    def on_broken_pipe(self) -> None:
        self.quiet = True


@contextmanager
def counting(console: Console, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar over so many programs, in a terminal alone; what it gives counts some more."""
    bars = Bars(
        TextColumn("{task.description}", table_column=None),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bars.add_task(escape(title[:34]), total=total)
    with bars:
        yield lambda count: bars.advance(task, count)


class Progress:
    """Progress over the claims of a run; `total` is set once they are known."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Bars(
            TextColumn("{task.description}", table_column=None),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[programs]} programs"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("starting", total=None, programs=0)
        self._programs = 0
        self._since = time.monotonic()

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def expect(self, total: int) -> None:
        """Set how many trials there will be."""
        self._bars.update(self._task, total=total)

    def say(self, text: str) -> None:
        """Print a line above the bar, and show it until a claim begins."""
        self._bars.update(self._task, description=f"{escape(text[:34]):34}")
        self.console.print(f"[dim]{escape(text)}[/dim]", highlight=False)

    def begin(self, title: str, subject: str) -> None:
        self._since = time.monotonic()
        shown = title if len(title) <= 34 else title[:33] + "…"
        self._bars.update(self._task, description=f"{escape(shown):34}")

    def advance(self, count: int) -> None:
        self._programs += count
        if self._programs % 20 < count:
            self._bars.update(self._task, programs=self._programs)

    def end(self, title: str, verdict: str, programs: int) -> None:
        self._bars.update(self._task, advance=1, programs=self._programs)
        if not self.console.is_terminal:
            seconds = time.monotonic() - self._since
            line = f"{verdict:16} {title} ({programs} judged, {seconds:.1f} s)"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)
