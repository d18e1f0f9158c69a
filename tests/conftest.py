"""What tests of the harness share: one oracle, one torch in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.subjects import InProcessSubject, Subject
from strategies.drawn import by_seed_alone

ROOT = Path(__file__).parents[1]

settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
"""What a test draws changes with the code alone; `--hypothesis-profile default` draws anew."""


@pytest.fixture(autouse=True, scope="session")
def patience() -> Iterator[None]:
    """What shrinks to a text that a test expects does so on a slow machine, too.

    Of the session, so that it holds for fixtures of a module, which come before those of a test.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("conformance.trial._ILLUSTRATING_S", 120.0)
        yield


@pytest.fixture(autouse=True, scope="session")
def steadiness() -> Iterator[None]:
    """A test draws the same alone as after all others."""
    with by_seed_alone():
        yield


@pytest.fixture(scope="session")
def machine() -> Machine:
    """The oracle's machine, compiled once for all tests."""
    return Machine()


@pytest.fixture(scope="session")
def local() -> Iterator[Subject]:
    """The torch of this process."""
    with InProcessSubject("eager-cpu") as subject:
        yield subject


@pytest.fixture(scope="session")
def examiner(local: Subject, machine: Machine) -> Examiner:
    """A judge of this process's torch."""
    return Examiner(local, machine)
