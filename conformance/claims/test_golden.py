"""The articles' own numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from conformance.claims._guided import GUIDED
from conformance.claims._seeing import Shown, exactly, expecting, flag, says, within
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.tolerances import GOLDEN_ATOL, GOLDEN_SUM_ATOL
from conformance.trial import Script, Trial

_ARTICLE = "the article prints it"

# -- nn.ReLU(inplace)

_RELU_INPUT = [[1.1447, 0.9016, 0.5025, 0.9009, -0.6837, -0.1229, -0.9358]]
_RELU_OUTPUT = [[1.8603, 0.7530, 0.0000]]
_RELU_MID = [[1.8603, 0.7530, -4.0126]]

_RELU = """\
# numpy's randn(7, 3) and then randn(1, 7) after np.random.seed(1), as float32
W = torch.tensor({weights}, device=DEVICE, requires_grad=True)
input = torch.tensor({input}, device=DEVICE)
mid = torch.mm(input, W)
output = nn.ReLU({argument})(mid)
torch.sum(output).backward()
"""


@proves("relu-golden")
def test_relu_golden(trial: Trial) -> None:
    """The article's figures come out with inplace=False, True and the default (article 000)."""
    random = np.random.RandomState(1)
    weights, given = (random.randn(*shape).astype(np.float32) for shape in ((7, 3), (1, 7)))
    for argument in ("inplace=False", "inplace=True", ""):
        body = _RELU.format(weights=_literal(weights), input=_literal(given), argument=argument)
        overwrites = argument == "inplace=True"

        def check(shown: Shown, overwrites: bool = overwrites) -> Iterator[Finding]:
            return _relu_figures(shown, given, overwrites=overwrites)

        trial.once(Script(body, ("W", "input", "mid", "output"), expecting(check)))


def _literal(values: NDArray[np.float32]) -> str:
    # Nine digits are enough to tell every float32 from its neighbours.
    rows = (", ".join(f"{value:.9g}" for value in row) for row in values)
    return "[" + ", ".join(f"[{row}]" for row in rows) + "]"


def _relu_figures(
    shown: Shown, given: NDArray[np.float32], *, overwrites: bool
) -> Iterator[Finding]:
    output = np.array(_RELU_OUTPUT)
    yield from within("input", shown.array("input"), np.array(_RELU_INPUT), GOLDEN_ATOL, _ARTICLE)
    yield from exactly("input", shown.array("input"), given, "nothing writes the input")
    yield from within("output", shown.array("output"), output, GOLDEN_ATOL, _ARTICLE)
    mid = output if overwrites else np.array(_RELU_MID)
    yield from within("mid", shown.array("mid"), mid, GOLDEN_ATOL, _ARTICLE)
    shared = shown.one_memory("mid", "output")
    why = "inplace=True returns the tensor that it was given, and nothing else does"
    yield from flag("one memory for mid and output", shared, overwrites, why, "wrong aliasing")
    column = given.T.astype(np.float64)
    gradient = np.concatenate([column, column, 0.0 * column], axis=1)
    kind = "silent wrong gradient"
    why = "the input where the output is positive"
    yield from exactly("W.grad", shown.grad("W"), gradient, why, kind)
    third, code = shown.grad("W"), "[math.copysign(1, v) for v in W.grad[:, 2].tolist()]"
    signs = third.derived(f"torch.tensor({code})", np.copysign(1.0, third.value[:, 2]))
    why = "zeros have the sign of the input in the article's print"
    wanted = np.copysign(1.0, given[0])
    yield from exactly("the signs of W.grad[:, 2]", signs, wanted, why, kind)


# -- GuidedBackpropReLU

_MASKS = np.array([[int(bit) for bit in row] for row in ("10100", "11011", "11000")], np.float64)
_LOSS = 7.155285835266113

_GUIDED = """\
losses = []
leaves = []
for activation in (nn.ReLU(), F.relu, GuidedBackpropReLU.apply):
    torch.manual_seed(20200910)
    leaf = torch.randn(3, 5).to(DEVICE).requires_grad_()
    loss = {coefficient} * torch.sum(activation(leaf))
    loss.backward()
    losses.append(loss.item())
    leaves.append(leaf)
x1, x2, x3 = leaves
facts["losses"] = losses
"""


@proves("guided-golden")
def test_guided_golden(trial: Trial) -> None:
    """The article's loss and masks come out for both signs of the loss (article 002)."""
    for coefficient in (1.0, -1.0):

        def check(shown: Shown, coefficient: float = coefficient) -> Iterator[Finding]:
            return _guided_figures(shown, coefficient)

        body = GUIDED["clamp"] + _GUIDED.format(coefficient=coefficient)
        trial.once(Script(body, ("x1", "x2", "x3", "facts"), expecting(check)))


