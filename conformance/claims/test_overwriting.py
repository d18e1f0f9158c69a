"""What is overwritten and what is not: activations, in-place methods, operators, rebinding."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from conformance.claims import _inplace, _operators
from conformance.claims._activations import ACTIVATIONS, Call, calls
from conformance.claims._seeing import Shown, expecting, flag, same_bits
from conformance.claims._targets import FLOATS, LAYOUTS, Target, elements, shapes
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.trial import Script, Trial
from strategies import scenes
from strategies.scenes import drawn

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
    every = [(name, m, i) for name in among for m in (True, False) for i in _INPLACE]
    for form in every:
        if not _is_deaf(*form):
            trial.once(_sampled(*form))
    trial.scripts(_activation_scripts(among=among))
    for form in filter(lambda form: _is_deaf(*form), every):
        trial.once(_sampled(*form))


_INPLACE = ("inplace=True", "inplace=False", "")
_DEAF = ("AlphaDropout", "FeatureAlphaDropout")
"""Modules whose `forward` does not pass `inplace` on, as far as is known: they are asked last, so
that they hide nothing else."""


def _is_deaf(name: str, by_module: bool, inplace: str) -> bool:
    return name in _DEAF and by_module and inplace == "inplace=True"


def _sampled(name: str, by_module: bool, inplace: str) -> Script:
    """An ordinary call: every activation is put to the subject in each of its forms."""
    activation = ACTIVATIONS[name]
    shape = tuple(range(2, 2 + activation.ranks[-1]))
    target = Target("x", (1.0, -2.0, 0.5, -0.25, 7.0), shape)
    call = Call(activation, activation.arguments[0], activation.trains, by_module)
    return _activation_script(target, call, inplace, 0)


@st.composite
def _activation_scripts(draw: st.DrawFn, *, among: tuple[str, ...]) -> Script:
    call = draw(calls(among=among))
    shape = draw(shapes(ranks=call.activation.ranks))
    dtype, layout = draw(st.sampled_from(FLOATS)), draw(st.sampled_from(LAYOUTS))
    target = Target("x", draw(elements(special=True)), shape, dtype, layout)
    forms = [i for i in _INPLACE if not _is_deaf(call.activation.module, call.by_module, i)]
    inplace = draw(st.sampled_from(forms))
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
            yield from _overwritten(shown, target)
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
    for operator in _operators.OPERATORS:
        for layout in LAYOUTS:
            trial.once(_operators.writes(operator, layout))
    trial.once(_operators.MATMUL)
    trial.scripts(_inplace.same_storage_scripts(among=methods))


@proves("inplace-equals-functional")
def test_inplace_equals_functional(trial: Trial) -> None:
    """After x.op_(y), x holds what x.op(y) would have returned (articles 001, 003)."""
    methods, trial.note = _inplace.methods_of(trial)
    twins = [method for method in methods if method.plain]
    for method in twins:
        trial.once(_inplace.equals_plain(method, method.example("contiguous")))
    trial.scripts(_inplace.equals_plain_scripts(among=twins))


@proves("rebinding-is-not-inplace")
def test_rebinding_is_not_inplace(trial: Trial) -> None:
    """x = x + 1 leaves the old tensor as it was, and x += 1 writes into it (article 003)."""
    for operator in _operators.OPERATORS:
        trial.once(_operators.rebinds(operator))
    trial.scripts(_operators.rebinding_scripts())
    trial.holds(drawn(scenes.rebound))
    trial.holds(drawn(scenes.augmented))
