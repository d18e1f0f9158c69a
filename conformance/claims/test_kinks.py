"""Gradients where the derivative is not unique, and at numbers that are not ordinary."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from conformance.abilities import release
from conformance.claims._inplace import left_out
from conformance.claims._seeing import Shown, exactly, expecting
from conformance.claims._targets import literal
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.subjects import Subject
from conformance.trial import Script, Trial
from strategies.table.change import within
from strategies.table.changes import TABLES

NAN, INF = math.nan, math.inf
LEAST = 5e-324
"""The least number above zero, which is subnormal: no formula may take it for zero."""
_ELU_SCALE = 1.0507009873554805 * 1.6732632423543772


@dataclass(frozen=True, slots=True)
class Kink:
    """An expression in x, a point at which every element of x lies, and each one's gradient there.

    `in_place` is the same as a statement that writes y, where there is one; `torch` says which
    versions have this convention, as a packaging specifier.
    """

    expression: str
    at: float
    gradient: float
    in_place: str = ""
    torch: str = ""
    quirk: str = ""
    """The registered way to deviate in place: the whole gradient passes."""

    def suits(self, subject: Subject) -> bool:
        """Whether the subject's torch has this convention, and all that it uses."""
        for module, name in _USED.findall(f"{self.expression} {self.in_place}"):
            if name not in subject.names.get(_MODULES.get(module, "Tensor"), {name}):
                return False
        return within(self.torch, subject.torch if release(subject.torch) else TABLES)


_USED = re.compile(r"\b(x|y|F|torch)\.([a-z_0-9]+)\(")
_MODULES = {"F": "F", "torch": "torch"}


def _of(name: str, at: float, gradient: float, rest: str = "", torch: str = "") -> Kink:
    """A method with an in-place form."""
    return Kink(f"x.{name}({rest})", at, gradient, f"y.{name}_({rest})", torch)


def _bound(name: str, at: float, rest: str) -> tuple[Kink, Kink]:
    """A bound, from which a gradient of its own came until torch took the least of them."""
    return _of(name, at, 1.0, rest, "<2.15"), _of(name, at, 0.0, rest, ">=2.15")


def _tie(name: str, first: float, torch: str) -> Kink:
    """The first of two equal operands."""
    return Kink(f"torch.{name}(x, torch.full_like(x.detach(), 2.0))", 2.0, first, torch=torch)


def _function(name: str, at: float, gradient: float, rest: str = "", torch: str = "") -> Kink:
    """A function that takes `inplace`."""
    rest = f", {rest}" if rest else ""
    written = f"F.{name}(y{rest}, inplace=True)"
    return Kink(f"F.{name}(x{rest})", at, gradient, written, torch)


