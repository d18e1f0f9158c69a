"""What a mode is not for, by its own documentation: programs that are not run in it."""

from __future__ import annotations

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
    return _not_numbers(transform, draft, by, functions) if transform.law == "numbers" else ""


def _not_numbers(
    transform: Transform, draft: Draft, by: Authorities, functions: list[Function]
) -> str:
    if transform.forward and not all(recording(s.modes) for s in draft.steps if _in(s)):
        return "a function computes in no_grad, which does not apply to forward mode"
    prediction = by.predict(draft, quirks=frozenset({UNCHECKED}))
    given = {name for function in functions for name in function.gives}
    if any(isinstance(s, Backward) and given.intersection(s.inputs) for s in draft.steps):
        return "the gradient by what a function gives, which may have been used inside"
    return next(filter(None, (impure(draft, prediction, each) for each in functions)), "")


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
