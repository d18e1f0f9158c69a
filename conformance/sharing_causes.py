"""Known causes of what compiled functions do wrong where tensors share memory.

An input that is written comes back from the graph as an output, and is copied into the tensor
outside; inputs that share memory are put together as one base; outputs that are views are made anew
from an input, from a base or from another output. Each of them can be the wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from conformance.transform_telling import (
    OF_A_LEAF,
    Told,
    asked_before,
    memories_of,
    steps_of,
    unrecorded,
    writes,
)
from strategies.draft import Shaped, Value
from strategies.functions import Function, functions_of, with_calls_again
from strategies.program import recording

if TYPE_CHECKING:
    from conformance.judge import Finding
    from conformance.verdict import Judged

_UNPERMUTED = "does not match the length of the desired ordering of dimensions"
_UNSIZED = (
    "must be greater or equal to the number of dimensions",
    "is invalid for input of size",
    "Dimension out of range",
    "after application of ViewMeta sequence",
    _UNPERMUTED,
    "setStorage: sizes",
)
"""Errors of a view of a tensor of another shape."""


_SYMBOLS = (
    "size_bytes_is_heap_allocated_",
    "not tracked with proxy",
    "on tensor with symbolic sizes/strides",
)
"""Errors of a size that is no number."""


def _inputs_mixed(judged: Judged, finding: Finding) -> bool:
    """An input that is written and returned takes the place of another that is written."""
    lost = finding.kind in ("wrong value", "silent wrong gradient", "wrong flag")
    sized = any(part in finding.message for part in ("doesn't match the broadcast", "must match"))
    if not (lost or (finding.kind == "spurious error" and sized) or unrecorded(finding)):
        return False
    memories = memories_of(judged.prediction)
    made = {n: one for _, s in steps_of(judged) for n, one in zip(s.step.to, s.made, strict=False)}
    for function in functions_of(judged.draft.steps):
        taken = {memories.get(name) for name in function.takes}
        within = {
            memories.get(str(step.step.args[0]))
            for each, step in steps_of(judged)
            if each == function and step.in_place
        }
        returned = {memories.get(n) for n in function.gives if n in made and made[n].how == "same"}
        if len(taken & within) > 1 and taken & within & returned:
            return True
    return False


def _unguarded(judged: Judged, finding: Finding) -> bool:
    """A graph that was made for arguments that share memory, or do not, is run with others."""
    if finding.kind == "spurious error" and not unrecorded(finding):
        return False
    memories = memories_of(judged.prediction)
    functions = with_calls_again(judged.draft.steps)
    again = {function.again for function in functions if function.again}
    return writes(judged) and any(
        len(taken) > len(set(taken))
        for function in functions
        if function.again or function.number in again
        for taken in [_shared(memories, function)]
    )


def _shared_no_grad_write(judged: Judged, finding: Finding) -> bool:
    """Inputs that share memory are one base, which comes back without history where it is written
    in no_grad.
    """
    lost = finding.kind in ("silent wrong gradient", "wrong flag", "missing error")
    if not (lost or unrecorded(finding)):
        return False
    memories = memories_of(judged.prediction)
    return any(
        step.in_place
        and not recording(step.step.modes)
        and _shared(memories, function).count(memories.get(str(step.step.args[0]))) > 1
        for function, step in steps_of(judged)
    )


def _overlapping_input(judged: Judged, finding: Finding) -> bool:
    """What comes back of an input whose cells repeat is copied over what was written there."""
    if finding.kind not in ("wrong value", "silent wrong gradient"):
        return False
    memories = memories_of(judged.prediction)
    for function, step in steps_of(judged):
        target = memories.get(str(step.step.args[0]))
        layouts = judged.prediction.layouts
        taken = [layouts.get(n) for n in function.takes if memories.get(n) == target]
        if step.in_place and any(layout and layout.overlaps_itself for layout in taken):
            return True
    return False


def _gains(judged: Judged) -> bool:
    """Whether a function takes two tensors that share memory and do not require grad, and writes
    them with something that does.
    """
    memories = memories_of(judged.prediction)
    asks = asked_before(judged)
    for function, step in steps_of(judged):
        target = memories.get(str(step.step.args[0]))
        there = [
            one for n, one in asks.get(function.number, {}).items() if memories.get(n) == target
        ]
        if step.in_place and recording(step.step.modes) and len(there) > 1 and not all(there):
            return True
    return False


def _gains_history(judged: Judged, finding: Finding) -> bool:
    """What is read of an input that gained a history through another has none, or is a leaf."""
    lost = finding.kind in ("wrong flag", "silent wrong gradient", "missing error")
    leaf = finding.kind == "spurious error" and OF_A_LEAF in finding.message
    return (lost or leaf or unrecorded(finding)) and _gains(judged)


def _view_gains_history(judged: Judged, finding: Finding) -> bool:
    """While a function is traced, an input does not learn what it gained through another."""
    told = finding.kind == "spurious error" and "AssertionError: False != True" in finding.message
    return told and _gains(judged)


def _base_of_any_size(judged: Judged, finding: Finding) -> bool:
    """The size of a base that inputs are put together in is a symbol where shapes are dynamic."""
    told = finding.kind == "spurious error" and any(part in finding.message for part in _SYMBOLS)
    memories = memories_of(judged.prediction)
    shared = [_shared(memories, function) for function in functions_of(judged.draft.steps)]
    return told and writes(judged) and any(len(taken) > len(set(taken)) for taken in shared)


def _leaf_in_base(judged: Judged, finding: Finding) -> bool:
    """A leaf that shares memory with another input becomes a part of their base, and is none."""
    moved = "leaf variable has been moved into the graph interior" in finding.message
    memories = memories_of(judged.prediction)
    shared = [_shared(memories, function) for function in functions_of(judged.draft.steps)]
    together = any(len(taken) > len(set(taken)) for taken in shared)
    return finding.kind == "spurious error" and moved and together and writes(judged)


def _shared(memories: Mapping[str, int], function: Function) -> list[int | None]:
    """The memories of what a function takes."""
    return [memories.get(name) for name in function.takes]


def _output_unversioned(judged: Judged, finding: Finding) -> bool:
    """A view of what was computed comes out with a version of its own, where it comes out alone."""
    if finding.kind != "silent wrong gradient":
        return False
    memories = memories_of(judged.prediction)
    made = {n: one for _, s in steps_of(judged) for n, one in zip(s.step.to, s.made, strict=False)}
    for function in functions_of(judged.draft.steps):
        taken = {memories.get(name) for name in function.takes}
        views = {memories.get(n) for n in function.gives if n in made and made[n].how == "view"}
        later = judged.draft.shaped[function.last + 1 :]
        if any(
            isinstance(step, Shaped)
            and step.in_place
            and memories.get(str(step.step.args[0])) in views - taken
            for step in later
        ):
            return True
    return False


def _returns_its_input(judged: Judged, finding: Finding) -> bool:
    """What eager torch returns as the very input comes out as another tensor.

    Values are others where one of the two is written later.
    """
    same = {
        name
        for _, step in steps_of(judged)
        for name, made in zip(step.step.to, step.made, strict=False)
        if made.how == "same"
    }
    if finding.kind == "spurious error":
        no_leaf = "you can only change requires_grad flags of leaf" in finding.message
        return bool(same) and (no_leaf or unrecorded(finding))
    if finding.kind not in ("wrong value", "silent wrong gradient"):
        return bool(same)
    memories = memories_of(judged.prediction)
    places = {memories.get(name) for name in same}
    steps = [step for step in judged.draft.shaped if isinstance(step, Shaped)]
    first = next((n for n, step in enumerate(steps) if same & {*step.step.to}), len(steps))
    return any(s.in_place and memories.get(str(s.step.args[0])) in places for s in steps[first:])


def _puts_nothing(judged: Judged, finding: Finding) -> bool:
    """What put gives of a tensor without elements is the tensor itself."""
    empty = any(
        step.row.name == "put" and isinstance(first := step.operands[0], Value) and _empty(first)
        for _, step in steps_of(judged)
    )
    return empty and (finding.kind in ("wrong aliasing", "wrong flag") or unrecorded(finding))


def _empty(value: Value) -> bool:
    return value.layout.numel == 0


def _view_of_other_output(judged: Judged, finding: Finding) -> bool:
    """A view of one output is made anew from another, where inputs were put together."""
    memories = memories_of(judged.prediction)
    views = set[str]()
    for function, step in steps_of(judged):
        taken = [memories.get(name, -1) for name in function.takes]
        if step.in_place and taken.count(memories.get(str(step.step.args[0]), -2)) > 1:
            views |= {n for n in function.gives if memories.get(n, -1) not in taken}
    made = (zip(s.step.to, s.made, strict=False) for _, s in steps_of(judged))
    views &= {name for pairs in made for name, one in pairs if one.how == "view"}
    if finding.kind in ("wrong value", "wrong flag", "wrong aliasing"):
        return not views.isdisjoint(re.findall(r"\w+", finding.message.partition(" is ")[0]))
    sized = any(part in finding.message for part in _UNSIZED)
    lost = finding.kind == "silent wrong gradient" or sized or unrecorded(finding)
    return bool(views) and lost


def _view_of_base(judged: Judged, finding: Finding) -> bool:
    """A view of an input is made anew from a base of another size, or of another rank."""
    parts = ("is invalid for input of size", "Dimension out of range", _UNPERMUTED)
    told = any(part in finding.message for part in parts)
    return finding.kind == "spurious error" and told and writes(judged)


SHARING_CAUSES: Mapping[str, Told] = {
    "compiled-inputs-mixed": _inputs_mixed,
    "compiled-sharing-unguarded": _unguarded,
    "compiled-shared-written-in-no-grad": _shared_no_grad_write,
    "compiled-shared-gains-history": _gains_history,
    "compiled-view-gains-history": _view_gains_history,
    "compiled-leaf-in-base": _leaf_in_base,
    "compiled-base-of-any-size": _base_of_any_size,
    "compiled-view-of-other-output": _view_of_other_output,
    "compiled-output-unversioned": _output_unversioned,
    "compiled-view-of-base": _view_of_base,
    "compiled-returns-input": _returns_its_input,
    "inductor-puts-nothing": _puts_nothing,
    "compiled-overlapping-input": _overlapping_input,
}
"""Quirk of the register -> whether a finding of a program has that cause."""
