"""Scripts that compare an in-place method with its plain form: what x holds, and what it does not.

The conditions are those of the claim's scope: within it, x holds the plain result bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from conformance.claims._inplace import drawn_target, setup
from conformance.claims._methods import Method
from conformance.claims._promotion import BOOLEAN, broadcasts_into, category, plain_dtype
from conformance.claims._seeing import (
    Look,
    Shown,
    exactly,
    expecting,
    same_bits,
    unless,
    within,
)
from conformance.claims._targets import Shape, Target, complex_elements, elements, shapes
from conformance.judge import Finding
from conformance.script_verdict import Judgement
from conformance.subjects import Observation
from conformance.tolerances import few_ulps
from conformance.trial import Script

ALIASED = "aliased operand"
SHAPE = "another shape"
DTYPE = "another dtype"
COMPLEX = "complex product"
MATRIX = "matrix product into a non-contiguous target"
ORDER = "random numbers into a non-contiguous target"

_CLAIMED = """\
{setup}
{seed}plain = x.{plain}({arguments}).clone()
{seed}x.{name}({arguments})
"""
_DOCUMENTED = """\
{setup}
errors = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
plain = None
torch.manual_seed(0)
try:
    plain = x.{plain}({arguments}).clone()
except errors as error:
    facts["plain raised"] = type(error).__name__ + ": " + str(error)
torch.manual_seed(0)
try:
    x.{name}({arguments})
except errors as error:
    facts["in place raised"] = type(error).__name__ + ": " + str(error)
cast = None if facts else plain.to(x.dtype)
"""
_DTYPES = """float64 float32 int64 complex128 bool float16 bfloat16 int32 uint8
complex64""".split()
# Their in-place forms exist for fewer dtypes than the plain ones, as their messages say.
_SAME_DTYPE_ONLY = ("float_power_",)
_REAL_ONLY = ("abs_", "absolute_")
_RANDOM = ("bernoulli_",)
PRODUCTS = """mul_ div_ multiply_ divide_ true_divide_ addcdiv_ addcmul_ cumprod_ float_power_
ldexp_ lerp_ pow_ square_""".split()
MATRIX_PRODUCTS = ("addmm_", "addbmm_")
_QUOTIENTS = ("addcdiv_", "div_", "fmod_", "remainder_")
_WHOLE = (1.0, 2.0, -1.0, 3.0, -2.0)
_COMMON_METHODS = "add_ mul_ sub_ eq_ gt_ logical_not_".split()
_COMMON_DTYPES = frozenset(("float64", "float32", "int64", "bool"))
"""What every version of torch computes out of place: of the others, old ones refuse most."""
_VIEWS: dict[str, Callable[[Shape], Shape]] = {
    "x": lambda shape: shape,
    "x[:1]": lambda shape: (1, *shape[1:]),
    "x[..., :1]": lambda shape: (*shape[:-1], 1),
}
"""Operands that are the target or a view of it -> their shape."""


@dataclass(frozen=True, slots=True)
class Case:
    """An in-place method on a target: with no operand, one that was drawn, or a view of `x`."""

    method: Method
    target: Target
    y: Target | None = None
    view: str = ""

    @property
    def operand(self) -> tuple[str, Shape] | None:
        """The dtype and the shape of y; None if it has the target's, or there is none."""
        if self.view:
            return self.target.dtype, _VIEWS[self.view](self.target.shape)
        return (self.y.dtype, self.y.shape) if self.y else None

    def text(self, body: str) -> str:
        """The script that has this body."""
        made = f"y = {self.view}" if self.view else self.y.text if self.y else None
        return body.format(
            setup=setup(self.method, self.target, made),
            seed="torch.manual_seed(0)\n" if self.method.name in _RANDOM else "",
            plain=self.method.name[:-1],
            name=self.method.name,
            arguments=self.method.arguments,
        )

    @property
    def beyond(self) -> str:
        """The first condition of the claim's scope that it breaks."""
        x, name = self.target, self.method.name
        dtype, shape = self.operand or (x.dtype if self.method.takes_y else "", x.shape)
        if self.view and shape != x.shape:
            return ALIASED
        if not broadcasts_into(x.shape, shape):
            return SHAPE
        scalars = {"x_scalar": not x.shape, "y_scalar": not shape}
        if plain_dtype(self.method, x.dtype, dtype, **scalars) != x.dtype:
            return DTYPE
        if category(x.dtype) == 3 and name in PRODUCTS:
            return COMPLEX
        if category(x.dtype) >= 2 and name in MATRIX_PRODUCTS and x.lies != "contiguous":
            return MATRIX
        if name in _RANDOM and x.lies != "contiguous":
            return ORDER
        return ""


