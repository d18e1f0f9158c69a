"""The claims about programs: each can fail, and says how."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from conformance.claims import (
    test_activations,
    test_correctness,
    test_grad_modes,
    test_plain,
    test_raising,
)
from conformance.claims.catalogue import find_claim
from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.planted import By
from conformance.profiles import PROFILES
from conformance.records import RecordWriter, Verdict, read_run
from conformance.subjects import InProcessSubject, Subject
from conformance.trial import Disagreement, Trial
from strategies.program import decode
from tests.planted import planted_pairs

_MODULES = (test_activations, test_correctness, test_grad_modes, test_plain, test_raising)
# Under other names, or pytest would collect them here too.
CLAIMS: dict[str, Callable[[Trial], None]] = {
    value.claim_id: value
    for module in _MODULES
    for value in vars(module).values()
    if hasattr(value, "claim_id")
}
FAULTS = [one for one in planted_pairs() if one[1].claim in CLAIMS]
"""The faulty torches of the fixed subset, and how each of these claims must catch them."""

_PATCHED = (torch, torch.Tensor, F)
QUICK = replace(PROFILES["quick"], examples=250, shrink_s=60.0, searched=20)


@pytest.fixture
def mended() -> Iterator[None]:
    """Take back whatever a fault does to torch."""
    before = [dict(vars(place)) for place in _PATCHED]
    yield
    for place, names in zip(_PATCHED, before, strict=True):
        for name, value in list(vars(place).items()):
            if name not in names:
                delattr(place, name)
            elif value is not names[name]:
                setattr(place, name, names[name])


def on_trial(claim: str, subject: Subject, machine: Machine, records: RecordWriter) -> Trial:
    """A claim put to a subject in the profile that repeats itself."""
    examiner = Examiner(subject, machine)
    trial = Trial(find_claim(claim), examiner, QUICK, 0, records, records.folder)
    trial.begin()
    return trial


@pytest.mark.usefixtures("mended")
@pytest.mark.parametrize(
    ("fault", "by"), FAULTS, ids=[f"{by.claim}-{fault}" for fault, by in FAULTS]
)
def test_claim_catches(fault: str, by: By, machine: Machine, tmp_path: Path) -> None:
    """The fault is caught as the right kind of deviation, in a program that is short to read."""
    module = f"tests.faults.{fault}"
    sys.modules.pop(module, None)
    subject = InProcessSubject(f"device=cpu,import={module}", "cpu", (module,))
    with RecordWriter(tmp_path) as records:
        trial = on_trial(by.claim, subject, machine, records)
        with pytest.raises(Disagreement) as caught:
            CLAIMS[by.claim](trial)
        assert trial.finish() == "deviates"
    verdict = deviation(tmp_path)
    assert verdict.kind in by.kinds and verdict.message == str(caught.value)
    if verdict.source is not None and by.steps is not None:
        shrunk = decode(bytes(read_run(tmp_path).programs[verdict.program].program))
        assert len(shrunk.steps) <= by.steps or not verdict.minimal, verdict.script


def deviation(folder: Path) -> Verdict:
    """The one deviation that the records hold."""
    (found,) = (v for v in read_run(folder).verdicts if v.verdict == "deviates")
    return found


@pytest.mark.parametrize("claim", CLAIMS)
def test_claim_holds(claim: str, local: Subject, machine: Machine, tmp_path: Path) -> None:
    """The torch that is here keeps every claim, but for what is registered."""
    with RecordWriter(tmp_path) as records:
        trial = on_trial(claim, local, machine, records)
        CLAIMS[claim](trial)
        trial.finish()
    assert not trial.counts["deviates"] and trial.counts["conforms"]


def test_every_claim_is_broken_by_a_fault() -> None:
    """There is no claim that nothing can break."""
    assert {by.claim for _, by in FAULTS} == set(CLAIMS)
