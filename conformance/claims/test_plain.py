"""Plain operations leave their operands alone; rebinding is not writing."""

from __future__ import annotations

from conformance.claims.claim import proves
from conformance.trial import Trial
from strategies import scenes
from strategies.scenes import drawn


@proves("functional-leaves-operands")
def test_functional_leaves_operands(trial: Trial) -> None:
    """Values, versions and memory of operands are as before, and results are new (001, 003)."""
    trial.holds(drawn(scenes.plain_operations))


@proves("rebinding-is-not-inplace")
def test_rebinding_is_not_inplace(trial: Trial) -> None:
    """x = x + 1 leaves the old tensor and its aliases; x += 1 writes into them (article 003)."""
    trial.holds(drawn(scenes.rebound))
    trial.holds(drawn(scenes.augmented))
