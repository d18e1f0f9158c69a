"""The command that makes a corpus."""

from __future__ import annotations

from pathlib import Path

import click
from click.formatting import wrap_text

from conformance.corpus.choosing import candidates, in_turns, there_are, uncovered
from conformance.corpus.recording import Recording, check_writable
from conformance.examine import ModelAndOracle
from conformance.oracle.machine import Machine
from conformance.progress import Remarks, counting

_DRAWN = 4
"""Candidates for each program that is asked for."""


@click.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to make.")
@click.option("--programs", default=5000, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, help="What is drawn depends on it alone.")
def record(out: Path, programs: int, seed: int) -> int:
    """Make a corpus: programs with what must become of them, for `replay`.

    Programs are chosen so that every operation of the table stands in them plain, in place, on a
    view, in no_grad and where it overwrites what a node saved, and then once more, and so on. What
    nothing documented decides, or is too ill-conditioned to judge, is left out and counted.
    """
    check_writable(out)
    console = Remarks()
    with counting(console, "drawing programs", None) as tick:
        drawn = candidates(_DRAWN * programs, seed, tick)
    machine = Machine(lambda text: click.echo(text, err=True))
    recording = Recording(seed, ModelAndOracle(machine))
    with counting(console, "asking model and oracle", programs) as tick:
        recording.fill(in_turns(drawn), programs, tick)
    recording.write(out)
    _tell(recording, out)
    return 0


def _tell(recording: Recording, out: Path) -> None:
    cells = there_are()
    covered = len(cells & recording.cells.keys())
    click.echo(f"{out}: {len(recording.lines)} programs, {out.stat().st_size / 1e6:.2f} MB")
    click.echo(f"{covered} of {len(cells)} cells of the table are covered")
    missing = [f"{name} {column}" for name, column in uncovered(recording.cells)]
    if missing:
        click.echo(wrap_text(f"not covered: {', '.join(missing)}", 78, "", "  "))
    for reason, count in recording.left_out.most_common():
        click.echo(f"left out: {count} ({reason})")
