"""What a subject did with a program, as far as two versions of torch are compared by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.outcome import told
from conformance.subjects import TensorSeen
from conformance.tolerances import SAME_BEHAVIOUR_RTOL
from conformance.verdict import Judged

RAISED = "how it ended"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a program ended, in words, and the numbers that it left: tensors, and "a.grad"."""

    ended: str = ""
    numbers: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def told(self, name: str) -> str:
        """What is to be said of one difference."""
        if name == RAISED:
            return self.ended
        if name not in self.numbers:
            return f"{name} is None"
        return f"{name} is {told(self.numbers[name])}"


NOTHING_SEEN = Behaviour()
"""Of a program that was not run."""


def behaviour_of(judged: Judged) -> Behaviour:
    """What a judged program did; of one that nobody ran or decided, nothing or its end alone."""
    if judged.verdict == "not exercised":
        return NOTHING_SEEN
    ended = _end(judged)
    if judged.verdict == "unspecified":
        return Behaviour(ended)
    numbers: dict[str, NDArray[Any]] = {}
    for name, seen in judged.observation.values.items():
        if isinstance(seen, TensorSeen):
            numbers[name] = seen.array()
            if seen.grad is not None:
                numbers[f"{name}.grad"] = seen.grad.array()
    return Behaviour(ended, numbers)


def _end(judged: Judged) -> str:
    seen = judged.observation
    if seen.hang:
        return "it gave no answer in time"
    if seen.crash:
        return f"it ended the process: {seen.crash.splitlines()[0]}"
    if seen.error is None:
        return "it runs to its end"
    step = judged.raised_step()
    where = "" if step is None else f" at step {step + 1}"
    return f"it raises{where}: {judged.raised_kind() or seen.error.class_name}"


def differences(one: Behaviour, other: Behaviour) -> list[str]:
    """What differs: the end, or the names of tensors and gradients, the shortest names first;
    nothing where one was not run, or its numbers are of no matter.
    """
    if one.ended and other.ended and one.ended != other.ended:
        return [RAISED]
    if not one.numbers or not other.numbers:
        return []
    names = sorted({*one.numbers, *other.numbers}, key=lambda name: (len(name), name))
    return [name for name in names if not _same(one.numbers.get(name), other.numbers.get(name))]


def _same(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    if one is None or other is None:
        return one is other
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and np.allclose(one, other, SAME_BEHAVIOUR_RTOL, SAME_BEHAVIOUR_RTOL, True)
