"""What is overwritten and what is not: activations, in-place methods, operators, rebinding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hypothesis import strategies as st
from packaging.version import Version

from conformance.claims import _inplace, _moving, _operators, _plain_form
from conformance.claims._activations import ACTIVATIONS, Call, calls
from conformance.claims._seeing import Shown, expecting, flag, same_bits
from conformance.claims._targets import FLOATS, LAYOUTS, Target, elements, shapes
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.trial import Script, Trial
from strategies import scenes
from strategies.staging import drawn

# -- activations

_ACTIVATION = """\
{target}
before = x.clone()
torch.manual_seed({seed})
plain = {plain}
torch.manual_seed({seed})
out = {call}
facts["is_self"] = out is x
"""


@proves("relu-input-changed")
def test_relu_input_changed(trial: Trial) -> None:
    """inplace=True overwrites the input; False and the default leave it untouched (article 000)."""
    there = trial.examiner.subject.names["nn"]
    # In the order in which examples shrink: the plainest first, within the scope and beyond it.
    names = ("ReLU", "Dropout", *sorted(set(ACTIVATIONS) - {"ReLU", "Dropout"}))
    among = tuple(name for name in names if name in there)
    trial.note = _inplace.left_out(sorted(set(ACTIVATIONS) - set(among)), "not in this torch")
    for name in among:
        for by_module in (True, False):
            for inplace in _INPLACE:
                trial.once(_sampled(name, by_module, inplace))
    dtypes = _dtypes(trial)
    trial.scripts(activation_scripts(among=among, dtypes=dtypes))
    trial.scripts(activation_scripts(among=among, dtypes=dtypes, claimed=False))
    for title, kind in (
        ("A dropout that does nothing writes nothing, inplace=True or not", "wrong flag"),
        ("A dropout that does nothing returns its input, inplace=False or not", "wrong aliasing"),
    ):
        trial.searches_scripts(
            activation_scripts(among=among, dtypes=dtypes),
            condition=IDLE,
            title=title,
            kinds=(kind,),
        )


IDLE = "dropout that does nothing"


def _dtypes(trial: Trial) -> tuple[str, ...]:
    """Floating-point dtypes in which every activation computes."""
    torch = Version(trial.examiner.subject.torch).release
    narrow = [dtype for dtype, since in _COMPUTES_SINCE.items() if torch >= since]
    return (*FLOATS[:2], *narrow) if trial.device == "cpu" else FLOATS[:2]


_COMPUTES_SINCE = {"bfloat16": (2, 0), "float16": (2, 4)}
"""The narrow dtypes, and the first torch whose activations have kernels of them on a CPU."""


_INPLACE = ("inplace=True", "inplace=False", "")
_DEAF = ("AlphaDropout", "FeatureAlphaDropout")
"""Modules whose `forward` does not pass `inplace` on: a registered deviation."""


def _sampled(name: str, by_module: bool, inplace: str) -> Script:
    """An ordinary call: every activation is put to the subject in each of its forms."""
    activation = ACTIVATIONS[name]
    shape = tuple(range(2, 2 + activation.ranks[-1]))
    target = Target("x", (1.0, -2.0, 0.5, -0.25, 7.0), shape)
    call = Call(activation, activation.arguments[0], activation.trains, by_module)
    return _activation_script(target, call, inplace, 0, claimed=False)


@st.composite
def activation_scripts(
    draw: st.DrawFn, *, among: tuple[str, ...], dtypes: tuple[str, ...], claimed: bool = True
) -> Script:
    """Calls on drawn targets; examples shrink towards the first in place, on a number.

    They are judged by the claim's sentence, or else by what is documented beyond its scope too.
    """
    call = draw(calls(among=among))
    shape = draw(shapes(ranks=call.activation.ranks))
    dtype, layout = draw(st.sampled_from(dtypes)), draw(st.sampled_from(LAYOUTS))
    if call.training and call.activation.module == "RReLU" and dtype == "float16":
        # On a CPU its noise is not implemented for this dtype.
        dtype = "float32"
    target = Target("x", draw(elements(special=True)), shape, dtype, layout)
    inplace = draw(st.sampled_from(_INPLACE))
    return _activation_script(target, call, inplace, draw(st.integers(0, 9)), claimed=claimed)


def _activation_script(
    target: Target, call: Call, inplace: str, seed: int, *, claimed: bool
) -> Script:
    plain, text = call.text("before.clone()", "inplace=False"), call.text("x", inplace)
    body = _ACTIVATION.format(target=target.text, seed=seed, plain=plain, call=text)
    idle, overwrites = call.idle(target.array.size), inplace == "inplace=True"

    def check(shown: Shown) -> Iterator[Finding]:
        yield from same_bits(shown, "out", "plain", "in place and plain compute the same")
        if idle and not claimed:
            yield from _idle(shown)
        elif overwrites:
            found = list(_overwritten(shown, target))
            deaf = call.by_module and call.activation.module in _DEAF
            if found and deaf and not list(_untouched(shown.aside())):
                found = [replace(found[0], quirk="alpha-dropout-ignores-inplace")]
            yield from found
        else:
            yield from _untouched(shown)

    names = ("x", "before", "plain", "out", "facts")
    seen = (*names, "base") if "base" in body else names
    return Script(body, seen, expecting(check), IDLE if idle and claimed else "")


def _idle(shown: Shown) -> Iterator[Finding]:
    why = "a dropout that does nothing returns its input"
    yield from same_bits(shown, "x", "before", why)
    shared = shown.one_memory("out", "x")
    yield from flag("one memory for x and out", shared, True, why, "wrong aliasing")


def _untouched(shown: Shown) -> Iterator[Finding]:
    why = "without inplace=True the input is left untouched, and the result is a new tensor"
    yield from same_bits(shown, "x", "before", why)
    yield from flag("x._version", shown.attribute("x", "version"), 0, why, "wrong flag")
    shared = shown.one_memory("out", "x")
    yield from flag("one memory for x and out", shared, False, why, "wrong aliasing")


def _overwritten(shown: Shown, target: Target) -> Iterator[Finding]:
    why = "inplace=True overwrites the tensor that it is given"
    yield from same_bits(shown, "x", "plain", why)
    yield from flag("out is x", shown.fact("is_self"), True, why, "wrong aliasing")
    version = shown.attribute("x", "version")
    raised = version.derived("x._version > 0", (version.value or 0) > 0)
    yield from flag("whether x._version rose", raised, True, why, "wrong flag")
    if target.lies == "sliced":
        base = shown.array("base")
        between = base.value[..., 1::2]
        yield from flag(
            "what lies between the elements of x",
            base.derived("bool((base[..., 1::2] == 9.0).all())", bool((between == 9.0).all())),
            True,
            "an in-place operation writes nothing but its target",
            "wrong value",
        )


# -- in-place methods and operators


@proves("inplace-same-storage")
def test_inplace_same_storage(trial: Trial) -> None:
    """In-place methods and operators keep the memory and return their self (articles 001, 003)."""
    methods, trial.note = _inplace.methods_of(trial)
    for method in methods:
        targets = [method.example(layout) for layout in method.layouts]
        if method.shapes == "any":
            targets.append(replace(targets[0], shape=(0,)))
        for target in targets:
            trial.once(_inplace.same_storage(method, target))
    trial.once(_inplace.MOVED)
    operators, missing = _operators.operators_of(trial)
    trial.note = "; ".join(filter(None, (trial.note, missing)))
    for operator in operators:
        for layout in LAYOUTS:
            trial.once(_operators.writes(operator, _operators.example(operator, layout)))
    trial.once(_operators.MATMUL)
    scripts = _moving.same_storage_scripts(among=methods, operators=operators)
    trial.scripts(scripts)
    for condition, title, fragment in _ELSEWHERE:
        trial.searches_scripts(
            scripts, condition=condition, title=title, kinds=("wrong aliasing",), fragment=fragment
        )


_ELSEWHERE = (
    (_moving.MOVES, "More memory, or another part of it, is at another address", "same address"),
    (_moving.TAKES, "set_ gives a tensor another storage", "one storage for x"),
    (_moving.REBINDS, "x @= y binds a new tensor", "returned its own self"),
)
"""Condition of the claim's scope, what is shown there, and how the finding says it."""


