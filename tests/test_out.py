"""The `out=` forms: which rows have one, what it writes, and that autograd refuses it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from conformance.model import Kind, classify, predict
from conformance.model.out import COPIED
from conformance.model.quirks import BY_FALLBACK, OUT_UNSEEN
from strategies.choices import Seeded
from strategies.draft import Draft, Value, check
from strategies.growth import Growth
from strategies.layout import Layout, contiguous
from strategies.outs import write_out
from strategies.printer import print_body
from strategies.program import Apply, Backward, Leaf
from strategies.recipe import DEFAULT
from strategies.statements import expression
from strategies.table import OUT, TABLE
from strategies.table.out import APART, SUFFIX, WITHOUT
from tests.on_torch import names, run, same
from tests.test_table import cases


def written(op: str) -> list[tuple[Draft, Apply]]:
    """Steps of an `out=` form into a leaf of the result's shape, each with its leaves."""
    found = []
    for draft, plain in cases(op.removesuffix(SUFFIX)):
        if op in ("sum_out", "prod_out") and draft.shape(plain, "case").params["dim"] is None:
            continue
        shape = draft.shape(plain, "case").results[0].layout.shape
        count = int(torch.Size(shape).numel())
        draft.add_leaf(Leaf("z", shape, [7.0] * count))
        found.append((draft, Apply(op, ("z", *plain.args), plain.params)))
    return found


def execute(draft: Draft, step: Apply) -> dict[str, Any]:
    """All names after the leaves and the step."""
    space = names()
    exec(print_body(draft).text, space)
    exec(expression(draft.shape(step, "case")), space)
    return space


@pytest.mark.parametrize("op", sorted(OUT.keys() - {"kron_out"}))
def test_out_holds_what_the_plain_form_returns(op: str) -> None:
    """`out` is overwritten with the result, bit for bit; its version rises, most often by one."""
    for draft, step in written(op):
        space = execute(draft, step)
        plain = Apply(op.removesuffix(SUFFIX), step.args[1:], step.params, ("y",))
        exec(f"y = {expression(draft.shape(plain, 'case'))}", space)
        operands = draft.shape(step, "case").operands
        layouts = tuple(o.layout if isinstance(o, Value) else None for o in operands)
        steps = OUT[op].writes_in(layouts, step.params)
        assert same(space["z"], space["y"].double()) and space["z"]._version == steps


# No case of take has an index of the shape of what it is taken from.
@pytest.mark.parametrize("name", sorted(APART - {"take"}))
def test_what_reads_by_an_index_refuses_out_that_is_its_operand(name: str) -> None:
    """So does the model, and so does the local torch; each kernel has a check of its own."""
    refused = 0
    for draft, step in written(name + SUFFIX):
        source = step.args[1]
        assert isinstance(source, str)
        shape = draft.values["z"].layout.shape
        if draft.values[source].layout.shape != shape:
            continue
        itself = Apply(step.op, (source, *step.args[1:]), step.params, modes=("no_grad",))
        draft.add(itself)
        raised = predict(draft).raises
        assert raised is not None and raised.kind == Kind.OVERLAP_PARTIAL
        error = run(draft).error
        assert error is not None and classify(str(error), in_backward=False) == raised.kind
        refused += 1
    assert refused


def test_a_product_of_kronecker_is_written_unseen() -> None:
    """It should raise the version as others do, and does not (the register has a program)."""
    for draft, step in written("kron_out"):
        space = execute(draft, step)
        assert space["z"].any() and space["z"]._version == 0


@pytest.mark.parametrize("op", sorted(OUT_UNSEEN))
def test_what_is_decided_is_written_where_autograd_does_not_look(op: str) -> None:
    """Neither a leaf is refused nor a history touched (the register has a program)."""
    draft, step = written(op)[0]
    text = expression(draft.shape(step, "case"))
    space = names()
    exec(print_body(draft).text, space)
    leaf = space["z"].requires_grad_()
    exec(text, space)
    assert leaf.is_leaf and leaf.requires_grad and leaf._version == 1
    space["z"] = leaf * 2.0
    before = space["z"].grad_fn
    exec(text, space)
    assert space["z"].grad_fn is before


def test_an_inner_product_is_copied_and_has_its_gradient() -> None:
    """Programs leave it open, since no page rules it out."""
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    out = torch.zeros(())
    torch.inner(a, a, out=out)
    out.backward()
    assert a.grad is not None and a.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("op", sorted(OUT.keys() - BY_FALLBACK - OUT_UNSEEN.keys() - COPIED))
