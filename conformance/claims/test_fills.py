"""What a random fill does: the same numbers for the same seed, and a gradient of zeros."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from conformance.claims._inplace import drawn_target
from conformance.claims._methods import METHODS
from conformance.claims._seeing import Shown, exactly, expecting, flag, same_bits
from conformance.claims._targets import Target
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.trial import Script, Trial

FILLS: dict[str, tuple[str, ...]] = {
    "uniform_": ("", "-1.0, 2.0"),
    "normal_": ("", "1.0, 0.5"),
    "random_": ("", "0, 7"),
    "bernoulli_": ("0.5", "0.0"),
    "exponential_": ("", "2.0"),
    "cauchy_": ("", "1.0, 0.5"),
    "log_normal_": ("", "0.5, 0.25"),
    "geometric_": ("0.5", "0.9"),
}
"""In-place method -> the arguments that it is called with."""

_BODY = """\
{target}
x = x.clone().requires_grad_()
y = x * 2.0
before = y._version
torch.manual_seed({seed})
returned = y.{fill}
facts["bumps"] = y._version - before
facts["same object"] = returned is y
facts["requires grad"] = y.requires_grad
with torch.no_grad():
    again = torch.zeros_like(y)
    torch.manual_seed({seed})
    again.{fill}
y.sum().backward()
try:
    x.{fill}
    facts["leaf"] = "written"
except RuntimeError as error:
    facts["leaf"] = "a leaf Variable that requires grad" in str(error)
"""


@proves("random-fill-cuts-gradient")
def test_random_fill_cuts_gradient(trial: Trial) -> None:
    """Nothing of the old value is left; the numbers are the generator's (torch.Tensor.uniform_)."""
    for name, calls in FILLS.items():
        for arguments in calls:
            trial.once(script(METHODS[name].example("contiguous"), f"{name}({arguments})", 0))
    trial.scripts(scripts())


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """A fill of a tensor; examples shrink towards uniform_() of a single 1."""
    name = draw(st.sampled_from(sorted(FILLS, key=list(FILLS).index)))
    arguments = draw(st.sampled_from(FILLS[name]))
    target = drawn_target(draw, METHODS[name], draw(st.sampled_from(("float64", "float32"))))
    return script(target, f"{name}({arguments})", draw(st.integers(0, 99)))


def script(target: Target, fill: str, seed: int) -> Script:
    """The script of one fill, with what must come of it."""

    def check(shown: Shown) -> Iterator[Finding]:
        gradient = shown.grad("x")
        zeros = np.zeros_like(gradient.value)
        yield from exactly("x.grad", gradient, zeros, fill, "silent wrong gradient")
        yield from same_bits(shown, "y", "again", f"{fill} with the same seed")
        for what, wanted in (("bumps", 1), ("same object", True), ("requires grad", True)):
            yield from flag(
                f"{fill}: {what}", shown.fact(what), wanted, "an in-place write", "wrong flag"
            )
        kind = "missing error"
        leaf = shown.fact("leaf")
        yield from flag(f"{fill} on a leaf: refused", leaf, True, "it writes", kind)

    body = _BODY.format(target=target.text, fill=fill, seed=seed)
    return Script(body, ("x", "y", "again", "facts"), expecting(check))
