"""How fast the register machine is, against plain `jax.value_and_grad` on the same programs.

Programs are random straight-line elementwise chains on random shapes, drawn anew in each run;
both sides are timed in the same run, the machine with its two perturbed runs and its bounds.

    python -m benchmarks.oracle --programs 300 --plain 20
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from conformance.oracle import Assembly
from conformance.oracle.machine import Machine

Floats = NDArray[np.float64]

UNARY: dict[str, Callable[..., jax.Array]] = {
    "sin": jnp.sin,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "square": jnp.square,
    "relu": jax.nn.relu,
    "softplus": jax.nn.softplus,
    "erf": jax.scipy.special.erf,
}
BINARY: dict[str, Callable[..., jax.Array]] = {
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "maximum": jnp.maximum,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One program, both ways: `assemble` ends in loss 0, `plain` gives the same by jax alone."""

    assemble: Callable[[], Assembly]
    plain: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds a program: median and 95th percentile."""

    median: float
    percentile: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Timing:
        """The timing of at least one program."""
        return cls(*(float(each) for each in np.percentile(milliseconds, [50, 95])))


def milliseconds(runs: Sequence[Callable[[], object]]) -> list[float]:
    """The time that each of `runs` takes, once, in milliseconds."""
    times = []
    for run in runs:
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return times


def compare(cases: Sequence[Case], machine: Machine, plain: int) -> tuple[Timing, Timing]:
    """The machine on all cases, and plain jax on the first `plain` of them.

    Call it with a machine that has compiled what the cases need.
    """
    ours = [lambda case=case: machine.run(case.assemble(), [(0,)]) for case in cases]
    theirs = [case.plain for case in cases[:plain]]
    return Timing.of(milliseconds(ours)), Timing.of(milliseconds(theirs))


def random_chain(rng: np.random.Generator, steps: int) -> Case:
    """A chain of `steps` elementwise operations on three leaves of a random shape."""
    shape = tuple(int(size) for size in rng.integers(1, 5, rng.integers(0, 4)))
    leaves = [rng.uniform(-1.5, 1.5, shape) for _ in range(3)]
    names = [str(name) for name in rng.choice([*UNARY, *BINARY], steps)]
    picks = [[int(pick) for pick in rng.integers(0, 3 + step, 2)] for step in range(steps)]
    reads = [pick[: 2 if name in BINARY else 1] for name, pick in zip(names, picks, strict=True)]
    chain = list(zip(names, reads, strict=True))

    def assemble() -> Assembly:
        assembly = Assembly()
        made = [assembly.leaf(leaf) for leaf in leaves]
        for name, read in chain:
            made.append(assembly.apply(name, *(made[each] for each in read)))
        assembly.loss(0, made[-1])
        return assembly

    def loss(arrays: list[jax.Array]) -> jax.Array:
        made = list(arrays)
        for name, read in chain:
            made.append((UNARY | BINARY)[name](*(made[each] for each in read)))
        return jnp.sum(made[-1])

    def plain() -> object:
        value, gradients = jax.value_and_grad(loss)([jnp.asarray(leaf) for leaf in leaves])
        return np.asarray(value), [np.asarray(gradient) for gradient in gradients]

    return Case(assemble, plain)


@click.command()
@click.option("--programs", default=300, show_default=True, help="Programs for the machine.")
@click.option("--plain", default=20, show_default=True, help="How many of them plain jax runs too.")
@click.option("--steps", default=10, show_default=True, help="Operations in each program.")
@click.option("--seed", type=int, help="Draw the same programs again.")
def main(programs: int, plain: int, steps: int, seed: int | None) -> None:
    """Print time a program on both sides, and the ratio of the medians."""
    drawn = np.random.SeedSequence(seed)
    rng = np.random.default_rng(drawn)
    machine = Machine(click.echo)
    cases = [random_chain(rng, steps) for _ in range(programs)]
    start = time.perf_counter()
    machine.run(cases[0].assemble(), [(0,)])
    click.echo(f"seed {drawn.entropy}; first program {time.perf_counter() - start:.1f} s")
    ours, theirs = compare(cases, machine, plain)
    for name, timing in (("register machine", ours), ("jax.value_and_grad", theirs)):
        click.echo(f"{name:20} median {timing.median:8.2f} ms, 95 % {timing.percentile:8.2f} ms")
    click.echo(f"ratio of the medians: {theirs.median / ours.median:.0f}")


if __name__ == "__main__":
    main()
