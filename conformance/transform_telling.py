"""What the causes of transforming subjects are told by: the steps of functions, and messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from conformance.model.prediction import Prediction
from strategies.draft import Shaped
from strategies.functions import Function, functions_of

if TYPE_CHECKING:
    from conformance.judge import Finding
    from conformance.verdict import Judged

Told = Callable[["Judged", "Finding"], bool]
"""Whether a finding of a program has a cause."""
AGAIN = "Trying to backward through the graph a second time"
MODIFIED = "has been modified by an inplace operation"
OF_A_LEAF = "leaf Variable that requires grad is being used in an in-place operation"
NOBODY = "nothing reaches it"


def steps_of(judged: Judged) -> Iterator[tuple[Function, Shaped]]:
    """The steps of each function."""
    for function in functions_of(judged.draft.steps):
        for step in judged.draft.shaped[function.first : function.last + 1]:
            assert isinstance(step, Shaped)
            yield function, step


def unrecorded(finding: Finding) -> bool:
    """Whether an error says that something has no history."""
    return finding.kind == "spurious error" and "not require grad" in finding.message


def memories_of(prediction: Prediction) -> Mapping[str, int]:
    """Name -> number of the memory."""
    return prediction.memory


def says(fragment: str) -> Told:
    """An error that comes for a reason of the subject's own, by its words."""

    def told(judged: Judged, finding: Finding) -> bool:
        return finding.kind == "spurious error" and fragment in finding.message

    return told


def writes_what_it_takes(judged: Judged) -> bool:
    """Whether a function writes into the memory of what it takes."""
    memories = memories_of(judged.prediction)
    return any(
        memories.get(str(step.step.args[0])) in {memories.get(name) for name in function.takes}
        for function, step in steps_of(judged)
        if step.in_place
    )
