"""The published schemas are those of the structs that write the files."""

from __future__ import annotations

import pytest

from tools.schemas import FOLDER, written


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