@proves("inplace-equals-functional")
def test_inplace_equals_functional(trial: Trial) -> None:
    """After x.op_(y), x holds what x.op(y) would have returned (articles 001, 003)."""
    methods, trial.note = _inplace.methods_of(trial)
    there = trial.examiner.subject.names["Tensor"]
    twins = [method for method in methods if method.plain and method.name[:-1] in there]
    for method in twins:
        targets = [method.example("contiguous"), method.example("contiguous", large=True)]
        if method.dtype == "float64":
            # Kernels of narrow dtypes are written apart from the others.
            targets += [method.example("contiguous", dtype=d) for d in _dtypes(trial)[1:]]
        for target in targets:
            trial.once(_plain_form.as_documented(_plain_form.Case(method, target)))
    torch = Version(trial.examiner.subject.torch).release
    if torch < (1, 8):
        # What divides integers by zero ends the worker: the register has a script.
        twins = [_plain_form.without_zeros(method) for method in twins]
    # Before 1.6 there are complex dtypes and no complex arithmetic.
    complexes = torch >= (1, 6)
    cases = _plain_form.cases(among=twins, complexes=complexes)
    trial.scripts(cases.map(_plain_form.as_claimed))
    trial.scripts(cases.map(_plain_form.as_documented))
    for bound in _UNEQUAL:
        if bound.condition == _plain_form.COMPLEX and not complexes:
            continue
        trial.searches_scripts(
            cases.map(_plain_form.as_claimed),
            condition=bound.condition,
            title=bound.title,
            kinds=(bound.kind,),
            fragment=bound.fragment,
            certain=bound.certain,
        )


