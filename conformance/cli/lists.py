"""Commands that list what there is: claims, subjects, operations."""

from __future__ import annotations

import click
import msgspec
from rich.table import Table

from conformance.claims.catalogue import CATALOGUE
from conformance.progress import Output
from conformance.subjects import available_subjects
from strategies.table import TABLE
from strategies.table.row import Row


def as_json(value: object) -> str:
    """Readable JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


@click.command()
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def claims(json_: bool) -> None:
    """List the claims: what each says and where it holds."""
    if json_:
        click.echo(as_json([_claim(id) for id in CATALOGUE]))
        return
    table = _table("claim", "says")
    for claim in CATALOGUE.values():
        table.add_row(f"[bold]{claim.id}[/bold]", claim.title)
    Output().print(table)


def _claim(id: str) -> dict[str, object]:
    claim = CATALOGUE[id]
    return {
        "id": claim.id,
        "title": claim.title,
        "sentence": claim.sentence,
        "articles": claim.articles,
        "source": claim.source,
        "scope": claim.scope,
        "law": claim.law,
    }


@click.command()
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def subjects(json_: bool) -> None:
    """List the subjects that are at hand, and how others are named."""
    found = available_subjects()
    if json_:
        click.echo(as_json(found))
        return
    table = _table("subject", "torch", "device", "")
    for one in found:
        state = "available" if one.available else f"not available: {one.reason}"
        table.add_row(f"[bold]{one.name}[/bold]", one.torch, one.device_name or one.device, state)
    Output().print(table)
    click.echo("\nOthers are named python=PATH, device=NAME[,import=MODULE] or command=COMMAND.")


@click.command()
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def ops(json_: bool) -> None:
    """List the operations that programs are made of."""
    if json_:
        click.echo(as_json([_row(row) for row in TABLE.values()]))
        return
    table = _table("operation", "in place", "operands", "parameters", "saves for backward")
    for row in TABLE.values():
        names = row.names
        table.add_row(
            f"[bold]{names[0] if row.plain else ''}[/bold]",
            names[-1] if row.in_place else "",
            ", ".join(operand.name for operand in row.operands),
            ", ".join(param.name for param in row.params),
            _saves(row),
        )
    Output().print(table)


def _saves(row: Row) -> str:
    return ", ".join(
        save.what + (f" if {' or '.join(save.when)}" if save.when else "") for save in row.saves
    )


def _row(row: Row) -> dict[str, object]:
    return {
        "names": row.names,
        "operands": [
            {"name": o.name, "dtype": o.dtype, "number": o.number, "tensor": o.tensor}
            for o in row.operands
        ],
        "params": [{"name": p.name, "kind": p.kind, "default": p.default} for p in row.params],
        "plain": dict(row.plain),
        "in_place": dict(row.in_place),
        "kind": row.kind,
        "saves": _saves(row),
        "derivative": row.derivative,
        "since": row.since,
    }
