"""What is overwritten and what is not: activations, in-place methods, operators, rebinding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import strategies as st
from packaging.version import Version

from conformance.claims import _inplace, _operators
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
    among = tuple(name for name in ACTIVATIONS if name in there)
    trial.note = _inplace.left_out(sorted(set(ACTIVATIONS) - set(among)), "not in this torch")
    for name in among:
        for by_module in (True, False):
            for inplace in _INPLACE:
                trial.once(_sampled(name, by_module, inplace))
    trial.scripts(_activation_scripts(among=among, dtypes=_dtypes(trial)))


def _dtypes(trial: Trial) -> tuple[str, ...]:
    """Floating-point dtypes in which every activation computes: the narrow ones from 2.0 on."""
    narrow = Version(trial.examiner.subject.torch).release >= (2, 0)
    return FLOATS if narrow and trial.device == "cpu" else FLOATS[:2]


_INPLACE = ("inplace=True", "inplace=False", "")
_DEAF = ("AlphaDropout", "FeatureAlphaDropout")
"""Modules whose `forward` does not pass `inplace` on: a registered deviation."""


def _sampled(name: str, by_module: bool, inplace: str) -> Script:
    """An ordinary call: every activation is put to the subject in each of its forms."""
    activation = ACTIVATIONS[name]
    shape = tuple(range(2, 2 + activation.ranks[-1]))
    target = Target("x", (1.0, -2.0, 0.5, -0.25, 7.0), shape)
    call = Call(activation, activation.arguments[0], activation.trains, by_module)
    return _activation_script(target, call, inplace, 0)


@st.composite
def _activation_scripts(
    draw: st.DrawFn, *, among: tuple[str, ...], dtypes: tuple[str, ...]
) -> Script:
    call = draw(calls(among=among))
    shape = draw(shapes(ranks=call.activation.ranks))
    dtype, layout = draw(st.sampled_from(dtypes)), draw(st.sampled_from(LAYOUTS))
    target = Target("x", draw(elements(special=True)), shape, dtype, layout)
    inplace = draw(st.sampled_from(_INPLACE))
    return _activation_script(target, call, inplace, draw(st.integers(0, 9)))


def _activation_script(target: Target, call: Call, inplace: str, seed: int) -> Script:
    plain, text = call.text("before.clone()", "inplace=False"), call.text("x", inplace)
    body = _ACTIVATION.format(target=target.text, seed=seed, plain=plain, call=text)
    idle, overwrites = call.idle(target.array.size), inplace == "inplace=True"

    def check(shown: Shown) -> Iterator[Finding]:
        yield from same_bits(shown, "out", "plain", "in place and plain compute the same")
        if idle:
            yield from _idle(shown)
        elif overwrites:
            found = list(_overwritten(shown, target))
            deaf = call.by_module and call.activation.module in _DEAF
            if found and deaf and not list(_untouched(shown)):
                found = [replace(found[0], quirk="alpha-dropout-ignores-inplace")]
            yield from found
        else:
            yield from _untouched(shown)

    names = ("x", "before", "plain", "out", "facts")
    return Script(body, (*names, "base") if "base" in body else names, expecting(check))


def _idle(shown: Shown) -> Iterator[Finding]:
    why = "a dropout that does nothing returns its input"
    yield from same_bits(shown, "x", "before", why)
    shared = shown.tensor("out").storage == shown.tensor("x").storage
    yield from flag("one memory for x and out", shared, True, why, "wrong aliasing")


def _untouched(shown: Shown) -> Iterator[Finding]:
    why = "without inplace=True the input is left untouched"
    yield from same_bits(shown, "x", "before", why)
    yield from flag("x._version", shown.tensor("x").version, 0, why, "wrong flag")
    shared = shown.tensor("out").storage == shown.tensor("x").storage
    yield from flag("one memory for x and out", shared, False, why, "wrong aliasing")


def _overwritten(shown: Shown, target: Target) -> Iterator[Finding]:
    why = "inplace=True overwrites the tensor that it is given"
    yield from same_bits(shown, "x", "plain", why)
    yield from flag("out is x", shown.facts()["is_self"], True, why, "wrong aliasing")
    raised = (shown.tensor("x").version or 0) > 0
    yield from flag("whether x._version rose", raised, True, why, "wrong flag")
    if target.lies == "sliced":
        between = shown.array("base")[..., 1::2]
        yield from flag(
            "what lies between the elements of x",
            bool((between == 9.0).all()),
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
        for layout in method.layouts:
            trial.once(_inplace.same_storage(method, method.example(layout)))
    trial.once(_inplace.MOVED)
    operators, missing = _operators.operators_of(trial)
    trial.note = "; ".join(filter(None, (trial.note, missing)))
    for operator in operators:
        for layout in LAYOUTS:
            trial.once(_operators.writes(operator, layout))
    trial.once(_operators.MATMUL)
    trial.scripts(_inplace.same_storage_scripts(among=methods))


@proves("inplace-equals-functional")
def test_inplace_equals_functional(trial: Trial) -> None:
    """After x.op_(y), x holds what x.op(y) would have returned (articles 001, 003)."""
    methods, trial.note = _inplace.methods_of(trial)
    there = trial.examiner.subject.names["Tensor"]
    twins = [method for method in methods if method.plain and method.name[:-1] in there]
    for method in twins:
        trial.once(_inplace.equals_plain(method, method.example("contiguous")))
    # Before 1.6 there are complex dtypes and no complex arithmetic.
    complexes = Version(trial.examiner.subject.torch).release >= (1, 6)
    trial.scripts(_inplace.equals_plain_scripts(among=twins, complexes=complexes))


@proves("rebinding-is-not-inplace")
def test_rebinding_is_not_inplace(trial: Trial) -> None:
    """x = x + 1 leaves the old tensor as it was, and x += 1 writes into it (article 003)."""
    operators, trial.note = _operators.operators_of(trial)
    for operator in operators:
        trial.once(_operators.rebinds(operator))
    trial.scripts(_operators.rebinding_scripts(among=operators))
    trial.holds(drawn(scenes.rebound))
    trial.holds(drawn(scenes.augmented))
