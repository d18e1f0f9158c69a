"""The kinds of errors: every real message belongs to exactly one kind."""

from __future__ import annotations

import re

import pytest

from conformance.model import QUIRKS, Kind, classify, fragments, predict
from conformance.model.errors import MESSAGES, PAST
from conformance.subjects import InProcessSubject
from strategies.draft import check
from strategies.program import Program, ProgramError
from tests._agreement import agree, program
from tests._errors_in_order import ORDER

TODAY = [kind for kind in Kind if kind not in PAST]
START = """\
w = torch.ones(2, requires_grad=True)
x = w.clone()
"""

PROVOKED: tuple[tuple[Kind, str], ...] = (
    (Kind.LEAF_INPLACE, "w.mul_(2)"),
    (Kind.LEAF_INPLACE, "w[...] = 2.0"),
    (Kind.LEAF_INPLACE, "nn.ReLU(inplace=True)(w)"),
    (Kind.VIEW_OF_LEAF_INPLACE, "w[0] = 2.0"),
    (Kind.VIEW_OF_LEAF_INPLACE, "w.view(1, 2).mul_(2)"),
    (Kind.MULTI_VIEW_INPLACE, "x.unbind()[0].mul_(2)"),
    (Kind.MULTI_VIEW_INPLACE, "torch.ones(2).unbind()[0].mul_(w[0])"),
    (Kind.MULTI_VIEW_INPLACE, "w.chunk(2)[0][0].exp_()"),
    (Kind.MULTI_VIEW_REBASED, "p, q = x.unbind()\nx.mul_(2)\np * 2"),
    (Kind.MULTI_VIEW_REBASED, "b = torch.ones(2)\np, q = b.unbind()\nb.mul_(w)\np.is_leaf"),
    (Kind.MULTI_VIEW_REBASED, "p, q = x.split(1)\ny = p * p\nx.mul_(2)\ny.backward()"),
    (Kind.NO_GRAD_VIEW_INPLACE, "with torch.no_grad():\n    v = x[:1]\nv.mul_(2)"),
    (Kind.NO_GRAD_VIEW_INPLACE, "with torch.no_grad():\n    v = x[:1]\nv.view(1, 1).mul_(2)"),
    (Kind.NO_GRAD_VIEW_INPLACE, "with torch.no_grad():\n    v = torch.ones(2).t()\nv.mul_(w)"),
    (Kind.NO_GRAD_VIEW_REBASED, "with torch.no_grad():\n    v = x[:1]\nx.mul_(2)\nv * 2"),
    (Kind.NO_GRAD_VIEW_REBASED, "with torch.no_grad():\n    v = x[:1]\nx.mul_(2)\nv.grad_fn"),
    (Kind.OVERLAP_SELF, "x.expand(2, 2).mul_(2)"),
    (Kind.OVERLAP_SELF, "with torch.no_grad():\n    w.expand(3, 2).copy_(torch.ones(2))"),
    (Kind.OVERLAP_PARTIAL, "m = torch.ones(2, 2)\nm.add_(m.t())"),
    (Kind.OVERLAP_PARTIAL, "b = torch.ones(3)\nb[1:].copy_(b[:-1])"),
    (Kind.SAVED_MODIFIED, "y = x.exp()\ny.mul_(2)\ny.sum().backward()"),
    (Kind.SAVED_MODIFIED, "b = torch.ones(2)\ny = w * b\nb.zero_()\ny.sum().backward()"),
    (Kind.SAVED_MODIFIED, "x.mul_(x)\ntorch.autograd.backward(x.sum())"),
    (Kind.FREED, "y = (x * 2).sum()\ny.backward()\ny.backward()"),
    (Kind.FREED, "y = x.exp()\ny.sum().backward()\n(y + 1).sum().backward()"),
    (
        Kind.LEAF_MOVED,
        "y = (w * 2).sum()\nw.requires_grad_(False)\n"
        "w.mul_(torch.ones(2, requires_grad=True))\ny.backward()",
    ),
    (Kind.BACKWARD_OVERLAP, "v = x.expand(2, 2)\nv.zero_()\nv.sum().backward()"),
    (Kind.NOTHING_REQUIRES_GRAD, "torch.ones(()).backward()"),
    (Kind.NOTHING_REQUIRES_GRAD, "with torch.no_grad():\n    y = x.sum()\ny.backward()"),
    (Kind.NOTHING_REQUIRES_GRAD, "with torch.no_grad():\n    v = x[:1]\nv.backward()"),
    (Kind.FORBIDDEN_IN_PLACE, "F.leaky_relu(x, -0.5, inplace=True)\nx.sum().backward()"),
    (Kind.FORBIDDEN_IN_PLACE, "nn.ELU(-1.0, inplace=True)(x)\nx.sum().backward()"),
    (Kind.FORBIDDEN_IN_PLACE, "torch.celu_(x, alpha=-1.0)\nx.sum().backward()"),
    (Kind.BROADCAST_TARGET, "x.add_(torch.ones(3, 2))"),
    (Kind.BROADCAST_TARGET, "torch.ones(()).copy_(torch.ones(2))"),
    (Kind.DTYPE_CAST, "torch.ones(2, dtype=torch.int64).mul_(2.0)"),
    (Kind.DTYPE_CAST, "(w > 1).add_(w)"),
    (Kind.DTYPE_CAST, "torch.ones(2, dtype=torch.int64).exp_()"),
    (Kind.OPERANDS_APART, "x.add_(torch.ones(3))"),
    (Kind.OPERANDS_APART, "x.addcmul_(x, torch.ones(3))"),
    (Kind.OPERANDS_APART, "x.masked_fill_(torch.ones(3) > 0, 0.0)"),
    (Kind.FILL_DIMENSIONS, "x.fill_(torch.ones(1))"),
    (Kind.VALUE_SIZE, "x[:] = torch.ones(3)"),
    (Kind.VALUE_SIZE, "x[0:1] = torch.ones(2)"),
    (Kind.VALUE_DIMENSIONS, "x[0] = torch.ones(2)"),
    (Kind.VALUE_DIMENSIONS, "x[:] = torch.ones(3, 2)"),
    (Kind.INDEX_RANGE, "x[2] = 1.0"),
    (Kind.INDEX_RANGE, "x[-3] = 1.0"),
    (Kind.INDEX_COUNT, "x[0, 0] = 1.0"),
    (Kind.INDEX_SCALAR, "x.sum()[0] = 1.0"),
    (Kind.INDEX_SCALAR, "x.sum()[:1] = 1.0"),
    (Kind.VIEW_STRIDE, "torch.ones(2, 3).t().view(6)"),
    (Kind.FLAG_NONLEAF, "x.requires_grad_(False)"),
    (Kind.FLAG_NONLEAF, "x.requires_grad = False"),
    (Kind.DETACH_VIEW, "x[:1].detach_()"),
    (Kind.DETACH_VIEW, "x.unbind()[0].detach_()"),
    (Kind.SAVED_DETACHED, "y = x.sin()\nx.detach_()\ny.sum().backward()"),
    (Kind.NOT_DIFFERENTIABLE, "x.asinh_()\nx.sum().backward()"),
    (Kind.NOT_DIFFERENTIABLE, "y = x.heaviside(w)\ny.sum().backward()"),
    (Kind.INFERENCE_WRITE, "with torch.inference_mode():\n    y = x * 2\ny.mul_(2)"),
    (Kind.INFERENCE_SAVED, "with torch.inference_mode():\n    y = x * 2\ny * w"),
    (Kind.INFERENCE_GRAD, "with torch.inference_mode():\n    y = x * 2\ny.requires_grad_()"),
    (Kind.INFERENCE_VIEW_INPLACE, "with torch.inference_mode():\n    v = x[:1]\nv.mul_(2)"),
    (
        Kind.INFERENCE_VIEW_INPLACE,
        "with torch.inference_mode():\n    v = x[:1]\nv.view(1, 1).mul_(2)",
    ),
    (
        Kind.INFERENCE_VIEW_REBASED,
        "with torch.inference_mode():\n    v = x[:1]\nx.mul_(2)\nv.grad_fn",
    ),
    (
        Kind.INPUT_UNGRADED,
        "c = torch.ones(2)\ntorch.autograd.backward([x.sum()], inputs=[c])",
    ),
    (Kind.INPUT_UNGRADED, "c = torch.ones(2)\ntorch.autograd.grad([x.sum()], [c])"),
    (Kind.OUT_GRAD, "torch.exp(x, out=torch.ones(2))"),
    (Kind.OUT_GRAD, "torch.exp(torch.ones(2), out=x)"),
)
"""What makes torch raise an error of each kind, in the last line."""

