"""Scripts on where a region that records nothing ends: after an inner one, and by an exception."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st
from packaging.version import Version

from conformance.claims._seeing import Shown, expecting, flag
from conformance.claims._targets import Target, elements, shapes
from conformance.judge import Finding
from conformance.trial import Script, Trial

_REGIONS = {
    "with torch.no_grad():": "1.2",
    "with torch.set_grad_enabled(False):": "1.2",
    "with torch.inference_mode():": "1.9",
}
"""How a region begins -> the first torch that has it."""
_LEFT = """\
{target}
x = x.clone().requires_grad_()


{decorator}def fail():
{regions}{inside}raise KeyError


try:
    fail()
except KeyError:
    pass
y = x * 2.0
"""
_NESTED = """\
{target}
x = x.clone().requires_grad_()
{outer}
    {inner}
        y = x * 2.0
    z = x * 3.0
w = x * 4.0
"""
_INNER = {
    **dict.fromkeys(_REGIONS, False),
    "with torch.enable_grad():": True,
    "with torch.set_grad_enabled(True):": True,
}
"""An inner region -> whether it records."""
_ENDS = "the outer region goes on where the inner one ends (torch.no_grad)"
_WHY = "an exception ends no_grad as its last line does (torch.no_grad)"


def regions_of(trial: Trial) -> list[str]:
    """The regions that the subject's torch has."""
    torch = Version(trial.examiner.subject.torch)
    return [text for text, since in _REGIONS.items() if torch >= Version(since)]


@st.composite
def left_by_exceptions(draw: st.DrawFn, *, among: Sequence[str]) -> Script:
    """A function that fails in one region or two, or is decorated; shrinks towards `no_grad`."""
    target = Target("x", draw(elements()), draw(shapes()))
    regions = draw(st.lists(st.sampled_from(among), min_size=1, max_size=2))
    decorator = draw(st.sampled_from(("", "@torch.no_grad()\n")))
    lines = [f"{'    ' * depth}{region}\n" for depth, region in enumerate(regions, 1)]
    body = _LEFT.format(
        target=target.text,
        decorator=decorator,
        regions="".join(lines),
        inside="    " * (len(regions) + 1),
    )
    return Script(body, ("x", "y"), expecting(_recorded))


@st.composite
def nested(draw: st.DrawFn, *, among: Sequence[str]) -> Script:
    """What is recorded in a region inside of another, and after it; shrinks towards `no_grad`."""
    target = Target("x", draw(elements()), draw(shapes()))
    outer = draw(st.sampled_from(among))
    inner = draw(st.sampled_from([t for t in _INNER if t in among or _INNER[t]]))
    body = _NESTED.format(target=target.text, outer=outer, inner=inner)

    # "Code run under this mode" is not recorded (torch.inference_mode), whatever the grad mode.
    recorded = _INNER[inner] and "inference_mode" not in outer

    def check(shown: Shown) -> Iterator[Finding]:
        for name, wanted in (("y", recorded), ("z", False), ("w", True)):
            seen = shown.attribute(name, "requires_grad")
            yield from flag(f"{name}.requires_grad", seen, wanted, _ENDS, "wrong flag")

    return Script(body, ("x", "y", "z", "w"), expecting(check))


def _recorded(shown: Shown) -> Iterator[Finding]:
    for name, attribute in (("y.requires_grad", "requires_grad"), ("y has a grad_fn", "grad_fn")):
        yield from flag(name, shown.attribute("y", attribute), True, _WHY, "wrong flag")
