"""Products, convolutions and their like: where results lie, and what torch does unlike its word."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.examine import Examiner
from conformance.model import Kind, predict
from conformance.model.quirks import BEHIND_VIEW, UNWATCHED
from strategies.choices import Seeded, among
from strategies.draft import Draft, Shaped, Value, check
from strategies.drawing import layouts, shapes
from strategies.layout import Layout, channels_last, suggests_channels_last
from strategies.parameters import KINDS, complete
from strategies.pools import PRODUCTS, SPATIAL
from strategies.program import Apply, Backward, Data, Leaf, Program, ProgramError
from strategies.statements import expression
from strategies.table import TABLE, Refused, Row
from tests.on_torch import layout_of, names, placed, tensor_at

ROWS = {row.name: row for row in (*PRODUCTS, *SPATIAL)}


def _drawn(row: Row, layout: Layout, seed: int) -> dict[str, Any]:
    choose, params = Seeded(3, seed), dict[str, Any]()
    for param in row.params:
        params[param.name] = KINDS[param.kind].draw(choose, param, layout, params)
    return complete(row.params, params, layout, row.name)


@st.composite
def _operands(draw: st.DrawFn, row: Row, seed: int) -> tuple[list[Layout], dict[str, Any]] | None:
    """Operands of any layout for a row; None where the first one suits it not."""
    ndims = [ndim for ndim in range(6) if row.starts(Layout((3,) * ndim, (0,) * ndim))]
    ndim = draw(st.sampled_from(ndims or [0]), label="dimensions")
    shape = draw(shapes(least_ndim=ndim, most_ndim=max(ndim, 4), least_size=1), label="shape")
    lying = [draw(layouts(shape=shape[:ndim]), label="first")]
    if not row.starts(lying[0]):
        return None
    params = _drawn(row, lying[0], seed)
    choose = Seeded(4, seed)
    for operand in row.operands[1:]:
        assert row.wants is not None
        wanted = row.wants(tuple(lying), params)
        if not wanted:
            return None
        lying.append(draw(layouts(shape=among(choose, wanted)), label=operand.name))
    return lying, params


@pytest.mark.parametrize("name", ROWS)
@settings(max_examples=40)
@given(data=st.data(), seed=st.integers(0, 99), grad=st.booleans())
def test_results_lie_where_the_row_says(
    name: str, data: st.DataObject, seed: int, grad: bool
) -> None:
    """Row-major or in the order of channels, whatever the operands' layouts, recorded or not."""
    row = ROWS[name]
    drawn = data.draw(_operands(row, seed))
    if drawn is None or not row.needs(tuple(drawn[0])) or row.fits(tuple(drawn[0]), drawn[1]):
        return
    lying, params = drawn
    space, operands = names(), list[Value | float]()
    for operand, layout in zip(row.operands, lying, strict=True):
        space[operand.name] = tensor_at(layout).requires_grad_(grad)
        operands.append(Value(operand.name, "float64", layout, len(operands)))
    shaped = Shaped(Apply(name, (), params, ("x",)), row, False, tuple(operands), params, (), ())
    try:
        (made,) = row.result(tuple(lying), params)
    except Refused:
        with pytest.raises(RuntimeError, match="view size is not compatible"):
            eval(expression(shaped), space)
        return
    seen = layout_of(eval(expression(shaped), space))
    assert placed(seen) == placed(made.layout), expression(shaped)


@given(layout=layouts(least_ndim=4, least_size=1))
def test_the_order_of_channels_is_known_by_its_strides(layout: Layout) -> None:
    """As torch does: a pool of one element keeps the order that is suggested."""
    pooled = torch.nn.functional.avg_pool2d(tensor_at(layout), 1)
    if suggests_channels_last(layout):
        assert layout_of(pooled) == channels_last(layout.shape)
    else:
        assert pooled.is_contiguous()


def test_one_image_has_no_order_of_channels() -> None:
    """Of four dimensions a 3-d pool takes the first for channels: its result is row-major."""
    layout = channels_last((1, 2, 2, 2))
    (made,) = TABLE["avg_pool3d"].result((layout,), _drawn(TABLE["avg_pool3d"], layout, 0))
    assert made.layout.is_contiguous
    assert torch.nn.functional.avg_pool3d(tensor_at(layout), 1).is_contiguous()


@pytest.mark.parametrize("name", ["addmm", "addmv", "addr", "addbmm", "baddbmm"])
def test_beta_of_zero_ignores_the_target(examiner: Examiner, name: str) -> None:
    """ "If beta is 0, then the content of input will be ignored, and nan and inf in it will not be
    propagated" (torch.addmm); its gradient is zero.
    """
    row = TABLE[name]
    assert row.wants is not None
    draft = Draft()
    shape = {"addmv": (2,), "baddbmm": (2, 2, 2)}.get(name, (2, 2))
    count = math.prod(shape)
    nothing: Data = [("inf", "nan")[place % 2] for place in range(count)]
    draft.add_leaf(Leaf("a", shape, nothing, requires_grad=True))
    params = complete(row.params, {"beta": 0}, draft.values["a"].layout, name)
    for place in "bc":
        wanted = row.wants(tuple(v.layout for v in draft.values.values()), params)[0]
        draft.add_leaf(Leaf(place, wanted, [1.0] * math.prod(wanted)))
    draft.add(Apply(name, ("a", "b", "c"), {"beta": 0}, ("x",)))
    draft.add_backward(Backward(("x",), ([1.0] * count,)))
    judged = examiner.examine(draft.program())
    assert judged.verdict == "conforms", judged.findings
    assert np.isfinite(judged.answer.values["x"].values).all()
    assert not judged.answer.gradients["a"].values.any()


