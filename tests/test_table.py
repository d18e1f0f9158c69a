"""The op table against torch: every spelling, every kind, every layout."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.choices import Replayed, Seeded, among
from strategies.draft import Draft, Shaped, Value, placed_in
from strategies.drawing import layouts, shapes
from strategies.indices import draw_index
from strategies.layout import Layout, contiguous
from strategies.parameters import KINDS, complete
from strategies.printer import print_body
from strategies.program import Apply, Data, Generated, Leaf, ProgramError
from strategies.statements import expression, statement
from strategies.table import OPERATIONS, TABLE, Row
from tests.on_torch import layout_of, names, same, tensor_at

# torch warns of 3-d inputs to dropout2d, whose meaning is to change.
pytestmark = [
    pytest.mark.filterwarnings("ignore:dropout2d:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0:UserWarning"),
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning"),
]

PLAIN = [op for op, (_, in_place) in OPERATIONS.items() if not in_place]
WRITING = [op for op, (row, in_place) in OPERATIONS.items() if in_place and not row.writes_out]
SHAPES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((2, 3), (2, 3), (2, 3)),
    ((3,), (3,), (3,)),
    ((), (), ()),
    ((2, 3), (), (3,)),
    ((2, 2), (2, 2), (2, 2)),
    ((2, 3), (3,), ()),
    ((2, 2, 2), (2, 2, 2), (2,)),
    ((2, 1, 2, 2, 2), (2,), ()),
    ((1, 2, 2, 2), (2,), ()),
)
"""Shapes of the operands; every row allows at least one of these."""


def cases(op: str, *, most: int = 6) -> list[tuple[Draft, Apply]]:
    """Steps of an operation with different shapes and parameters, each with its leaves."""
    row, in_place = OPERATIONS[op]
    made = []
    for index, several in enumerate(SHAPES):
        draft = Draft()
        generator = "dyadic" if row.domain == "any" else "positive"
        for name, shape, operand in zip("abc", several, row.operands, strict=False):
            if row.wants is not None and name != "a":
                break
            count = math.prod(shape)
            if operand.dtype == "bool":
                draft.add_leaf(Leaf(name, shape, [i % 2 for i in range(count)], "bool"))
            else:
                draft.add_leaf(Leaf(name, shape, Generated(generator, ord(name))))
        args = [n if o.tensor else 2.0 for n, o in zip("abcdef", row.operands, strict=False)]
        choose, params = Seeded(1, index), dict[str, Any]()
        first = draft.values["a"].layout
        try:
            for param in row.params:
                params[param.name] = KINDS[param.kind].draw(choose, param, first, params)
            usual = {p.name: p.default for p in row.params if not p.required}
            params = {n: v for n, v in params.items() if n not in usual or v != usual[n]}
            wanted_leaves(draft, row, params, choose)
            made.append((draft, _fitting(draft, row, op, tuple(args), params, in_place)))
        except (ProgramError, IndexError, ZeroDivisionError):
            continue
    assert made, f"no shapes here suit {op}"
    return made[:most]


def wanted_leaves(draft: Draft, row: Row, params: dict[str, Any], choose: Seeded) -> None:
    """Leaves for the other operands of a row that says which shapes it wants."""
    if row.wants is None:
        return
    given = complete(row.params, params, draft.values["a"].layout, row.name)
    for name, operand in zip("bcdef", row.operands[1:], strict=False):
        if not operand.tensor:
            continue
        layouts = tuple(value.layout for value in draft.values.values())
        shape = among(choose, row.wants(layouts, given))
        count = math.prod(shape)
        data: Data = Generated("dyadic", ord(name))
        if operand.dtype == "int64":
            assert row.indexing is not None
            data = draw_index(choose, row.indexing, shape, layouts, given)
        elif operand.dtype == "bool":
            data = [i % 2 for i in range(count)]
        draft.add_leaf(Leaf(name, shape, data, operand.dtype))  # type: ignore[arg-type]


def _fitting(
    draft: Draft, row: Row, op: str, args: tuple[Any, ...], params: dict[str, Any], writes: bool
) -> Apply:
    """The step with as many result names as it has results; raises ProgramError if it cannot be."""
    if writes:
        shaped = draft.shape(Apply(op, args, params), "case")
        if shaped.refused:
            raise ProgramError(shaped.refused)
        return shaped.step
    for count in (1, 2, 3):
        step = Apply(op, args, params, tuple("xyz"[:count]))
        try:
            return draft.shape(step, "case").step
        except ProgramError as error:
            if "results and names" not in str(error):
                raise
    raise ProgramError(f"{row.name} gives more than three results")


def execute(draft: Draft, step: Apply, via: str) -> tuple[Shaped, dict[str, Any]]:
    """Run the leaves and one step, and give back all names."""
    space = names()
    exec(print_body(draft).text, space)
    written = Apply(step.op, step.args, step.params, step.to, via)
    shaped = draft.shape(written, "case")
    space["before"] = space["a"], {n: space[n].clone() for n in draft.values}
    left = ", ".join(step.to) + ("," if shaped.row.multi else "")
    exec(f"{left} = {expression(shaped)}" if step.to else expression(shaped), space)
    return shaped, space


def ways(op: str, step: Apply) -> list[str]:
    """The ways in which a step can be written: one with parameters needs a place for them."""
    row, in_place = OPERATIONS[op]
    templates = row.in_place if in_place else row.plain
    return [
        way
        for way, text in templates.items()
        if "{p}" in text or not step.params.keys() - placed_in(text)
    ]


@pytest.mark.parametrize("op", PLAIN)
def test_every_spelling_gives_the_values_of_the_first(op: str) -> None:
    tried = set()
    for draft, step in cases(op):
        first, *others = ways(op, step)
        _, expected = execute(draft, step, first)
        for way in others:
            _, got = execute(draft, step, way)
            for name in step.to:
                assert same(got[name], expected[name]), f"{op} via {way}"
        tried |= {first, *others}
    bare = set(ways(op, Apply(op, ())))
    assert bare <= tried


@pytest.mark.parametrize("op", WRITING)
def test_every_way_of_writing_keeps_the_object_and_agrees_with_the_first(op: str) -> None:
    """An in-place spelling leaves the very same object, in the same memory."""
    for draft, step in cases(op):
        first, *others = ways(op, step)
        _, expected = execute(draft, step, first)
        for way in (first, *others):
            shaped, got = execute(draft, step, way)
            kept, _ = got["before"]
            assert got["a"] is kept, f"{op} via {way} binds another object"
            assert same(got["a"], expected["a"]), f"{op} via {way}"
            still = shaped.row.inert or (shaped.row.relabels and not shaped.row.outside_the_law)
            # Torch counts this one for some shapes and not for others (observed).
            counted = kept._version == (0 if still else 1) or op == "resize_as_"
            assert counted, f"{op} via {way}"
            if "{0}[" not in shaped.row.in_place[way]:
                returned = _returned(draft, step, way)
                assert returned is None or returned[0] is returned[1], f"{op} via {way}"


def _returned(draft: Draft, step: Apply, way: str) -> tuple[Any, Any] | None:
    """What the expression returns and its target; None where the way is a statement."""
    if way in ("operator", "foreach"):
        return None
    space = names()
    exec(print_body(draft).text, space)
    shaped = draft.shape(Apply(step.op, step.args, step.params, (), way), "case")
    return eval(expression(shaped), space), space["a"]


@pytest.mark.parametrize("op", PLAIN)
def test_the_kind_column_is_true(op: str) -> None:
    """Fresh: new memory. View: shared memory. Maybe-self: as the row says for these operands."""
    for draft, step in cases(op):
        for way in ways(op, step):
            shaped, got = execute(draft, step, way)
            _, before = got["before"]
            assert all(same(got[n], before[n]) for n in draft.values), f"{op} changed an operand"
            for made, name in zip(shaped.made, step.to, strict=True):
                assert _how(got[name], got["a"]) == made.how, f"{op} via {way}"
                assert layout_of(got[name]) == made.layout, f"{op} via {way}"
                assert str(got[name].dtype) == f"torch.{_dtype(shaped, made.how)}"
                assert {"fresh": {"fresh"}, "view": {"view"}}.get(
                    shaped.row.kind, {"fresh", "view", "same"}
                ) >= {made.how}


def _how(result: torch.Tensor, operand: torch.Tensor) -> str:
    if result is operand:
        return "same"
    shared = result.untyped_storage()._cdata == operand.untyped_storage()._cdata
    return "view" if shared else "fresh"


def _dtype(shaped: Shaped, how: str) -> str:
    return shaped.row.dtype if how == "fresh" else "float64"


@pytest.mark.parametrize("name", TABLE)
def test_every_row_says_how_its_gradient_is_made(name: str) -> None:
    row = TABLE[name]
    assert row.derivative
    assert row.names and not set(row.plain) & {""}
    assert all(param.kind in KINDS for param in row.params)


@pytest.mark.parametrize("name", [n for n, row in TABLE.items() if row.plain or not row.relabels])
def test_the_differentiable_column_is_true(name: str) -> None:
    op = name if name in PLAIN else name + "_"
    draft, step = cases(op)[0]
    row = TABLE[name]
    space = names()
    exec(print_body(draft).text, space)
    grad = {n: space[n].requires_grad_() for n, v in draft.values.items() if v.dtype == "float64"}
    space.update({n: t.clone() for n, t in grad.items()} if op in WRITING else grad)
    shaped = draft.shape(step, "case")
    left = f"{step.to[0]}, *_" if row.multi else "x"
    exec(f"{left} = {expression(shaped)}" if step.to else expression(shaped), space)
    assert space["x" if step.to else "a"].requires_grad == row.differentiable


POINTWISE = [n for n, row in TABLE.items() if row.plain and row.kind == "fresh" and row.broadcasts]


@pytest.mark.parametrize("name", POINTWISE)
@settings(max_examples=40)
@given(data=st.data())
def test_fresh_results_lie_where_the_row_says(name: str, data: st.DataObject) -> None:
    """Strides follow the operands' memory order, whatever their layouts."""
    row, shape = TABLE[name], data.draw(shapes(), label="shape")
    space, operands = names(), list[Value | float]()
    for place, operand in enumerate(row.operands):
        if not operand.tensor or (operand.number and data.draw(st.booleans(), label="number")):
            operands.append(2.0)
            continue
        ones = st.integers(0, 4).map(lambda n: n == 4)
        kept = tuple(1 if place and data.draw(ones) else size for size in shape)
        tensor = tensor_at(data.draw(layouts(shape=kept), label=operand.name))
        space[operand.name] = tensor > 2 if operand.dtype == "bool" else tensor
        lies = layout_of(space[operand.name])
        operands.append(Value(operand.name, operand.dtype, lies, place))
    lying = tuple(o.layout if isinstance(o, Value) else None for o in operands)
    if not row.needs(lying):
        return
    params = drawn_for(row, lying[0] or contiguous(()), data.draw(st.integers(0, 9), label="seed"))
    if row.fits(lying, params):
        return
    made = row.result(lying, params)
    for way in ways(name, Apply(name, (), params)):
        step = Apply(name, (), params, ("x",), way)
        shaped = Shaped(step, row, False, tuple(operands), params, made, ())
        seen = layout_of(eval(expression(shaped), space))
        assert seen == made[0].layout, expression(shaped)


