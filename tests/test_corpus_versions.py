"""A corpus in other versions of torch than its numbers were recorded by."""

from __future__ import annotations

import itertools

import pytest

from conformance.corpus.reading import read, shipped
from conformance.corpus.versions import computes_otherwise, same_course
from conformance.model import predict
from strategies.program import ProgramError
from tests._agreement import program

TURNED = "a = leaf(2, 3)\nx = a.transpose(dim0=0, dim1=1)\ny = x.clone()\n"
"""A clone that lies as its source does, and row by row before 1.5."""


@pytest.mark.parametrize(
    ("text", "torch", "op"),
    [
        (TURNED, "1.4.0", ""),
        (TURNED + "z = y.t()\nz.mul_(2.0)\n", "1.4.0", ""),
        (TURNED + "z = y.as_strided(size=[2], stride=[1])\n", "1.4.0", "as_strided"),
        (TURNED + "z = y.as_strided(size=[2], stride=[1])\n", "2.0.1", ""),
        ("a = leaf(2)\nx = a.relu()", "1.12.1", ""),
        ("a = leaf(2)\nx = a.mul(2.0)\nx.selu_()", "1.12.1", "selu_"),
    ],
)
def test_numbers_hold_unless_a_step_computes_something_else(text: str, torch: str, op: str) -> None:
    draft = program(text)
    assert computes_otherwise(draft, draft.as_in(torch)) == op


LEAF = "a = leaf(2)\nx = a.mul(2.0)\ny = x.exp()\n"


SOUGHT = LEAF + "backward(y, inputs=['x'], via='grad')"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (LEAF + "backward(y)", LEAF + "backward(y)", True),
        (LEAF + "backward(y)", LEAF + "y.mul_(2.0)\nbackward(y)", False),
        (LEAF, LEAF.replace("y =", "with no_grad: y ="), False),
        (SOUGHT, SOUGHT, False),
    ],
)
def test_the_course_is_the_same_if_the_same_runs_and_passes(
    one: str, other: str, same: bool
) -> None:
    """What is returned for a tensor that is no leaf is not compared."""
    assert same_course(predict(program(one)), predict(program(other))) is same


@pytest.mark.parametrize(("torch", "least"), [("1.2.0", 0.15), ("1.8.1", 0.4), ("2.15.0", 0.8)])
def test_the_shipped_corpus_says_something_of_old_and_new_versions(
    torch: str, least: float
) -> None:
    """This share of its programs, of those that have no name which the version lacks."""
    told = []
    for one in itertools.islice(read(shipped()), 0, None, 40):
        try:
            told.append(one.silent_on(torch) == "")
        except ProgramError:
            told.append(False)
    assert sum(told) >= least * len(told)
