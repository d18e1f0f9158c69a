"""How fast a campaign judges, and how much faster two processes are than one.

python -m benchmarks.campaign --programs 10000 --workers 1 --workers 2
"""

from __future__ import annotations

import secrets
import time

import click

from conformance.fuzz.chunks import SIZE, Chunk, Task, chunks_of
from conformance.fuzz.pools import LocalPool


def rate(task: Task, programs: int, workers: int) -> tuple[float, float]:
    """Programs a second of the wall, once all processes judge; and milliseconds of CPU for each."""
    pool = LocalPool(workers)
    try:
        # Each process imports, compiles and meets rare sizes: that is the same however long it is.
        warm = [Chunk(programs + number * SIZE, SIZE) for number in range(6 * workers)]
        for _ in pool.run(task, warm):
            pass
        started, cpu = time.monotonic(), 0.0
        for done in pool.run(task, chunks_of(programs, ())):
            cpu += done.cpu_s
        return programs / (time.monotonic() - started), 1e3 * cpu / programs
    finally:
        pool.close()


@click.command()
@click.option("--programs", default=10_000, show_default=True, help="Programs to judge.")
@click.option("--workers", multiple=True, default=(1, 2), show_default=True, help="Processes.")
@click.option("--seed", type=int, help="Draw the same programs again.")
def main(programs: int, workers: tuple[int, ...], seed: int | None) -> None:
    """Print programs a second for each number of processes."""
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    click.echo(f"seed {seed}; {programs} programs of the default recipe, eager-cpu in process")
    first = 0.0
    for count in workers:
        found, cpu = rate(Task("eager-cpu", True, seed), programs, count)
        first = first or found
        click.echo(
            f"{count:3} processes{found:9.1f} programs a second, {found / first:.2f} times the "
            f"first; {cpu:.2f} ms of CPU each"
        )


if __name__ == "__main__":
    main()
