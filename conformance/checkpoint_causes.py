"""Known causes of what checkpoints do wrong: how findings tell each of them.

A reentrant checkpoint is a custom Function: it saves what it is given, runs in no_grad, and runs
again in backward, on detached aliases of what it saved, and then backward from all that it gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from conformance.transform_telling import (
    FORBIDDEN,
    MODIFIED,
    OF_A_LEAF,
    Told,
    asked_before,
    in_inference,
    memories_of,
    says,
    steps_of,
    unrecorded,
    without_derivative,
    writes_what_it_takes,
)
from strategies.draft import Shaped
from strategies.functions import functions_of
from strategies.program import Backward, recording

if TYPE_CHECKING:
    from conformance.judge import Finding
    from conformance.verdict import Judged


_NO_GRAD_VIEW = "A view was created in no_grad mode and is being modified inplace with grad mode"


_STALE_VIEW = "its base or another view of its base has been modified inplace"


def _written_arguments(judged: Judged) -> Iterator[bool]:
    """For each write of a function into what it takes, whether what is written requires grad."""
    memories = memories_of(judged.prediction)
    for function, step in steps_of(judged):
        written = memories.get(str(step.step.args[0])) if step.in_place else None
        if written is not None and written in {memories.get(n) for n in function.takes}:
            yield judged.prediction.flags[str(step.step.args[0])].requires_grad


def _writes_a_buffer(judged: Judged) -> bool:
    """Whether a function writes into what it takes that does not require grad as it is taken.

    It may well afterwards, by what was written into it.
    """
    memories = memories_of(judged.prediction)
    asks = asked_before(judged)
    return any(
        memories.get(name) == memories.get(str(step.step.args[0]), -1) and not asked
        for function, step in steps_of(judged)
        if step.in_place
        for name, asked in asks.get(function.number, {}).items()
    )


def _in_backward(judged: Judged, finding: Finding) -> bool:
    place = finding.step
    return place is not None and isinstance(judged.draft.shaped[place], Backward)


def _forgets_writes(judged: Judged, finding: Finding) -> bool:
    """What is written into an input is written in no_grad, and recorded nowhere."""
    lost = finding.kind in ("silent wrong gradient", "wrong flag", "missing error")
    return (lost or unrecorded(finding)) and any(_written_arguments(judged))


def _writes_again(judged: Judged, finding: Finding) -> bool:
    """What is written into a buffer is written a second time, on what was written before."""
    if finding.kind not in ("silent wrong gradient", "wrong value"):
        return False
    again = any(isinstance(step, Backward) for step in judged.draft.shaped)
    return again and _writes_a_buffer(judged)


def _writes_leaf(judged: Judged, finding: Finding) -> bool:
    """An input that requires grad is a leaf when the function runs again, and is written there.

    That it requires grad the error itself says: what is computed from a view that was made in
    no_grad may, by another deviation.
    """
    told = finding.kind == "spurious error" and OF_A_LEAF in finding.message
    return told and writes_what_it_takes(judged)


def _gives_view(judged: Judged, finding: Finding) -> bool:
    """A view or an input that a custom Function gives is a view of its own, not to be written."""
    views = {
        name
        for function, step in steps_of(judged)
        for name, made in zip(step.step.to, step.made, strict=False)
        if made.how != "fresh" and name in function.gives
    }
    if finding.kind == "wrong flag":
        return "is_leaf is" in finding.message and finding.message.partition(":")[0] in views
    said = finding.message
    # Of several outputs each is one of "a function that returns multiple views".
    whose = "inside a custom Function" in said or "a function that returns multiple views" in said
    refused = " is a view and " in said and whose
    return finding.kind == "spurious error" and refused and bool(views)


def _saves_arguments(judged: Judged, finding: Finding) -> bool:
    """All that a function is given is saved, and must not be written until backward has run.

    One of several views, or one made in no_grad, cannot be asked for its node when it was written,
    which is done when it is given, too.
    """
    stale = _STALE_VIEW in finding.message
    refused = stale or (MODIFIED in finding.message and _in_backward(judged, finding))
    if finding.kind != "spurious error" or not refused:
        return False
    memories = memories_of(judged.prediction)
    return any(
        isinstance(step, Shaped)
        and step.in_place
        and memories.get(str(step.step.args[0])) in {memories.get(name) for name in function.takes}
        for function in functions_of(judged.draft.steps)
        for step in judged.draft.shaped[0 if stale else function.first :]
    )


def _runs_everything(judged: Judged, finding: Finding) -> bool:
    """Backward runs from all that a function gives, into all that it takes: none may be stale."""
    said = finding.message
    refused = any(part in said for part in (MODIFIED, FORBIDDEN)) or without_derivative(said)
    told = finding.kind == "spurious error" and refused
    several = any(len(function.gives) > 1 for function in functions_of(judged.draft.steps))
    written = any(isinstance(step, Shaped) and step.in_place for step in judged.draft.shaped)
    return told and several and written and _in_backward(judged, finding)


def _enables_grad(judged: Judged, finding: Finding) -> bool:
    """A function runs in no_grad, where its views are made, and has grad mode on where it writes
    them.
    """
    told = finding.kind == "spurious error" and _NO_GRAD_VIEW in finding.message
    steps = [step for _, step in steps_of(judged)]
    views = any(made.how == "view" for step in steps for made in step.made)
    enabled = (s.in_place and s.step.modes and recording(s.step.modes) for s in steps)
    return told and views and any(enabled)


def _recomputed_unchecked(judged: Judged, finding: Finding) -> bool:
    """What was saved is computed anew for backward, and nobody looks at versions."""
    written = any(step.in_place for _, step in steps_of(judged))
    return finding.kind == "silent wrong gradient" and written


CHECKPOINT_CAUSES: Mapping[str, Told] = {
    "checkpoint-unchecked": _recomputed_unchecked,
    "checkpoint-of-written-input": _saves_arguments,
    "checkpoint-saves-inference": says(
        "Inference tensors cannot be saved for backward", in_inference
    ),
    "checkpoint-reentrant-forgets-writes": _forgets_writes,
    "checkpoint-reentrant-writes-again": _writes_again,
    "checkpoint-reentrant-writes-leaf": _writes_leaf,
    "checkpoint-reentrant-gives-view": _gives_view,
    "checkpoint-reentrant-saves-arguments": _saves_arguments,
    "checkpoint-reentrant-runs-everything": _runs_everything,
    "checkpoint-reentrant-enables-grad": _enables_grad,
}
"""Quirk of the register -> whether a finding of a program has that cause."""
