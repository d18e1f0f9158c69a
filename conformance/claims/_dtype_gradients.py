"""Scripts that compare the gradients of an in-place method with its plain form's, in any dtype."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from conformance.claims._inplace import drawn_target
from conformance.claims._methods import SETUP, Method
from conformance.claims._promotion import category, plain_dtype
from conformance.claims._seeing import Shown, expecting, unless, within
from conformance.claims._targets import COMPLEX, Target, complex_elements, elements
from conformance.judge import Finding
from conformance.model.quirks import COMPOSED_OUT, LDEXP_OUT
from conformance.tolerances import few_ulps
from conformance.trial import Script

DTYPES = ("float64", "float32", "float16", "bfloat16", "complex128", "complex64")

_BODY = """\
def gradients(form, act):
    leaf = {stored}.requires_grad_()
    whole = leaf.clone()
    x = {part}
{operands}
    try:
        out = act({given})
        out = {part} if out is x else out
        weights = torch.arange(out.numel(), dtype=torch.float64, device=DEVICE) % 7 - 2.5
        out.backward(weights.reshape(out.shape).to(out.dtype))
    except (RuntimeError, TypeError, ValueError) as error:
        facts[form] = type(error).__name__ + ": " + str(error)
    # A gradient may be a conjugate view, which is copied into numbers here.
    zeros = [torch.zeros_like(t.detach()) for t in ({asked})]
    return [z if t.grad is None else z.copy_(t.grad) for z, t in zip(zeros, ({asked}))]


plain = gradients("plain", lambda {given}: x.{plain}({arguments}))
in_place = gradients("in place", lambda {given}: x.{name}({arguments}))
plain_x, in_place_x = plain[0], in_place[0]
plain_y, in_place_y = plain[-1], in_place[-1]
"""


@dataclass(frozen=True, slots=True)
class Case:
    """An in-place method on a target of a dtype, with a y of the same dtype if it takes one."""

    method: Method
    target: Target
    y: Target | None = None

    def script(self) -> Script:
        """Gradients of the target and of y, plain and in place; both must be the same."""
        names = ("x", "y") if self.y else ("x",)
        operands = [self.y.text + ".requires_grad_()"] if self.y else []
        operands += [SETUP[name] for name in self.method.given]
        body = _BODY.format(
            stored=self.target.stored_text,
            part=f"whole{self.target.seen}",
            operands="\n".join(f"    {line}" for text in operands for line in text.splitlines()),
            given=", ".join((*names, *self.method.given)),
            asked="leaf, y" if self.y else "leaf,",
            plain=self.method.name[:-1],
            name=self.method.name,
            arguments=self.method.arguments,
        )
        seen = ("plain_x", "in_place_x", "plain_y", "in_place_y", "facts")
        return Script(body, seen, expecting(self._check))

    def _check(self, shown: Shown) -> Iterator[Finding]:
        call = f"x.{self.method.name}()"
        if shown.fact_or("plain").given() is not None:
            # There is nothing to compare with.
            return
        look = shown.fact_or("in place", "")
        raised = str(look.value)
        message = f"{call} raises and x.{self.method.name[:-1]}() does not: {raised}"
        named = LDEXP_OUT if self.method.name == "ldexp_" else COMPOSED_OUT
        quirk = named if _OUT in raised else ""
        found = Finding("spurious error", message, "no error", raised, quirk=quirk)
        may = look.derived(
            f"(not {look.code} or {_UNDERIVED!r} in {look.code})",
            not raised or _UNDERIVED in raised,
        )
        yield from unless(may, f"{call} raises and x.{self.method.name[:-1]}() does not", found)
        if look.given():
            return
        for name in ("x", "y") if self.y else ("x",):
            wanted, seen = shown.array(f"plain_{name}"), shown.array(f"in_place_{name}")
            why = f"the plain form's gradient, {self.target.dtype}"
            yield from within(
                f"the gradient of {name} after {call}",
                seen,
                wanted,
                self._room(wanted.value),
                why,
                "silent wrong gradient",
            )

    def _room(self, wanted: NDArray[Any]) -> NDArray[np.float64] | float:
        """A few ulps of the largest, since kernels take several numbers at once where they lie
        together and others where not; none for real numbers that do.
        """
        if category(self.target.dtype) < 3 and self.target.lies == "contiguous":
            return 0.0
        finite = np.abs(wanted)[np.isfinite(wanted)]
        return few_ulps(np.full(wanted.shape, finite.max(initial=0.0), wanted.real.dtype))


_UNDERIVED = "the derivative for 'inplace version of"
"""How torch says that a form has no derivative, which is no wrong one."""
_OUT = "functions with out=... arguments don't support automatic differentiation"
"""What an in-place form said that was composed of its `out=` form (the register has entries)."""


def cases(*, among: Sequence[Method], dtypes: Sequence[str] = DTYPES) -> st.SearchStrategy[Case]:
    """Calls whose plain result has the target's dtype; examples shrink towards the first method on
    a number.
    """
    fitting = [(method, dtype) for method in among for dtype in dtypes if _fits(method, dtype)]
    return _calls(tuple(fitting))


def _fits(method: Method, dtype: str) -> bool:
    real = method.dtype == "float64" and not method.metadata and method.name != "bernoulli_"
    return real and plain_dtype(method, dtype, dtype if method.takes_y else "") == dtype


def example(method: Method, dtype: str, layout: str) -> Case:
    """An ordinary call of a method."""
    values, shape = COMPLEX if category(dtype) == 3 else method.pool[:4], method.example("").shape
    y = Target("y", values[::-1], shape, dtype) if method.takes_y else None
    return Case(method, Target("x", values, shape, dtype, layout), y)


def examples(among: Sequence[Method], dtypes: Sequence[str]) -> Iterator[Case]:
    """An ordinary call of each method in each dtype, on whole tensors and on parts by turns."""
    for number, method in enumerate(among):
        fitting = [dtype for dtype in dtypes if _fits(method, dtype)]
        for turn, dtype in enumerate(fitting):
            yield example(method, dtype, ("contiguous", "sliced")[(number + turn) % 2])


@st.composite
def _calls(draw: st.DrawFn, fitting: tuple[tuple[Method, str], ...]) -> Case:
    method, dtype = draw(st.sampled_from(fitting))
    numbers = complex_elements() if category(dtype) == 3 else elements(pool=method.pool)
    target = drawn_target(draw, method, dtype)
    target = Target("x", draw(numbers), target.shape, dtype, target.layout)
    y = Target("y", draw(numbers), target.shape, dtype) if method.takes_y else None
    return Case(method, target, y)
