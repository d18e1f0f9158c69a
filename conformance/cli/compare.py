"""The command that says what changed between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from conformance.cli.lists import as_json
from conformance.cli.prose import indented, say
from conformance.progress import STYLES, Output
from conformance.records import read_run
from conformance.usage import UsageError
from reports import comparison_words as words
from reports.comparison import Change, Column, Comparison, Item
from reports.comparison import compare as compare_runs
from reports.markdown import render_markdown

_STYLES: dict[Change, str] = {
    "new": "bold red",
    "fixed": "bold green",
    "still": "yellow",
    "not exercised": "dim",
}


@click.command()
@click.argument("before", metavar="A", type=click.Path(path_type=Path))
@click.argument("after", metavar="B", type=click.Path(path_type=Path))
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
@click.option("--markdown", is_flag=True, help="Print Markdown, for the summary of a CI job.")
def compare(before: Path, after: Path, json_: bool, markdown: bool) -> int:
    """Say what changed from run A to run B: what deviates now, no longer, or still.

    A and B are folders of runs, or their verdicts files, plain or compressed by gzip. Subjects are
    compared by name; where no name is in both runs and each exercised one subject, these two are.

    Ends with 1 if anything deviates in B that did not deviate in A.
    """
    if json_ and markdown:
        raise UsageError("A comparison has one form; leave --json out, or --markdown.")
    runs = [read_run(path) for path in (before, after)]
    for run in runs:
        for sentence in run.broken:
            click.echo(sentence, err=True)
    compared = compare_runs(*runs)
    if json_:
        click.echo(as_json(compared))
    elif markdown:
        click.echo(render_markdown(compared), nl=False)
    else:
        print_comparison(compared, Output())
    return 1 if compared.regression else 0


def print_comparison(comparison: Comparison, console: Console) -> None:
    """The comparison in at most 80 columns, what is new first."""
    say(console, f"A: {words.run_of(comparison.before)}")
    say(console, f"B: {words.run_of(comparison.after)}")
    for sentence in words.unmatched(comparison):
        say(console, sentence)
    for column in comparison.columns:
        say(console, f"\n{words.heading(column)}", "bold")
        _print_table(column, console)
        _print_known(column, console)
        _print_findings(column, console)
        _print_untold(column, console)
    say(console, f"\n{words.summed_up(comparison)}")


def _print_table(column: Column, console: Console) -> None:
    """What can be told of, by change."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("", overflow="fold", max_width=46)
    table.add_column("A", overflow="fold", max_width=15)
    table.add_column("B", overflow="fold", max_width=15)
    for change in words.LISTED:
        items = [item for item in _of(column, change) if not words.merely_known(item)]
        if items:
            title = f"{change} ({len(items)}): {words.MEANINGS[change]}"
            table.add_row(Text(title, style=_STYLES[change]))
        for item in items:
            stood = [words.stood(item, before) for before in (True, False)]
            cells = [Text(verdict, style=STYLES.get(verdict, "dim")) for verdict in stood]
            table.add_row(Padding(Text(words.name(item)), (0, 0, 0, 2)), *cells)
    if table.row_count:
        console.print()
        console.print(table)


def _print_known(column: Column, console: Console) -> None:
    """What deviates in both runs as the register says, in the least space."""
    known = [item for item in column.items if words.merely_known(item)]
    if not known:
        return
    say(console, f"\nstill, known deviation in both ({len(known)})")
    entries = [words.called(item) for item in known if item.what == "deviation"]
    others = [words.called(item) for item in known if item.what != "deviation"]
    if others:
        say(console, indented("; ".join(others)))
    if entries:
        say(console, indented(f"entries of the register: {'; '.join(entries)}"))


def _print_findings(column: Column, console: Console) -> None:
    """What came out where something is new or fixed; a claim with programs is told of by them."""
    told = {(item.claim, item.change) for item in column.items if item.what == "program"}
    for item in (*_of(column, "new"), *_of(column, "fixed")):
        finding = words.finding(item)
        if finding and not (item.what == "claim" and (item.claim, item.change) in told):
            say(console, f"\n{item.change}, {words.name(item)}\n{indented(finding)}")


def _print_untold(column: Column, console: Console) -> None:
    """Of what nobody can tell whether it changed, and why."""
    for group in words.untold(column.items):
        say(console, f"\nnot exercised: {group.heading}", "dim")
        say(console, indented("; ".join(group.names)), "dim")


def _of(column: Column, change: Change) -> Sequence[Item]:
    return [item for item in column.items if item.change == change]
