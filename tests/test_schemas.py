"""The published schemas are those of the structs that write the files, and files keep to them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.test_pages import SCHEMA_1
from tests.test_report import pages
from tests.test_report_safety import write_every_field
from tools.recorded import sources
from tools.schemas import FOLDER, written

RECORDS, REPORT = "records-2.json", "report-1.json"
LINES = 300
"""Verdicts of a file that are held to the schema: they are much alike."""


@pytest.mark.parametrize("name", written())
def test_published_schema_is_that_of_today(name: str) -> None:
    """Where this fails: a field was added, so `python -m tools.schemas` must be run; or a field has
    changed its meaning, so the number of the schema must grow.
    """
    assert (FOLDER / name).read_text(encoding="utf-8") == written()[name]


def test_every_published_schema_is_written_or_older() -> None:
    """No file lies there that nobody writes, but those of earlier numbers."""
    kinds = {name.rpartition("-")[0] for name in written()}
    assert {path.stem.rpartition("-")[0] for path in FOLDER.glob("*.json")} == kinds


def judged_by(name: str) -> Any:
    """What holds a document to a published schema."""
    schema = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """All lines of a file of records but for most verdicts."""
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    lines = [json.loads(line) for line in text.splitlines()]
    verdicts = [line for line in lines if line.get("type") == "verdict"]
    # Those that say most come first.
    verdicts.sort(key=len, reverse=True)
    yield from (line for line in lines if line.get("type") != "verdict")
    yield from islice(verdicts, LINES)


SHIPPED = sources()


@pytest.mark.parametrize(
    "path",
    [*SHIPPED.runs[::3], *SHIPPED.before, *SHIPPED.planted, SCHEMA_1 / "verdicts.jsonl.gz"],
    ids=lambda path: path.name,
)
def test_records_keep_to_the_published_schema(path: Path) -> None:
    """Those of real runs, and those that the suite wrote when the schema was 1."""
    judge = judged_by(RECORDS)
    for line in lines_of(path):
        judge.validate(line)


def test_every_field_of_a_record_is_in_the_published_schema(tmp_path: Path) -> None:
    """Records in which each field is set keep to it, and a word that it does not know breaks it."""
    judge = judged_by(RECORDS)
    run = write_every_field(tmp_path / "run", "a text")
    for line in lines_of(run / "verdicts.jsonl"):
        judge.validate(line)
        assert set(line) - {"type"} <= set(fields_of(judge.schema, line["type"]))
    (past,) = lines_of(run / "history.jsonl")
    jsonschema.Draft202012Validator({**judge.schema["$defs"]["Past"]}).validate(past)
    assert not judge.is_valid({**line, "type": "another"})


def fields_of(schema: dict[str, Any], kind: str) -> dict[str, Any]:
    """The properties of a sort of line."""
    name = schema["discriminator"]["mapping"][kind].rpartition("/")[2]
    found: dict[str, Any] = schema["$defs"][name]["properties"]
    return found


def test_reports_keep_to_the_published_schema(tmp_path: Path) -> None:
    """That of a run in which each field is set, and that of records of schema 1."""
    judge = judged_by(REPORT)
    for run in (write_every_field(tmp_path / "run", "a text"), SCHEMA_1):
        report = json.loads(pages(run)["report.json"])
        judge.validate(report)
        assert report["claims"] and report["findings"]
    assert not judge.is_valid({**report, "schema": "1"})