def drawn_for(row: Row, layout: Layout, seed: int) -> dict[str, Any]:
    """Parameters as programs are drawn with, for a first operand of this layout."""
    choose, params = Seeded(2, seed), dict[str, Any]()
    for param in row.params:
        params[param.name] = KINDS[param.kind].draw(choose, param, layout, params)
    return complete(row.params, params, layout, row.name)


def row_on(row: Row, layout: Layout, params: dict[str, Any], *, in_place: bool) -> Shaped:
    """A step of the row on a tensor `self` of this layout, as it is printed."""
    to = () if in_place else ("x",)
    step = Apply(row.name + "_" if in_place else row.name, (), params, to)
    return Shaped(step, row, in_place, (Value("self", "float64", layout, 0),), params, (), ())


VIEWS = [n for n, row in TABLE.items() if row.kind in ("view", "maybe-self") and not row.inert]


@pytest.mark.parametrize("name", VIEWS)
@settings(max_examples=60)
@given(layout=layouts(), seed=st.integers(0, 99))
def test_views_lie_where_the_row_says(name: str, layout: Layout, seed: int) -> None:
    """What is drawn for a layout is valid, and its views lie as torch's, copies where it copies."""
    row = TABLE[name]
    if not row.needs((layout,)):
        return
    params = drawn_for(row, layout, seed)
    try:
        made = row.result((layout,), params)
    except ValueError:
        assert name in ("view", "view_as", "index")
        return
    space = {**names(), "self": tensor_at(layout)}
    result = eval(expression(row_on(row, layout, params, in_place=False)), space)
    several = result if isinstance(result, tuple) else (result,)
    assert [layout_of(one) for one in several] == [one.layout for one in made]
    assert [_how(one, space["self"]) for one in several] == [one.how for one in made]


