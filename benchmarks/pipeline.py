"""Where the time of a program goes, from drawing it to its record on disk, on one core.

python -m benchmarks.pipeline --programs 500
"""

from __future__ import annotations

import gc
import os
import secrets
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

import click
import msgspec
import torch
from torch import nn
from torch.nn import functional

from conformance.examine import Examiner
from conformance.judge import judge
from conformance.model import predict
from conformance.oracle.answering import answer
from conformance.oracle.machine import Machine
from conformance.records import InFlight, RecordWriter, Verdict
from conformance.subjects import Subject, open_subject
from strategies.build import grown
from strategies.choices import Seeded
from strategies.printer import print_body
from strategies.program import Program, encode

WARM = 20
"""Programs that are run before anything is timed."""


@dataclass(slots=True)
class Clock:
    """Seconds by stage, of the wall and of this process's CPU."""

    wall: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.cpu[name] += time.process_time() - cpu
        self.wall[name] += time.perf_counter() - wall

    def say(self, programs: int) -> None:
        """Print milliseconds and share of each stage, and what they add up to."""
        total = sum(self.wall.values())
        for name, wall in self.wall.items():
            click.echo(
                f"  {name:20}{1e3 * wall / programs:9.3f} ms {100 * wall / total:5.1f} %"
                f"{1e3 * self.cpu[name] / programs:11.3f} ms of CPU"
            )
        click.echo(f"  {'all':20}{1e3 * total / programs:9.3f} ms")


def by_stage(seed: int, programs: int, subjects: dict[str, Subject], machine: Machine) -> Clock:
    """Each stage by itself, as `Examiner.examine` and a trial go through them."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, RecordWriter(Path(folder)) as records:
        for index in range(programs):
            with clock.stage("draw"):
                draft = grown(Seeded(seed, index))
                program = draft.program()
            with clock.stage("print"):
                body = print_body(draft)
            with clock.stage("predict"):
                prediction = predict(draft)
            with clock.stage("oracle"):
                found = answer(draft, prediction, machine)
            for name, subject in subjects.items():
                with clock.stage(name):
                    seen = subject.run(body.text, list(program.names), watch=False)
            with clock.stage("judge"):
                judge(draft, body, prediction, found, seen)
            with clock.stage("record"):
                record(records, program)
            with clock.stage("(text compiled)"):
                code = compile(body.text, "program", "exec")
            with clock.stage("(torch alone)"):
                torch_alone(code)
    return clock


def record(records: RecordWriter, program: Program) -> None:
    """The lines that a trial writes for a program that conforms."""
    identity = program.id
    records.write(InFlight("benchmark", "eager-cpu", identity))
    records.program(identity, msgspec.Raw(encode(program)))
    records.write(Verdict("benchmark", "eager-cpu", identity, "conforms"))


def torch_alone(code: CodeType) -> None:
    """Run a body as the script that it is: nobody looks at what it leaves."""
    names = {"torch": torch, "nn": nn, "F": functional, "watch": lambda step: None}
    try:
        exec(code, names)  # noqa: S102
    except (IndexError, RuntimeError):
        return


def end_to_end(
    seed: int, programs: int, subject: Subject, machine: Machine, together: int = 1
) -> tuple[float, float]:
    """Seconds, of the wall and of this process's CPU, for drawn, judged and recorded programs.

    All are judged once before, so that no machine is compiled meanwhile.
    """
    examiner = Examiner(subject, machine)
    with tempfile.TemporaryDirectory() as folder, RecordWriter(Path(folder)) as records:

        def some(first: int) -> None:
            numbers = range(first, min(first + together, programs))
            for judged in examiner.examine_all([grown(Seeded(seed, index)) for index in numbers]):
                record(records, judged.program)

        for first in range(0, programs, together):
            some(first)
        gc.collect()
        gc.freeze()
        wall, cpu = time.perf_counter(), time.process_time()
        for first in range(0, programs, together):
            some(first)
        return time.perf_counter() - wall, time.process_time() - cpu


def stay_on_one_core() -> None:
    """Keep this process and its children on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@click.command()
@click.option("--programs", default=500, show_default=True, help="Programs to run.")
@click.option("--seed", type=int, help="Draw the same programs again.")
def main(programs: int, seed: int | None) -> None:
    """Print programs a second end to end, then a table of the stages."""
    stay_on_one_core()
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    click.echo(f"seed {seed}; {programs} programs of the default recipe on one core")
    machine = Machine()
    with open_subject("eager-cpu", in_process=True) as near, open_subject("eager-cpu") as far:
        for name, subject, together in (
            ("in process, 32 together", near, 32),
            ("in process, one by one", near, 1),
            ("by worker", far, 1),
        ):
            wall, cpu = end_to_end(seed, programs, subject, machine, together)
            click.echo(
                f"{name:24}{programs / wall:7.1f} programs a second "
                f"({1e3 * wall / programs:.2f} ms; {1e3 * cpu / programs:.2f} ms of this "
                f"process's CPU, which alone would be {programs / cpu:.1f} a second)"
            )
        by_stage(seed, WARM, {"in process": near, "by worker": far}, machine)
        clock = by_stage(
            seed, programs, {"subject in process": near, "subject by worker": far}, machine
        )
    clock.say(programs)


if __name__ == "__main__":
    main()
