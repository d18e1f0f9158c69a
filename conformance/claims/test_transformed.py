"""The claim about programs whose functions are compiled or transformed."""

from __future__ import annotations

from conformance.claims.claim import proves
from conformance.trial import Trial
from strategies.drawing import programs_with_functions


@proves("transformed-same")
def test_transformed_same(trial: Trial) -> None:
    """Values, gradients and input mutations are eager's, or an error comes where eager's does."""
    trial.holds(programs_with_functions(), examples=trial.profile.transformed)
