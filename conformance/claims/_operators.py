"""Scripts on the operators that write (`x += y`) and on rebinding (`x = x + y`)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from conformance.claims._inplace import in_its_own_memory, left_out
from conformance.claims._seeing import Shown, exactly, expecting, flag, same_bits
from conformance.claims._targets import LAYOUTS, Shape, Target, elements, shapes
from conformance.judge import Finding
from conformance.trial import Script, Trial
from strategies.table.spelled import AUGMENTED

_WHOLE = (1.0, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator that has an in-place form: its symbol, the dtypes that it takes, its meaning.

    `exact` is numpy's function where it rounds as torch does.
    """

    symbol: str
    dtypes: tuple[str, ...] = ("float64", "float32", "int64")
    exact: Callable[[Any, Any], Any] | None = None


OPERATORS = (
    Operator("+", exact=operator.add),
    Operator("-", exact=operator.sub),
    Operator("*", exact=operator.mul),
    Operator("/", ("float64", "float32"), operator.truediv),
    Operator("**"),
    Operator("//"),
    Operator("%"),
    Operator("&", ("int64",)),
    Operator("|", ("int64",)),
    Operator("^", ("int64",)),
    Operator("<<", ("int64",)),
    Operator(">>", ("int64",)),
)

_PROBE = """\
for symbol, method in {methods}.items():
    if not hasattr(torch.Tensor, method):
        # Python would then compute x // y, say, and bind x anew.
        facts[symbol] = "NotImplementedError"
        continue
    try:
        exec("x = torch.ones(2, dtype=torch.int64, device=DEVICE); x " + symbol + "= 1")
    except (NotImplementedError, RuntimeError, TypeError) as error:
        # That is what Python says where neither operand knows how.
        unknown = "unsupported operand type" in str(error)
        facts[symbol] = "NotImplementedError" if unknown else type(error).__name__
"""


def operators_of(trial: Trial) -> tuple[list[Operator], str]:
    """The operators whose in-place form the subject implements, and a note on the others."""
    missing: list[str] = []

    def check(shown: Shown) -> Iterator[Finding]:
        said = shown.facts().items()
        missing.extend(symbol for symbol, error in said if error == "NotImplementedError")
        yield from ()

    body = _PROBE.format(methods={op.symbol: AUGMENTED[f"{op.symbol}="] for op in OPERATORS})
    trial.once(Script(body, ("facts",), expecting(check)))
    note = left_out([f"{symbol}=" for symbol in missing], "not implemented in this torch")
    return [op for op in OPERATORS if op.symbol not in missing], note


_WRITES = """\
{target}
alias = x.detach()
address = x.data_ptr()
old = x
x {symbol}= 2
out = x
facts["is_self"] = out is old
facts["same_address"] = x.data_ptr() == address
"""


def example(op: Operator, layout: str) -> Target:
    """A target of the ordinary kind."""
    return Target("x", _WHOLE, (2, 3), op.dtypes[0], layout)


def writes(op: Operator, target: Target) -> Script:
    """A script that applies the in-place operator and looks at where the result lies."""
    body = _WRITES.format(target=target.text, symbol=op.symbol)

    def check(shown: Shown) -> Iterator[Finding]:
        elsewhere = list(in_its_own_memory(shown, f"x {op.symbol}= y"))
        apart = list(same_bits(shown, "alias", "x", "both are the same memory"))
        # In memory of its own it is another number by right.
        yield from elsewhere or apart

    return Script(body, ("x", "alias", "out", "facts"), expecting(check))


MATMUL = Script(
    """\
x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], device=DEVICE)
before = x.clone()
old = x
x @= torch.tensor([[0.0, 1.0], [1.0, 0.0]], device=DEVICE)
facts["is_self"] = x is old
""",
    ("x", "old", "before", "facts"),
    expecting(lambda shown: _matmul(shown)),
)
"""`x @= y` binds a new tensor."""


