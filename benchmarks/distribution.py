"""What is drawn: how much raises and why, what discriminates, and which cells of the table fill.

The model alone sees every program; the oracle and its three variants see the first `--variants`
of them. A goal that is not met is told of; only a disagreement with torch makes the exit code 1.

    python -m benchmarks.distribution --programs 5000 --torch
"""

from __future__ import annotations

import re
import secrets
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from conformance.cells import COLUMNS, cells_of, operations, why_never
from conformance.examine import Examiner
from conformance.model import Prediction, predict
from conformance.model.errors import PAST, Kind
from conformance.oracle.answering import answer
from conformance.oracle.machine import Machine
from conformance.oracle.variants import KINDS, discriminates
from conformance.subjects import open_subject
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import Draft, check

RAISING = (25.0, 60.0)
"""Percent of programs that should raise."""
LEAST_OF_A_KIND = 200 / 100_000
LEAST_DISCRIMINATING = 50.0
"""Percent of the programs that do not raise."""
MOST_ILL_CONDITIONED = 1.0
ILL_CONDITIONED = "ill-conditioned: "
_RESULT = re.compile(r"\bx\d+\b")
"""The name of a drawn result."""


@dataclass(slots=True)
class Tally:
    """What has been counted so far, in programs but for `steps`, `predicted` and `cells`."""

    programs: int = 0
    raising: Counter[Kind] = field(default_factory=Counter)
    unspecified: Counter[str] = field(default_factory=Counter)
    hidden: Counter[str] = field(default_factory=Counter)
    """Those whose gradients are unspecified: a write that no version counter saw, by reason."""
    steps: int = 0
    predicted: int = 0
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    answered: int = 0
    unjudged: Counter[str] = field(default_factory=Counter)
    """Of the answered ones, those that the oracle has no answer for, by reason."""
    quiet: int = 0
    """Of the answered ones, those that raise nothing."""
    discriminating: int = 0
    by_variant: Counter[str] = field(default_factory=Counter)

    def add(self, draft: Draft, prediction: Prediction) -> None:
        """Count what the model says of a program."""
        self.programs += 1
        if prediction.raises:
            self.raising[prediction.raises.kind] += 1
        if prediction.unspecified:
            self.unspecified[_RESULT.sub("x", prediction.unspecified)] += 1
        if prediction.hidden:
            self.hidden[_RESULT.sub("x", prediction.hidden)] += 1
        reached = prediction.raises.step + 1 if prediction.raises else len(draft.steps)
        self.steps += reached
        self.predicted += len(prediction.acted) if prediction.unspecified else reached
        self.cells.update(cells_of(draft))

    def ask(self, draft: Draft, prediction: Prediction, machine: Machine) -> None:
        """Count what the oracle says of it, and which variants it tells apart."""
        self.answered += 1
        found = answer(draft, prediction, machine)
        if found.unspecified and not prediction.unspecified:
            self.unjudged[found.unspecified.partition(" (")[0]] += 1
        if prediction.raises:
            return
        self.quiet += 1
        shown = discriminates(draft, prediction, found, machine)
        self.discriminating += bool(shown)
        self.by_variant.update(shown)


@contextmanager
def advancing(title: str, count: int) -> Iterator[Iterable[int]]:
    """The numbers below `count`, with a bar on a terminal."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn(title),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        yield bar.track(range(count))


def tally(seed: int, programs: int, asked: int) -> Tally:
    """Draw and count `programs` programs; ask the oracle of the first `asked`."""
    counts, machine = Tally(), Machine()
    with advancing("drawn", programs) as numbers:
        for index in numbers:
            draft = check(build(Seeded(seed, index)))
            prediction = predict(draft)
            counts.add(draft, prediction)
            if index < asked:
                counts.ask(draft, prediction, machine)
    return counts


def disagreements(seed: int, programs: int) -> Counter[str]:
    """The verdicts on this process's torch; prints the choices of each program that deviates."""
    verdicts: Counter[str] = Counter()
    with (
        open_subject("eager-cpu", in_process=True) as subject,
        advancing("run", programs) as numbers,
    ):
        examiner = Examiner(subject, Machine())
        for index in numbers:
            judged = examiner.examine(build(Seeded(seed, index)))
            verdicts[judged.verdict] += 1
            if judged.verdict == "deviates":
                click.echo(f"program {index} ({judged.program.id}) deviates: {judged.gravest}")
    return verdicts