def as_claimed(case: Case) -> Script:
    """The case by the claim's sentence: where plain returns, x holds the same bit for bit."""
    body, name = case.text(_CLAIMED), case.method.name
    lines = body.splitlines()
    plain = next(i for i, line in enumerate(lines, 1) if line.startswith("plain = "))
    compared = expecting(lambda shown: same_bits(shown, "x", "plain", _why(name)))

    def judge(observation: Observation) -> Judgement:
        judged, error = compared(observation), observation.error
        if error is not None and error.line == plain:
            # There is nothing to compare with.
            judged = Judgement([])
        elif error is not None and error.line == len(lines):
            judged = Judgement([_refused(name, f"{error.class_name}: {error.message}")])
        return replace(judged, allows='"plain" not in globals()')

    return Script(body, ("x", "plain"), judge, case.beyond, _ends(case))


def as_documented(case: Case) -> Script:
    """The case by what holds beyond the scope too: after a cast, or the error that must come."""
    check = expecting(lambda shown: _documented(shown, case))
    seen = ("x", "plain", "cast", "facts")
    beyond = ALIASED if case.beyond == ALIASED else ""
    return Script(case.text(_DOCUMENTED), seen, check, beyond, _ends(case))


def _ends(case: Case) -> str:
    """The registered way in which the case ends some process."""
    whole = category(case.target.dtype) < 2
    return "mvlgamma-of-integers" if whole and case.method.name == "mvlgamma_" else ""


def without_zeros(method: Method) -> Method:
    """The method on numbers that are no zeros as integers either, if it divides by its operand."""
    return replace(method, pool=_WHOLE) if method.name in _QUOTIENTS else method


def _refused(name: str, said: str) -> Finding:
    message = f"x.{name}() raises and should not: {said}"
    one = name in BOOLEAN and "Expected object of scalar type" in said
    quirk = "comparison-in-place-of-one-dtype" if one else ""
    return Finding("spurious error", message, "no error", said, quirk=quirk)


def _why(name: str) -> str:
    return f"after x.{name}(), x holds what x.{name[:-1]}() returns"


def _documented(shown: Shown, case: Case) -> Iterator[Finding]:
    name = case.method.name
    refused = shown.fact_or("plain raised")
    written = shown.fact_or("in place raised")
    # What plain refuses, or gives in another shape or dtype, decides what in place must do.
    must = str(refused.given() or "") or _why_not(shown, case.method)
    raised = written.derived(f"({written.code} is not None)", written.value is not None)
    if must:
        message = f"x.{name}() should raise and does not: {must}"
        missing = Finding("missing error", message, must, "no error")
        yield from unless(raised, message, missing)
        return
    kept = raised.derived(f"not {raised.code}", not raised.value)
    wrong = f"x.{name}() raises and should not"
    yield from unless(kept, wrong, _refused(name, str(written.value)))
    if raised.value:
        return
    if case.beyond in (COMPLEX, MATRIX):
        seen, wanted = shown.array("x"), shown.array("cast")
        yield from within("x", seen, wanted, few_ulps(wanted.value), _why(name))
    elif case.beyond == ORDER:
        seen, wanted = (_in_order(shown.array(each)) for each in ("x", "cast"))
        yield from exactly("x in order", seen, wanted, "as many of each number are drawn")
    else:
        yield from same_bits(shown, "x", "cast", _why(name))


