"""The register machine's error bounds and decisions, and the cache of its compilations."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conformance.oracle import Assembly, cache
from conformance.oracle.conditioning import TIED
from conformance.oracle.machine import Machine


@pytest.fixture(scope="module")
def machine() -> Machine:
    """One machine for all tests; the first program compiles it."""
    return Machine()


# -- error bounds and decisions -------------------------------------------------------------------


def test_short_dyadic_numbers_have_no_bound(machine: Machine) -> None:
    """Arithmetic on them is exact, so that their ties stay ties and are decided."""
    assembly = Assembly()
    x = assembly.leaf(np.array([0.5, 1.25, 3.0]))
    doubled = assembly.apply("mul", x, 2.0)
    tie = assembly.apply("sub", doubled, assembly.apply("add", x, x))
    decided = assembly.apply("relu", tie)
    assembly.loss(0, decided)
    result = machine.run(assembly, [(0,)])
    assert result.ill_conditioned is None
    assert result.value_slack[decided].tolist() == [0.0] * 3
    assert result.gradients[0][x].tolist() == [0.0] * 3


def test_a_rounded_tie_is_ill_conditioned(machine: Machine) -> None:
    """The ReLU of a difference that is zero but for rounding cannot be judged."""
    assembly = Assembly()
    x = assembly.leaf(np.array([0.7]))
    sine = assembly.apply("sin", x)
    tie = assembly.apply("sub", assembly.apply("add", sine, sine), assembly.apply("mul", sine, 2.0))
    assembly.apply("relu", tie)
    reason = machine.run(assembly, []).ill_conditioned
    assert reason is not None
    assert "relu" in reason


def test_the_same_computation_twice_ties_exactly(machine: Machine) -> None:
    """maximum(tanh x, tanh x) shares its gradient equally, however tanh is rounded."""
    assembly = Assembly()
    x = assembly.leaf(np.array([0.7]))
    one, two = assembly.apply("tanh", x), assembly.apply("tanh", x)
    assembly.loss(0, assembly.apply("maximum", one, two))
    result = machine.run(assembly, [(0,)])
    assert result.ill_conditioned is None
    assert result.gradients[0][x][0] == pytest.approx(1 - math.tanh(0.7) ** 2)


@pytest.mark.parametrize("offset", [0.25, 1e-12, -1e-9])
def test_a_clear_decision_is_well_conditioned(machine: Machine, offset: float) -> None:
    """A rounded operand that is further from the kink than its error is judged."""
    assembly = Assembly()
    x = assembly.leaf(np.array([0.7]))
    shifted = assembly.apply("sub", assembly.apply("sin", x), math.sin(0.7) + offset)
    assembly.apply("floor", shifted)
    assert machine.run(assembly, []).ill_conditioned is None


def test_finite_or_not_is_ill_conditioned(machine: Machine) -> None:
    """A quotient whose divisor is zero but for rounding cannot be judged."""
    assembly = Assembly()
    sine = assembly.apply("sin", assembly.leaf(np.array([0.7])))
    zero = assembly.apply("sub", sine, math.sin(0.7))
    assembly.apply("reciprocal", zero)
    assert "finite" in str(machine.run(assembly, []).ill_conditioned)


def test_infinities_that_every_run_has_are_well_conditioned(machine: Machine) -> None:
    """exp(1000) and log(0) are infinite, their difference NaN, whatever rounding does."""
    assembly = Assembly()
    large = assembly.apply("exp", assembly.leaf(np.array([1000.0])))
    small = assembly.apply("log", assembly.leaf(np.array([0.0])))
    total = assembly.apply("add", large, small)
    result = machine.run(assembly, [])
    assert result.ill_conditioned is None
    assert math.isnan(result.values[total][0])
    assert result.value_slack[total] == [0.0]


def test_cancellation_widens_the_bound(machine: Machine) -> None:
    """(1 + sin x) - 1 for a small x is known to 1e-16 of one, not of the result."""
    assembly = Assembly()
    sine = assembly.apply("sin", assembly.leaf(np.array([1e-7])))
    back = assembly.apply("sub", assembly.apply("add", sine, 1.0), 1.0)
    slack = machine.run(assembly, []).value_slack[back][0]
    assert 1e-16 < slack < 1e-13


@pytest.mark.parametrize(
    ("primitive", "operand", "moves"),
    [("hardsigmoid", 2.8e-16, True), ("hardsigmoid", -1.5, False), ("hardsigmoid", 3.3, False)],
)
def test_a_short_result_of_what_was_rounded_off_has_a_bound(
    machine: Machine, primitive: str, operand: float, moves: bool
) -> None:
    """The sum 2.8e-16 + 3 is rounded, though half of the result is 0.5: torch may round it up."""
    assembly = Assembly()
    result = assembly.apply(primitive, assembly.leaf(np.array([operand])))
    found = machine.run(assembly, [])
    assert (found.value_slack[result][0] > 1e-16) == moves


# -- the cache ------------------------------------------------------------------------------------

_RUN = """
import sys, pathlib, numpy as np
from conformance.oracle import Assembly
from conformance.oracle.machine import Machine
lines = []
assembly = Assembly()
x = assembly.leaf(np.array([2.0]))
assembly.loss(0, assembly.apply("square", x))
machine = Machine(lines.append, pathlib.Path(sys.argv[1]))
print(machine.run(assembly, [(0,)]).gradients[0][x], len(lines))
"""


def test_a_corrupt_cache_is_compiled_anew(tmp_path: Path) -> None:
    """Every cache entry cut off in the middle: the run says nothing of it and is right."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "error::UserWarning:conformance", "-c", _RUN, str(tmp_path)]
    for _ in range(2):
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert (done.returncode, done.stdout) == (0, "[4.] 1\n"), done.stderr
        entries = [entry for entry in tmp_path.iterdir() if entry.name.endswith("-cache")]
        assert entries
        for entry in entries:
            entry.write_bytes(entry.read_bytes()[: entry.stat().st_size // 2])


def test_cache_folders_are_told_apart_by_jaxlib_and_processor() -> None:
    """Compiled code must not be loaded by another jaxlib or on another processor."""
    assert cache.cache_folder().name.startswith("jaxlib-")
    assert cache.cache_folder().parent.name == "autograd-conformance"


@pytest.mark.parametrize("found", [0.0, 1.0, 2.0])
def test_what_must_be_one_of_a_kind_is_undocumented_otherwise(
    machine: Machine, found: float
) -> None:
    """A choice among equal elements is open, unless nothing is recorded that depends on it."""
    assembly = Assembly()
    counts = assembly.leaf(np.array([1.0, found]))
    assembly.apply("sole", counts, stop=True)
    assert machine.run(assembly, []).ill_conditioned is None
    assembly.apply("sole", counts)
    assert machine.run(assembly, []).ill_conditioned == (None if found == 1.0 else TIED)