MOVING = [name for name, row in TABLE.items() if row.moves]


@pytest.mark.parametrize("name", MOVING)
@settings(max_examples=60)
@given(layout=layouts(), seed=st.integers(0, 99))
def test_in_place_changes_of_shape_leave_the_target_where_the_row_says(
    name: str, layout: Layout, seed: int
) -> None:
    """The object and its elements stay, its version counts one up, its shape is the plain form's.

    Source: `torch.Tensor.squeeze_` and its like: "In-place version of squeeze()".
    """
    row = TABLE[name]
    if row.moves is None or not row.needs((layout,)):
        return
    params = drawn_for(row, layout, seed)
    tensor = tensor_at(layout)
    plain, moved = row_on(row, layout, params, in_place=False), row.moves(layout, params)
    expected = eval(expression(plain), {**names(), "self": tensor})
    before = tensor._version
    shaped = row_on(row, layout, params, in_place=True)
    assert eval(expression(shaped), {**names(), "self": tensor}) is tensor
    assert layout_of(tensor) == moved == layout_of(expected)
    assert same(tensor, expected) and tensor._version == before + 1


NOT_DERIVED = [
    op
    for op, (row, in_place) in OPERATIONS.items()
    if row.undifferentiable == "always" or (row.undifferentiable == "in place" and in_place)
]