def _in_order(look: Look[NDArray[Any]]) -> Look[NDArray[Any]]:
    in_order = np.sort(look.value, axis=None)
    return look.derived(f"{look.code}.reshape(-1).sort()[0]", in_order)


def _why_not(shown: Shown, method: Method) -> str:
    """Why the plain result cannot be written into the target, if it cannot."""
    shapes = [shown.attribute(name, "shape").given() for name in ("x", "plain")]
    if not method.metadata and shapes[0] != shapes[1]:
        return f"the result has shape {shapes[1]} and the target {shapes[0]}"
    x, plain = (shown.attribute(name, "dtype").given() for name in ("x", "plain"))
    narrower = category(x) < category(plain)
    only = method.name in _SAME_DTYPE_ONLY and x != plain
    unreal = method.name in _REAL_ONLY and category(x) == 3
    return f"the result is {plain} and the target {x}" if narrower or only or unreal else ""


# -- cases


def cases(*, among: Sequence[Method], complexes: bool = True) -> st.SearchStrategy[Case]:
    """Calls within the claim's scope and beyond it by each of its conditions.

    Examples shrink towards the first method on a float64 number, without an operand drawn.
    """
    dtypes = [d for d in _DTYPES if complexes or not d.startswith("complex")]
    kept, changed = _pairs(among, dtypes, changed=False), _pairs(among, dtypes, changed=True)
    takers = [m for m in kept if m.takes_y and (m.dtype, m.dtype) in kept[m]]
    groups = ([kept], [changed, _common(changed)])
    sorts = [_calls(group) for group in (list(filter(None, some)) for some in groups) if group]
    if takers:
        sorts += [_wider(takers), _aliased(takers)]
    products = [method for method in among if method.name in PRODUCTS]
    turned = [d for d in ("complex64", "complex128") if d in dtypes]
    if products and turned:
        sorts.append(_products(products, turned))
    fills = [method for method in among if method.name in _RANDOM]
    if fills:
        sorts.append(_fills(fills))
    matrices = [method for method in among if method.name in MATRIX_PRODUCTS]
    if matrices:
        sorts.append(_matrices(matrices))
    return st.one_of(sorts)


class _Pairs(dict[Method, list[tuple[str, str]]]):
    """Method -> dtypes of target and operand; Hypothesis quotes it, and it is long."""

    def __repr__(self) -> str:
        return f"<pairs of {len(self)} methods>"


def _pairs(among: Sequence[Method], dtypes: Sequence[str], *, changed: bool) -> _Pairs:
    """Method -> dtypes of target and operand where plain has another dtype than the target.

    Or, unless `changed`, where it has the same; methods without any are left out. Where a dtype
    changes, those come first that read no operand, and whose own dtype is an early one: a place
    in the list of dtypes means something else for each method, and cannot be shrunk to.
    """
    pairs = _Pairs()
    for method in among:
        whole = method.dtype == "int64"
        fitting = [d for d in dtypes if not whole or category(d) < 2]
        for x in fitting:
            for y in fitting if method.takes_y else [""]:
                # Versions of torch disagree on the dtype of ldexp with operands of two dtypes.
                unsettled = method.name == "ldexp_" and x != y
                # Complex products are drawn by themselves.
                product = category(x) == 3 and method.name in PRODUCTS and not changed
                if not unsettled and not product and (plain_dtype(method, x, y) != x) == changed:
                    pairs.setdefault(method, []).append((x, y))
    if changed:
        place = {method: (method.takes_y, dtypes.index(of[0][0])) for method, of in pairs.items()}
        pairs = _Pairs((method, pairs[method]) for method in sorted(pairs, key=place.__getitem__))
    return pairs


