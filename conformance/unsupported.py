"""What a mode is not for, by its own documentation: programs that are not run in it."""

from __future__ import annotations

from collections.abc import Iterable

from conformance.model import Prediction
from conformance.model.quirks import UNCHECKED
from conformance.verdict import Authorities
from strategies.draft import Draft, Shaped
from strategies.functions import Function, functions_of
from strategies.program import Apply, Backward, Step, recording
from strategies.transforms import Transform

NO_FUNCTION = "no part of it is a function that could be transformed"


def cannot(transform: Transform, draft: Draft, by: Authorities) -> str:
    """Why a program is not run: no function, or one that a mode is not for; or nothing."""
    if not transform.on_functions:
        return ""
    functions = functions_of(draft.steps)
    if not functions:
        return NO_FUNCTION
    if transform.recorded_whole:
        prediction = by.predict(draft, quirks=frozenset({UNCHECKED}))
        reasons = (detaching(draft, prediction, function) for function in functions)
        found = next(filter(None, reasons), "")
        return f"{found}; {transform.recorded_whole}" if found else ""
    if transform.law == "written":
        return _not_written(draft, by, functions)
    return _not_numbers(transform, draft, by, functions) if transform.law == "numbers" else ""


def _not_numbers(
    transform: Transform, draft: Draft, by: Authorities, functions: list[Function]
) -> str:
    if transform.forward and not all(recording(s.modes) for s in draft.steps if _in(s)):
        return "a function computes in no_grad, which does not apply to forward mode"
    prediction = by.predict(draft, quirks=frozenset({UNCHECKED}))
    if _sought(draft, [name for function in functions for name in function.gives]):
        return _USED_INSIDE
    return next(filter(None, (impure(draft, prediction, each) for each in functions)), "")


_USED_INSIDE = "the gradient by what a function gives, which may have been used inside"


def _sought(draft: Draft, names: Iterable[str]) -> bool:
    """Whether a call asks for the gradient by one of these by name."""
    return any(isinstance(step, Backward) and {*names} & {*step.inputs} for step in draft.steps)


def _not_written(draft: Draft, by: Authorities, functions: list[Function]) -> str:
    if any("inference_mode" in step.modes for step in draft.steps):
        return "inference tensors have no version by which a write is seen"
    prediction = by.predict(draft, quirks=frozenset({UNCHECKED}))
    reasons = (_not_marked(draft, prediction, function) for function in functions)
    return next(filter(None, reasons), "")


def _not_marked(draft: Draft, prediction: Prediction, function: Function) -> str:
    """Why ctx.mark_dirty cannot say what a function writes, or nothing."""
    memory, flags = prediction.memory, prediction.flags
    inside = [s for s in draft.shaped[function.first : function.last + 1] if isinstance(s, Shaped)]
    made = [name for step in inside for name in step.step.to]
    if not all(name in memory for name in (*function.takes, *made)):
        return "the program ends in a function"
    written = {memory[str(step.step.args[0])] for step in inside if step.in_place}
    taken = [memory[name] for name in function.takes]
    given = [memory[name] for name in function.gives]
    changed = [name for name in function.takes if memory[name] in written]
    if _sought(draft, (*function.gives, *changed)):
        return _USED_INSIDE
    if len(set(given)) < len(given) or not set(taken).isdisjoint(given):
        return "what a function gives shares memory with something that it takes or gives"
    if any(taken.count(one) > 1 for one in written):
        return "a function writes what it takes by two names"
    if any(prediction.layouts[name].repeats_a_cell for name in changed):
        return "a function writes what it takes where cells repeat, which no copy could be"
    leaves = {memory[leaf.name] for leaf in draft.leaves if leaf.requires_grad}
    ran = [step for step in draft.shaped[: function.first] if isinstance(step, Shaped)]
    pieces = {
        memory[name] for s in ran if s.row.multi and s.row.kind == "view" for name in s.step.to
    }
    for step in (step for step in inside if step.in_place):
        target = memory[str(step.step.args[0])]
        if target in taken and step.moved is not None:
            return "a function changes the shape of what it takes"
        recorded = recording(step.step.modes) and flags[str(step.step.args[0])].requires_grad
        if target in leaves | pieces and not recorded:
            return "a function writes, and does not record, what it could not write and record"
    return ""


def detaching(draft: Draft, prediction: Prediction, function: Function) -> str:
    """Why a function has tensors that are detached from its graph, or nothing.

    In no_grad or by an operation that detaches; or it gives what does not require grad beside what
    it takes that does.
    """
    inside = draft.shaped[function.first : function.last + 1]
    if not all(recording(step.step.modes) for step in inside if isinstance(step, Shaped)):
        return "a function computes in no_grad"
    if any(isinstance(step, Shaped) and step.row.name == "detach" for step in inside):
        return "a function detaches"
    flags = prediction.flags
    asks = any(flags[name].requires_grad for name in function.takes if name in flags)
    floats = [n for n in function.gives if draft.values[n].dtype == "float64" and n in flags]
    lacks = not all(flags[name].requires_grad for name in floats)
    return "a function gives something that does not require grad" if asks and lacks else ""


def _in(step: Step) -> bool:
    return isinstance(step, Apply) and step.function > 0


def impure(draft: Draft, prediction: Prediction, function: Function) -> str:
    """Why a function is none that can be taken for its inputs and outputs alone, or nothing."""
    memory = prediction.memory
    names = (*function.takes, *function.gives)
    if not function.gives or not all(name in memory for name in names):
        return "a function gives nothing, or the program ends in it"
    taken = {memory[name] for name in function.takes}
    for step in draft.shaped[function.first : function.last + 1]:
        if isinstance(step, Shaped) and step.in_place and memory[str(step.step.args[0])] in taken:
            return "a function writes what it takes"
    given = [memory[name] for name in function.gives]
    if len(set(given)) < len(given) or not taken.isdisjoint(given):
        return "what a function gives shares memory with something that it takes or gives"
    flags = [prediction.flags[name].requires_grad for name in function.gives]
    asks = any(prediction.flags[name].requires_grad for name in function.takes)
    return "a function gives something that does not require grad" if asks > all(flags) else ""
