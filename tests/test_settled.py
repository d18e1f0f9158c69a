"""Programs on which model or oracle and torch once disagreed: `settled.txt` says what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.examine import Examiner
from strategies.program import decode

SETTLED = Path(__file__).with_name("settled.txt").read_text(encoding="utf-8")
CASES = [case.partition("\n") for case in SETTLED.removeprefix("# ").split("\n# ")]


@pytest.mark.parametrize(("why", "case"), [(why, case) for why, _, case in CASES])
def test_what_was_settled_stays_settled(why: str, case: str, examiner: Examiner) -> None:
    """Each program gets the verdict that stands before it."""
    verdict, _, program = case.partition(": ")
    assert examiner.examine(decode(program)).verdict == verdict, why
