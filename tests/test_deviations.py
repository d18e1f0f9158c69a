"""The register of known deviations: what it may hold, and that all of it is still so."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from conformance.claims.catalogue import CATALOGUE
from conformance.deviations import Deviation, RegisterError, read_register, register
from conformance.examine import Examiner
from conformance.standing import standing

PROGRAM = '{"leaves":[{"name":"a","shape":[],"data":[1.0]}],"steps":[]}'
FIELDS = {
    "id": "one",
    "title": "A title",
    "kind": "wrong flag",
    "claim": "no-grad-result",
    "torch": ">=2.0",
    "quirk": "no-grad-view-requires-grad",
    "cause": "It is so.",
    "upstream": "https://example.org",
    "date": "2026-01-01",
    "program": PROGRAM,
}


def written(folder: Path, *, without: str = "", **fields: str) -> Path:
    """A register with one entry, some of whose fields are others or missing."""
    chosen = {key: value for key, value in {**FIELDS, **fields}.items() if key != without}
    lines = [f"{key} = '''{value}'''" for key, value in chosen.items()]
    file = folder / "register.toml"
    text = "\n".join(["[[deviation]]", 'subjects = ["eager-*"]', *lines])
    file.write_text(text, encoding="utf-8")
    return file


def test_shipped_register() -> None:
    """Every entry has an id of its own, a claim of the catalogue, a date and a source."""
    entries = [deviation.entry for deviation in register()]
    assert len({entry.id for entry in entries}) == len(entries) > 0
    for entry in entries:
        assert entry.claim in CATALOGUE
        assert entry.upstream.startswith("https://") and len(entry.date) == 10
        assert len(entry.title) <= 110 and entry.cause


@pytest.mark.parametrize("deviation", register(), ids=lambda deviation: str(deviation.entry.id))
def test_every_entry_reproduces(examiner: Examiner, deviation: Deviation) -> None:
    """It still deviates here; a program does so as the kind that it says, by its quirk alone."""
    if deviation not in examiner.known:
        entry = deviation.entry
        pytest.skip(f"it is registered for torch {entry.torch} as {', '.join(entry.subjects)}")
    assert standing(examiner, deviation).status == "still"
    if deviation.program is None:
        return
    judged = examiner.examine(deviation.program)
    assert [d.entry.id for d in judged.deviations] == [deviation.entry.id]
    assert judged.gravest.kind == deviation.entry.kind


@pytest.mark.parametrize(
    ("subject", "torch", "applies"),
    [
        ("eager-cpu", "2.13.0+cpu", True),
        ("eager-cuda", "2.1.0", True),
        ("eager-cpu", "1.13.1", False),
        ("inductor-cpu", "2.13.0", False),
        ("eager-cpu", "2.14.0a0+git123", True),
        ("eager-cpu", "from source", False),
    ],
)
def test_applies(tmp_path: Path, subject: str, torch: str, applies: bool) -> None:
    """An entry is for subjects by pattern and for a range of torch versions, nightlies included."""
    (deviation,) = read_register(written(tmp_path))
    assert deviation.applies(subject, torch) is applies


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "odd"}, "'odd' is no kind of deviation"),
        (
            {"quirk": "odd"},
            "'odd' is none of checkpoint-of-written-input, ",
        ),
        ({"without": "program"}, "must have either a program or a script"),
        ({"script": "facts"}, "must have either a program or a script"),
        ({"torch": "two"}, "Invalid specifier"),
        ({"program": "{}"}, "This is not a program"),
        ({"program": PROGRAM.replace("[1.0]", "[1.0,2.0]")}, "leaf 'a'"),
        ({"more": "x"}, "unknown field `more`"),
        ({"without": "date"}, "missing required field `date`"),
    ],
)
def test_bad_entry(tmp_path: Path, fields: dict[str, str], message: str) -> None:
    """An entry that cannot be used is named by number and id, in one sentence."""
    with pytest.raises(RegisterError, match=message) as refused:
        read_register(written(tmp_path, **fields))
    assert str(refused.value).startswith("register.toml, entry 1 (one)")


@pytest.mark.parametrize("text", ["[[deviation", "\x00"])
def test_bad_file(tmp_path: Path, text: str) -> None:
    """A file that is no TOML is named."""
    file = tmp_path / "register.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RegisterError, match="register.toml cannot be read"):
        read_register(file)
    with pytest.raises(RegisterError, match="absent.toml cannot be read"):
        read_register(tmp_path / "absent.toml")


def test_entry_is_plain_data() -> None:
    """An entry survives JSON, as a report needs."""
    for deviation in register():
        entry = deviation.entry
        assert msgspec.json.decode(msgspec.json.encode(entry), type=type(entry)) == entry