@dataclass(frozen=True, slots=True)
class _Bound:
    """A condition of a claim's scope, what is shown there, and the kind and words of the finding.

    `certain` are the versions of torch on which it must be found; None where that depends on the
    kernels of a build and of a CPU.
    """

    condition: str
    title: str
    kind: str
    fragment: str
    certain: str | None = ""


_UNEQUAL = (
    _Bound(
        _plain_form.ALIASED,
        "An operand that is a part of the target is read while it is written",
        "wrong value",
        "x[",
    ),
    _Bound(
        _plain_form.ALIASED,
        "An operand that is a part of the target is refused, where torch can tell",
        "spurious error",
        "unsupported operation",
        # Kind.OVERLAP_PARTIAL is a law since then.
        certain=">=1.4",
    ),
    _Bound(
        _plain_form.SHAPE,
        "A result of another shape cannot be written",
        "spurious error",
        "output with shape",
    ),
    _Bound(
        _plain_form.DTYPE,
        "A result of a wider kind of dtype cannot be written",
        "spurious error",
        "the desired",
    ),
    _Bound(
        _plain_form.DTYPE,
        "A result of another dtype is cast to that of the target",
        "wrong value",
        "x has dtype",
    ),
    _Bound(
        _plain_form.MATRIX,
        "A matrix product is rounded otherwise where the target is not contiguous",
        "wrong value",
        "x[",
    ),
    _Bound(
        _plain_form.COMPLEX,
        "Complex products are rounded by the loop that computes them",
        "wrong value",
        "x[",
        certain=None,
    ),
    _Bound(
        _plain_form.ORDER,
        "Random numbers are drawn in the order of memory, which is not that of the elements",
        "wrong value",
        "x[",
        certain=None,
    ),
)


@proves("rebinding-is-not-inplace")
def test_rebinding_is_not_inplace(trial: Trial) -> None:
    """x = x + 1 leaves the old tensor as it was, and x += 1 writes into it (article 003)."""
    operators, trial.note = _operators.operators_of(trial)
    for operator in operators:
        trial.once(_operators.rebinds(operator))
    trial.scripts(_operators.rebinding_scripts(among=operators))
    trial.holds(drawn(scenes.rebound))
    trial.holds(drawn(scenes.augmented))
