"""How large a report is and how long it takes, of records that nobody recorded.

    python -m benchmarks.report --programs 100000 --subjects 12

Every program is judged on every subject, so that these are 1.2 million verdicts. The figures are
printed, and never asserted: they depend on the machine.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from random import Random

import click

from conformance._record_lines import encode
from conformance.cells import every_form
from conformance.claims.catalogue import CATALOGUE
from conformance.deviations import register
from conformance.explain import trace_of
from conformance.records import (
    KINDS,
    SCHEMA,
    Claim,
    Detected,
    Deviation,
    End,
    Finish,
    Host,
    InFlight,
    Outside,
    Record,
    Run,
    Start,
    Subject,
    Verdict,
    VerdictWord,
)
from reports.site import Sources, read, write_pages
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import check
from tests.browser.conftest import chromium

VERSIONS = (
    *("1.2.0", "1.4.0", "1.8.1", "1.12.1", "1.13.1", "2.0.1", "2.4.1", "2.8.0", "2.10.0"),
    *("2.13.0", "2.14.0", "2.15.0"),
)
_KNOWN, _UNSPECIFIED, _MISSING, _WRONG = 0.02, 0.02, 0.03, 0.0002
"""Shares of programs that become something else than conforming."""
_REASONS = ("too ill-conditioned", "x1, which exp saved, was overwritten", "set_ is a way around")


def made(random: Random, subject: Subject, programs: list[str], number: int) -> Iterator[Record]:
    """The records of one subject's run."""
    known = [deviation.entry for deviation in register()]
    claims = tuple(
        Claim(c.id, c.title, c.sentence, c.articles, c.source, c.scope, c.law)
        for c in CATALOGUE.values()
    )
    rows = every_form()
    yield Run(
        f"{number:016x}",
        f"2026-11-{number + 1:02}T20:00:00+00:00",
        *("0.1.0", "nightly", 7, f"autograd-conformance run --subject {subject.name}"),
        host=Host("3.11.7", "Linux x86_64", "6.130", "0.10", "2.1"),
        subjects=(subject,),
        claims=claims,
        schema=SCHEMA,
        operations=rows,
    )
    for entry in known:
        kind = next(kind for kind in KINDS if kind == entry.kind)
        yield Deviation(
            entry.id,
            kind,
            *(entry.claim, entry.title, entry.cause, subject.name, "still"),
            upstream=entry.upstream,
            date=entry.date,
            torch=entry.torch,
            script="import torch\n" * 40,
            trace=trace_of(check(build(Seeded(1, number)))),
        )
    each = len(programs) // len(claims)
    for place, claim in enumerate(claims):
        where = (claim.id, subject.name)
        yield Start(*where, 7)
        counts: Counter[VerdictWord] = Counter()
        for program in programs[place * each : (place + 1) * each]:
            yield InFlight(*where, program)
            verdict = _verdict(random, where, program, [entry.id for entry in known])
            counts[verdict.verdict] += 1
            yield verdict
        word: VerdictWord = "deviates" if counts["deviates"] else "conforms"
        cells = {
            name: (random.randrange(900), random.randrange(99), random.randrange(9), 1, 0)
            for name in rows
        }
        yield Finish(*where, word, dict(counts), 60.0, "", Outside(500, True), cells)
    yield End("2026-11-27T04:00:00+00:00", 3600.0, 0)


def _verdict(random: Random, where: tuple[str, str], program: str, known: list[str]) -> Verdict:
    chance = random.random()
    if chance < _WRONG:
        draft = check(build(Seeded(2, random.randrange(50))))
        return Verdict(
            *(*where, program, "deviates", random.choice(KINDS)),
            message="a.grad[0] is 1.0 and should be 2.0 (jax oracle, rtol 1e-09)",
            script="import torch\n" * 60,
            expected=str([1.0] * 40),
            observed=str([2.0] * 40),
            command=f"echo '{program}' | autograd-conformance check -",
            trace=trace_of(draft),
            detected=Detected(12, 0.5),
        )
    if chance < _WRONG + _KNOWN:
        return Verdict(*where, program, "known deviation", deviation=random.choice(known))
    if chance < _WRONG + _KNOWN + _UNSPECIFIED:
        reason = random.choice(_REASONS)
        return Verdict(*where, program, "unspecified", reason=reason, observed="raises at step 3")
    if chance < _WRONG + _KNOWN + _UNSPECIFIED + _MISSING:
        return Verdict(*where, program, "not exercised", reason="torch has no F.mish")
    return Verdict(*where, program, "conforms")


def write_runs(folder: Path, programs: int, subjects: int, seed: int) -> list[Path]:
    """A folder for each subject, in the form that a run leaves; every subject has the same ids."""
    random = Random(seed)
    ids = [f"{random.getrandbits(64):016x}" for _ in range(programs)]
    runs = []
    for number, torch in enumerate(VERSIONS[:subjects]):
        run = folder / f"torch-{torch}"
        run.mkdir(parents=True)
        subject = Subject(f"torch=={torch}", torch, "3.11.7", "cpu", "a processor")
        with (run / "verdicts.jsonl").open("wb") as file:
            file.writelines(encode(one) + b"\n" for one in made(random, subject, ids, number))
        runs.append(run)
    return runs


def opened(*pages: Path) -> Iterator[tuple[str, float]]:
    """Seconds until the system's Chromium has loaded each page; nothing without Playwright."""
    browser = chromium()
    if browser is None or find_spec("playwright") is None:
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for path in pages:
            page = found.new_page()
            began = time.perf_counter()
            page.goto(path.resolve().as_uri())
            yield path.name, time.perf_counter() - began
        found.close()


@click.command()
@click.option("--programs", default=100_000, show_default=True, help="On each subject.")
@click.option("--subjects", default=12, show_default=True, type=click.IntRange(1, len(VERSIONS)))
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Where the report stays, if anywhere.")
def main(programs: int, subjects: int, seed: int, out: Path | None) -> None:
    """Print how long records take to read, how long to render, and how large the pages are."""
    with tempfile.TemporaryDirectory() as place:
        runs = write_runs(Path(place) / "runs", programs, subjects, seed)
        size = sum((run / "verdicts.jsonl").stat().st_size for run in runs)
        click.echo(f"{programs:,} programs on {subjects} subjects, {size / 1e6:.0f} MB of records")
        began, cpu = time.perf_counter(), time.process_time()
        records = read(Sources(tuple(runs)))
        _say("read", began, cpu)
        middle, cpu_middle = time.perf_counter(), time.process_time()
        target = out or Path(place) / "report"
        index = write_pages(records, target)
        _say("rendered and written", middle, cpu_middle)
        _say("together", began, cpu)
        pages = sorted((path.stat().st_size, path.name) for path in (target / "report").iterdir())
        largest, name = pages[-1]
        click.echo(f"index {index.stat().st_size / 1e3:.0f} KB; {len(pages)} other pages")
        click.echo(f"largest page {largest / 1e3:.0f} KB ({name})")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            1 if sys.platform == "darwin" else 1024
        )
        click.echo(f"memory at most {peak:.0f} MB")
        for page, seconds in opened(index, target / "report" / name):
            click.echo(f"opens in {seconds:.2f} s in Chromium: {page}")


def _say(what: str, began: float, cpu: float) -> None:
    wall = time.perf_counter() - began
    click.echo(f"{what:22}{wall:6.1f} s, {time.process_time() - cpu:6.1f} s of this process's CPU")


if __name__ == "__main__":
    main()
