"""Random programs on the oracle: against plain jax, and against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from conformance.model import predict
from conformance.oracle.answering import answer
from conformance.oracle.answers import Answer, Entries
from conformance.oracle.machine import Machine
from strategies.build import DEFAULT, Recipe, build
from strategies.choices import Seeded
from strategies.draft import Draft, check
from strategies.printer import print_body
from strategies.program import Apply, Backward, Data, Program
from strategies.values import materialise
from tests._reference import KNOWN, SMOOTH, VIEWS, reference, understands

Floats = NDArray[np.float64]

RANDOM = replace(DEFAULT, most_steps=6, in_place=40, detach=15, wild=0, rows=KNOWN)
STRAIGHT = replace(RANDOM, in_place=0, region=0, detach=0, backward=0)
DIFFERENTIABLE = replace(
    RANDOM, most_steps=8, region=0, detach=0, backward=0, rows=frozenset({*SMOOTH, *VIEWS})
)
RTOL = 1e-9


@pytest.fixture(scope="module")
def machine() -> Machine:
    """One machine for all tests; the first program compiles it."""
    return Machine()


def _answered(machine: Machine, draft: Draft) -> Answer | None:
    """What the oracle says of a program; None if it raises or nothing can be said of it."""
    prediction = predict(draft)
    if prediction.raises or prediction.unspecified:
        return None
    found = answer(draft, prediction, machine)
    return None if found.unspecified else found


def _drawn(
    machine: Machine, seed: int, recipe: Recipe, good: Callable[[Draft, Answer], bool]
) -> tuple[Draft, Answer]:
    """The first program of a stream that raises nothing and is good, and the oracle's answer."""
    for index in range(100):
        draft = check(build(Seeded(seed, index), recipe))
        found = _answered(machine, draft) if understands(draft) else None
        if found is not None and good(draft, found):
            return draft, found
    raise AssertionError(f"stream {seed} holds no program that can be compared")


def _assert_close(what: str, seen: Floats, expected: Entries, draft: Draft) -> None:
    bound = RTOL * np.abs(seen) + expected.slack
    text = f"{what} is {expected.values} and plain jax gives {seen}\n{print_body(draft).text}"
    assert seen.shape == np.shape(expected.values), text
    assert (np.abs(expected.values - seen) <= bound).all(), text


def _finite(draft: Draft, found: Answer) -> bool:
    entries = [*found.values.values(), *found.gradients.values()]
    return all(bool(np.isfinite(each.values).all()) for each in entries)


def _compare(machine: Machine, seed: int, recipe: Recipe) -> None:
    draft, found = _drawn(machine, seed, recipe, _finite)
    values, gradients = reference(draft)
    assert values.keys() == found.values.keys()
    for name, value in values.items():
        _assert_close(name, value, found.values[name], draft)
    graded = predict(draft).graded
    for name, gradient in gradients.items():
        _assert_close(f"{name}.grad", gradient, found.gradients[name], draft)
        assert graded.get(name, True) or not gradient.any(), (
            f"{name}.grad is {gradient} and should be None"
        )


@pytest.mark.parametrize("seed", range(150))
def test_random_program_agrees_with_plain_jax(machine: Machine, seed: int) -> None:
    """Views, writes, grad-mode regions and aliases: values and gradients are `jax.grad`'s."""
    _compare(machine, seed, RANDOM)


@pytest.mark.parametrize("seed", range(20))
def test_straight_line_program_agrees_with_plain_jax(machine: Machine, seed: int) -> None:
    """Without a write, a region or an alias the oracle is `jax.value_and_grad`."""
    _compare(machine, seed, STRAIGHT)


# -- finite differences ---------------------------------------------------------------------------


def _numbers_of(data: Data, shape: tuple[int, ...]) -> Floats:
    return materialise(data, shape, "float64", "").astype(np.float64)


def _loss(machine: Machine, draft: Draft) -> float:
    """The only loss of a program that ends with its backward call, of the oracle's values."""
    last = draft.steps[-1]
    found = _answered(machine, draft)
    assert isinstance(last, Backward) and found is not None
    (name,), data = last.of, last.cotangents
    root = found.values[name].values
    weights = _numbers_of(data[0], root.shape) if data and data[0] else 1.0
    return float(np.sum(root * weights))


def _moved(draft: Draft, name: str, by: Floats) -> Draft:
    """The program with one leaf moved."""
    leaves = []
    for leaf in draft.leaves:
        if leaf.name == name:
            numbers = _numbers_of(leaf.data, leaf.shape) + by
            leaf = msgspec.structs.replace(leaf, data=[float(x) for x in numbers.ravel()])
        leaves.append(leaf)
    return check(Program(tuple(leaves), tuple(draft.steps)))


def _difference(machine: Machine, draft: Draft, name: str, direction: Floats) -> float | None:
    """The slope of the loss along a direction of one leaf; None where steps of two sizes differ.

    Central differences of two sizes, extrapolated: the error is of fourth order.
    """
    slopes = []
    for step in (1e-4, 2e-4):
        ahead = _loss(machine, _moved(draft, name, step * direction))
        behind = _loss(machine, _moved(draft, name, -step * direction))
        slopes.append((ahead - behind) / (2 * step))
    near, far = slopes
    return (4 * near - far) / 3 if near == pytest.approx(far, rel=1e-4, abs=1e-6) else None


def _tame(draft: Draft, found: Answer) -> bool:
    """Whether there is one loss of all that is computed, and a slope that rounding cannot hide."""
    if sum(isinstance(step, Backward) for step in draft.steps) != 1:
        return False
    if any(isinstance(step, Apply) and step.op == "detach_" for step in draft.steps):
        return False
    values = [each.values for each in found.values.values()]
    slopes = [found.gradients[leaf.name].values for leaf in draft.leaves if leaf.requires_grad]
    return all(bool((np.abs(x) <= 1e3).all()) for x in (*values, *slopes)) and any(
        bool(np.any(slope)) for slope in slopes
    )


@pytest.mark.parametrize("seed", range(25))
def test_gradients_are_the_slopes_of_the_oracles_own_values(machine: Machine, seed: int) -> None:
    """Where everything is recorded and smooth, central differences agree to 1e-5."""
    rng = np.random.default_rng(seed)
    seen: list[tuple[float, float]] = []

    def converges(draft: Draft, found: Answer) -> bool:
        seen.clear()
        if not _tame(draft, found):
            return False
        for leaf in draft.leaves:
            if leaf.requires_grad:
                direction = rng.choice([-1.0, 1.0], leaf.shape)
                slope = _difference(machine, draft, leaf.name, direction)
                if slope is None:
                    return False
                gradient = found.gradients[leaf.name].values
                seen.append((slope, float(np.sum(gradient * direction))))
        return True

    draft, _ = _drawn(machine, seed, DIFFERENTIABLE, converges)
    for slope, gradient in seen:
        assert gradient == pytest.approx(slope, rel=1e-5, abs=1e-6), print_body(draft).text
