"""The model says today all that it said of programs that its mutants are told apart by."""

from __future__ import annotations

from functools import cache

import msgspec
import pytest

from conformance.examine import Examiner
from strategies.program import decode
from strategies.table.changes import TABLES
from tests.distinguishing import Case, Line, foretold, read

_PARTS = 8


@cache
def lines() -> tuple[Line, ...]:
    return tuple(read())


@pytest.mark.parametrize("number", range(_PARTS))
def test_the_model_says_what_it_said(number: int) -> None:
    """By the laws of the version of torch that is named, and under the quirks."""
    for line in lines()[number::_PARTS]:
        said = msgspec.json.decode(msgspec.json.encode(foretold(line, line.draft())))
        assert said == line.said, (line.torch, line.quirks, bytes(line.program).decode())


@pytest.mark.parametrize("number", range(_PARTS))
def test_torch_does_what_the_model_says(number: int, examiner: Examiner) -> None:
    """Of the version that the op table is of, where no quirk is asked for."""
    for line in lines()[number::_PARTS]:
        if Case(line.program) == Case(line.program, line.torch, line.quirks):
            judged = examiner.examine(decode(bytes(line.program)))
            assert judged.verdict != "deviates", bytes(line.program).decode()


def test_every_version_and_quirk_is_asked_for() -> None:
    assert {line.torch for line in lines()} > {TABLES}
    assert any(line.quirks for line in lines())
