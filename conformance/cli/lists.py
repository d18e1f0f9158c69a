"""Commands that list what there is: claims, subjects, operations."""

from __future__ import annotations

import click
import msgspec
from click.formatting import wrap_text
from rich.table import Table

from conformance.claims.catalogue import CATALOGUE
from conformance.coverage import STATUSES, Coverage, coverage_of
from conformance.progress import Output
from conformance.subjects import available_subjects, open_subject, prepared_subjects
from strategies.table import OUT, TABLE
from strategies.table.row import Row
from strategies.transforms import TRANSFORMS


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
    found = [*available_subjects(), *prepared_subjects()]
    if json_:
        click.echo(as_json(found))
        return
    table = _table("subject", "torch", "device", "")
    for one in found:
        state = "available" if one.available else f"not available: {one.reason}"
        table.add_row(f"[bold]{one.name}[/bold]", one.torch, one.device_name or one.device, state)
    Output().print(table)
    click.echo(
        "\nOthers are named python=PATH, device=NAME[,import=MODULE] or command=COMMAND;\n"
        "`tox run -e NAME` makes the environments of torch==VERSION.\n\n"
        "What compiles or transforms functions is named by a mode:"
    )
    for name in TRANSFORMS:
        click.echo(f"  {name}")


@click.command()
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
@click.option(
    "--subject",
    "subjects_",
    multiple=True,
    help="Whose in-place names to look up in the table; by default the local torch, if any.",
)
def ops(json_: bool, subjects_: tuple[str, ...]) -> None:
    """List the operations of programs, and which in-place names of torch they cover."""
    local = [one.name for one in available_subjects() if one.available][:1]
    coverages = [_coverage(name) for name in subjects_ or local]
    if json_:
        rows = [_row(row) for row in (*TABLE.values(), *OUT.values())]
        covered = [_covered_as_json(coverage) for coverage in coverages]
        click.echo(as_json({"operations": rows, "coverage": covered}))
        return
    _print_rows()
    for coverage in coverages:
        _print_coverage(coverage)
    if not coverages:
        click.echo("\nNo torch is at hand: --subject NAME says what of it the table covers.")


def _coverage(name: str) -> Coverage:
    with open_subject(name) as subject:
        return coverage_of(subject)


def _covered_as_json(coverage: Coverage) -> dict[str, object]:
    return {
        "torch": coverage.torch,
        "counts": {status: len(coverage.of(status)) for status in STATUSES},
        "lacking": coverage.lacking,
        "names": {
            covered.name: {
                "status": covered.status,
                **({"operation": covered.operation} if covered.operation else {}),
                **({"reason": covered.reason} if covered.reason else {}),
            }
            for covered in coverage.names
        },
    }


def _print_coverage(coverage: Coverage) -> None:
    """How many in-place names each space has, then what is left out, by reason."""
    click.echo(f"\nIn-place names of torch {coverage.torch}:\n")
    table = _table("space", "names", *STATUSES)
    for space in dict.fromkeys(covered.space for covered in coverage.names):
        found = [covered for covered in coverage.names if covered.space == space]
        counts = [str(sum(one.status == status for one in found)) for status in STATUSES]
        table.add_row(space, str(len(found)), *counts)
    Output().print(table)
    reasons: dict[str, list[str]] = {}
    for covered in coverage.names:
        if covered.status != "row":
            reasons.setdefault(covered.reason or "missing from the table", []).append(covered.name)
    if coverage.lacking:
        what = (
            f"operations of the table that torch {coverage.torch} does not have, not drawn for it"
        )
        reasons[what] = list(coverage.lacking)
    for reason, names in reasons.items():
        click.echo("\n" + wrap_text(f"{reason}:", 78))
        click.echo(wrap_text(", ".join(names), 78, "  ", "  "))


def _print_rows() -> None:
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
