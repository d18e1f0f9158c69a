"""Reductions at their kinks: who gets the gradient among equals, and what zeros and NaN do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from conformance.examine import Examiner
from conformance.oracle.conditioning import TIED
from strategies.program import Apply, Backward, Leaf, Program

NAN = math.nan


def reduced(op: str, data: list[Any], **params: Any) -> Program:
    """The operation on one row of numbers, and a backward call with ones."""
    each = op in ("cumsum", "cumprod", "cummax", "logcumsumexp")
    count = len(data) if each else params.get("k", 1) if op == "topk" else 1
    root = Backward(("x",), ([1.0] * count,))
    return Program((_leaf(data, grad=True),), (_step(op, params), root))


def _leaf(data: list[Any], *, grad: bool) -> Leaf:
    return Leaf("a", (len(data),), data, requires_grad=grad)


def _step(op: str, params: dict[str, Any]) -> Apply:
    return Apply(op, ("a",), params, ("x",))


SHARED = [
    ("amax", [1.0, 3.0, 3.0, 2.0], {}, [0.0, 0.5, 0.5, 0.0]),
    ("amin", [1.0, 1.0, 1.0, 1.0], {"dim": 0}, [0.25] * 4),
    ("max", [3.0, 1.0, 3.0], {}, [0.5, 0.0, 0.5]),
    ("min", [3.0, 1.0, 1.0], {}, [0.0, 0.5, 0.5]),
    ("median", [2.0, 1.0, 2.0, 5.0], {}, [0.5, 0.0, 0.5, 0.0]),
    ("norm", [-2.0, 2.0, 1.0], {"p": "inf"}, [-0.5, 0.5, 0.0]),
    ("max", [1.0, "nan", 2.0], {}, [0.0, 1.0, 0.0]),
    ("amax", [1.0, "nan", 2.0], {}, [NAN, NAN, NAN]),
]
"""Operation, operand, parameters, and the gradient that equal elements share."""

ALONE = [
    ("max_dim", [1.0, 3.0, 3.0], {"dim": 0}, [0.0, 1.0, 0.0]),
    ("min_dim", [1.0, 1.0, 3.0], {"dim": 0}, [1.0, 0.0, 0.0]),
    ("max_dim", [1.0, "nan", "nan"], {"dim": 0}, [0.0, 1.0, 0.0]),
    ("median_dim", [2.0, 1.0, 3.0, 4.0], {"dim": 0}, [1.0, 0.0, 0.0, 0.0]),
    ("kthvalue", [2.0, 1.0, 3.0], {"k": 3, "dim": 0}, [0.0, 0.0, 1.0]),
    ("topk", [2.0, 1.0, 3.0], {"k": 1, "dim": 0, "largest": False}, [0.0, 1.0, 0.0]),
]

AT_ZERO = [
    ("norm", [0.0, 0.0], {}, [0.0, 0.0]),
    ("norm", [0.0, 0.0], {"p": 3.0}, [0.0, 0.0]),
    ("std", [2.0, 2.0, 2.0], {}, [0.0, 0.0, 0.0]),
    ("prod", [0.0, 2.0, 3.0], {}, [6.0, 0.0, 0.0]),
    ("prod", [0.0, 0.0, 3.0], {"dim": 0}, [0.0, 0.0, 0.0]),
    ("cumprod", [2.0, 0.0, 3.0], {"dim": 0}, [1.0, 8.0, 0.0]),
    ("nansum", ["nan", 2.0], {}, [0.0, 1.0]),
    ("logsumexp", ["-inf", 0.0], {"dim": 0}, [0.0, 1.0]),
    ("var", [5.0], {}, [NAN]),
]


@pytest.mark.parametrize(("op", "data", "params", "gradient"), SHARED + ALONE + AT_ZERO)
def test_gradients_at_kinks_are_torchs_and_the_oracles(
    examiner: Examiner, op: str, data: list[Any], params: dict[str, Any], gradient: list[float]
) -> None:
    """Extremes share among ties, `max(dim)` gives all to the first; norm and std at 0 have 0."""
    judged = examiner.examine(reduced(op, data, **params))
    assert judged.verdict == "conforms"
    np.testing.assert_array_equal(judged.answer.gradients["a"].values, gradient)


TIES = [
    ("median_dim", [1.0, 2.0, 2.0], {"dim": 0}),
    ("median_dim", [1.0, "nan", "nan"], {"dim": 0}),
    ("kthvalue", [2.0, 2.0, 3.0], {"k": 1, "dim": 0}),
    ("topk", [2.0, 2.0, 1.0], {"k": 1, "dim": 0}),
    ("cummax", [2.0, 2.0], {"dim": 0}),
]


@pytest.mark.parametrize(("op", "data", "params"), TIES)
def test_a_tie_that_torch_does_not_document_is_unspecified(
    examiner: Examiner, op: str, data: list[Any], params: dict[str, Any]
) -> None:
    """`torch.median`: the index "does not necessarily contain the first occurrence"."""
    judged = examiner.examine(reduced(op, data, **params))
    assert (judged.verdict, judged.reason) == ("unspecified", TIED)


@pytest.mark.parametrize(("op", "data", "params"), TIES)
def test_its_value_is_judged_where_nothing_is_recorded(
    examiner: Examiner, op: str, data: list[Any], params: dict[str, Any]
) -> None:
    quiet = Program((_leaf(data, grad=False),), (_step(op, params),))
    assert examiner.examine(quiet).verdict == "conforms"


KNOWN = [
    ("var", [1.0, 2.0], {"correction": 2}, "variance-without-freedom"),
    ("var", [1.0], {"dim": 0, "correction": 2}, "variance-without-freedom"),
    ("prod", ["inf", 2.0], {}, "product-by-quotient"),
    ("prod", [0.0, 0.0, "inf"], {}, "product-by-quotient"),
    ("cumprod", [1.0, "inf", 2.0], {"dim": 0}, "product-by-quotient"),
    ("cumprod", [3.0, 0.0, "-inf"], {"dim": 0}, "product-by-quotient"),
    ("logsumexp", [1e12, 1e12], {"dim": 0}, "exponentials-by-result"),
    ("logcumsumexp", ["-inf"], {"dim": 0}, "exponentials-by-result"),
]


@pytest.mark.parametrize(("op", "data", "params", "deviation"), KNOWN)
def test_what_torch_gets_wrong_is_predicted_by_its_quirk_alone(
    examiner: Examiner, op: str, data: list[Any], params: dict[str, Any], deviation: str
) -> None:
    judged = examiner.examine(reduced(op, data, **params))
    assert judged.verdict == "known deviation"
    assert [known.entry.id for known in judged.deviations] == [deviation]
