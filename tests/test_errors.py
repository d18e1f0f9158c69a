"""The kinds of errors: every real message belongs to exactly one kind."""

from __future__ import annotations

import pytest

from conformance.model import Kind, classify, fragments
from conformance.model.errors import MESSAGES
from conformance.subjects import InProcessSubject

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
    "x.add_(torch.ones(3))",
    "x.view(3)",
    "torch.ones(2, dtype=torch.int64).requires_grad_()",
    "x.requires_grad_(False)",
    "x[:1].detach_()",
    "x.backward()",
    "x[5]",
    "torch.clamp(x)",
    "1 / 0",
)
"""Errors of none of the kinds."""


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


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_known_and_provoked(kind: Kind, eager: InProcessSubject) -> None:
    """Every kind has fragments, and a real message that contains them all."""
    assert fragments(kind)
    body = next(body for provoked, body in PROVOKED if provoked is kind)
    message, _ = raised(eager, body)
    assert all(part in message for part in fragments(kind))


@pytest.mark.parametrize("in_backward", [False, True])
@pytest.mark.parametrize("body", OTHERS)
def test_other_errors_are_of_no_kind(body: str, in_backward: bool, eager: InProcessSubject) -> None:
    """An error that no rule predicts is not taken for one that a rule does."""
    message, _ = raised(eager, body)
    assert classify(message, in_backward=in_backward) is None
