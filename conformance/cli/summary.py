"""What a run prints when it is over: claims and verdicts, then what deviates and where to look."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from conformance.progress import STYLES
from conformance.records import RunRecords, summarise


def print_summary(records: RunRecords, page: Path, console: Console) -> None:
    """The summary of a run in at most 80 columns; what was not reached is counted, not listed."""
    subjects = records.run.subjects if records.run else ()
    absent = {subject.name for subject in subjects if subject.status != "available"}
    rows = [row for row in summarise(records) if row.subject not in absent]
    several = len(subjects) - len(absent) > 1
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("claim", overflow="fold", max_width=44)
    if several:
        table.add_column("subject", overflow="fold", max_width=20)
    table.add_column("verdict", no_wrap=True)
    table.add_column("judged", justify="right")
    for row in rows:
        if row.verdict != "interrupted":
            verdict = f"[{STYLES[row.verdict]}]{row.verdict}[/]"
            by_subject = [row.subject] if several else []
            table.add_row(row.title, *by_subject, verdict, str(row.programs))
    console.print(table)
    _print_findings(records, console)
    for subject in subjects:
        if subject.name in absent:
            console.print(f"{subject.name}: not exercised, {subject.reason}", highlight=False)
    shown = len({entry.id for entry in records.deviations.values()})
    if shown:
        words = "known deviation is" if shown == 1 else "known deviations are"
        console.print(f"\n{shown} {words} registered and shown in the report.", highlight=False)
    left = sum(row.verdict == "interrupted" for row in rows)
    if left:
        words = "claim remains" if left == 1 else "claims remain"
        console.print(f"\n{left} {words}; go on with --resume.", highlight=False)
    console.print(
        f"\nThe report is {page}; the records are beside it.", highlight=False, soft_wrap=True
    )


def _print_findings(records: RunRecords, console: Console) -> None:
    """Kind and message of everything that deviates; the scripts are in the report."""
    for verdict in records.verdicts:
        if verdict.verdict == "deviates":
            console.print(
                f"\n{verdict.subject}, {verdict.claim}\n  {verdict.kind}: {verdict.message}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
    for entry in records.deviations.values():
        if entry.status == "unexpectedly conforms":
            console.print(
                f"\n{entry.subject} unexpectedly conforms where the register says: {entry.title}\n"
                f"  take the entry {entry.id} out of the register if that is so for good.",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
