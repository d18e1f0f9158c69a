"""What the articles get wrong, each shown by a script."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from conformance.claims._guided import GUIDED
from conformance.claims._seeing import Shown, exactly, expecting, flag, same_bits, says
from conformance.claims._targets import LAYOUTS, Target, elements, shapes
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.trial import Script, Trial
from strategies import turns

# -- names

_NAMES = """\
for name in ("F.ReLU", "nn.ReLu", "nn.relu", "F.LSTM", "F.lstm", "F.flatten", "F.softmax2d"):
    space, attribute = name.split(".")
    facts[name] = hasattr({{"F": F, "nn": nn}}[space], attribute)
for name in ("F.relu", "nn.ReLU", "nn.LSTM", "nn.Flatten", "nn.Softmax2d"):
    space, attribute = name.split(".")
    facts[name] = hasattr({{"F": F, "nn": nn}}[space], attribute)
for name in ("scatter", "scatter_"):
    facts["Tensor." + name] = hasattr(torch.Tensor, name)
try:
    nn.ReLU(inpalce=True)
except TypeError as error:
    facts["inpalce"] = "inpalce" in str(error)

x = {x}
before = x.clone()
index = torch.zeros({shape}, dtype=torch.int64, device=DEVICE)
scattered = x.scatter(0, index, torch.full_like(x, 7.0))
alone = nn.ReLU()(x)
called = F.relu(x)
"""
_ABSENT = ("F.ReLU", "nn.ReLu", "nn.relu", "F.LSTM", "F.lstm", "F.flatten", "F.softmax2d")
_THERE = (
    *("F.relu", "nn.ReLU", "nn.LSTM", "nn.Flatten", "nn.Softmax2d"),
    *("Tensor.scatter", "Tensor.scatter_"),
)


@proves("errata-names")
def test_errata_names(trial: Trial) -> None:
    """F.ReLU, nn.ReLu, inpalce and an in-place .scatter() do not exist (articles 001, 003)."""
    targets = st.builds(lambda values, shape: Target("x", values, shape), elements(), _MATRICES)
    trial.scripts(targets.map(_names_script))


_MATRICES = shapes(ranks=(1, 2), empty=False)


def _names_script(target: Target) -> Script:
    x = target.text.partition(" = ")[2]
    body = _NAMES.format(x=x, shape=list(target.shape))
    return Script(body, ("facts", "x", "before", "scattered", "alone", "called"), _NAMES_CHECK)


def _names(shown: Shown) -> Iterator[Finding]:
    for name in (*_ABSENT, *_THERE):
        there = shown.fact(name)
        yield from flag(f"whether there is {name}", there, name not in _ABSENT, _NN, "wrong value")
    yield from flag("inpalce refused", shown.fact_or("inpalce"), True, _NN, "missing error")
    yield from same_bits(shown, "x", "before", ".scatter() is not in place")
    shared = shown.one_memory("scattered", "x")
    why = ".scatter() gives a new tensor"
    yield from flag("one memory for x and scattered", shared, False, why, "wrong aliasing")
    yield from same_bits(shown, "alone", "called", "nn.ReLU need not be put in a container")


_NN = "torch.nn documents these names"
_NAMES_CHECK = expecting(_names)

# -- the guided ReLU's two forwards

_FORWARDS = """\
{target}
clamped = torch.clamp(x, min=0.0)
masked = x * (x > 0).type_as(x)
"""


@proves("errata-guided-forwards")
def test_errata_guided_forwards(trial: Trial) -> None:
    """Clamping and masking agree at finite inputs and differ at minus infinity (article 002)."""
    body = GUIDED["clamp"].replace("GuidedBackpropReLU", "Clamped")
    body += GUIDED["mask"].replace("GuidedBackpropReLU", "Masked")
    body += (
        "x = torch.tensor([-math.inf], device=DEVICE)\n"
        "clamped = Clamped.apply(x)\nmasked = Masked.apply(x)\n"
    )
    trial.once(Script(body, ("clamped", "masked"), expecting(_differ)))
    trial.scripts(forwards())
    trial.searches_scripts(
        forwards(),
        condition=_NOT_FINITE,
        title="At minus infinity the two forwards differ",
        kinds=("wrong value",),
        fragment="masked",
    )


_NOT_FINITE = "not finite"
_SPECIAL = (-math.inf, math.inf, math.nan, -1.0, 0.0, 2.0)


@st.composite
def forwards(draw: st.DrawFn) -> Script:
    """The two forwards at finite inputs, and beyond them; examples shrink towards one number."""
    dtype = draw(st.sampled_from(("float64", "float32")))
    special = draw(st.booleans())
    values = draw(elements(pool=_SPECIAL) if special else elements())
    shape = draw(shapes(empty=not special))
    target = Target("x", values, shape, dtype, draw(st.sampled_from(LAYOUTS)))
    body = _FORWARDS.format(target=target.text)

    def check(shown: Shown) -> Iterator[Finding]:
        wanted = np.maximum(target.array, 0.0)
        for name in ("clamped", "masked"):
            yield from exactly(name, shown.array(name), wanted, "ReLU by numpy")

    beyond = "" if np.isfinite(target.array).all() else _NOT_FINITE
    return Script(body, ("clamped", "masked"), expecting(check), beyond)


def _differ(shown: Shown) -> Iterator[Finding]:
    yield from exactly("clamped", shown.array("clamped"), np.array([0.0]), "the larger of two")
    yield from exactly("masked", shown.array("masked"), np.array([np.nan]), "infinity times 0")


# -- leaves inside no_grad

_WRITES: dict[str, float | None] = {
    "w.mul_(2.0)": 2.0,
    "w *= 2.0": 2.0,
    "w.add_(1.0)": None,
    "w.zero_()": 0.0,
    "w.neg_()": -1.0,
    "w[...] = w * 2.0": 2.0,
    "torch.neg(w, out=w)": -1.0,
}
"""A write -> by what it multiplies the leaf; None where it adds one."""

_OFF = (
    ("with torch.no_grad():",),
    ("with torch.set_grad_enabled(False):",),
    ("with torch.enable_grad():", "with torch.no_grad():"),
)
_ON: tuple[tuple[str, ...], ...] = (
    (),
    ("with torch.enable_grad():",),
    ("with torch.set_grad_enabled(True):",),
    ("with torch.no_grad():", "with torch.enable_grad():"),
)
_INFERENCE = ("with torch.inference_mode():",)
"""Regions by what they leave of grad mode, as the lines that open them."""

_LEAF = """\
{target}
w = x.clone().requires_grad_()
same = w
{write}
facts["is_self"] = w is same
(w * w).sum().backward()
"""
_REFUSED = """\
w = torch.tensor([1.0, 2.0], device=DEVICE, requires_grad=True)
try:
    w.mul_(2.0)
