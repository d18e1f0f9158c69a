"""Known causes of what transforming subjects do wrong: how findings tell each of them.

A cause cannot be foretold as quirks of eager torch are, since a compiler's choices are its own: it
is recognised by what came out, and by what the program has where that came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from conformance.checkpoint_causes import CHECKPOINT_CAUSES
from conformance.functionalize_causes import FUNCTIONALIZE_CAUSES
from conformance.mode_causes import MODE_CAUSES
from conformance.sharing_causes import SHARING_CAUSES
from conformance.transform_telling import (
    AGAIN,
    FORBIDDEN,
    MODIFIED,
    NOBODY,
    OF_A_LEAF,
    Told,
    detaches,
    fills,
    gives_several,
    in_inference,
    memories_of,
    runs_backward,
    says,
    steps_of,
    unrecorded,
    views,
    without_derivative,
    writes,
    writes_what_it_takes,
    written,
)
from strategies.draft import Shaped, Value, way_of
from strategies.functions import functions_of, with_calls_again
from strategies.program import Backward, recording

if TYPE_CHECKING:
    from conformance.deviations import Deviation
    from conformance.judge import Finding
    from conformance.verdict import Judged

_TRACING = ("BackendCompilerFailed", "TorchRuntimeError", "InternalTorchDynamoError")
"""Errors that come while a function is compiled."""
_EXPANDING = frozenset({"expand", "expand_as", "broadcast_to"})


def _zeros_for_none(judged: Judged, finding: Finding) -> bool:
    """A function is one node, which gives every input a gradient, if only of zeros."""
    several = any(len(f.takes) > 1 or len(f.gives) > 1 for f in functions_of(judged.draft.steps))
    return finding.kind == "wrong flag" and NOBODY in finding.message and several


def _runs_once(judged: Judged, finding: Finding) -> bool:
    """A function is one node, which gives up everything when any of its outputs has been used."""
    calls = sum(isinstance(step, Backward) for step in judged.draft.shaped)
    return finding.kind == "spurious error" and AGAIN in finding.message and calls > 1


def _writes_what_it_saved(judged: Judged, finding: Finding) -> bool:
    """An input is saved for backward as it came, and then written: torch refuses its own write."""
    told = finding.kind == "spurious error" and MODIFIED in finding.message
    return told and writes_what_it_takes(judged)


def _computes_again(judged: Judged, finding: Finding) -> bool:
    """Backward computes anew from an input what was computed before the function wrote it."""
    if finding.kind != "silent wrong gradient":
        return False
    memories = memories_of(judged.prediction)
    read = dict[int, set[int]]()
    for function, step in steps_of(judged):
        seen = read.setdefault(function.number, set())
        target = memories.get(str(step.step.args[0]), -1)
        taken = {memories.get(name) for name in function.takes}
        if step.in_place and not recording(step.step.modes) and target in seen & taken:
            return True
        seen.update(memories.get(arg, -1) for arg in step.step.args if isinstance(arg, str))
    return False


def _no_grad_view(judged: Judged, finding: Finding) -> bool:
    """A view that comes out is made anew outside of the function, where grad mode is on."""
    memories = memories_of(judged.prediction)
    if unrecorded(finding):
        return _recorded_inside(judged)
    if finding.kind not in ("missing error", "wrong flag", "silent wrong gradient"):
        return False
    return any(
        made.how != "fresh"
        and not recording(step.step.modes)
        and memories.get(name) in {memories.get(given) for given in function.gives}
        for function, step in steps_of(judged)
        for name, made in zip(step.step.to, step.made, strict=False)
    )


def _recorded_inside(judged: Judged) -> bool:
    """Whether a function is called in no_grad that makes a view where it enables grad mode."""
    quiet = {
        function.number
        for function in with_calls_again(judged.draft.steps)
        if not recording(function.modes)
    }
    return any(
        function.number in quiet and made.how != "fresh" and recording(step.step.modes)
        for function, step in steps_of(judged)
        for made in step.made
    )


def _unpacks_everything(judged: Judged, finding: Finding) -> bool:
    """A function is one node: all that it saved is looked at, and all that it was given is run."""
    said = finding.message
    told = any(part in said for part in (MODIFIED, FORBIDDEN)) or without_derivative(said)
    # The masks of clamp do not fit: a deviation of eager torch, where that runs its node.
    told = told or ("doesn't match the broadcast shape" in said and _clamps(judged))
    several = gives_several(judged) and written(judged)
    return finding.kind == "spurious error" and told and several


def _clamps(judged: Judged) -> bool:
    steps = (step for step in judged.draft.shaped if isinstance(step, Shaped))
    return any(step.row.name == "clamp_tensor" for step in steps)


def _checks_early(judged: Judged, finding: Finding) -> bool:
    """The backward of a function is traced when it is compiled, whether or not it will be run."""
    traced = "BackendCompilerFailed" in finding.message
    said = finding.message
    moved = "returned an invalid gradient at index" in said and any(
        step.moved is not None and not recording(step.step.modes) for _, step in steps_of(judged)
    )
    would = moved or without_derivative(said) or (MODIFIED in said and written(judged))
    return finding.kind == "spurious error" and traced and would


def _views_early(judged: Judged, finding: Finding) -> bool:
    """The node of every output is read when a function is compiled, which a stale view refuses."""
    traced = any(word in finding.message for word in _TRACING)
    stale = "its base or another view of its base has been modified" in finding.message
    return finding.kind == "spurious error" and traced and stale and written(judged)


def _outside(judged: Judged, finding: Finding) -> bool:
    """Whether a step raised that is in no function."""
    step = None if finding.step is None else judged.draft.shaped[finding.step]
    return isinstance(step, Shaped) and not step.step.function


def _detached_write(judged: Judged, finding: Finding) -> bool:
    """A detached alias of an input is made anew, without what has been written into it."""
    leafless = unrecorded(finding) or (OF_A_LEAF in finding.message and _outside(judged, finding))
    if finding.kind == "wrong value" or (finding.kind == "spurious error" and not leafless):
        return False
    detached = set[str]()
    for _, step in steps_of(judged):
        first = str(step.step.args[0])
        views = first in detached and any(made.how != "fresh" for made in step.made)
        if step.row.name == "detach" or views:
            detached.update(step.step.to)
        if step.in_place and first in detached:
            return True
    given = [n for f in functions_of(judged.draft.steps) for n in f.gives if n in detached]
    later = (s for s in judged.draft.shaped if isinstance(s, Shaped) and s.in_place)
    return len(given) > 1 and any(str(step.step.args[0]) in given for step in later)


def _integer_write(judged: Judged, finding: Finding) -> bool:
    """What does not fit into an integer or bool tensor is cast, which eager torch refuses."""
    if finding.kind not in ("missing error", "wrong value"):
        return False
    return any(
        step.in_place and isinstance(first := step.operands[0], Value) and first.dtype != "float64"
        for _, step in steps_of(judged)
    )


def _foreach_in_place(judged: Judged, finding: Finding) -> bool:
    """A write by a function on lists of tensors overwrites what the graph has saved."""
    wrong = finding.kind in ("silent wrong gradient", "wrong value", "missing error")
    return wrong and any(
        step.in_place and (way_of(step) == "foreach" or step.row.name.startswith("foreach"))
        for _, step in steps_of(judged)
    )


def _expanded_base(judged: Judged, finding: Finding) -> bool:
    """A write through an expanded view comes back to its base as a sum of the copies."""
    if finding.kind not in ("wrong value", "silent wrong gradient"):
        return False
    steps = [step for _, step in steps_of(judged)]
    expanded = {name for step in steps if step.row.name in _EXPANDING for name in step.step.to}
    return any(
        step.in_place
        and isinstance(first := step.operands[0], Value)
        and (0 in first.layout.strides or first.name in expanded)
        for step in steps
    )


def _scalar_write_lost(judged: Judged, finding: Finding) -> bool:
    """A 0-d float64 tensor is taken for a Python number, and what is written into it is lost."""
    if finding.kind == "spurious error" and not unrecorded(finding):
        return False
    return any(
        step.in_place and first.dtype == "float64" and not first.layout.shape
        for function, step in steps_of(judged)
        if isinstance(first := step.operands[0], Value) and first.name in function.takes
    )


def _windows_forget(judged: Judged, finding: Finding) -> bool:
    """What no window of unfold holds becomes zero when the windows are written."""
    if finding.kind not in ("wrong value", "silent wrong gradient"):
        return False
    memories = judged.prediction.memory
    steps = [step for _, step in steps_of(judged)]
    windows = {memories.get(step.step.to[0]) for step in steps if step.row.name == "unfold"}
    return any(step.in_place and memories.get(str(step.step.args[0])) in windows for step in steps)


def _outputs_apart(judged: Judged, finding: Finding) -> bool:
    """Two outputs of a function are not connected, though one was computed from the other."""
    if finding.kind != "silent wrong gradient" or not gives_several(judged):
        return False
    asked = any(isinstance(step, Backward) and step.via for step in judged.draft.shaped)
    given = {name for function in functions_of(judged.draft.steps) for name in function.gives}
    partly = finding.message.partition(".grad")[0] in given
    return asked and (partly or "is None" in finding.message)


def _zero_times_infinity(judged: Judged, finding: Finding) -> bool:
    """A function is one node: outputs that no loss asks for get zeros, which infinity makes NaN."""
    if finding.kind != "silent wrong gradient" or "nan" not in finding.observed:
        return False
    return gives_several(judged)


def _pieces_copied(judged: Judged, finding: Finding) -> bool:
    """One of several views of what is written comes out as a copy."""
    pieces = any(step.row.multi and step.row.kind == "view" for _, step in steps_of(judged))
    return pieces and finding.kind == "wrong aliasing"


def _writes_leaf_later(judged: Judged, finding: Finding) -> bool:
    """A leaf that is written in no_grad, or detached, is written once more with grad mode on."""
    if finding.kind != "spurious error" or OF_A_LEAF not in finding.message:
        return False
    memories = memories_of(judged.prediction)
    leaves = {memories.get(leaf.name) for leaf in judged.draft.leaves if leaf.requires_grad}
    return any(
        step.in_place and memories.get(str(step.step.args[0])) in leaves
        for _, step in steps_of(judged)
    )


def _output_is_view(judged: Judged, finding: Finding) -> bool:
    """What comes out is a view that a custom Function has made, which is not to be written."""
    said = finding.message
    whose = "inside a custom Function" in said or "a function that returns multiple views" in said
    views = any(
        step.moved is not None or any(made.how != "fresh" for made in step.made)
        for _, step in steps_of(judged)
        if not step.row.multi
    )
    return finding.kind == "spurious error" and "is a view and is being" in said and whose and views


def _padded_in_no_grad(judged: Judged, finding: Finding) -> bool:
    """What pads in no_grad is taken for a leaf that requires grad, while a function is traced."""
    padded = any(s.row.name == "pad" and not recording(s.step.modes) for _, s in steps_of(judged))
    return finding.kind == "spurious error" and OF_A_LEAF in finding.message and padded


def _shape_replayed(judged: Judged, finding: Finding) -> bool:
    """A view is made anew from a base whose shape has been changed in place."""
    moved = any(step.moved is not None for _, step in steps_of(judged))
    told = any(part in finding.message for part in ("Dimension out of range", "Cannot view a tens"))
    return moved and told and finding.kind == "spurious error"


def _no_grad_write_replayed(judged: Judged, finding: Finding) -> bool:
    """What was written in no_grad is copied into the input where grad mode is on."""
    stale = "its base or another view of its base has been modified" in finding.message
    traced = "BackendCompilerFailed" in finding.message or "TorchRuntimeError" in finding.message
    quiet = any(s.in_place and not recording(s.step.modes) for _, s in steps_of(judged))
    return finding.kind == "spurious error" and stale and not traced and quiet


def _shape_in_place(judged: Judged, finding: Finding) -> bool:
    """What changes the shape of an input in place is none of the writes that are looked for."""
    moved = any(step.moved is not None for _, step in steps_of(judged))
    return moved and finding.kind == "spurious error" and "list index out of" in finding.message


def _reads_no_memory(judged: Judged, finding: Finding) -> bool:
    """The gradient of sgn is zeros without memory, which a graph reads all the same."""
    signs = any(step.row.name == "sgn" for _, step in steps_of(judged))
    return finding.kind == "crash" and "SIGSEGV" in finding.message and signs


CAUSES: Mapping[str, Told] = {
    **CHECKPOINT_CAUSES,
    **FUNCTIONALIZE_CAUSES,
    **MODE_CAUSES,
    **SHARING_CAUSES,
    "compiled-tangents-miscounted": says("outs_to_grad length", writes),
    "compiled-zero-cotangents": _zero_times_infinity,
    "compiled-output-is-view": _output_is_view,
    "compiled-shape-in-place": _shape_replayed,
    "compiled-no-grad-view-written": _no_grad_write_replayed,
    "compiled-detached-view": says(
        "created in no_grad mode and is being modified inplace",
        lambda judged: detaches(judged) or views(judged),
    ),
    "compiled-pad-in-no-grad": _padded_in_no_grad,
    "compiled-view-sequence": says("after application of ViewMeta sequence", views),
    "compiled-expanded-refused": says(
        "more than one element of the written-to tensor refers", writes
    ),
    "functionalize-expanded-refused": says(
        "more than one element of the written-to tensor refers", writes
    ),
    "compiled-strides-chained": says("encountered a mutation on a view chain of length", writes),
    "compiled-pieces-copied": _pieces_copied,
    "compiled-detached-leaf": _writes_leaf_later,
    "compiled-detached-input": says(
        "does not yet handle non-differentiable view input mutations", writes
    ),
    "compiled-windows-refused": says("a tensor being mutated that has internal overlap", writes),
    "compiled-saves-inference": says(
        "Inference tensors cannot be saved for backward", in_inference
    ),
    "export-shape-in-place": _shape_in_place,
    "export-from-is-a-word": says("invalid syntax", fills),
    "compiled-zeros-for-none": _zeros_for_none,
    "compiled-runs-once": _runs_once,
    "compiled-writes-what-it-saved": _writes_what_it_saved,
    "compiled-no-grad-view": _no_grad_view,
    "compiled-computes-again": _computes_again,
    "compiled-detached-alias": says("any_leaf=True != all_leaf=False", writes),
    "compiled-scalar-write-lost": _scalar_write_lost,
    "functionalized-windows": _windows_forget,
    "compiled-outputs-apart": _outputs_apart,
    "compiled-unpacks-everything": _unpacks_everything,
    "compiled-checks-early": _checks_early,
    "compiled-view-checks-early": _views_early,
    "compiled-foreach-in-place": _foreach_in_place,
    "compiled-detached-write": _detached_write,
    "compiled-integer-write": _integer_write,
    "functionalized-expanded": _expanded_base,
    "compiled-zeros-without-memory": _reads_no_memory,
    "compiled-donated-buffers": says("compiled with non-empty donated buffers", runs_backward),
}
"""Quirk of the register -> whether a finding of a program has that cause."""


_ENDING = frozenset({"custom-function-former-leaf", "compiled-zeros-without-memory"})
"""By no other does a worker die."""


def cause_among(known: Iterable[Deviation], judged: Judged, finding: Finding) -> Deviation | None:
    """The first of these deviations that a finding shows by its cause."""
    causes = CAUSES.keys() & _ENDING if finding.kind in ("crash", "hang") else CAUSES.keys()
    return next(
        (
            deviation
            for deviation in known
            if deviation.entry.quirk in causes and CAUSES[deviation.entry.quirk](judged, finding)
        ),
        None,
    )
