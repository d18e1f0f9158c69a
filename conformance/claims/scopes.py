"""Where the claims that are put by programs hold: each scope names the condition that breaks it.

A scope looks at the program alone, through what the model says of it; it is the same predicate
inside the scope, where the claim is checked, and negated outside it, where the search goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

from conformance.model import Kind, Prediction, predict
from strategies.draft import Draft, Shaped, Value, check
from strategies.program import Apply, Backward, Program, recording
from strategies.staging import ACTIVATIONS
from strategies.table import OPERATIONS, Row

_ACTIVATIONS = frozenset(row.name for row in ACTIVATIONS)


def no_way_around_autograd(program: Program) -> str:
    """Nothing is written in memory that has a `.data` alias."""
    hides = any(isinstance(step, Apply) and step.op == "data" for step in program.steps)
    return ".data" if hides and _written_beside_data(check(program)) else ""


def _written_beside_data(draft: Draft) -> set[int]:
    """Memories that are written after `.data` gave them an alias."""
    aliased: set[int] = set()
    written: set[int] = set()
    for step in draft.shaped:
        if isinstance(step, Backward):
            continue
        memory = _first(step).memory
        if step.row.name == "data":
            aliased.add(memory)
        elif step.in_place and writes_elements(step.row) and memory in aliased:
            written.add(memory)
    return written


def writes_elements(row: Row) -> bool:
    """Whether the in-place form of a row may change elements, not shape, flag or history alone."""
    return not (row.inert or row.relabels or row.moves)


def _first(step: Shaped) -> Value:
    """The tensor that a step writes or looks at: not the mask that comes before it."""
    tensors = [operand for operand in step.operands if isinstance(operand, Value)]
    if step.in_place:
        return tensors[0]
    return next((tensor for tensor in tensors if tensor.dtype != "bool"), tensors[0])


# -- activations in place


def activation_only_through_its_result(program: Program) -> str:
    """The conditions under which `inplace` of an activation does not change gradients: it may be
    written, no parameter is negative, nothing needed it, and nothing reads it but by its result.
    """
    draft = check(program)
    at = activation_step(program)
    if at is None:
        return "no activation in place"
    step = draft.shaped[at]
    assert isinstance(step, Shaped)
    raises = predict(draft).raises
    if raises is not None and raises.step == at:
        return "not to be written"
    if step.row.forbids(step.params):
        return "negative parameter"
    if raises is not None and raises.kind is Kind.SAVED_MODIFIED:
        return "saved"
    return "read again" if _read_besides(draft, at, step) else ""


def activation_step(program: Program) -> int | None:
    """The index of the first activation in place, if there is one."""
    for index, step in enumerate(program.steps):
        if isinstance(step, Apply) and step.op.endswith("_") and step.op[:-1] in _ACTIVATIONS:
            return index
    return None


def _read_besides(draft: Draft, at: int, written: Shaped) -> bool:
    """Whether a step after this one reads an older alias of what it writes."""
    target = _first(written)
    later = draft.steps[at:]
    made = {name for step in later if isinstance(step, Apply) for name in step.to}
    older = {
        value.name
        for value in draft.values.values()
        if value.memory == target.memory and value.name not in {target.name, *made}
    }
    return any(older & set(_reads(step)) for step in later[1:])


def _reads(step: Apply | Backward) -> Sequence[str]:
    names = step.of if isinstance(step, Backward) else step.args
    return [name for name in names if isinstance(name, str)]


# -- plain operations, leaves, saved tensors


def fresh_results(program: Program) -> str:
    """Every row is marked as giving a fresh result; else the kind of the first that is not."""
    rows = [OPERATIONS[step.op][0] for step in program.steps if isinstance(step, Apply)]
    return next((row.kind for row in rows if row.kind != "fresh"), "")


def leaf_written_in_grad_mode(program: Program) -> str:
    """The last in-place step is recorded, and writes something."""
    for step in reversed(program.steps):
        if isinstance(step, Apply) and OPERATIONS[step.op][1]:
            row = OPERATIONS[step.op][0]
            if row.inert:
                return "dropout that does nothing"
            if not writes_elements(row):
                return "writes no element"
            return "" if recording(step.modes) else "no_grad"
    return "nothing written"


def needed_and_modified(program: Program) -> str:
    """A node that backward executes holds a modified tensor; else what is closest to that."""
    draft = check(program)
    prediction = predict(draft)
    if prediction.raises is not None:
        return "" if prediction.raises.kind is Kind.SAVED_MODIFIED else "raises otherwise"
    hidden = _written_beside_data(draft)
    if any(kept.needed and kept.memory in hidden for kept in prediction.saved):
        return ".data"
    if any(kept.modified and not kept.needed for kept in prediction.saved):
        return "node not executed"
    return "nothing needed is modified"


# -- grad-mode regions


def fresh_in_no_grad(program: Program) -> str:
    """Every unrecorded operation computes a fresh result; else what the first one does instead."""
    for step in program.steps:
        if isinstance(step, Apply) and not recording(step.modes):
            row, in_place = OPERATIONS[step.op]
            if in_place:
                return "in place"
            if row.kind != "fresh":
                return row.kind
    return ""


def not_saved_before(program: Program) -> str:
    """No node that backward executes had saved what is written."""
    return "saved" if _raises(predict(check(program)), Kind.SAVED_MODIFIED) else ""


def _raises(prediction: Prediction, kind: Kind) -> bool:
    return prediction.raises is not None and prediction.raises.kind is kind


def detached_by_detach(program: Program) -> str:
    """The alias is made by `detach()`, not by `.data`."""
    ops = {step.op for step in program.steps if isinstance(step, Apply)}
    return ".data" if "data" in ops else ""