def _guided_figures(shown: Shown, coefficient: float) -> Iterator[Finding]:
    seen = np.array(shown.fact("losses").value, np.float64)
    losses = shown.look('torch.tensor(facts["losses"], dtype=torch.float64)', seen)
    wanted = np.full(3, coefficient * _LOSS)
    yield from within("losses", losses, wanted, GOLDEN_SUM_ATOL, _ARTICLE)
    equal = losses.derived(f"{losses.code}[:1].expand(3)", np.full(3, seen[0]))
    yield from exactly("losses", losses, equal, "the article finds the three losses equal")
    guided = _MASKS if coefficient > 0 else 0 * _MASKS
    gradients = {"x1": coefficient * _MASKS, "x2": coefficient * _MASKS, "x3": guided}
    for name, gradient in gradients.items():
        grad = shown.grad(name)
        yield from exactly(f"{name}.grad", grad, gradient, _ARTICLE, "silent wrong gradient")


# -- torch.no_grad

_NO_GRAD = """\
a = torch.tensor([1.1], device=DEVICE, requires_grad=True)
b = a * 2
with torch.no_grad():
    c = b + 2
"""
_TRUNCATED = "d = torch.tensor([10.0], device=DEVICE, requires_grad=True)\ne = c * d\n"
_FIRST = _NO_GRAD + _TRUNCATED + "e.backward()\n"
_SECOND = _NO_GRAD + _TRUNCATED + "f = a + e\nf.backward()\n"
_THIRD = (
    _NO_GRAD
    + """\
try:
    c.backward()
except RuntimeError as error:
    facts["raised"] = str(error)
with torch.no_grad():
    b.mul_(2)
"""
)


@proves("no-grad-golden")
def test_no_grad_golden(trial: Trial) -> None:
    """The article's figures on torch.no_grad come out (article 004)."""
    trial.once(Script(_FIRST, ("a", "b", "c", "d", "e"), expecting(_truncated)))
    trial.once(Script(_SECOND, ("a", "d", "e", "f"), expecting(_other_path)))
    trial.once(Script(_THIRD, ("b", "c", "facts"), expecting(_cannot_go_back)))


def _value(shown: Shown, name: str, value: float) -> Iterator[Finding]:
    yield from within(name, shown.array(name), np.array([value]), GOLDEN_ATOL, _ARTICLE)


def _recorded(shown: Shown, name: str, wanted: bool) -> Iterator[Finding]:
    for what in ("requires_grad", "grad_fn"):
        does = shown.attribute(name, what)
        yield from flag(f"{name}'s {what}", does, wanted, _ARTICLE, "wrong flag")


def _gradient(shown: Shown, name: str, value: float | None) -> Iterator[Finding]:
    seen = shown.grad_contents(name)
    kind = "silent wrong gradient"
    if seen.value is None or value is None:
        does = None if seen.value is None else seen.value.array().tolist()
        listed = seen.derived(
            f"({seen.code} if {seen.code} is None else {seen.code}.tolist())", does
        )
        yield from flag(f"{name}.grad", listed, value and [value], _ARTICLE, kind)
    else:
        wanted = np.array([value])
        grad = seen.derived(seen.code, seen.value.array())
        yield from within(f"{name}.grad", grad, wanted, GOLDEN_ATOL, _ARTICLE, kind)


def _truncated(shown: Shown) -> Iterator[Finding]:
    for name, value in (("b", 2.2), ("c", 4.2), ("e", 42.0)):
        yield from _value(shown, name, value)
    yield from _recorded(shown, "b", True)
    yield from _recorded(shown, "c", False)
    yield from _recorded(shown, "e", True)
    yield from _gradient(shown, "a", None)
    yield from _gradient(shown, "d", 4.2)


def _other_path(shown: Shown) -> Iterator[Finding]:
    yield from _value(shown, "e", 42.0)
    yield from _value(shown, "f", 43.1)
    yield from _gradient(shown, "a", 1.0)
    yield from _gradient(shown, "d", 4.2)


def _cannot_go_back(shown: Shown) -> Iterator[Finding]:
    fragment = "does not require grad and does not have a grad_fn"

    def unlike(said: object) -> Finding:
        message = f"c.backward() should raise '{fragment}' ({_ARTICLE}); seen: {said}"
        return Finding("missing error", message, fragment, str(said))

    yield from says(shown.fact_or("raised"), fragment, unlike, "c.backward()")
    yield from _value(shown, "b", 4.4)
    yield from _recorded(shown, "b", True)
