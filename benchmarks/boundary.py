"""What the process boundary costs a program: the same ones in process and in a worker, by turns.

python -m benchmarks.boundary --programs 1000
"""

from __future__ import annotations

import secrets
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import click
import msgspec

from benchmarks.pipeline import WARM, stay_on_one_core
from conformance.subjects import Subject, SubjectError, WorkerSubject, open_subject, worker
from conformance.subjects.protocol import Answer, Request, read_answer, write_line
from strategies.build import grown
from strategies.choices import Seeded
from strategies.printer import print_body

MOST_MS = 0.5
"""What the boundary may cost a program."""
ROUNDS = 5
"""How often each program runs on each side; the fastest of them counts, the least disturbed."""
TAIL = 0.95

T = TypeVar("T")
Times = dict[str, list[float]]
"""Stage -> milliseconds of each program."""


def requests(seed: int, programs: int, *, watched: bool) -> Iterator[Request]:
    """What the suite would ask of each drawn program."""
    for index in range(programs):
        draft = grown(Seeded(seed, index))
        body = print_body(draft, watch=watched)
        names = list(draft.program().names)
        yield Request(
            id=index, body=body.text, observe=names, retained=sorted(draft.sought), watch=watched
        )


def timed(times: dict[str, float], stage: str, work: Callable[[], T]) -> T:
    """Do the work, and keep its milliseconds if they are the fewest so far."""
    started = time.perf_counter()
    done = work()
    spent = 1e3 * (time.perf_counter() - started)
    times[stage] = min(spent, times.get(stage, spent))
    return done


def asked(subject: Subject, request: Request) -> None:
    """Put a program to a subject as a trial does; raises SubjectError where it ends the worker."""
    seen = subject.run(
        request.body, request.observe, watch=request.watch, retained=request.retained
    )
    if seen.crash or seen.hang:
        raise SubjectError(f"{subject.name}: {seen.crash or 'no answer in time'}")


def crossing(request: Request, times: dict[str, float]) -> None:
    """What a crossing adds, piece by piece: what host and worker do to the bytes that travel."""
    line = timed(times, "request written", lambda: write_line(request))
    asked_for = timed(times, "request read", lambda: worker.understood(line))
    done = worker.execute(asked_for, "cpu")
    said = timed(times, "answer written", lambda: worker.encoded(done))
    timed(times, "answer read", lambda: read_answer(said).observation())
    # In process, an answer becomes an observation by another way.
    timed(times, "(answer converted)", lambda: msgspec.convert(done, Answer).observation())
    times["(bytes)"] = len(line) + len(said)


def measured(near: Subject, far: WorkerSubject, wanted: list[Request]) -> tuple[Times, float]:
    """Milliseconds of each stage by program, and those of CPU that a program takes more in a worker
    than in process, of both processes together.
    """
    times: Times = defaultdict(list)
    spent: dict[str, float] = defaultdict(float)
    for request in wanted:
        best: dict[str, float] = {}
        for _ in range(ROUNDS):
            for stage, subject in (("in process", near), ("by worker", far)):
                before = cpu(far)
                timed(best, stage, partial(asked, subject, request))
                spent[stage] += cpu(far) - before
        for _ in range(ROUNDS):
            timed(best, "pipe (a ping)", far.ping)
            crossing(request, best)
        best["boundary"] = best["by worker"] - best["in process"]
        for stage, fastest in best.items():
            times[stage].append(fastest)
    more = spent["by worker"] - spent["in process"]
    return times, 1e3 * more / (ROUNDS * len(wanted))


def cpu(far: WorkerSubject) -> float:
    """Seconds of CPU that this process and the worker have had."""
    clock = time.clock_gettime((~far.pid << 3) | 2) if sys.platform == "linux" else 0.0
    return time.process_time() + clock


def say(times: Times, cpu_ms: float) -> None:
    """Print the median and the 95th percentile of each stage, then whether the goal is met."""
    click.echo(f"{'ms a program':28}{'median':>9}{'95 %':>9}")
    for stage in _ORDER:
        ordered = sorted(times[stage])
        high = ordered[int(TAIL * (len(ordered) - 1))]
        click.echo(f"{stage:28}{statistics.median(ordered):9.3f}{high:9.3f}")
    click.echo(f"{'CPU of both, mean':28}{cpu_ms:9.3f}")
    click.echo(f"{statistics.median(times['(bytes)']):.0f} bytes travel, both ways together")
    median = statistics.median(times["boundary"])
    met = "met" if median <= MOST_MS else "NOT MET"
    click.echo(f"the boundary costs {median:.3f} ms; goal: at most {MOST_MS:g} ms, {met}")


_ORDER = (
    *("in process", "by worker", "boundary"),
    *("request written", "request read", "answer written", "answer read", "(answer converted)"),
    "pipe (a ping)",
)


@click.command()
@click.option("--programs", default=1000, show_default=True, help="Programs to run.")
@click.option("--subject", default="eager-cpu", show_default=True, help="The worker's torch.")
@click.option("--watched", is_flag=True, help="Read flags after every step.")
@click.option("--seed", type=int, help="Draw the same programs again.")
def main(programs: int, subject: str, watched: bool, seed: int | None) -> None:
    """Print what each stage takes; exit with 1 where the boundary costs more than it may."""
    stay_on_one_core()
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    wanted = list(requests(seed, WARM + programs, watched=watched))
    with open_subject("eager-cpu", in_process=True) as near, open_subject(subject) as far:
        assert isinstance(far, WorkerSubject)
        who = f"torch {near.torch} in process, {far.torch} by worker"
        click.echo(f"seed {seed}; {programs} programs; {who}")
        measured(near, far, wanted[:WARM])
        times, cpu_ms = measured(near, far, wanted[WARM:])
    say(times, cpu_ms)
    sys.exit(statistics.median(times["boundary"]) > MOST_MS)


if __name__ == "__main__":
    main()
