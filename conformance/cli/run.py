"""The commands `run` and `report`."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import click
import pytest

from conformance import plugin
from conformance.claims.catalogue import find_claim
from conformance.cli.faults import SuiteError
from conformance.cli.summary import print_summary
from conformance.interrupts import INTERRUPTED
from conformance.profiles import at_least
from conformance.progress import Output, Progress, Remarks
from conformance.records import RecordError, RunRecords, read_run, remember
from conformance.session import Plan, Session, find_profile
from conformance.subjects import parse_subject
from conformance.usage import UsageError
from reports.site import Read, Sources, read, write_pages


@click.command()
@click.option("--subject", "subjects", multiple=True, help="Who is judged; may be repeated.")
@click.option("--profile", default="default", show_default=True, help="quick, default or nightly.")
@click.option("--claim", "claims", multiple=True, help="Only this claim; may be repeated.")
@click.option(
    "--out", default="out", show_default=True, type=click.Path(path_type=Path), help="Folder."
)
@click.option("--seed", type=int, default=None, help="Repeat a run.  [default: a new one]")
@click.option(
    "--programs",
    type=click.IntRange(1),
    default=None,
    help="Draw at least so many for each property of a claim.  [default: the profile's number]",
)
@click.option(
    "--shrink-seconds",
    "shrink_s",
    type=click.FloatRange(0),
    default=20.0,
    show_default=True,
    help="Time to shrink a claim's failure.",
)
@click.option("--in-process", is_flag=True, help="Run eager-cpu without a worker process.")
@click.option("--resume", is_flag=True, help="Go on with the interrupted run in the folder.")
def run(
    subjects: tuple[str, ...],
    profile: str,
    claims: tuple[str, ...],
    out: Path,
    seed: int | None,
    programs: int | None,
    shrink_s: float,
    in_process: bool,
    resume: bool,
) -> int:
    """Put the claims on trial and write OUT/report.html, OUT/junit.xml and the records.

    The other pages of the report are in OUT/report.

    Without --subject the local torch is judged, on the CPU and on CUDA where it sees a GPU. A
    subject is eager-cpu, eager-cuda, torch==VERSION, python=PATH, device=NAME[,import=MODULE] or
    command=COMMAND.
    """
    for claim in claims:
        find_claim(claim)
    for subject in subjects:
        parse_subject(subject)
    words = ["autograd-conformance", "run"]
    words += [word for name in subjects for word in ("--subject", name)]
    words += ["--profile", profile, *(word for claim in claims for word in ("--claim", claim))]
    chosen = replace(find_profile(profile), shrink_s=shrink_s)
    if programs is not None:
        words += ["--programs", str(programs)]
        chosen = at_least(chosen, programs)
    plan = Plan(out, chosen, subjects, claims, seed, in_process, resume, shlex.join(words))
    session = Session(plan, Progress(Remarks()))
    # Before pytest: what cannot be done is one sentence, not an error of collection.
    session.open()
    with session.interrupts:
        code = _run_pytest(session)
        write_reports(out)
    return INTERRUPTED if session.interrupts.heard else code


def write_reports(out: Path) -> None:
    """Write the report of the run that ended in a folder, and print its summary."""
    remember(read_run(out))
    records = read_run(out)
    page = write_pages(Read((records,), _before(out)), out, "report.html")
    print_summary(records, page, Output())


def _before(out: Path) -> tuple[RunRecords, ...]:
    """The run that was in the folder before this one, if its records can be read."""
    try:
        return (read_run(out / "previous"),)
    except RecordError:
        return ()


def _run_pytest(session: Session) -> int:
    """Run the claims under pytest with our own configuration, and nobody else's plugins."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    holder = _Holder(session)
    claims = Path(str(files("conformance") / "claims"))
    arguments = [
        str(claims),
        "-c",
        str(files("conformance") / "claims.ini"),
        "--rootdir",
        str(claims),
        "-p",
        "no:cacheprovider",
        "-p",
        "no:terminal",
        # It would tell of a Ctrl-C that Python drops, with a traceback.
        "-p",
        "no:unraisableexception",
        # Captured, the progress of a run would be lost.
        "--capture=no",
    ]
    status = pytest.main(arguments, plugins=[plugin, holder])
    if session.fault is not None:
        raise session.fault
    if holder.fault is not None:
        raise holder.fault
    if holder.broken:
        raise SuiteError("a module of claims cannot be loaded", holder.broken[0])
    if holder.code is not None:
        return holder.code
    raise SuiteError(f"the claims could not be collected, pytest ended with {int(status)}")


class _Holder:
    """Hands the run to the plugin and takes the exit code from it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.code: int | None = None
        self.broken: list[str] = []
        self.fault: BaseException | None = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(str(report.longrepr))

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
        """Keep it for the command line's own end; true, lest pytest prints its traceback."""
        self.fault = excinfo.value
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[plugin.SESSION] = self._session

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.code = session.config.stash.get(plugin.EXIT, None)


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", default="report", show_default=True, type=click.Path(path_type=Path), help="Folder."
)
@click.option(
    "--before",
    multiple=True,
    type=click.Path(path_type=Path),
    help="An earlier run; may be repeated.  [default: RECORDS/previous]",
)
@click.option(
    "--planted",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A run of subjects with planted faults, to show how soon they are found; may be repeated.",
)
def report(
    records: tuple[Path, ...], out: Path, before: tuple[Path, ...], planted: tuple[Path, ...]
) -> None:
    """Write OUT/index.html from the RECORDS of one run or several, its other pages into OUT/report.

    RECORDS are folders of runs, or their verdicts files, plain or compressed by gzip.
    """
    for folder in (*records, *before, *planted):
        if not folder.exists():
            raise UsageError(f"There are no records at {folder}; name the folder of a run.")
    read_records = read(Sources(records, before, planted))
    if not before:
        earlier = tuple(one for folder in records for one in _before(folder))
        read_records = replace(read_records, before=earlier)
    page = write_pages(read_records, out)
    for run_records in (*read_records.runs, *read_records.before, *read_records.planted):
        for sentence in run_records.broken:
            click.echo(sentence, err=True)
    click.echo(f"The report is {page}.")
