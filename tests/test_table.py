"""The op table against torch: every spelling, every kind, every layout."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.choices import Seeded
from strategies.draft import Draft, Shaped, Value
from strategies.drawing import layouts, shapes
from strategies.parameters import KINDS
from strategies.printer import expression, print_body
from strategies.program import Apply, Generated, Leaf, ProgramError
from strategies.table import OPERATIONS, TABLE, Row
from tests.on_torch import layout_of, names, same, tensor_at

# torch warns of 3-d inputs to dropout2d, whose meaning is to change.
pytestmark = pytest.mark.filterwarnings("ignore:dropout2d:UserWarning")

PLAIN = [op for op, (_, in_place) in OPERATIONS.items() if not in_place]
WRITING = [op for op, (_, in_place) in OPERATIONS.items() if in_place]
SHAPES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((2, 3), (2, 3), (2, 3)),
    ((3,), (3,), (3,)),
    ((), (), ()),
    ((2, 3), (), (3,)),
    ((2, 2), (2, 2), (2, 2)),
    ((2, 3), (3,), ()),
    ((2, 2, 2), (2, 2, 2), (2,)),
    ((2, 1, 2, 2, 2), (2,), ()),
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
            count = math.prod(shape)
            if operand.dtype == "bool":
                draft.add_leaf(Leaf(name, shape, [i % 2 for i in range(count)], "bool"))
            else:
                draft.add_leaf(Leaf(name, shape, Generated(generator, ord(name))))
        args = [n if o.tensor else 2.0 for n, o in zip("abc", row.operands, strict=False)]
        choose, params = Seeded(1, index), dict[str, Any]()
        first = draft.values["a"].layout
        try:
            for param in row.params:
                params[param.name] = KINDS[param.kind].draw(choose, param, first, params)
            made.append((draft, _fitting(draft, row, op, tuple(args), params, in_place)))
        except (ProgramError, IndexError, ZeroDivisionError):
            continue
    assert made, f"no shapes here suit {op}"
    return made[:most]


def _fitting(
    draft: Draft, row: Row, op: str, args: tuple[Any, ...], params: dict[str, Any], writes: bool
) -> Apply:
    """The step with as many result names as it has results; raises ProgramError if it cannot be."""
    if writes:
        return draft.shape(Apply(op, args, params), "case").step
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
    return [way for way, text in templates.items() if not step.params or "{p}" in text]


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
    assert bare - tried <= ({"operator"} if OPERATIONS[op][0].params else set())


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
            assert kept._version == (0 if shaped.row.inert else 1), f"{op} via {way}"
            if "{0}[" not in shaped.row.in_place[way]:
                returned = _returned(draft, step, way)
                assert returned is None or returned[0] is returned[1], f"{op} via {way}"


def _returned(draft: Draft, step: Apply, way: str) -> tuple[Any, Any] | None:
    """What the expression returns and its target; None where the way is a statement."""
    if way == "operator":
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


@pytest.mark.parametrize("name", TABLE)
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
    params = {p.name: p.choices[0] if p.choices else p.default for p in row.params}
    made = row.result(lying, params)
    for way in ways(name, Apply(name, (), params)):
        step = Apply(name, (), params, ("x",), way)
        shaped = Shaped(step, row, False, tuple(operands), params, made, ())
        assert layout_of(eval(expression(shaped), space)) == made[0].layout, expression(shaped)