except RuntimeError as error:
    facts["outside"] = str(error)
with torch.no_grad():
    w.mul_(2.0)
"""
_FRAGMENT = "in an in-place operation"
_ALLOWED = "a leaf may be written inside no_grad (torch.no_grad)"


@proves("errata-leaf-in-no-grad")
def test_errata_leaf_in_no_grad(trial: Trial) -> None:
    """A leaf that requires grad can be written in place, inside no_grad (article 001)."""
    trial.once(Script(_REFUSED, ("w", "facts"), expecting(_only_inside)))
    count = trial.profile.few_turns
    trial.every(turns.each(turns.leaf_written_in_no_grad, turns.WRITES, count, trial.seed))
    inference = "inference_mode" in trial.examiner.subject.names["torch"]
    scripts = leaf_scripts(off=(*_OFF, _INFERENCE) if inference else _OFF)
    trial.scripts(scripts)
    trial.searches_scripts(
        scripts,
        condition=_GRAD_MODE,
        title="With grad mode on, a leaf that requires grad is not written in place",
        kinds=("spurious error",),
        fragment=_FRAGMENT,
    )


_GRAD_MODE = "grad mode on"


def _still_a_leaf(shown: Shown) -> Iterator[Finding]:
    for what, attribute, should in (
        ("requires_grad", "requires_grad", True),
        ("is_leaf", "is_leaf", True),
        ("grad_fn", "grad_fn", False),
        ("_version", "version", 1),
    ):
        does = shown.attribute("w", attribute)
        yield from flag(f"w's {what}", does, should, _ALLOWED, "wrong flag")


def _only_inside(shown: Shown) -> Iterator[Finding]:
    def unlike(said: str) -> Finding:
        message = f"w.mul_(2) with grad mode on should raise '{_FRAGMENT}'; seen: {said}"
        return Finding("missing error", message, _FRAGMENT, said or "no error")

    outside = shown.fact_or("outside", "")
    yield from says(outside, _FRAGMENT, unlike, "w.mul_(2) with grad mode on")
    yield from exactly("w", shown.array("w"), np.array([2.0, 4.0]), _ALLOWED)
    yield from _still_a_leaf(shown)


@st.composite
def leaf_scripts(draw: st.DrawFn, *, off: tuple[tuple[str, ...], ...] = _OFF) -> Script:
    """Writes into leaves in regions that turn grad mode off, and where it is on; examples shrink
    towards `mul_` inside no_grad.
    """
    is_on = draw(st.booleans())
    region = draw(st.sampled_from(_ON if is_on else off))
    write = draw(st.sampled_from(tuple(_WRITES)))
    target = Target("x", draw(elements()), draw(shapes()), draw(st.sampled_from(_FLOATS)))
    lines = [" " * 4 * depth + line for depth, line in enumerate((*region, write))]
    body = _LEAF.format(target=target.text, write="\n".join(lines))
    factor = _WRITES[write]
    value = target.array + 1.0 if factor is None else target.array * factor

    def check(shown: Shown) -> Iterator[Finding]:
        yield from exactly("w", shown.array("w"), value, _ALLOWED)
        is_self = shown.fact_or("is_self")
        yield from flag("w is w", is_self, True, _ALLOWED, "wrong aliasing")
        yield from _still_a_leaf(shown)
        why = "the later loss sees the new value"
        yield from exactly("w.grad", shown.grad("w"), 2 * value, why, "silent wrong gradient")

    return Script(body, ("w", "facts"), expecting(check), _GRAD_MODE if is_on else "")


_FLOATS = ("float64", "float32")