OLDER: tuple[tuple[Kind, str], ...] = (
    (
        Kind.LEAF_INPLACE,
        "a leaf Variable that requires grad has been used in an in-place operation.",
    ),
    (
        Kind.SAVED_MODIFIED,
        "one of the variables needed for gradient computation has been modified by an inplace "
        "operation: [torch.FloatTensor [2]], which is output 0 of ExpBackward, is at version 1; "
        "expected version 0 instead.",
    ),
)
"""How earlier versions of torch put it: before 1.5 and before 1.10."""

OTHERS = (
    "(w > 1).sub_(1.0)",
    "(w > 1).floor_()",
    "x.view(3)",
    "torch.ones(2, dtype=torch.int64).requires_grad_()",
    "torch.autograd.grad([x.sum()], [torch.ones(2, requires_grad=True)])",
    "with torch.inference_mode():\n    y = x * 2\ny._version",
    "x.backward()",
    "torch.clamp(x)",
    "1 / 0",
)
"""Errors of none of the kinds."""


SMALLEST: dict[Kind, str] = {
    Kind.LEAF_INPLACE: "w = leaf()\nw.mul_(2.0)",
    Kind.VIEW_OF_LEAF_INPLACE: "w = leaf()\nv = w.view_as()\nv.mul_(2.0)",
    Kind.MULTI_VIEW_INPLACE: "w = leaf(1)\n(p,) = w.unbind()\np.mul_(2.0)",
    Kind.MULTI_VIEW_REBASED: (
        "w = leaf(1)\n(p,) = w.unbind()\nd = w.detach()\nd.mul_(2.0)\nbackward(p)"
    ),
    Kind.NO_GRAD_VIEW_INPLACE: "w = leaf()\nwith no_grad:\n    v = w.view_as()\nv.mul_(2.0)",
    Kind.NO_GRAD_VIEW_REBASED: (
        "w = leaf()\nwith no_grad:\n    v = w.view_as()\n    w.mul_(2.0)\nbackward(v)"
    ),
    Kind.OVERLAP_SELF: "b = const()\ne = b.expand(shape=[2])\ne.mul_(2.0)",
    Kind.OVERLAP_PARTIAL: "b = const(1)\nv = b.view(shape=[])\nb.mul_(v)",
    Kind.SAVED_MODIFIED: "w = leaf()\nx = w.mul(2.0)\nx.mul_(x)\nbackward(x)",
    Kind.FREED: "w = leaf()\nx = w.mul(2.0)\nbackward(x)\nbackward(x)",
    Kind.LEAF_MOVED: (
        "w = leaf()\nx = w.mul(2.0)\nw.requires_grad_(requires_grad=False)\nw.mul_(x)\nbackward(x)"
    ),
    Kind.BACKWARD_OVERLAP: (
        "w = leaf()\nx = w.mul(2.0)\ne = x.expand(shape=[2])\ne.zero_()\nbackward(x)"
    ),
    Kind.NOTHING_REQUIRES_GRAD: "b = const()\nbackward(b)",
    Kind.FORBIDDEN_IN_PLACE: (
        "w = leaf()\nx = w.mul(2.0)\nx.leaky_relu_(negative_slope=-0.5)\nbackward(x)"
    ),
    Kind.BROADCAST_TARGET: "b = const()\nc = const(2)\nb.mul_(c)",
    Kind.OPERANDS_APART: "b = const(2)\nc = const(0)\nb.mul_(c)",
    Kind.FILL_DIMENSIONS: "b = const(1)\nb.fill_(b)",
    Kind.VALUE_SIZE: "b = const(2)\nc = const(0)\nc[...] = b",
    Kind.VALUE_DIMENSIONS: "b = const(2)\nb[0] = b",
    Kind.INDEX_RANGE: "b = const(1)\nb[1] = 2.0",
    Kind.INDEX_COUNT: "b = const()\nb[0, 0] = 2.0",
    Kind.INDEX_SCALAR: "b = const()\nb[0] = 2.0",
    Kind.DTYPE_CAST: "m = ints()\nm.mul_(2.0)",
    Kind.VIEW_STRIDE: "b = const(2, 2)\nt = b.t()\nv = t.view(shape=[-1])",
    Kind.FLAG_NONLEAF: "w = leaf()\nx = w.mul(2.0)\nx.requires_grad_(requires_grad=False)",
    Kind.DETACH_VIEW: "b = const()\nv = b.view_as()\nv.detach_()",
    Kind.SAVED_DETACHED: ("w = leaf()\nx = w.mul(2.0)\ny = x.square()\nx.detach_()\nbackward(y)"),
    Kind.NOT_DIFFERENTIABLE: "w = leaf()\ny = w.heaviside(w)\nbackward(y)",
    Kind.INFERENCE_WRITE: "b = const()\nwith inference_mode:\n    y = b.mul(2.0)\ny.mul_(2.0)",
    Kind.INFERENCE_SAVED: "w = leaf()\nwith inference_mode:\n    y = w.mul(2.0)\nz = w.mul(y)",
    Kind.INFERENCE_GRAD: (
        "b = const()\nwith inference_mode:\n    y = b.mul(2.0)\ny.requires_grad_()"
    ),
    Kind.INFERENCE_VIEW_INPLACE: (
        "w = leaf()\nwith inference_mode:\n    v = w.view_as()\nv.mul_(2.0)"
    ),
    Kind.INFERENCE_VIEW_REBASED: (
        "w = leaf()\nwith inference_mode:\n    v = w.view_as()\n    w.mul_(2.0)\nbackward(v)"
    ),
    Kind.INPUT_UNGRADED: 'w = leaf()\nb = const()\nbackward(w, inputs=("b",))',
    Kind.OUT_GRAD: "w = leaf()\nb = const()\nb.exp_out(w)",
}
"""The smallest program that raises each kind, in its last step."""


