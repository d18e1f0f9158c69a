"""What a subject did with a program that nothing documented decides, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from conformance.judge import seen_error
from conformance.subjects import ContentsSeen, TensorSeen
from conformance.verdict import Judged
from strategies.program import Backward

_WORDS = 160
"""Characters of an error's message that are told."""
_ENTRIES = 6
"""Entries of a tensor that are told."""
_TENSORS = 3
"""Values that are told, the last ones that the program made or wrote."""


def done(judged: Judged) -> str:
    """`raises ...` with the step and the message, or `ends with ...` gradients and values.

    Empty if nothing was seen of it.
    """
    observation = judged.observation
    if observation.crash or observation.hang:
        return ""
    error = seen_error(judged.draft, judged.body, observation)
    if error is not None:
        where = f" at step {error.step + 1}" if error.step is not None else ""
        text = " ".join(error.text.split())
        return f"raises{where}: {text[:_WORDS]}{' ...' * (len(text) > _WORDS)}"
    told = [*_gradients(judged), *_values(judged)]
    return f"ends with {', '.join(told)}" if told else ""


def _gradients(judged: Judged) -> Iterator[str]:
    for leaf in judged.program.leaves:
        seen = judged.observation.values.get(leaf.name)
        if leaf.requires_grad and isinstance(seen, TensorSeen):
            yield f"{leaf.name}.grad = {_contents(seen.grad) if seen.grad else None}"


def _values(judged: Judged) -> Iterator[str]:
    """The tensors that were made or written last."""
    touched: dict[str, None] = {}
    for step in reversed(judged.program.steps):
        if not isinstance(step, Backward):
            touched |= dict.fromkeys(step.to or [str(step.args[0])])
    for name in [*touched][:_TENSORS]:
        seen = judged.observation.values.get(name)
        if isinstance(seen, TensorSeen):
            yield f"{name} = {_contents(seen)}"


def _contents(seen: ContentsSeen) -> str:
    return told(seen.array())


def told(array: NDArray[Any]) -> str:
    """A tensor's entries as nested lists; a long one's first entries and its shape."""
    if array.size <= _ENTRIES:
        return _nested(array.tolist())
    first = ", ".join(map(_nested, array.ravel()[:_ENTRIES].tolist()))
    return f"[{first}, ...] of shape {list(array.shape)}"


def _nested(entries: Any) -> str:
    if isinstance(entries, list):
        return f"[{', '.join(map(_nested, entries))}]"
    return f"{entries:.6g}" if isinstance(entries, float) else str(entries)
