"""The published schemas of records and of a report, written from the structs that are used.

`python -m tools.schemas` writes it anew; a test fails where it is not what the structs say.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from conformance.records import SCHEMA, Past, ProgramLine, Record
from reports.data import SCHEMA as REPORT_SCHEMA
from reports.data import ReportData

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def records_schema() -> dict[str, Any]:
    """The JSON Schema of a line of `verdicts.jsonl`.

    `ProgramLine` is of `programs.jsonl`, and `Past` of `history.jsonl`.
    """
    (line, *_), parts = msgspec.json.schema_components(
        (Record, ProgramLine, Past), ref_template="#/$defs/{name}"
    )
    return {
        "$schema": _DIALECT,
        "title": f"A line of the records of autograd-conformance, schema {SCHEMA}",
        **line,
        "$defs": parts,
    }


def report_schema() -> dict[str, Any]:
    """The JSON Schema of `report.json`."""
    return {
        "$schema": _DIALECT,
        "title": f"A report of autograd-conformance, schema {REPORT_SCHEMA}",
        **msgspec.json.schema(ReportData),
    }


def written() -> dict[str, str]:
    """File name -> text of every schema that is published."""
    return {
        f"records-{SCHEMA}.json": _text(records_schema()),
        f"report-{REPORT_SCHEMA}.json": _text(report_schema()),
    }


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2) + "\n"


def main() -> None:
    """Write them into `docs/schemas`."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in written().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
