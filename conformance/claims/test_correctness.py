"""The claim that the whole suite stands for, the documented hole in it, and special numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from conformance.claims.claim import proves
from conformance.claims.scopes import no_way_around_autograd
from conformance.examine import Judged
from conformance.subjects import TensorSeen
from conformance.tolerances import close
from conformance.trial import CAMPAIGN, Trial
from strategies import activation_scenes, around, scenes, turns
from strategies.build import DEFAULT
from strategies.drawing import programs
from strategies.special_numbers import every_with_special_numbers
from strategies.staging import drawn


@proves("no-error-means-correct")
def test_no_error_means_correct(trial: Trial) -> None:
    """A program raises where it must, or its values and gradients are right (article 003)."""
    everything = programs(recipe=_WITH_DATA)
    for turn, ways in _TURNS:
        trial.every(turns.each(turn, ways, trial.profile.few_turns, trial.seed))
    trial.holds(everything, scope=no_way_around_autograd, examples=trial.profile.correctness)
    trial.holds(drawn(scenes.views_written))
    trial.holds(drawn(activation_scenes.at_kinks))
    trial.holds(drawn(scenes.large), examples=trial.profile.networks * _LARGE_FOR_ONE)
    trial.every(program for _, program in around.every(trial.profile.turns, trial.seed))
    trial.holds(programs(), examples=1, found_as=CAMPAIGN)
    trial.searches(
        everything,
        scope=no_way_around_autograd,
        condition=".data",
        breaks=silently_wrong,
        title="a write through .data hides from the version counter: a silent wrong gradient",
        oracle=True,
    )


_TURNS = (
    (turns.square_written, turns.ON_VIEWS),
    (turns.viewed_then_written, turns.VIEWS),
    (turns.broadcast, turns.BROADCASTS),
)
"""What each operation is put to by name: such faults are of one operation, and seen by few shapes.
"""


@proves("special-numbers")
def test_special_numbers(trial: Trial) -> None:
    """Each operation by itself, as its formula (derivatives.yaml) reads in jax."""
    count = -(-trial.profile.turns // _TURNS_FOR_ONE)
    trial.every(program for _, program in every_with_special_numbers(count, trial.seed))


_TURNS_FOR_ONE = 8
"""How many of a profile's turns with ordinary numbers are for one with special numbers."""
_LARGE_FOR_ONE = 5
"""Programs on large tensors for each of a profile's networks."""
_WITH_DATA = replace(DEFAULT, data=8, hidden=8)


def silently_wrong(judged: Judged) -> str | None:
    """A gradient that is not that of what was computed, though nothing raised."""
    if judged.raised or judged.answer.unspecified:
        return None
    for name, entries in judged.answer.gradients.items():
        seen = judged.observation.values.get(name)
        grad = seen.grad if isinstance(seen, TensorSeen) else None
        if grad is None or not judged.prediction.graded.get(name, False):
            continue
        numbers = grad.array().astype(np.float64)
        finite = np.isfinite(numbers).all() and np.isfinite(entries.values).all()
        if finite and not close(numbers, entries.values, entries.slack).all():
            return (
                f"nothing raises, {name}.grad is {numbers.tolist()} and the gradient of what was "
                f"computed is {entries.values.tolist()}"
            )
    return None