def _common(pairs: _Pairs) -> _Pairs:
    """Those of pairs that every version of torch computes out of place."""
    common = _Pairs()
    for method, dtypes in pairs.items():
        if method.name in _COMMON_METHODS:
            held = [two for two in dtypes if _COMMON_DTYPES.issuperset(filter(None, two))]
            common.update({method: held} if held else {})
    return common


@st.composite
def _calls(draw: st.DrawFn, groups: Sequence[_Pairs]) -> Case:
    """Calls of a method with one of its pairs, of one of the groups, each as often."""
    pairs = draw(st.sampled_from(groups))
    method = draw(st.sampled_from(list(pairs)))
    dtype, other = draw(st.sampled_from(pairs[method]))
    target = _turned(draw, drawn_target(draw, method, dtype))
    if not other:
        return Case(method, target)
    if dtype == other:
        view = draw(st.sampled_from(("", "x", "drawn")))
        if view != "drawn":
            return Case(method, target, view=view)
    # What broadcasts to the target's shape.
    kept = [target.shape, target.shape[1:], tuple(1 for _ in target.shape)]
    shape = draw(st.sampled_from(kept))
    return Case(method, target, _operand(draw, method, shape, other))


@st.composite
def _products(draw: st.DrawFn, among: Sequence[Method], dtypes: Sequence[str]) -> Case:
    method, dtype = draw(st.sampled_from(among)), draw(st.sampled_from(dtypes))
    shape = draw(shapes(ranks=(1, 2), empty=False))
    layout = draw(st.sampled_from(method.layouts))
    target = Target("x", draw(complex_elements()), shape, dtype, layout)
    return Case(method, target, _operand(draw, method, shape, dtype) if method.takes_y else None)


@st.composite
def _fills(draw: st.DrawFn, among: Sequence[Method]) -> Case:
    """Random numbers into targets of several rows, whose memory lies in another order or apart."""
    shape = (draw(st.integers(2, 3)), draw(st.integers(2, 4)))
    layout = draw(st.sampled_from(("transposed", "sliced")))
    return Case(
        draw(st.sampled_from(among)), Target("x", draw(elements()), shape, "float64", layout)
    )


def _turned(draw: st.DrawFn, target: Target) -> Target:
    if category(target.dtype) < 3:
        return target
    values = draw(complex_elements())
    return Target(target.name, values, target.shape, target.dtype, target.layout)


def _operand(draw: st.DrawFn, method: Method, shape: Shape, dtype: str) -> Target:
    return _turned(draw, Target("y", draw(elements(pool=method.pool)), shape, dtype))


@st.composite
def _wider(draw: st.DrawFn, among: Sequence[Method]) -> Case:
    """An operand that does not fit into the target."""
    method = draw(st.sampled_from(among))
    target = drawn_target(draw, method, method.dtype)
    shape = (2, *target.shape)
    return Case(method, target, _operand(draw, method, shape, method.dtype))


@st.composite
def _aliased(draw: st.DrawFn, among: Sequence[Method]) -> Case:
    """An operand that is a part of the target."""
    method = draw(st.sampled_from(among))
    rank, side = draw(st.sampled_from((1, 2))), draw(st.sampled_from((2, 3)))
    values = draw(elements(pool=method.pool))
    target = Target("x", values, (side,) * rank, method.dtype)
    return Case(method, target, view=draw(st.sampled_from(("x[:1]", "x[..., :1]"))))


@st.composite
def _matrices(draw: st.DrawFn, among: Sequence[Method]) -> Case:
    method = draw(st.sampled_from(among))
    shape = draw(shapes(ranks=(2,), empty=False))
    dtype = draw(st.sampled_from(("float64", "float32")))
    layout = draw(st.sampled_from(("transposed", "sliced")))
    return Case(method, Target("x", draw(elements()), shape, dtype, layout))