@pytest.mark.parametrize("op", NOT_DERIVED)
def test_what_has_no_derivative_is_recorded_and_says_so_in_backward(op: str) -> None:
    """It raises in every backward, before and after its operands are written."""
    draft, step = cases(op)[0]
    space = names()
    exec(print_body(draft).text, space)
    floats = [name for name, value in draft.values.items() if value.dtype == "float64"]
    space.update({name: space[name].requires_grad_().clone() for name in floats})
    exec(statement(draft.shape(step, "case")), space)
    result = space[step.to[0] if step.to else "a"]
    assert result.requires_grad
    for _ in range(2):
        with pytest.raises(RuntimeError, match="erivative for .* is not implemented"):
            result.sum().backward()
        with torch.no_grad():
            space["a"].add_(1.0)
    assert not [n for n in dir(result.grad_fn) if n.startswith("_saved")]


@pytest.mark.parametrize("name", [n for n, row in TABLE.items() if row.undifferentiable])
def test_a_form_that_is_not_undifferentiable_has_a_gradient(name: str) -> None:
    row = TABLE[name]
    if row.undifferentiable == "always":
        assert row.derivative == "not_implemented" and not row.saves
        return
    if row.undifferentiable == "in self":
        first, other = torch.tensor([0.5, 2.0], dtype=torch.float64)
        assert not getattr(torch, name)(first, other.requires_grad_()).sum().backward()
        return
    operand = torch.tensor([0.5], dtype=torch.float64).requires_grad_()
    getattr(torch, name)(operand).sum().backward()
    assert operand.grad is not None


SIMPLEST: dict[str, dict[str, Any]] = {
    "as_strided": {"size": [2], "stride": [1], "storage_offset": None},
    "unfold": {"dimension": 0, "size": 1, "step": 1},
    "flatten": {"start_dim": 0, "end_dim": -1},
}


@pytest.mark.parametrize("name", SIMPLEST)
def test_parameters_of_views_shrink_to_the_simplest(name: str) -> None:
    layout, params = contiguous((2, 3)), dict[str, Any]()
    for param in TABLE[name].params:
        params[param.name] = KINDS[param.kind].draw(Replayed([]), param, layout, params)
    assert params == SIMPLEST[name]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("as_strided", {"size": [2], "stride": [6]}, "reach memory that its operand"),
    ("as_strided", {"size": [2], "stride": [1], "storage_offset": 5}, "reach memory"),
    ("as_strided", {"size": [2], "stride": [1, 1]}, "a list of 1 strides from 0 up"),
    ("as_strided", {"size": [-1], "stride": [1]}, "a list of sizes from 0 up"),
    ("as_strided", {"size": [1], "stride": [1], "storage_offset": -1}, "an integer from 0 up"),
    ("unfold", {"dimension": 1, "size": 4, "step": 1}, "a size from 0 to 3"),
    ("unfold", {"dimension": 1, "size": 1, "step": 0}, "an integer from 1 to"),
    ("flatten", {"start_dim": 1, "end_dim": 0}, "does not come before start_dim"),
    ("flatten", {"start_dim": 2}, "a dimension of"),
]


@pytest.mark.parametrize(("op", "params", "expected"), REFUSED)
def test_parameters_that_torch_or_the_law_refuses(
    op: str, params: dict[str, Any], expected: str
) -> None:
    draft = Draft()
    draft.add_leaf(Leaf("a", (2, 3), [1.0] * 6))
    with pytest.raises(ProgramError, match=expected):
        draft.add(Apply(op, ("a",), params, ("x",)))