def _matmul(shown: Shown) -> Iterator[Finding]:
    why = "x @= y rebinds x"
    yield from flag("whether x is the old tensor", shown.fact("is_self"), False, why, _ALIASING)
    yield from same_bits(shown, "old", "before", why)
    shared = shown.one_memory("x", "old")
    yield from flag("one memory for both", shared, False, why, _ALIASING)
    wanted = np.array([[2.0, 1.0], [4.0, 3.0]])
    yield from exactly("x", shown.array("x"), wanted, "the matrix product")


_ALIASING = "wrong aliasing"

# -- rebinding

_REBINDS = """\
{target}
{other}before = x.clone()
old = x
{alias}x = x {symbol} {y}
facts["rebound"] = x is not old

{again}
same = z
alias = z.detach()
z {symbol}= {y}
facts["kept"] = z is same
"""
_ALIASES = {
    "": "",
    "view": "kept = old[...]\n",
    "detach": "kept = old.detach()\n",
    "list": "kept = [old, old][1]\n",
}


def rebinds(op: Operator) -> Script:
    """A script that rebinds and writes, with the number 2 as the operand."""
    return _rebinding(op, Target("x", _WHOLE, (3,), op.dtypes[0]), None, "view")


@st.composite
def rebinding_scripts(draw: st.DrawFn, *, among: Sequence[Operator]) -> Script:
    """Rebinding against writing; examples shrink towards `+`, a number, and no alias kept."""
    op = draw(st.sampled_from(among))
    # One choice for every operator, or the smallest case would be one with a single dtype.
    dtype, layout = draw(st.sampled_from(OPERATORS[0].dtypes)), draw(st.sampled_from(LAYOUTS))
    dtype = dtype if dtype in op.dtypes else op.dtypes[0]
    # Whole numbers that are not zero keep division, powers and shifts defined in every dtype.
    values = elements(pool=_WHOLE)
    shape = draw(shapes())
    target = Target("x", draw(values), shape, dtype, layout)
    shaped: list[Shape] = [shape, shape[1:], tuple(1 for _ in shape)]
    other = None
    if draw(st.booleans()):
        other = Target("y", draw(values), draw(st.sampled_from(shaped)), dtype)
    return _rebinding(op, target, other, draw(st.sampled_from(sorted(_ALIASES))))


def _rebinding(op: Operator, target: Target, other: Target | None, alias: str) -> Script:
    again = Target("z", target.values, target.shape, target.dtype, target.layout)
    body = _REBINDS.format(
        target=target.text,
        other="" if other is None else other.text + "\n",
        alias=_ALIASES[alias],
        symbol=op.symbol,
        y="2" if other is None else "y",
        again=again.text,
    )

    def check(shown: Shown) -> Iterator[Finding]:
        yield from _rebound(shown, alias)
        yield from _written(shown)
        if op.exact is not None:
            dtype = np.dtype(target.dtype)
            y = np.asarray(2 if other is None else other.array).astype(dtype)
            wanted = op.exact(target.array.astype(dtype), y)
            yield from exactly("x", shown.array("x"), wanted, f"x {op.symbol} y by numpy")

    names = ("x", "old", "before", "z", "same", "alias", "facts")
    return Script(body, (*names, "kept") if alias else names, expecting(check))


def _rebound(shown: Shown, alias: str) -> Iterator[Finding]:
    why = "x = x + y binds a new tensor and leaves the old one"
    yield from flag("whether x is new", shown.fact("rebound"), True, why, _ALIASING)
    for name in ("old", "kept") if alias else ("old",):
        yield from same_bits(shown, name, "before", why)
    yield from flag("old._version", shown.attribute("old", "version"), 0, why, "wrong flag")
    shared = shown.one_memory("x", "old")
    yield from flag("one memory for x and old", shared, False, why, _ALIASING)


def _written(shown: Shown) -> Iterator[Finding]:
    why = "z += y writes into z"
    yield from flag("whether z is the same tensor", shown.fact("kept"), True, why, _ALIASING)
    for name in ("same", "alias"):
        shared = shown.one_memory(name, "z")
        yield from flag(f"one memory for z and {name}", shared, True, why, _ALIASING)
        if shared.value:
            yield from same_bits(shown, name, "x", why)
