"""Scripts on what lies where after an in-place call: methods, operators, and what moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from conformance.claims._inplace import drawn_target, in_its_own_memory, same_storage
from conformance.claims._methods import Method
from conformance.claims._operators import Operator, writes
from conformance.claims._seeing import Shown, expecting
from conformance.claims._targets import LAYOUTS, Target, elements, shapes
from conformance.judge import Finding
from conformance.trial import Script

MOVES = "moves in its storage"
TAKES = "takes another storage"
REBINDS = "rebinds"

_WHOLE = (1.0, 2.0, 3.0)
_CALL = """\
{target}
{other}alias = x.detach()
address = x.data_ptr()
old = x
{statement}
facts["is_self"] = out is old
facts["same_address"] = x.data_ptr() == address
"""


def same_storage_scripts(
    *, among: Sequence[Method], operators: Sequence[Operator]
) -> st.SearchStrategy[Script]:
    """Calls within the claim's scope and beyond it by each of its conditions.

    Examples shrink towards the first method on a contiguous number.
    """
    inside = [_methods(among), *([_operators(operators)] if operators else [])]
    return st.one_of(*inside, _moved(), _stored(), _rebound())


@st.composite
def _methods(draw: st.DrawFn, among: Sequence[Method]) -> Script:
    method = draw(st.sampled_from(among))
    return same_storage(method, drawn_target(draw, method, method.dtype))


@st.composite
def _operators(draw: st.DrawFn, among: Sequence[Operator]) -> Script:
    op = draw(st.sampled_from(among))
    dtype, layout = draw(st.sampled_from(op.dtypes)), draw(st.sampled_from(LAYOUTS))
    return writes(op, Target("x", draw(elements(pool=_WHOLE)), draw(shapes()), dtype, layout))


def _vectors(draw: st.DrawFn) -> Target:
    size = draw(st.sampled_from((2, 3, 4)))
    dtype = draw(st.sampled_from(("float64", "float32", "int64")))
    return Target("x", draw(elements(pool=_WHOLE)), (size,), dtype, draw(st.sampled_from(LAYOUTS)))


_MOVING = (
    "x.resize_({size})",
    "x.resize_as_(y)",
    "x.share_memory_()",
    "x.as_strided_((1,), (1,), 1)",
)


@st.composite
def _moved(draw: st.DrawFn) -> Script:
    """What may need more memory than there is, and moves only then; and what always moves."""
    target, call = _vectors(draw), draw(st.sampled_from(_MOVING))
    more = draw(st.sampled_from((1, 2, 100, 0, -1)))
    size = target.stored + more
    stays = "resize" in call and more <= 0
    other = f"y = torch.zeros({size}, dtype=x.dtype, device=DEVICE)" if "(y)" in call else ""
    return _script(target, call.format(size=size), "" if stays else MOVES, other)


@st.composite
def _stored(draw: st.DrawFn) -> Script:
    target = _vectors(draw)
    y = Target("y", draw(elements(pool=_WHOLE)), draw(shapes(empty=False)), target.dtype)
    return _script(target, "x.set_(y)", TAKES, y.text)


@st.composite
def _rebound(draw: st.DrawFn) -> Script:
    side = draw(st.sampled_from((1, 2, 3)))
    x, y = (Target(name, draw(elements(pool=_WHOLE)), (side, side)) for name in "xy")
    return _script(x, "x @= y", REBINDS, y.text)


def _script(target: Target, call: str, beyond: str, other: str = "") -> Script:
    """A script that calls or assigns, and looks at what came of x."""
    assigns = "= " in call
    body = _CALL.format(
        target=target.text,
        other=f"{other}\n" if other else "",
        statement=f"{call}\nout = x" if assigns else f"out = {call}",
    )

    def check(shown: Shown) -> Iterator[Finding]:
        return in_its_own_memory(shown, call)

    return Script(body, ("x", "alias", "out", "facts"), expecting(check), beyond)
