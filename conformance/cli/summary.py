"""What a run prints when it is over: claims and verdicts, then what deviates and where to look."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from conformance.cli.prose import say
from conformance.profiles import PROFILES
from conformance.progress import STYLES
from conformance.records import Row, Run, RunRecords, Verdict, summarise


def print_summary(records: RunRecords, page: Path, console: Console) -> None:
    """The summary of a run in at most 80 columns; what was not reached is counted, not listed.

    What is to be copied, a command, stays on one line however long it is.
    """
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
    _print_findings(records, {row.claim: row.title for row in rows}, console)
    _print_unjudged(rows, console)
    _print_register(records, console)
    for subject in subjects:
        if subject.name in absent:
            say(console, f"{subject.name}: not exercised, {subject.reason}")
    shown = len({entry.id for entry in records.deviations.values() if entry.status == "still"})
    if shown:
        words = "known deviation is" if shown == 1 else "known deviations are"
        say(console, f"\n{shown} {words} registered and shown in the report.")
    left = sum(row.verdict == "interrupted" for row in rows)
    if left:
        words = "claim remains" if left == 1 else "claims remain"
        say(console, f"\n{left} {words}; go on with --resume.")
    if records.run is not None and not _repeats(records.run):
        say(console, f"\nThe seed is {records.run.seed}; this repeats the run:")
        for command in records.run.command.splitlines():
            _copy(console, f"  {command}")
    _copy(console, f"\nThe report is {page}; the records are beside it.")


def _copy(console: Console, text: str) -> None:
    """What may be copied: never broken."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _repeats(run: Run) -> bool:
    """Whether the run's profile draws the same programs whatever the seed."""
    profile = PROFILES.get(run.profile)
    return profile is not None and profile.derandomised


def _print_findings(records: RunRecords, titles: dict[str, str], console: Console) -> None:
    """Kind and message of everything that deviates; the scripts are in the report."""
    for verdict in records.verdicts:
        if verdict.verdict == "deviates":
            title = titles.get(verdict.claim, verdict.claim)
            say(console, f"\n{verdict.subject}, {title}\n  {verdict.kind}: {verdict.message}")
            if not verdict.minimal and records.run is not None:
                say(console, "  not minimal: shrinking ran out of its time; this goes on:")
                _copy(console, f"    {_goes_on(records, records.run, verdict)}")


def _goes_on(records: RunRecords, run: Run, verdict: Verdict) -> str:
    """The command that finds the same failure again and takes longer to shrink it."""
    if run.profile not in PROFILES:
        # A campaign's is in the example database of its folder.
        words = ["autograd-conformance", "run", "--subject", verdict.subject, "--claim"]
        words += [verdict.claim, "--shrink-seconds", str(_LONGER_S), "--out", str(records.path)]
        return shlex.join(words)
    words = ["autograd-conformance", "run", "--subject", verdict.subject]
    words += ["--profile", run.profile, "--claim", verdict.claim]
    words += ["--seed", str(run.seed), "--shrink-seconds", str(_LONGER_S)]
    return shlex.join([*words, "--out", "out-shrunk"])


_LONGER_S = 300


def _print_unjudged(rows: Sequence[Row], console: Console) -> None:
    """Why the suite reached no verdict; claims with the same reason are told of together."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row.verdict in ("gave up", "suite error"):
            reasons.setdefault((row.subject, row.verdict, row.note), []).append(row.title)
    for (subject, verdict, note), titles in reasons.items():
        what = titles[0] if len(titles) == 1 else f"{len(titles)} claims"
        say(console, f"\n{subject}, {what}\n  {verdict}: {note}")


def _print_register(records: RunRecords, console: Console) -> None:
    """What became of entries of the register that do not show as they say."""
    unknown: dict[tuple[str, str], list[str]] = {}
    for entry in records.deviations.values():
        if entry.status == "unexpectedly conforms":
            shows = f" (it shows {entry.note})" if entry.note else ""
            say(
                console,
                f"\n{entry.subject} unexpectedly conforms where the register says: {entry.title}"
                f"{shows}\n"
                f"  take the entry {entry.id} out of the register if that is so for good.",
            )
        elif entry.status == "deviates":
            say(
                console,
                f"\n{entry.subject} deviates in another way than the register says: "
                f"{entry.title} ({entry.id})\n  {entry.note}",
            )
        elif entry.status == "not exercised":
            unknown.setdefault((entry.subject, entry.note), []).append(entry.title)
    for (subject, note), titles in unknown.items():
        what = titles[0] if len(titles) == 1 else f"{len(titles)} entries"
        say(console, f"\n{subject}, of the register: {what}\n  not exercised: {note}")