MATRIX: Data = [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("others", [("x", "b"), ("b", "x")])
def test_a_product_of_its_own_target_is_what_the_plain_form_gives(
    examiner: Examiner, others: tuple[str, str]
) -> None:
    """`addmm_` is the "in-place version of addmm()"; that torch's differs is registered."""
    leaves, clone = (
        (Leaf("a", (2, 2), MATRIX), Leaf("b", (2, 2), MATRIX)),
        Apply("clone", ("a",), to=("x",)),
    )
    judged = examiner.examine(Program(leaves, (clone, Apply("addmm_", ("x", *others)))))
    other = examiner.examine(Program(leaves, (clone, Apply("addmm", ("x", *others), to=("y",)))))
    assert other.verdict == "conforms"
    assert (judged.answer.values["x"].values == other.answer.values["y"].values).all()
    assert judged.verdict in ("conforms", "known deviation")


def test_a_vector_is_added_to_a_column_of_its_own_memory(examiner: Examiner) -> None:
    """addr sees its first vector as a column: the same cells overlap fully, not partially."""
    leaves = Leaf("a", (2,), [1.0, 2.0]), Leaf("b", (1,), [3.0])
    column = Apply("unsqueeze", ("a",), {"dim": 1}, ("x",))
    judged = examiner.examine(Program(leaves, (column, Apply("addr_", ("x", "a", "b")))))
    assert judged.verdict == "conforms"


IN_NO_GRAD = Program(
    (Leaf("a", (2,), [1.0, 2.0], requires_grad=True), Leaf("b", (), [2.0], requires_grad=True)),
    (Apply("inner", ("a", "a"), to=("x",), modes=("no_grad",)), Apply("mul_", ("x", "b"))),
)


def test_a_result_is_no_view() -> None:
    """inner is none of the operations that return views (tensor_view.html); to torch it is one."""
    draft = check(IN_NO_GRAD)
    assert predict(draft).raises is None
    torch = predict(draft, quirks=frozenset({BEHIND_VIEW})).raises
    assert torch is not None and torch.kind is Kind.NO_GRAD_VIEW_INPLACE


def test_a_result_that_becomes_a_leaf_is_a_view_that_does(examiner: Examiner) -> None:
    """What that means to other views is documented nowhere, so the quirk explains what is seen."""
    leaves = (Leaf("a", (2, 2), MATRIX),)
    made = Apply("inner", ("a", "a"), to=("x",)), Apply("view", ("x",), {"shape": [4]}, ("y",))
    steps = (*made, Apply("requires_grad_", ("x",)), Backward(("y",), (MATRIX,)))
    judged = examiner.examine(Program(leaves, steps))
    assert [known.entry.quirk for known in judged.deviations] == [BEHIND_VIEW]


KRON = Program(
    (Leaf("a", (1, 1), [1.0], requires_grad=True), Leaf("b", (1, 1), [2.0])),
    (Apply("kron", ("a", "b"), to=("x",)), Apply("add_", ("b", 1.0)), Backward(("x",))),
)


def test_a_factor_of_kron_is_saved() -> None:
    """A saved tensor that was modified raises (Autograd mechanics); torch overlooks it here."""
    draft = check(KRON)
    raises = predict(draft).raises
    assert raises is not None and raises.kind is Kind.SAVED_MODIFIED
    torch = predict(draft, quirks=frozenset({UNWATCHED}))
    assert torch.raises is None and torch.hidden


@pytest.mark.parametrize(
    ("op", "shape", "params", "expected"),
    [
        ("max_pool2d", (1, 2, 2), {"kernel_size": 3}, "from 1 to 2"),
        ("avg_pool1d", (1, 3), {"kernel_size": 2, "padding": 2}, "from 0 to 1"),
        ("interpolate", (1, 1, 2), {"size": [2, 2]}, "a list of 1 sizes"),
        ("adaptive_avg_pool1d", (1, 3), {"output_size": 1}, "an integer from 2 up"),
        ("einsum_view", (2, 3), {"equation": "ii->i"}, "no diagonal"),
        ("einsum_view", (2, 3), {"equation": "ij->i"}, "is none of"),
        ("einsum_view", (2, 3), {"equation": "__import__"}, "an equation such as"),
    ],
)
def test_parameters_that_do_not_suit_are_refused(
    op: str, shape: tuple[int, ...], params: dict[str, Any], expected: str
) -> None:
    draft = Draft()
    draft.add_leaf(Leaf("a", shape, [1.0] * math.prod(shape)))
    with pytest.raises(ProgramError, match=expected):
        draft.add(Apply(op, ("a",), params, ("x",)))


@pytest.mark.parametrize(
    ("shapes", "params", "expected"),
    [
        (((1, 4), (1, 1, 5)), {}, "a window of"),
        (((2, 4), (1, 1, 2)), {}, "do not suit 1 groups"),
        (((2, 4), (3, 1, 2)), {"groups": 2}, "do not suit 2 groups"),
        (((2, 4), (2, 2)), {}, "are not convolved"),
    ],
)
def test_weights_that_do_not_suit_are_refused(
    shapes: tuple[tuple[int, ...], ...], params: dict[str, Any], expected: str
) -> None:
    draft = Draft()
    for name, shape in zip("ab", shapes, strict=True):
        draft.add_leaf(Leaf(name, shape, [1.0] * math.prod(shape)))
    with pytest.raises(ProgramError, match=expected):
        draft.add(Apply("conv1d", ("a", "b"), params, ("x",)))
