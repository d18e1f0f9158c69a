"""What the causes of transforming subjects are told by: the steps of functions, and messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from conformance.model import predict
from conformance.model.prediction import Prediction
from conformance.model.quirks import UNCHECKED
from strategies.draft import Shaped
from strategies.functions import Function, functions_of
from strategies.program import Backward, recording

if TYPE_CHECKING:
    from conformance.judge import Finding
    from conformance.verdict import Judged

Told = Callable[["Judged", "Finding"], bool]
"""Whether a finding of a program has a cause."""
AGAIN = "Trying to backward through the graph a second time"
MODIFIED = "has been modified by an inplace operation"
FORBIDDEN = "backward calculation is triggered with a"
OF_A_LEAF = "leaf Variable that requires grad is being used in an in-place operation"
NOBODY = "nothing reaches it"


def steps_of(judged: Judged) -> Iterator[tuple[Function, Shaped]]:
    """The steps of each function."""
    for function in functions_of(judged.draft.steps):
        for step in judged.draft.shaped[function.first : function.last + 1]:
            assert isinstance(step, Shaped)
            yield function, step


def asked_before(judged: Judged) -> Mapping[int, Mapping[str, bool]]:
    """Number of a function -> each tensor that it takes, and whether that requires grad as it is
    called; without those that no course of the program comes to.
    """
    trace = predict(judged.draft, quirks=frozenset({UNCHECKED}), watched=True).trace
    leaves = {leaf.name: leaf.requires_grad for leaf in judged.draft.leaves}
    found = {}
    for function in functions_of(judged.draft.steps):
        if function.first <= len(trace):
            flags = trace[function.first - 1].items() if function.first else ()
            asks = leaves | {name: one.requires_grad for name, one in flags}
            found[function.number] = {name: asks[name] for name in function.takes}
    return found


def unrecorded(finding: Finding) -> bool:
    """Whether an error says that something has no history."""
    return finding.kind == "spurious error" and "not require grad" in finding.message


def without_derivative(message: str) -> bool:
    """Whether an error says that something has no derivative."""
    return "derivative for " in message and "is not implemented" in message


def memories_of(prediction: Prediction) -> Mapping[str, int]:
    """Name -> number of the memory."""
    return prediction.memory


def writes(judged: Judged) -> bool:
    """Whether a function writes anything in place."""
    return any(step.in_place for _, step in steps_of(judged))


def written(judged: Judged) -> bool:
    """Whether anything is written in place, in a function or outside."""
    return any(isinstance(step, Shaped) and step.in_place for step in judged.draft.shaped)


def detaches(judged: Judged) -> bool:
    """Whether a function has something detached, by name or in no_grad."""
    return any(
        step.row.name == "detach" or not recording(step.step.modes) for _, step in steps_of(judged)
    )


def views(judged: Judged) -> bool:
    """Whether a function makes a view."""
    return any(made.how == "view" for _, step in steps_of(judged) for made in step.made)


def in_inference(judged: Judged) -> bool:
    """Whether anything is computed in inference mode."""
    return any("inference_mode" in step.modes for step in judged.draft.steps)


def fills(judged: Judged) -> bool:
    """Whether a function calls random_, whose argument is named `from`."""
    return any(step.row.name == "random" for _, step in steps_of(judged))


def writes_several(judged: Judged) -> bool:
    """Whether an operation is told by out= where to put one of its results."""
    return any(isinstance(s, Shaped) and s.row.name.endswith("_out") for s in judged.draft.shaped)


def gives_several(judged: Judged) -> bool:
    """Whether a function has several results, of which what it writes into an input is one."""
    memories = memories_of(judged.prediction)
    into = {
        function.number
        for function, step in steps_of(judged)
        if step.in_place
        and memories.get(str(step.step.args[0])) in {memories.get(n) for n in function.takes}
    }
    functions = functions_of(judged.draft.steps)
    return any(len(each.gives) + (each.number in into) > 1 for each in functions)


def runs_backward(judged: Judged) -> bool:
    """Whether a program has a backward call."""
    return any(isinstance(step, Backward) for step in judged.draft.shaped)


def says(fragment: str, where: Callable[[Judged], bool]) -> Told:
    """An error that comes for a reason of the subject's own, by its words, where a program has what
    it comes from.
    """

    def told(judged: Judged, finding: Finding) -> bool:
        return finding.kind == "spurious error" and fragment in finding.message and where(judged)

    return told


def writes_what_it_takes(judged: Judged) -> bool:
    """Whether a function writes into the memory of what it takes."""
    memories = memories_of(judged.prediction)
    return any(
        memories.get(str(step.step.args[0])) in {memories.get(name) for name in function.takes}
        for function, step in steps_of(judged)
        if step.in_place
    )
