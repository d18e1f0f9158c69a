"""The command that explains programs step by step."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from conformance.cli.programs import read_programs
from conformance.explain import explain as explain_program
from conformance.explain import render


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "json_", is_flag=True, help="Print one line of JSON a program.")
def explain(file: Path, json_: bool) -> None:
    """Say step by step what the programs of FILE do, and why each raises or does not.

    For each step: versions, who shares memory with whom, what is recorded and what is saved; for
    backward, which nodes run and what they find. Then why, by which rule, and what helps.

    With --json each program is an object with the same facts: `program` (its id), `leaves`, `steps`
    (`number`, `text`, `recorded`, `made`, `writes`, `nodes`, `changes`, `backward`, `raises` and
    more), and `ending` (`outcome`: raises, runs or unspecified; `step`, `kind`, `why`, `rule`,
    `source`, `advice`, `message` and more).
    """
    for number, program in enumerate(list(read_programs(file))):
        explanation = explain_program(program)
        if json_:
            click.echo(msgspec.json.encode(explanation))
        else:
            click.echo(("\n" if number else "") + render(explanation), nl=False)
