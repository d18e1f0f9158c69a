"""The claims that are scripts: they hold for the torch that is here, and each can fail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from hypothesis import find
from hypothesis.strategies import SearchStrategy
from torch import nn
from torch.nn import functional as F

from conformance.claims import (
    _moving,
    _networks,
    _operators,
    _plain_form,
    _twins,
    test_complex,
    test_defaults,
    test_dtypes,
    test_errata,
    test_fills,
    test_golden,
    test_guided,
    test_kinks,
    test_memory,
    test_modules,
    test_overwriting,
)
from conformance.claims._activations import ACTIVATIONS
from conformance.claims._layers import LAYERS, WITHOUT_TWIN
from conformance.claims._methods import EXCLUDED, FORMER, METHODS, MOVING
from conformance.claims.catalogue import find_claim
from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.planted import By
from conformance.profiles import PROFILES
from conformance.records import RecordWriter, read_run
from conformance.script_verdict import Judgement
from conformance.subjects import InProcessSubject, Subject, open_subject
from conformance.subjects.observation import ErrorSeen, Observation
from conformance.trial import Disagreement, Script, Trial
from tests.planted import planted_pairs
from tests.readings import disagreements
from tests.test_script import output_of

_MODULES = (
    test_complex,
    test_defaults,
    test_dtypes,
    test_errata,
    test_fills,
    test_golden,
    test_guided,
    test_kinks,
    test_memory,
    test_modules,
    test_overwriting,
)
# Under other names, or pytest would collect them here too.
CLAIMS: dict[str, Callable[[Trial], None]] = {
    value.claim_id: value
    for module in _MODULES
    for value in vars(module).values()
    if hasattr(value, "claim_id")
}


@cache
def machine() -> Machine:
    """One machine for all: no script needs it."""
    return Machine()


class Kept(Trial):
    """A trial that keeps the scripts that it put, and how they were judged."""

    put: ClassVar[list[tuple[Script, Judgement]]] = []

    def _judgement(self, script: Script) -> Judgement:
        judged = super()._judgement(script)
        self.put.append((script, judged))
        return judged


OnTrial = Callable[[str, Subject], Kept]


@pytest.fixture
def on_trial(tmp_path: Path) -> Iterator[OnTrial]:
    """Put a claim on trial in the profile that repeats itself."""
    with RecordWriter(tmp_path) as writer:

        def begin(claim: str, subject: Subject) -> Kept:
            examiner = Examiner(subject=subject, machine=machine())
            Kept.put.clear()
            trial = Kept(find_claim(claim), examiner, PROFILES["quick"], 0, writer, tmp_path)
            trial.begin()
            return trial

        yield begin


@pytest.fixture(scope="module")
def here() -> Subject:
    """The torch of this interpreter."""
    return InProcessSubject("eager-cpu")


# -- the torch that is here


@pytest.mark.parametrize("claim", sorted(CLAIMS))
def test_claim_conforms(claim: str, here: Subject, on_trial: OnTrial) -> None:
    """Every claim conforms, and leaves nothing out without a reason; so say its scripts, and what
    is read of them is what they do.
    """
    trial = on_trial(claim, here)
    CLAIMS[claim](trial)
    assert trial.finish() == "conforms"
    assert "left out" not in trial.note
    held = [(script, judged) for script, judged in trial.put if not judged.findings]
    for script, judged in held[:: len(held) // SCRIPTS + 1]:
        assert output_of(script.judging("cpu", judged)) == ("conforms", 0), script.body
        # Without comparisons it is a script that raises by right.
        assert judged.asked is None or disagreements(script.body) == [], script.body


SCRIPTS = 25
"""So many of those that a claim puts are run as they are copied, at most."""


def test_inplace_of_alpha_dropout_layers(here: Subject, on_trial: OnTrial, tmp_path: Path) -> None:
    """nn.AlphaDropout(inplace=True) writes nothing: registered, beside all that holds."""
    trial = on_trial("relu-input-changed", here)
    CLAIMS["relu-input-changed"](trial)
    assert trial.counts["conforms"] > 100
    assert trial.counts["known deviation"] >= 2
    assert b"alpha-dropout-ignores-inplace" in (tmp_path / "verdicts.jsonl").read_bytes()


def test_every_in_place_method_is_known() -> None:
    """Each in-place method of a tensor is called, or left out with a reason."""
    there = {n for n in dir(torch.Tensor) if n.endswith("_") and not n.startswith("_")}
    assert there == {n for n in METHODS if hasattr(torch.Tensor, n)} | set(MOVING) | set(EXCLUDED)
    assert not there.intersection(FORMER)


def test_every_in_place_method_with_a_plain_form_is_compared_with_it() -> None:
    """Only methods without a plain form of the same name are not compared."""
    alone = {m.name for m in METHODS.values() if not m.plain and hasattr(torch.Tensor, m.name[:-1])}
    # The plain names mean something else: an attribute.
    assert alone == {"requires_grad_"}


def test_every_layer_is_known() -> None:
    """Each layer is compared with its function, or has none for a reason."""
    layers = {n for n, v in vars(nn).items() if isinstance(v, type)}
    layers = {n for n in layers if issubclass(getattr(nn, n), nn.Module)}
    assert layers <= set(LAYERS) | set(WITHOUT_TWIN)
    assert not set(LAYERS) & set(WITHOUT_TWIN)


def test_every_activation_with_inplace_is_known() -> None:
    """The layers with an `inplace` attribute are those that are asked whether they write."""
    found = {n for n, v in vars(nn).items() if "inplace" in _parameters(v)}
    assert found == set(ACTIVATIONS)


def _parameters(value: object) -> tuple[str, ...]:
    init = getattr(value, "__init__", None)
    return getattr(getattr(init, "__code__", None), "co_varnames", ())


# -- what cases shrink to


@pytest.mark.parametrize(
    ("scripts", "fragments"),
    [
        (
            _operators.rebinding_scripts(among=_operators.OPERATORS),
            ["x = torch.tensor(1.0, ", "x = x + 2\n"],
        ),
        (
            _moving.same_storage_scripts(among=[METHODS["abs_"]], operators=[]),
            ["x = torch.tensor(1.0, "],
        ),
        (
            _plain_form.cases(among=[METHODS["add_"]]).map(_plain_form.as_claimed),
            ["torch.full_like(x, 2)"],
        ),
        (_twins.compared_scripts(among=[LAYERS["ReLU"]]), ["nn.ReLU()", "float64", "[2, 3, 4]"]),
        (_twins.dropout_scripts(among=["dropout"]), ["manual_seed(0)", "F.dropout(x, 0.5,"]),
        (_networks.networks(there={"relu", "selu"}), ["nn.ReLU(inplace=True)", "manual_seed(0)"]),
    ],
    ids=["rebinding", "same storage", "plain", "twins", "dropouts", "networks"],
)
def test_scripts_shrink_to_the_simplest(
    scripts: SearchStrategy[Script], fragments: list[str]
) -> None:
    """The smallest case within the scope is one that anybody would write by hand."""
    body = find(scripts, lambda script: not script.beyond).body
    assert all(fragment in body for fragment in fragments), body


# -- planted faults

FAULTS = [one for one in planted_pairs() if one[1].claim in CLAIMS]
"""The faulty torches of the fixed subset, and how each of these claims must catch them."""


_PATCHED = (torch, torch.Tensor, F, nn.ReLU, nn.GELU, torch.autograd.Function)


@contextmanager
def mended() -> Iterator[None]:
    """Take back whatever a fault does to torch."""
    before = [dict(vars(place)) for place in _PATCHED]
    try:
        yield
    finally:
        for place, names in zip(_PATCHED, before, strict=True):
            for name, value in list(vars(place).items()):
                if name not in names:
                    delattr(place, name)
                elif value is not names[name]:
                    setattr(place, name, names[name])


@pytest.mark.parametrize(
    ("fault", "by"), FAULTS, ids=[f"{by.claim}-{fault}" for fault, by in FAULTS]
)
def test_claim_catches(fault: str, by: By, on_trial: OnTrial, tmp_path: Path) -> None:
    """The fault is caught, as the right kind of deviation; the record and the script say so."""
    module = f"tests.faults.{fault}"
    sys.modules.pop(module, None)
    with mended():
        trial = on_trial(
            by.claim, InProcessSubject(f"device=cpu,import={module}", "cpu", (module,))
        )
        with pytest.raises(Disagreement) as caught:
            CLAIMS[by.claim](trial)
        assert caught.value.finding.kind in by.kinds
        assert trial.finish() == "deviates"
        script = next(v.script for v in read_run(tmp_path).verdicts if v.verdict == "deviates")
        said, code = output_of(script)
        assert said.startswith("deviates: ")
        assert code == 1
    # The same script on the torch that is here, without the fault.
    said, code = output_of(script)
    assert code == 0
    assert said == "conforms" or said.startswith("unspecified: ")


def test_fault_is_caught_in_a_worker(
    on_trial: OnTrial, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A faulty torch is a subject like any other: it is named, and runs in its own process."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    with open_subject("device=cpu,import=tests.faults.relu_in_place_that_copies") as subject:
        trial = on_trial("relu-golden", subject)
        with pytest.raises(Disagreement, match=r"mid\[0, 2\] is -4.01"):
            CLAIMS["relu-golden"](trial)


def test_every_claim_is_broken_by_a_fault() -> None:
    """There is no claim that nothing can break."""
    assert {by.claim for _, by in FAULTS} == set(CLAIMS)


@pytest.mark.parametrize(
    ("message", "quirk"),
    [
        ("derivative for channel_shuffle is not implemented", "channel-shuffle-underived"),
        ("derivative for channel_shuffle is not what it was", ""),
    ],
)
def test_an_error_that_is_registered_of_a_layer_is_called_by_its_name(
    message: str, quirk: str
) -> None:
    """It is a known deviation where the register has it, and else deviates as any error."""
    layer = LAYERS["ChannelShuffle"]
    script = _twins.compared(_twins.Pair(layer, layer.variants[0], layer.shape))
    error = ErrorSeen(class_name="RuntimeError", message=message)
    (finding,) = script.findings(Observation(error=error))
    assert finding.kind == "spurious error"
    assert finding.quirk == quirk


@pytest.mark.parametrize("dtype", ["bfloat16", "complex32", "bcomplex32", "float8_e4m3fnuz"])
def test_dtypes_that_came_later_can_require_grad_by_their_names(dtype: str) -> None:
    assert test_dtypes.can_require_grad(dtype)


@pytest.mark.parametrize("dtype", ["bits16", "bool", "uint8", "quint8", "int4"])
def test_dtypes_that_are_not_floating_point_cannot(dtype: str) -> None:
    assert not test_dtypes.can_require_grad(dtype)