_PRELU = "F.prelu(x, torch.full((1,), 0.25, dtype=x.dtype, device=DEVICE))"
KINKS: tuple[Kink, ...] = (
    _function("relu", 0.0, 0.0),
    _function("relu", -0.0, 0.0),
    _function("relu", NAN, 1.0),
    _of("abs", 0.0, 0.0),
    _of("abs", -0.0, 0.0),
    _of("abs", NAN, 0.0),
    _of("abs", -INF, -1.0),
    _of("sign", 0.0, 0.0),
    _function("hardtanh", -1.0, 0.0),
    _function("hardtanh", 1.0, 0.0),
    _function("relu6", 0.0, 0.0),
    _function("relu6", 6.0, 0.0),
    _function("hardsigmoid", 3.0, 0.0),
    _function("hardsigmoid", -3.0, 0.0),
    Kink("F.hardshrink(x, 0.5)", 0.5, 0.0),
    Kink("F.hardshrink(x, 0.5)", -0.5, 0.0),
    Kink("F.softshrink(x, 0.5)", 0.5, 0.0),
    Kink("F.softshrink(x, 0.5)", -0.5, 0.0),
    replace(_function("threshold", 0.5, 0.0, "0.5, 3.0"), quirk="threshold-by-result"),
    _function("threshold", NAN, 1.0, "0.5, 3.0"),
    *_bound("clamp", 1.0, "1.0, 2.0"),
    *_bound("clamp", 2.0, "1.0, 2.0"),
    _of("clamp", NAN, 0.0, "1.0, 2.0"),
    *_bound("clamp_min", 1.0, "1.0"),
    *_bound("clamp_max", 1.0, "1.0"),
    _of("clamp", 1.0, 1.0, "torch.ones_like(x.detach()), None", ">=1.9,<2.15"),
    _of("clamp", 1.0, 0.5, "torch.ones_like(x.detach()), None", ">=2.15"),
    _function("leaky_relu", 0.0, 0.25, "0.25"),
    Kink(_PRELU, 0.0, 0.25),
    _function("elu", 0.0, 1.5, "1.5"),
    _function("selu", 0.0, _ELU_SCALE),
    _function("hardswish", -3.0, 0.0, torch=">=2.8"),
    _function("hardswish", 3.0, 1.0, torch=">=2.8"),
    Kink("x.amax()", 2.0, INF),
    Kink("x.amin()", 2.0, INF),
    *(Kink(f"x.{name}()", 2.0, INF, torch=">=1.8") for name in ("max", "min")),
    # That all get all of it is wrong, and registered (ties-get-all-gradient).
    *(Kink(f"x.{name}()", 2.0, 1.0, torch="<1.8") for name in ("max", "min")),
    *(_tie(name, 0.5, ">=1.12") for name in ("maximum", "minimum")),
    *(_tie(name, 0.0, ">=1.8,<1.12") for name in ("maximum", "minimum")),
    *(_tie(name, 1.0, ">=1.8,<2.15") for name in ("fmax", "fmin")),
    *(_tie(name, 0.5, ">=2.15") for name in ("fmax", "fmin")),
    Kink("x.norm()", 0.0, 0.0),
    Kink("torch.hypot(x, torch.zeros_like(x.detach()))", 0.0, NAN),
    _of("sqrt", 0.0, INF),
    _of("reciprocal", INF, -0.0),
    _function("relu", LEAST, 1.0),
    _function("relu", -LEAST, 0.0),
    _function("relu6", LEAST, 1.0),
    _function("threshold", LEAST, 1.0, "0.0, 3.0"),
    _function("leaky_relu", LEAST, 1.0, "0.25"),
    _function("leaky_relu", -LEAST, 0.25, "0.25"),
    Kink(_PRELU, LEAST, 1.0),
    Kink(_PRELU, -LEAST, 0.25),
    _function("elu", LEAST, 1.0, "1.5"),
    _function("elu", -LEAST, 1.5, "1.5"),
    _function("selu", -LEAST, _ELU_SCALE),
    Kink("F.hardshrink(x, 0.0)", LEAST, 1.0),
    Kink("F.softshrink(x, 0.0)", -LEAST, 1.0),
    _of("abs", LEAST, 1.0),
    _of("abs", -LEAST, -1.0),
    _of("clamp_min", LEAST, 1.0, "0.0"),
    _of("clamp_min", -LEAST, 0.0, "0.0"),
    _of("clamp", LEAST, 1.0, "0.0, 1.0"),
    _of("sqrt", LEAST, 0.5 / math.sqrt(LEAST)),
)
"""CLAIMS by torch's formulas; a gradient of INF for a reduction means shared equally."""

COUNTS = (1, 3, 8, 21)
"""Lengths with which the elements fill a kernel's vectors, its tail, or both."""
_SHARED = ("amax", "amin", "max()", "min()")

_PLAIN = """\
x = {x}.requires_grad_()
y = {expression}
y.sum().backward()
"""
_WRITTEN = """\
x = {x}.requires_grad_()
y = x.clone()
{statement}
y.sum().backward()
"""


@proves("kink-gradients")
def test_kink_gradients(trial: Trial) -> None:
    """Each formula decides for itself (derivatives.yaml), in place as out of place."""
    kinks = [kink for kink in KINKS if kink.suits(trial.examiner.subject)]
    asked = {kink.expression for kink in kinks}
    unasked = dict.fromkeys(k.expression for k in KINKS if k.expression not in asked)
    trial.note = left_out(list(unasked), "not in this torch")
    for kink in kinks:
        trial.once(script(kink, 3, in_place=False))
        if kink.in_place:
            trial.once(script(kink, 3, in_place=True))
    trial.scripts(scripts(among=kinks))


@st.composite
def scripts(draw: st.DrawFn, *, among: Sequence[Kink]) -> Script:
    """A kink, plain or in place, on so many elements; examples shrink towards the first alone."""
    kink = draw(st.sampled_from(among))
    count = draw(st.sampled_from(COUNTS))
    return script(kink, count, in_place=bool(kink.in_place) and draw(st.booleans()))


def script(kink: Kink, count: int, *, in_place: bool) -> Script:
    """The script that asks a kink, with what must come of it."""
    x = literal(np.full(count, kink.at), "float64")
    template = _WRITTEN if in_place else _PLAIN
    body = template.format(x=x, expression=kink.expression, statement=kink.in_place)
    wanted = np.full(count, kink.gradient)
    if kink.gradient == INF and any(name in kink.expression for name in _SHARED):
        wanted = np.full(count, 1.0 / count)

    def check(shown: Shown) -> Iterator[Finding]:
        why = f"torch's convention for {kink.in_place if in_place else kink.expression}"
        seen = shown.grad("x")
        quirk = kink.quirk if in_place and (seen.value == 1.0).all() else ""
        for finding in exactly("x.grad", seen, wanted, why, "silent wrong gradient"):
            yield replace(finding, quirk=quirk)

    return Script(body, ("x",), expecting(check))