@pytest.fixture(scope="module")
def eager() -> InProcessSubject:
    """The torch of this interpreter."""
    return InProcessSubject("in process")


def raised(subject: InProcessSubject, body: str) -> tuple[str, bool]:
    """The message of the error that a body ends with, and whether backward raised it."""
    text = START + body
    error = subject.run(text, []).error
    assert error is not None, f"nothing raised:\n{text}"
    lines = text.splitlines()
    assert error.line == len(lines), f"raised in line {error.line}:\n{text}"
    return error.message, "backward(" in lines[-1]


@pytest.mark.parametrize(("kind", "body"), PROVOKED)
def test_real_messages(kind: Kind, body: str, eager: InProcessSubject) -> None:
    """An error is told apart by its message, and by whether backward raised it."""
    message, in_backward = raised(eager, body)
    assert classify(message, in_backward=in_backward) is kind, message


@pytest.mark.parametrize(("kind", "message"), OLDER)
def test_older_messages(kind: Kind, message: str) -> None:
    """The fragments hold for the wording of earlier versions."""
    assert classify(message, in_backward=True) is kind


@pytest.mark.parametrize(("kind", "body"), PROVOKED)
def test_messages_exclude_each_other(kind: Kind, body: str, eager: InProcessSubject) -> None:
    """A message fits the fragments of one kind only: the order of the table decides nothing."""
    message, _ = raised(eager, body)
    fitting = [
        known
        for known, wording in MESSAGES
        if all(part in message for part in wording.has)
        and not any(part in message for part in wording.lacks)
    ]
    overlaps = kind in (Kind.OVERLAP_SELF, Kind.BACKWARD_OVERLAP)
    assert fitting == ([] if overlaps else [kind]), message