def say(name: str, count: int, total: int, goal: str = "", met: bool = True) -> None:
    """Print one line: a count, its percentage, and the goal where there is one."""
    percent = 100 * count / total if total else 0.0
    told = f"   goal: {goal}, {'met' if met else 'NOT MET'}" if goal else ""
    click.echo(f"  {name:58.58}{count:8}{percent:8.2f} %{told}")


def say_outcomes(counts: Tally) -> None:
    """Print what raises, and of which kind, and what is unspecified."""
    total = counts.programs
    raising = sum(counts.raising.values())
    low, high = RAISING
    click.echo(f"of {total} programs")
    met = low <= 100 * raising / total <= high
    say("raise", raising, total, f"{low:g} to {high:g} %", met)
    for kind in (kind for kind in Kind if kind not in PAST):
        found = counts.raising[kind]
        met = found >= LEAST_OF_A_KIND * total
        say(f"  {kind.value}", found, total, f"{100 * LEAST_OF_A_KIND:g} %", met)
    say("are unspecified by the model", sum(counts.unspecified.values()), total)
    for reason, found in counts.unspecified.most_common():
        say(f"  {reason}", found, total)
    say("have unspecified gradients: a write that nobody counted", counts.hidden.total(), total)
    click.echo(f"of {counts.steps} steps up to the end or the one that raises")
    say("are predicted", counts.predicted, counts.steps)


def say_variants(counts: Tally) -> None:
    """Print what the oracle cannot judge, and what tells the variants apart."""
    total = counts.answered
    ill = sum(n for why, n in counts.unjudged.items() if why.startswith(ILL_CONDITIONED))
    click.echo(f"of {total} programs that the oracle was asked of")
    met = 100 * ill <= MOST_ILL_CONDITIONED * total
    say("are ill-conditioned", ill, total, f"at most {MOST_ILL_CONDITIONED:g} %", met)
    say("are unspecified otherwise", sum(counts.unjudged.values()) - ill, total)
    for reason, found in counts.unjudged.most_common():
        say(f"  {reason}", found, total)
    click.echo(f"of {counts.quiet} of them that do not raise")
    met = 100 * counts.discriminating >= LEAST_DISCRIMINATING * counts.quiet
    goal = f"at least {LEAST_DISCRIMINATING:g} %"
    say("discriminate", counts.discriminating, counts.quiet, goal, met)
    for kind in KINDS:
        say(f"  {kind}", counts.by_variant[kind], counts.quiet)


def say_cells(counts: Tally) -> None:
    """Print operation x column, `-` for a cell that nothing can fill, then the empty ones."""
    click.echo(f"\n{'steps by operation':24}" + "".join(f"{name:>19}" for name in COLUMNS))
    empty = []
    for row in operations():
        line = ""
        for column in COLUMNS:
            found, never = counts.cells[row.name, column], why_never(row, column)
            line += f"{'-' if never and not found else found:>19}"
            if not found and not never:
                empty.append(f"{row.name}, {column}")
        click.echo(f"{row.name:24}{line}")
    click.echo("\ncells that nothing can fill")
    reasons = Counter(why_never(row, column) for row in operations() for column in COLUMNS)
    for reason, found in reasons.items():
        if reason:
            click.echo(f"  {found:4}  {reason}")
    click.echo(f"cells that are empty and could be filled: {len(empty)}")
    for name in empty:
        click.echo(f"        {name}")


@click.command()
@click.option("--programs", default=5000, show_default=True, help="Programs to draw.")
@click.option("--variants", default=2000, show_default=True, help="How many the oracle sees.")
@click.option("--torch", "run", is_flag=True, help="Run each on this process's torch as well.")
@click.option("--seed", type=int, help="Draw the same programs again.")
def main(programs: int, variants: int, run: bool, seed: int | None) -> None:
    """Print the shares, the goals that they should reach, and the table of cells."""
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    click.echo(f"seed {seed}; {programs} programs of the default recipe")
    counts = tally(seed, programs, min(programs, variants))
    say_outcomes(counts)
    if counts.answered:
        say_variants(counts)
    say_cells(counts)
    if run:
        verdicts = disagreements(seed, programs)
        click.echo(f"\nof {programs} programs, on this torch")
        for word, found in verdicts.most_common():
            say(word, found, programs)
        sys.exit(1 if verdicts["deviates"] else 0)


if __name__ == "__main__":
    main()
