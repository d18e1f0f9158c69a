"""How fast the oracle is on drawn programs, against plain `jax.value_and_grad` on the same ones.

Programs are drawn anew in each run by the default recipe; those that raise are left to the model
and excluded from both sides. Times are of the process's CPU, so that a busy machine changes little.

    python -m benchmarks.oracle --programs 1000 --plain 20
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import click
import jax
import numpy as np

from conformance.model import Prediction, predict
from conformance.oracle.answering import answer
from conformance.oracle.machine import Machine
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import Draft, check
from tests._reference import loss_of, moving, understands


@dataclass(frozen=True, slots=True)
class Case:
    """A program that raises nothing, and what the model says of it."""

    draft: Draft
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Timing:
    """CPU milliseconds a program: median and 95th percentile."""

    median: float
    percentile: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Timing:
        """The timing of at least one program."""
        return cls(*(float(each) for each in np.percentile(milliseconds, [50, 95])))


def cases(seed: int) -> Iterator[Case]:
    """Programs of the default recipe that raise nothing, without end."""
    index = 0
    while True:
        draft = check(build(Seeded(seed, index)))
        prediction = predict(draft)
        if not prediction.raises and not prediction.unspecified:
            yield Case(draft, prediction)
        index += 1


def milliseconds(runs: Sequence[Callable[[], object]]) -> list[float]:
    """The CPU time that each of `runs` takes, once, in milliseconds."""
    times = []
    for run in runs:
        start = time.process_time()
        run()
        times.append(1e3 * (time.process_time() - start))
    return times


def ours(case: Case, machine: Machine) -> Callable[[], object]:
    """Values, gradients and their bounds by the oracle."""
    return lambda: answer(case.draft, case.prediction, machine)


def theirs(case: Case, *, jitted: bool) -> Callable[[], object]:
    """Values and gradients by plain jax: a program is new to it, so nothing is compiled yet."""
    leaves = moving(case.draft)
    compute = jax.value_and_grad(loss_of(case.draft), has_aux=True)
    if jitted:
        compute = jax.jit(compute)
    return lambda: jax.device_get(compute(leaves))


def size(drawn: Sequence[Case]) -> str:
    """Median and largest number of steps, tensors and elements of the programs."""
    rows = []
    for case in drawn:
        numels = [layout.numel for layout in case.prediction.layouts.values()]
        rows.append((len(case.draft.steps), len(numels), sum(numels), max(numels)))
    parts = []
    for name, column in zip(
        ("steps", "tensors", "elements", "largest tensor"), np.array(rows).T, strict=True
    ):
        middle, high, most = (round(float(x)) for x in np.percentile(column, [50, 95, 100]))
        parts.append(f"{name} {middle} / {high} / {most}")
    return "; ".join(parts)


@click.command()
@click.option("--programs", default=1000, show_default=True, help="Programs for the oracle.")
@click.option("--plain", default=20, show_default=True, help="How many of them plain jax runs too.")
@click.option("--seed", type=int, help="Draw the same programs again.")
def main(programs: int, plain: int, seed: int | None) -> None:
    """Print time a program on both sides, the ratios, and what was drawn."""
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    stream = cases(seed)
    drawn = [next(stream) for _ in range(programs)]
    operations = sorted({step.op for c in drawn for step in c.draft.steps if hasattr(step, "op")})
    click.echo(f"seed {seed}; {programs} programs; median / 95 % / most: {size(drawn)}")
    click.echo(f"{len(operations)} operations occur in them")
    machine = Machine()
    start = time.perf_counter()
    ours(drawn[0], machine)()
    click.echo(f"first program, with its machine: {time.perf_counter() - start:.1f} s")
    for case in drawn[:20]:
        ours(case, machine)()

    fast = milliseconds([ours(case, machine) for case in drawn])
    say("oracle", fast)
    known = [number for number in range(programs) if understands(drawn[number].draft)]
    chosen = np.random.default_rng(seed).permutation(known)[:plain]
    same = [fast[number] for number in chosen]
    say(f"oracle, {plain} of them", same)
    for name, jitted in (("jax.value_and_grad", False), ("the same, jitted", True)):
        slow = milliseconds([theirs(drawn[number], jitted=jitted) for number in chosen])
        say(name, slow)
        ratios = np.array(slow) / np.array(same)
        click.echo(
            f"    times the oracle: {sum(slow) / sum(same):.0f} in all, "
            f"median of the programs' own ratios {np.median(ratios):.0f}"
        )


def say(name: str, times: Sequence[float]) -> None:
    """Print one line of the table."""
    timing = Timing.of(times)
    click.echo(
        f"{name:22} median {timing.median:8.2f} ms, 95 % {timing.percentile:8.2f} ms, "
        f"{1e3 * len(times) / sum(times):7.1f} programs a second"
    )


if __name__ == "__main__":
    main()
