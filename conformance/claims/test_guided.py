"""The guided ReLU: ReLU's forward, and a gradient that lets nothing negative through."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from conformance.claims._guided import GUIDED
from conformance.claims._seeing import Shown, exactly, expecting, flag
from conformance.claims._targets import DYADIC, Target, elements, literal, shapes
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.trial import Script, Trial

_STAGES: dict[str, str] = {
    "guided": "GuidedBackpropReLU.apply({0})",
    "relu": "F.relu({0})",
    "double": "{0} * 2.0",
    "negate": "-{0}",
    "halve": "{0} * 0.5",
    "add": "{0} + 1.0",
}
_FACTORS = {"double": 2.0, "negate": -1.0, "halve": 0.5, "add": 1.0}

_BODY = """\
{target}
x = x.clone().requires_grad_()
incoming = {incoming}
step0 = x
{steps}
output = step{count}
output.backward(incoming)
"""


@proves("guided-relu")
def test_guided_relu(trial: Trial) -> None:
    """Forward is ReLU's; backward is ReLU's where the gradient is positive (article 002)."""
    target = Target("x", (1.0, -2.0, 0.0, 3.0), (2, 4))
    for forward in GUIDED:
        for sign in (1.0, -1.0):
            trial.once(_script(target, (sign,), ("guided",), forward))
    trial.scripts(scripts())
    trial.searches_scripts(
        scripts(),
        condition=NOT_FINITE,
        title="A mask multiplies, and zero times infinity is NaN",
        kinds=("silent wrong gradient", "wrong value"),
        fragment="is nan and should be 0.0",
    )


NOT_FINITE = "not finite"
_INFINITE = (-math.inf, math.inf, math.nan)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Chains with a guided ReLU in them; examples shrink towards it alone, on a number 1."""
    values = elements(pool=(*DYADIC[:4], *_INFINITE) if draw(st.booleans()) else DYADIC)
    before = draw(st.lists(st.sampled_from(sorted(_STAGES)), max_size=3))
    after = draw(st.lists(st.sampled_from(sorted(_STAGES)), max_size=3))
    dtype = draw(st.sampled_from(("float64", "float32")))
    target = Target("x", draw(values), draw(shapes()), dtype)
    forward = draw(st.sampled_from(sorted(GUIDED)))
    return _script(target, draw(values), (*before, "guided", *after), forward)


def _script(
    target: Target, incoming: Sequence[float], stages: tuple[str, ...], forward: str
) -> Script:
    gradient = np.resize(np.array(incoming), target.shape)
    steps = (f"step{i + 1} = {_STAGES[s].format(f'step{i}')}" for i, s in enumerate(stages))
    body = GUIDED[forward] + _BODY.format(
        target=target.text,
        incoming=literal(gradient, target.dtype),
        steps="\n".join(steps),
        count=len(stages),
    )
    value, wanted = _expected(target.array, gradient, stages)

    def check(shown: Shown) -> Iterator[Finding]:
        yield from exactly("output", shown.array("output"), value, "numpy, exact numbers")
        shape, grad = shown.attribute("x", "shape"), shown.grad("x")
        seen = grad.derived("tuple(x.grad.shape)", grad.value.shape)
        yield from flag("the gradient's shape", seen, shape, "x's", "wrong value")
        why = "ReLU's gradient where the incoming one is positive, by numpy"
        yield from exactly("x.grad", grad, wanted, why, "silent wrong gradient")

    finite = np.isfinite(target.array).all() and np.isfinite(gradient).all()
    return Script(body, ("x", "output"), expecting(check), "" if finite else NOT_FINITE)


def _expected(
    x: NDArray[np.float64], gradient: NDArray[np.float64], stages: tuple[str, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Value and gradient of the chain; small dyadic numbers, so that nothing is rounded."""
    inputs = [x]
    for stage in stages:
        last = inputs[-1]
        if stage in ("guided", "relu"):
            inputs.append(np.maximum(last, 0.0))
        else:
            inputs.append(last + 1.0 if stage == "add" else _FACTORS[stage] * last)
    for stage, given in zip(reversed(stages), reversed(inputs[:-1]), strict=True):
        if stage == "guided":
            gradient = np.where((given > 0) & (gradient > 0), gradient, 0.0)
        elif stage == "relu":
            gradient = np.where(given > 0, gradient, 0.0)
        else:
            gradient = _FACTORS[stage] * gradient
    return inputs[-1], gradient