@pytest.mark.parametrize("kind", TODAY)
def test_every_kind_is_known_and_provoked(kind: Kind, eager: InProcessSubject) -> None:
    """Every kind has fragments, and a real message that contains them all."""
    assert fragments(kind)
    body = next(body for provoked, body in PROVOKED if provoked is kind)
    message, _ = raised(eager, body)
    assert all(part in message for part in fragments(kind))


@pytest.mark.parametrize("kind", TODAY)
def test_smallest_program_raises_as_predicted(kind: Kind, eager: InProcessSubject) -> None:
    """The model names the step and the kind, and torch raises there, in words of that kind."""
    draft = program(SMALLEST[kind])
    raises = agree(draft, eager, watched=False).raises
    assert raises is not None
    assert (raises.kind, raises.step) == (kind, len(draft.steps) - 1)


@pytest.mark.parametrize("kind", TODAY)
def test_every_step_of_a_smallest_program_is_needed(kind: Kind) -> None:
    """Without any one of its steps it raises nothing of that kind, or cannot be."""
    whole = program(SMALLEST[kind]).program()
    for index in range(len(whole.steps)):
        steps = whole.steps[:index] + whole.steps[index + 1 :]
        try:
            raises = predict(check(Program(whole.leaves, steps)), quirks=QUIRKS).raises
        except ProgramError:
            continue
        assert raises is None or raises.kind is not kind


def both(text: str) -> str:
    """A program in which two errors could be raised."""
    return re.sub(r" *# else.*", "", text)


def second_alone(text: str) -> str:
    """The program with what stands behind `# else` for each line that is the first's cause."""
    lines = []
    for line in text.splitlines():
        _, marked, other = line.partition("# else")
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(indent + other.strip() if marked else line)
    return "\n".join(filter(str.strip, lines))


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [pytest.param(*pair, id=f"{pair[0].value}, {pair[1].value}") for pair in ORDER],
)
def test_of_two_errors_the_first_is_raised(
    first: Kind, second: Kind, text: str, eager: InProcessSubject
) -> None:
    """Torch raises the one that the model says, and the other one where its cause is gone."""
    for kind, body in ((first, both(text)), (second, second_alone(text))):
        draft = program(body)
        raises = agree(draft, eager, watched=False).raises
        assert raises is not None
        assert (raises.kind, raises.step) == (kind, len(draft.steps) - 1), body


@pytest.mark.parametrize("in_backward", [False, True])
@pytest.mark.parametrize("body", OTHERS)
def test_other_errors_are_of_no_kind(body: str, in_backward: bool, eager: InProcessSubject) -> None:
    """An error that no rule predicts is not taken for one that a rule does."""
    message, _ = raised(eager, body)
    assert classify(message, in_backward=in_backward) is None