def test_out_is_refused_where_anything_requires_grad(op: str) -> None:
    """The operand or `out` itself: either is enough, and neither is where nothing is recorded."""
    draft, step = written(op)[0]
    floats = [n for n in (str(a) for a in step.args) if n in draft.values]
    for name in (n for n in floats if draft.values[n].dtype == "float64"):
        space = names()
        exec(print_body(draft).text, space)
        space[name].requires_grad_()
        text = expression(draft.shape(step, "case"))
        with pytest.raises(RuntimeError) as raised:
            exec(text, space)
        assert classify(str(raised.value), in_backward=False) is Kind.OUT_GRAD
        assert space["z"]._version == 0
        with torch.no_grad():
            exec(text, space)
        assert space["z"].requires_grad == (name == "z") and space["z"].is_leaf


@pytest.mark.parametrize("op", sorted(BY_FALLBACK))
def test_what_goes_by_the_fallback_is_recorded_and_says_so_in_backward(op: str) -> None:
    """Only a leaf as `out` is refused (the register has a program)."""
    draft, step = written(op)[0]
    text = expression(draft.shape(step, "case"))
    space = names()
    exec(print_body(draft).text, space)
    space[str(step.args[1])].requires_grad_()
    exec(text, space)
    assert space["z"].grad_fn is not None
    with pytest.raises(RuntimeError, match="derivative for .* is not implemented"):
        space["z"].sum().backward()
    space["z"] = torch.zeros_like(space["z"]).requires_grad_()
    with pytest.raises(RuntimeError) as raised:
        exec(text, space)
    assert classify(str(raised.value), in_backward=False) is Kind.OUT_GRAD


def test_what_torch_would_write_elsewhere_is_not_drawn() -> None:
    """Matrices that are one stride apart in `out` are, whatever strides they have themselves."""
    one, row = contiguous((2, 3, 2, 2)), OUT["triu_out"]
    for strides, elsewhere in (
        ((12, 4, 1, 2), False),
        ((3, 1, 12, 6), False),
        ((4, 8, 2, 1), True),
        ((12, 1, 6, 3), True),
    ):
        layouts = (Layout(one.shape, strides), one)
        assert bool(row.astray(layouts, {})) == elsewhere != row.drawn(layouts)


@pytest.mark.parametrize("name", sorted(WITHOUT & set(TABLE)))
def test_rows_without_out_refuse_it(name: str) -> None:
    """What is said to take no `out` takes none; median takes one only where a dim is named."""
    row, (draft, step) = TABLE[name], cases(name)[0]
    assert row.plain["function"].startswith("torch.")
    space = names()
    exec(print_body(draft).text, space)
    text = expression(draft.shape(Apply(name, step.args, step.params, step.to, "function"), "case"))
    with pytest.raises(TypeError, match="argument 'out'|, out=Tensor|arguments: \"dim\""):
        exec(f"{text[:-1]}, out=a.clone())", space)


def test_what_out_overwrites_keeps_its_history() -> None:
    """Inside `no_grad` the value is new and the derivative is that of the old, as of any write."""
    draft = Draft()
    draft.add_leaf(Leaf("w", (2,), [1.0, 2.0], requires_grad=True))
    draft.add(Apply("mul", ("w", 3.0), to=("x",)))
    draft.add(Apply("exp_out", ("x", "w"), modes=("no_grad",)))
    draft.add_backward(Backward(("x",), ([1.0, 1.0],)))
    ran = run(draft)
    assert ran.error is None and predict(draft).raises is None
    assert ran.names["w"].grad.tolist() == [3.0, 3.0]


def test_drawn_steps_are_legal_and_most_of_them_run() -> None:
    """A tenth or so is refused by autograd; the others write where nothing is recorded."""
    raised = []
    for index in range(300):
        growth = Growth(Seeded(31, index), DEFAULT)
        growth.leaf(requires_grad=True)
        growth.leaf()
        if write_out(growth) is not None:
            raised.append(predict(check(growth.draft.program())).raises)
    kinds = [found.kind for found in raised if found is not None]
    assert len(raised) > 200 and set(kinds) <= {Kind.OUT_GRAD}
    assert 0.02 * len(raised) < len(kinds) < 0.3 * len(raised)
