"""Ways to write a leaf that are refused by an error of their own, and one that is not refused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from conformance.claims._seeing import Shown, exactly, expecting, flag, says
from conformance.claims._targets import Target, elements, shapes
from conformance.judge import Finding
from conformance.scripts import Script

_OUT = "functions with out=... arguments don't support automatic differentiation"
_RESIZE = "cannot resize variables that require grad"
REFUSALS: dict[str, str] = {
    "x.resize_(1)": _RESIZE,
    "x.resize_as_(x.detach()[..., None])": _RESIZE,
    "x.apply_(lambda value: value + 1)": "Can't call apply_() on Variable that requires grad",
    "x.map_(x.detach(), lambda one, two: two + 1)": "Can't call map_() on Variable that requires",
    "torch.exp(x.detach(), out=x)": _OUT,
    "torch.add(x.detach(), 1.0, out=x)": _OUT,
}
"""A write of the leaf x -> what the error says."""
_HOST_ONLY = ("apply_", "map_")
_FLAG, _VALUE = "wrong flag", "wrong value"

_REFUSED = """\
{target}
x = {placed}.clone().requires_grad_()
try:
    {write}
except RuntimeError as error:
    facts["error"] = str(error)
facts["version"] = x._version
facts["leaf"] = [x.requires_grad, x.is_leaf]
"""
_RENORMED = """\
x = torch.tensor({rows}, dtype=torch.float64, device=DEVICE).requires_grad_()
index = torch.tensor([0], device=DEVICE)
y = F.{name}({index}, x, max_norm=1.0)
facts["leaf"] = [x.requires_grad, x.is_leaf]
"""


@st.composite
def refused(draw: st.DrawFn) -> Script:
    """A leaf that is written by one of these; examples shrink towards `resize_` of a single 1."""
    write = draw(st.sampled_from(tuple(REFUSALS)))
    target = Target("x", draw(elements()), draw(shapes()))
    placed = "x.cpu()" if any(name in write for name in _HOST_ONLY) else "x"

    def check(shown: Shown) -> Iterator[Finding]:
        def unlike(said: str) -> Finding:
            message = f"{write} on a leaf that requires grad says {said!r}"
            return Finding("missing error", message, REFUSALS[write], said)

        error, fragment = shown.fact_or("error", "no error"), REFUSALS[write]
        if missing := list(says(error, fragment, unlike, f"{write} on a leaf that requires grad")):
            # Then it was written, by right.
            yield from missing
            return
        yield from flag("x._version", shown.fact_or("version"), 0, write, _FLAG)
        leaf = shown.fact_or("leaf")
        yield from flag("[requires_grad, is_leaf]", leaf, [True] * 2, write, _FLAG)
        yield from exactly("x", shown.array("x"), target.array, f"{write} was refused")

    body = _REFUSED.format(target=target.text, placed=placed, write=write)
    return Script(body, ("x", "facts"), expecting(check))


@st.composite
def renormed(draw: st.DrawFn) -> Script:
    """Rows of an embedding that are longer than `max_norm`, which it shortens in the leaf itself.

    Examples shrink towards one row of a single 2.
    """
    name, index = draw(st.sampled_from((("embedding", "index"), ("embedding_bag", "index[None]"))))
    width = draw(st.sampled_from((1, 2, 3)))
    row = [draw(st.sampled_from((2.0, 4.0, -2.0, 3.0))) for _ in range(width)]
    rows = [row, [9.0] * width]

    def check(shown: Shown) -> Iterator[Finding]:
        seen, leaf = shown.array("x"), shown.fact_or("leaf")
        yield from flag("[requires_grad, is_leaf]", leaf, [True] * 2, name, _FLAG)
        same = np.array_equal(seen.value[0], np.array(row))
        wrote = seen.derived(f"x[0].tolist() != {row!r}", not same)
        yield from flag("whether the leaf was written", wrote, True, f"F.{name}(max_norm=)", _VALUE)
        yield from exactly(
            "x[1]",
            seen.derived("x[1]", seen.value[1]),
            np.array(rows[1]),
            "no index names that row",
        )

    body = _RENORMED.format(rows=rows, name=name, index=index)
    return Script(body, ("x", "facts"), expecting(check))
