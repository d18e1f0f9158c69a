"""What is read of whole scripts: who shares memory, at which version, and what is not read."""

from __future__ import annotations

import pytest

from conformance.explain import trace_of_script
from conformance.records import Trace, TraceStep
from tests.readings import disagreements

X = "x = torch.tensor([1.0, 2.0], device=DEVICE)\n"
LEAF = "x = torch.tensor([1.0, 2.0], device=DEVICE, requires_grad=True)\n"


def read(body: str) -> Trace:
    """What is read of a body that has something to draw."""
    trace = trace_of_script(body)
    assert trace is not None
    return trace


def notes(step: TraceStep) -> str:
    """What is said of a step."""
    return "; ".join(step.notes)


AGREEING = {
    "view": X + "y = x.view(2)\ny.mul_(2)\n",
    "index": X + "y = x[0]\nx[0] = 5.0\nz = x[torch.tensor([0])]\n",
    "part written": X + "x[:1] += 2\n",
    "augmented": X + "old = x\nx += 1\n",
    "rebound": X + "old = x\nx = x + 1\n",
    "matrix product rebinds": "x = torch.ones(2, 2)\nold = x\nx @= torch.ones(2, 2)\n",
    "function in place": X + "y = F.relu(x, inplace=True)\n",
    "layer in place": X + "layer = nn.ReLU(inplace=True)\ny = layer(x)\n",
    "layer": X + "y = nn.ReLU()(x)\n",
    "out": X + "y = torch.zeros(2)\nz = torch.add(x, x, out=y)\n",
    "detach": LEAF + "y = x * 2\nz = y.detach()\nz.add_(1)\n",
    "data": LEAF + "y = x.data\ny.add_(1)\n",
    "no_grad": LEAF + "with torch.no_grad():\n    y = x * 2\n    x.mul_(3)\nz = x * 2\n",
    "inner region": LEAF
    + "with torch.no_grad():\n    with torch.enable_grad():\n        y = x * 2\n    z = x * 3\n",
    "grad flows into a base": LEAF + "y = torch.zeros(2)\nz = y[:1]\nz.copy_(x[:1])\n",
    "refused": LEAF + "try:\n    x.mul_(2)\nexcept RuntimeError as error:\n    facts['e'] = 1\n",
    "inference": "with torch.inference_mode():\n    x = torch.zeros(2)\n    x.add_(1)\n",
    "complex": "x = torch.ones(2, dtype=torch.complex64)\nx.imag.neg_()\nx.real.mul_(2)\n",
    "requires_grad_": X + "x = x.clone().requires_grad_()\ny = x > 0\n",
    "fill": X + "y = x.uniform_()\n",
}


@pytest.mark.parametrize("body", AGREEING.values(), ids=AGREEING)
def test_what_is_drawn_is_what_torch_does(body: str) -> None:
    """Every statement is read, and at the end each name is where it is drawn."""
    assert not any(note.startswith("not read") for step in read(body).steps for note in step.notes)
    assert disagreements(body) == []


def test_versions_before_and_after_a_write() -> None:
    *_, step = read(X + "y = x.view(2)\ny.mul_(2)\n").steps
    (storage,) = step.storages
    assert [(one.names, one.before, one.after) for one in storage.counters] == [(("x", "y"), 0, 1)]
    assert [(one.name, one.how, one.of) for one in storage.names] == [
        ("x", "leaf", ""),
        ("y", "view", "x"),
    ]
    assert step.notes == ("writes y in place",)


def test_write_that_must_raise_changes_nothing() -> None:
    """And what stands after it is not reached, unless the script catches the error."""
    _, refused, after = read(LEAF + "x.mul_(2)\ny = x * 2\n").steps
    assert refused.raises and refused.storages == ()
    assert not after.reached
    caught = LEAF + "try:\n    x.mul_(2)\nexcept RuntimeError as e:\n    facts[0] = str(e)\n"
    _, refused, after = read(caught + "y = x * 2\n").steps
    assert refused.raises and after.reached
    assert after.opening == ("except RuntimeError as e:", "    facts[0] = str(e)")


UNREAD = {
    "a call of its own": "def f(t):\n    return t.mul_(2)\n\n\ny = f(x)\n",
    "a name that a function uses": "def f():\n    return x.mul_(2)\n\n\nf()\n",
    "a loop": "for _ in range(2):\n    x.mul_(2)\n",
    "a condition": "if facts:\n    x.mul_(2)\n",
    "storage": "x.resize_(1)\n",
    "a list": "held = [x]\n",
    "a comprehension": "y = sum(t for t in (x,))\n",
    "what is not drawn": "y = x.reshape(2)\ny.mul_(2)\n",
    "a product of another": "y = x.reshape(2)\ny += 1\n",
    "two names": "y, z = x, x\n",
    "exec": 'exec("x.mul_(2)", {"x": x})\n',
    "a lambda": "y = list(map(lambda t: t.mul_(2), [x]))\n",
}


@pytest.mark.parametrize("rest", UNREAD.values(), ids=UNREAD)
def test_what_is_not_read_says_so_and_its_memory_is_drawn_no_longer(rest: str) -> None:
    """Nothing is invented: neither of the statement, nor of what it may have written."""
    *_, last = read(X + rest + "y = x + 1\n").steps
    told = read(X + rest + "y = x + 1\n").steps
    (unread,) = [step for step in told if notes(step).startswith("not read: ")]
    assert "is drawn no longer: x" in notes(unread)
    assert [storage.names for storage in unread.storages] == [()]
    assert last.storages == ()


def test_script_of_which_nothing_can_be_drawn_has_no_trace() -> None:
    assert trace_of_script("import inspect\n\nfor name in dir(F):\n    facts[name] = 1\n") is None
