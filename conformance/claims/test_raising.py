"""Claims that something raises: leaves, and tensors that backward needs."""

from __future__ import annotations

from conformance.claims.claim import proves
from conformance.claims.test_correctness import silently_wrong
from conformance.examine import Judged
from conformance.judge import Finding
from conformance.model import Kind
from conformance.subjects import TensorSeen
from conformance.trial import Trial
from strategies import scenes
from strategies.staging import drawn
from strategies.values import materialise

_LEAF_KINDS = {
    Kind.LEAF_INPLACE.value,
    Kind.VIEW_OF_LEAF_INPLACE.value,
    Kind.MULTI_VIEW_INPLACE.value,
    Kind.NO_GRAD_VIEW_INPLACE.value,
}


@proves("leaf-inplace-raises")
def test_leaf_inplace_raises(trial: Trial) -> None:
    """Writing a leaf that requires grad raises and changes nothing (article 001)."""
    trial.holds(drawn(scenes.leaf_written), law=_leaf_untouched)
    trial.searches(
        drawn(scenes.leaf_written_in_no_grad),
        breaks=_leaf_written_without_error,
        title="inside no_grad a leaf that requires grad may be written",
    )


def _leaf_untouched(judged: Judged) -> Finding | None:
    """Where the write raised, the leaf holds the values that it was given."""
    if judged.raised_kind() not in _LEAF_KINDS:
        return None
    leaf = judged.program.leaves[0]
    seen = judged.observation.values.get(leaf.name)
    given = materialise(leaf.data, leaf.shape, leaf.dtype, leaf.name)
    if isinstance(seen, TensorSeen) and seen.array().tobytes() == given.tobytes():
        return None
    message = f"the write raised and yet {leaf.name} does not hold what it was given"
    return Finding("wrong value", message, str(given.tolist()), str(seen))


def _leaf_written_without_error(judged: Judged) -> str | None:
    leaf = judged.program.leaves[0]
    seen = judged.observation.values.get(leaf.name)
    if judged.raised or not isinstance(seen, TensorSeen):
        return None
    given = materialise(leaf.data, leaf.shape, leaf.dtype, leaf.name)
    if seen.array().tobytes() == given.tobytes() or not (seen.requires_grad and seen.is_leaf):
        return None
    return f"{leaf.name} requires grad, is a leaf still, and was overwritten without an error"


@proves("saved-inplace-raises")
def test_saved_inplace_raises(trial: Trial) -> None:
    """Backward raises exactly if an executed node's saved tensor was modified (article 001)."""
    trial.holds(drawn(scenes.saved_then_written))
    trial.searches(
        drawn(scenes.saved_by_unexecuted),
        breaks=_overwritten_and_fine,
        title="the node that saved the tensor is not executed: backward does not raise",
    )
    trial.searches(
        drawn(scenes.written_through_data),
        breaks=silently_wrong,
        title=".data is the documented hole: the saved tensor is overwritten and nothing raises",
        oracle=True,
    )


def _overwritten_and_fine(judged: Judged) -> str | None:
    if judged.raised:
        return None
    return "a saved tensor was overwritten and this backward does not raise"
