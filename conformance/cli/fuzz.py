"""The command `fuzz`: a campaign of drawn programs."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

import click
from rich.table import Table

from conformance.cli.run import write_reports
from conformance.fuzz.campaign import CLAIM, PROFILE, Campaign, Pool, header_of
from conformance.fuzz.cluster import Cluster
from conformance.fuzz.display import FuzzProgress
from conformance.fuzz.journal import Journal
from conformance.fuzz.pools import LocalPool, Stopped
from conformance.interrupts import INTERRUPTED
from conformance.progress import STYLES, Output, Remarks
from conformance.session import Plan, Session
from conformance.subjects import parse_subject
from conformance.usage import UsageError

_STOPPED = 3


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@click.command()
@click.option("--subject", default="eager-cpu", show_default=True, help="Who runs the programs.")
@click.option("--programs", default=100_000, show_default=True, type=click.IntRange(1))
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=None,
    help="Processes that judge.  [default: one for each core]",
)
@click.option(
    "--scheduler", metavar="ADDRESS", default=None, help="Have a Dask cluster judge instead."
)
@click.option("--seed", type=int, default=None, help="Repeat a campaign.  [default: a new one]")
@click.option(
    "--out", default="out", show_default=True, type=click.Path(path_type=Path), help="Folder."
)
@click.option("--in-process", is_flag=True, help="Run eager-cpu in the processes that judge.")
@click.option("--resume", is_flag=True, help="Go on with the campaign in the folder.")
@click.option(
    "--shrink-seconds",
    "shrink_s",
    type=click.FloatRange(0),
    default=20.0,
    show_default=True,
    help="Time to shrink a program that deviates.",
)
def fuzz(
    subject: str,
    programs: int,
    workers: int | None,
    scheduler: str | None,
    seed: int | None,
    out: Path,
    in_process: bool,
    resume: bool,
    shrink_s: float,
) -> int:
    """Judge many random programs, those of `draw`, and write a report as `run` does.

    Program i depends on the seed and i alone, whoever judges it. Killed at any moment, a campaign
    goes on with --resume and loses no verdict. What deviates is shrunk, and comes first in a later
    `run` with the same folder. With --in-process a program that brings torch down ends its process.
    """
    parse_subject(subject)
    if workers is not None and scheduler is not None:
        raise UsageError("The cluster of a scheduler has its own workers; leave --workers out.")
    words = ["autograd-conformance", "fuzz", "--subject", subject, "--programs", str(programs)]
    words += ["--in-process"] * in_process
    progress = FuzzProgress(Remarks())
    plan = Plan(
        out,
        replace(PROFILE, shrink_s=shrink_s),
        (subject,),
        (CLAIM,),
        seed,
        in_process,
        resume,
        shlex.join(words),
    )
    # Before anything is started in the folder: an address that does not answer is one sentence.
    pool: Pool = Cluster(scheduler) if scheduler is not None else LocalPool(workers or _cores())
    try:
        return _run(Session(plan, progress), programs, pool, progress)
    finally:
        pool.close()


def _run(session: Session, programs: int, pool: Pool, progress: FuzzProgress) -> int:
    session.open()
    out = session.plan.out
    code: int | None = None
    try:
        with session.interrupts, Journal(out, header_of(session)) as journal:
            for broken in journal.broken:
                click.echo(broken, err=True)
            campaign = Campaign(session, programs, journal, progress)
            progress.expect(max(programs, campaign.verdicts.total()))
            try:
                with progress:
                    session.check_register()
                    campaign.run(pool)
                campaign.finish()
                code = session.exit_code()
            except KeyboardInterrupt:
                code = INTERRUPTED
            except Stopped as reason:
                code = _STOPPED
                click.echo(
                    f"Error: {reason} {campaign.verdicts.total()} of {programs} programs are "
                    f"judged and kept in {out}: go on with --resume.",
                    err=True,
                )
    finally:
        session.close(_STOPPED if code is None else code)
    with session.interrupts:
        _print(campaign)
        write_reports(out)
    return INTERRUPTED if session.interrupts.heard else code


def _print(campaign: Campaign) -> None:
    """What was judged, how fast, and what is covered."""
    console = Output()
    subject = campaign.session.subjects[campaign.subject]
    rate = campaign.judged_now / campaign.seconds if campaign.seconds else 0.0
    total = campaign.verdicts.total()
    now = f"{campaign.judged_now} of them in {campaign.seconds:.1f} s, {rate:.0f} a second"
    if campaign.judged_now:
        now += f" ({1e3 * campaign.cpu_s / campaign.judged_now:.2f} ms of CPU each)"
    console.print(
        f"{campaign.subject}, torch {subject.torch}: {total} programs, {now}",
        markup=False,
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("verdict", no_wrap=True)
    table.add_column("programs", justify="right")
    for verdict, count in campaign.verdicts.most_common():
        table.add_row(f"[{STYLES[verdict]}]{verdict}[/]", str(count))
    console.print(table)
    covered, there_are = campaign.covered
    lines = [f"{covered} of {there_are} cells of the table are covered"]
    for title, counts in (
        ("known deviations", campaign.deviations),
        ("left open", campaign.reasons),
    ):
        each = ", ".join(f"{name} ({count})" for name, count in counts.most_common(8))
        lines += [f"{title}: {each}"] * bool(each)
    for line in lines:
        console.print(line, markup=False, highlight=False)
    console.print()
