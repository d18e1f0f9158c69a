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
from conformance.profiles import PROFILES
from conformance.records import RecordWriter, Verdict, read_run
from conformance.subjects import InProcessSubject, Subject
from conformance.trial import Disagreement, Trial
from strategies.program import decode

_MODULES = (test_activations, test_correctness, test_grad_modes, test_plain, test_raising)
# Under other names, or pytest would collect them here too.
CLAIMS: dict[str, Callable[[Trial], None]] = {
    value.claim_id: value
    for module in _MODULES
    for value in vars(module).values()
    if hasattr(value, "claim_id")
}
GRADIENT, VALUE, MISSING = "silent wrong gradient", "wrong value", "missing error"
ALIASING, FLAG, SPURIOUS = "wrong aliasing", "wrong flag", "spurious error"
FAULTS: tuple[tuple[str, str, set[str], int], ...] = (
    ("no-error-means-correct", "mul_with_twice_the_gradient", {GRADIENT}, 2),
    ("no-error-means-correct", "gradients_that_overwrite", {GRADIENT}, 4),
    ("no-error-means-correct", "mul_in_place_that_copies", {GRADIENT, VALUE, MISSING}, 4),
    ("no-error-means-correct", "view_that_copies", {ALIASING, GRADIENT, VALUE, MISSING}, 4),
    ("special-numbers", "clone_that_clears_nan", {GRADIENT, VALUE}, 2),
    ("leaf-inplace-raises", "leaf_check_left_out", {MISSING}, 3),
    ("saved-inplace-raises", "version_not_bumped", {MISSING, FLAG}, 4),
    ("saved-inplace-raises", "backward_that_swallows", {MISSING}, 4),
    ("relu-gradient-same", "relu_in_place_without_mask", {GRADIENT, MISSING}, 4),
    ("relu-gradient-same", "relu_in_place_that_copies", {VALUE, GRADIENT, FLAG}, 4),
    ("functional-leaves-operands", "exp_that_writes", {VALUE}, 2),
    ("functional-leaves-operands", "view_that_copies", {ALIASING}, 2),
    ("no-grad-result", "no_grad_that_records", {MISSING, FLAG}, 3),
    ("no-grad-result", "no_grad_that_leaks", {SPURIOUS, FLAG}, 4),
    ("no-grad-truncates", "no_grad_that_records", {GRADIENT}, 4),
    ("no-grad-other-paths", "no_grad_that_records", {GRADIENT}, 4),
    ("no-grad-other-paths", "no_grad_that_leaks", {SPURIOUS, GRADIENT, FLAG}, 4),
    ("no-grad-inplace", "no_grad_that_records", {GRADIENT, VALUE, MISSING, FLAG}, 5),
    ("no-grad-inplace", "no_grad_write_that_detaches", {GRADIENT, MISSING, FLAG, SPURIOUS}, 4),
    ("detach-shares", "detach_that_copies", {MISSING, ALIASING, VALUE}, 4),
    ("detach-shares", "detach_that_requires_grad", {SPURIOUS, FLAG}, 4),
    ("detach-shares", "detach_with_its_own_version", {MISSING, FLAG}, 4),
)
"""Claim, the faulty torch that it must catch, what that may look like, and in how many steps."""

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
    ("claim", "fault", "kinds", "steps"),
    FAULTS,
    ids=[f"{claim}-{fault}" for claim, fault, *_ in FAULTS],
)
def test_claim_catches(
    claim: str, fault: str, kinds: set[str], steps: int, machine: Machine, tmp_path: Path
) -> None:
    """The fault is caught as the right kind of deviation, in a program that is short to read."""
    module = f"tests.faults.{fault}"
    sys.modules.pop(module, None)
    subject = InProcessSubject(f"device=cpu,import={module}", "cpu", (module,))
    with RecordWriter(tmp_path) as records:
        trial = on_trial(claim, subject, machine, records)
        with pytest.raises(Disagreement) as caught:
            CLAIMS[claim](trial)
        assert trial.finish() == "deviates"
    verdict = deviation(tmp_path)
    assert verdict.kind in kinds and verdict.message == str(caught.value)
    shrunk = decode(bytes(read_run(tmp_path).programs[verdict.program].program))
    assert len(shrunk.steps) <= steps or not verdict.minimal, verdict.script


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
    assert {claim for claim, *_ in FAULTS} == set(CLAIMS)
