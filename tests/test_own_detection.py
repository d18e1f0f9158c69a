"""The benchmarks of detection: what is read off a fault, what a table says, which places count."""

from __future__ import annotations

import sys

import pytest
import torch

from benchmarks.mutation import GROUPS, _bare
from benchmarks.peers import Outcome, table, touched
from conformance.planted import Tried
from tests.planted import FOLDER


def test_a_fault_is_restricted_to_what_it_touches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that it replaces, in place or not, are operations of the peers."""
    sys.modules.pop("tests.faults.exp_that_writes", None)
    monkeypatch.setattr(torch.Tensor, "exp", torch.Tensor.exp)
    assert touched("exp_that_writes") == ["exp"]


def test_the_table_puts_the_peers_beside_what_was_caught_here() -> None:
    """The soonest of our claims counts; what a peer did not catch says how much it tried."""
    ours = [
        Tried("one", "relu-golden", 1, "default", True, "wrong value", 3, seconds)
        for seconds in (2.0, 1.0)
    ]
    seen = {
        "one": {"gradcheck": Outcome(False, 4.0, 7), "hypothesis-torch": Outcome(True, 0.5, 1)},
        "two": {"gradcheck": Outcome(True, 2.0, 7), "hypothesis-torch": Outcome(True, 0.5, 1)},
    }
    assert list(table(seen, ours))[2:] == [
        "| `one` | 1.0 s | no, 7 checks in 4.0 s | 0.5 s |",
        "| `two` | not caught | 2.0 s | 0.5 s |",
        "| of 2 | 1 | 1 | 2 |",
    ]


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ("def f(x: int & None) -> int & None:\n    return x + 1\n", True),
        ("def f(x: int | None) -> int | None:\n    return x - 1\n", False),
    ],
)
def test_annotations_are_no_places_to_mutate(changed: str, same: bool) -> None:
    """Nothing evaluates them, so that no test can notice."""
    source = "def f(x: int | None) -> int | None:\n    return x + 1\n"
    assert (_bare(source) == _bare(changed)) is same


def test_groups_name_modules_and_tests_that_exist() -> None:
    """A file that was renamed would be left out without a word."""
    root = FOLDER.parents[1]
    for group in GROUPS.values():
        assert all(list(root.glob(pattern)) for pattern in group.modules)
        named = [word for test in group.tests for word in test.split() if word.endswith(".py")]
        assert named and all((root / name).is_file() for name in named)
