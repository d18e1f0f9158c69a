"""Claims that something raises: leaves, and tensors that backward needs."""

from __future__ import annotations

from conformance.claims._refusals import refused, renormed
from conformance.claims.claim import proves
from conformance.claims.scopes import leaf_written_in_grad_mode, needed_and_modified
from conformance.claims.test_correctness import silently_wrong
from conformance.examine import Judged
from conformance.judge import Finding
from conformance.model import Kind
from conformance.subjects import TensorSeen
from conformance.trial import Trial
from strategies import scenes, turns
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
    writes = drawn(scenes.leaf_written)
    scope = leaf_written_in_grad_mode
    turn = turns.each(turns.leaf_written, turns.WRITES, trial.profile.few_turns, trial.seed)
    trial.every(turn, law=_leaf_untouched)
    trial.holds(writes, scope=scope, law=_leaf_untouched)
    trial.searches(
        writes,
        scope=scope,
        condition="no_grad",
        breaks=_leaf_written_without_error,
        title="inside no_grad a leaf that requires grad may be written",
    )
    trial.searches(
        writes,
        scope=scope,
        condition="dropout that does nothing",
        breaks=_nothing_raised,
        title="a dropout that does nothing writes nothing and does not raise",
    )
    trial.searches(
        writes,
        scope=scope,
        condition="writes no element",
        breaks=_nothing_raised,
        title="requires_grad_ and detach_ change what autograd knows of a leaf, and no element",
    )
    # What the op table leaves out: refused by errors of their own, or not at all.
    trial.scripts(refused())
    trial.scripts(renormed(), examples=RENORMED)


RENORMED = 12
"""Scripts of an embedding that shortens its rows."""


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


def _nothing_raised(judged: Judged) -> str | None:
    if judged.raised_step() in (None, len(judged.program.steps) - 1):
        return "an in-place operation on a leaf that requires grad does not raise"
    return None


@proves("saved-inplace-raises")
def test_saved_inplace_raises(trial: Trial) -> None:
    """Backward raises exactly if an executed node's saved tensor was modified (article 001)."""
    overwritings = drawn(scenes.saved_then_written)
    turn = turns.each(turns.saved_then_written, turns.WRITES, trial.profile.few_turns, trial.seed)
    trial.every(turn, law=_backward_raises)
    trial.holds(overwritings, scope=needed_and_modified, law=_backward_raises)
    trial.holds(overwritings)
    trial.searches(
        overwritings,
        scope=needed_and_modified,
        condition="node not executed",
        breaks=_overwritten_and_fine,
        title="the node that saved the tensor is not executed: backward does not raise",
    )
    trial.searches(
        overwritings,
        scope=needed_and_modified,
        condition=".data",
        breaks=silently_wrong,
        title=".data is the documented hole: the saved tensor is overwritten and nothing raises",
        oracle=True,
    )


def _backward_raises(judged: Judged) -> Finding | None:
    kind = judged.raised_kind()
    if kind == Kind.SAVED_MODIFIED.value:
        return None
    predicted = judged.prediction.raises
    if predicted is None or predicted.kind is not Kind.SAVED_MODIFIED:
        # The scope is of the table; by the rows of this torch nothing saved was modified, or
        # something else is wrong.
        return None
    message = "a tensor that backward needs was overwritten, and backward does not say so"
    return Finding("missing error", message, Kind.SAVED_MODIFIED.value, str(kind))


def _overwritten_and_fine(judged: Judged) -> str | None:
    """Nothing raises, although what is written had been saved and is seen at a newer version."""
    if judged.raised:
        return None
    for kept in judged.prediction.saved:
        seen = judged.observation.values.get(kept.tensor)
        newer = isinstance(seen, TensorSeen) and (seen.version or 0) > kept.version
        if kept.modified and not kept.needed and newer:
            return (
                f"{kept.tensor} was saved by {kept.operation} and overwritten, and backward, which "
                f"does not execute {kept.operation}, does not raise"
            )
    return None
