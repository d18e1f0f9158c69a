"""Comparing what a subject did with what the model and the oracle say.

Every difference becomes a `Finding`: kind, place, what came out, what it should be, and by which
authority.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.model import Flags, Kind, Prediction, classify
from conformance.oracle.answers import Answer, Entries
from conformance.records import KINDS
from conformance.subjects import FlagsSeen, Observation, TensorSeen
from conformance.subjects.observation import ContentsSeen
from conformance.tolerances import ORACLE_RTOL, close
from strategies.draft import Draft
from strategies.printer import Body
from strategies.program import Backward


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between what was seen and what must be; `kind` is a word of `KINDS`."""

    kind: str
    message: str
    expected: str
    observed: str
    step: int | None = None
    quirk: str = ""
    """For a script: the registered way to deviate that was seen, exactly, if it was one."""
    off: tuple[int, ...] = ()
    """Where `expected` and `observed` are the entries of a tensor, the places of those that differ
    by more than is allowed, in row-major order.
    """

    @property
    def gravity(self) -> int:
        """0 for the gravest kind."""
        return KINDS.index(self.kind)


@dataclass(frozen=True, slots=True)
class Seen:
    """Where and with which kind of error a subject raised."""

    step: int | None
    kind: Kind | None
    text: str


def seen_error(draft: Draft, body: Body, observation: Observation) -> Seen | None:
    """The step and the kind of the error that a subject raised, if it did."""
    error = observation.error
    if error is None:
        return None
    step = body.step_at(error.line)
    in_backward = step is not None and isinstance(draft.shaped[step], Backward)
    kind = classify(error.message, in_backward=in_backward)
    return Seen(step, kind, f"{error.class_name}: {error.message}")


def judge(
    draft: Draft, body: Body, prediction: Prediction, answer: Answer, observation: Observation
) -> list[Finding]:
    """Every difference, gravest first; an error in the wrong place hides all others."""
    if observation.crash or observation.hang:
        return [stopped(observation)]
    seen = seen_error(draft, body, observation)
    if prediction.unspecified and seen is not None and seen.step is not None:
        # What was predicted is judged: the steps before the one that is left open.
        seen = seen if seen.step < len(prediction.acted) else None
    wrong = _compare_error(draft, prediction, seen)
    if wrong is not None:
        return [wrong]
    findings = [
        *_compare_flags(prediction, observation),
        *compare_memory(draft, prediction, observation),
    ]
    if not answer.unspecified:
        findings += compare_values(draft, answer, observation)
        if not prediction.hidden:
            findings += compare_gradients(prediction, answer, observation)
    return sorted(findings, key=lambda finding: finding.gravity)


def stopped(observation: Observation) -> Finding:
    if observation.hang:
        return Finding("hang", "the program did not end in time", "an end", "none")
    return Finding("crash", f"the worker died: {observation.crash}", "an answer", "a dead worker")


def _say_step(draft: Draft, step: int | None) -> str:
    if step is None:
        return "making the leaves"
    shaped = draft.shaped[step]
    name = "backward" if isinstance(shaped, Backward) else shaped.step.op
    return f"step {step + 1} ({name})"


def _compare_error(draft: Draft, prediction: Prediction, seen: Seen | None) -> Finding | None:
    predicted = prediction.raises
    if predicted is None and seen is None:
        return None
    if predicted is None:
        assert seen is not None
        return Finding(
            "spurious error",
            f"{_say_step(draft, seen.step)} raises and should not (model): {seen.text}",
            "no error",
            f"{seen.kind.value if seen.kind else 'an error of no known kind'}",
            seen.step,
        )
    expected = f"{predicted.kind.value} at {_say_step(draft, predicted.step)}: {predicted.why}"
    if seen is None:
        return Finding(
            "missing error",
            f"{_say_step(draft, predicted.step)} should raise (model): {predicted.why}",
            expected,
            "no error",
            predicted.step,
        )
    if (seen.step, seen.kind) == (predicted.step, predicted.kind):
        return None
    early = seen.step is None or seen.step < predicted.step
    observed = (
        f"{seen.kind.value if seen.kind else 'another error'} at {_say_step(draft, seen.step)}"
    )
    return Finding(
        "spurious error" if early else "missing error",
        f"{observed} instead of {expected}; the subject said: {seen.text}",
        expected,
        observed,
        seen.step if early else predicted.step,
    )


# -- flags --------------------------------------------------------------------------------------


def tensors_of(observation: Observation) -> dict[str, TensorSeen]:
    return {n: v for n, v in observation.values.items() if isinstance(v, TensorSeen)}


def compare_flags(name: str, flags: Flags, seen: FlagsSeen) -> Iterator[Finding]:
    """Differences in requires_grad, version, is_leaf and grad_fn of one tensor."""
    for what in ("requires_grad", "version", "is_leaf", "grad_fn"):
        should, does = getattr(flags, what), getattr(seen, what)
        left_open = should == "any" or (flags.unreadable and what in ("is_leaf", "grad_fn"))
        if does != should and not left_open:
            text = {"grad_fn": "has a grad_fn", "version": "_version"}.get(what, what)
            message = f"{name}: {text} is {does} and should be {should} (model)"
            yield Finding("wrong flag", message, f"{what} {should}", f"{what} {does}")
    raised = seen.flags_error and classify(seen.flags_error, in_backward=False)
    if raised != flags.unreadable and (raised or flags.unreadable):
        should = f"raises {flags.unreadable.value}" if flags.unreadable else "does not raise"
        message = f"reading the node of {name} {should} (model); seen: {seen.flags_error}"
        yield Finding("wrong flag", message, should, str(seen.flags_error))


def _as_predicted(flags: Flags, seen: TensorSeen) -> bool:
    """Whether all flags could be read and are the same, as nearly always."""
    return (
        seen.version == flags.version
        and seen.grad_fn is flags.grad_fn
        and seen.is_leaf is flags.is_leaf
        and seen.requires_grad is flags.requires_grad
        and seen.flags_error is None
        and flags.unreadable is None
    )


def _compare_flags(prediction: Prediction, observation: Observation) -> Iterator[Finding]:
    seen = tensors_of(observation)
    for name, flags in prediction.flags.items():
        if name not in seen:
            yield Finding("wrong value", f"{name} is missing", "a tensor", "nothing")
        elif not _as_predicted(flags, seen[name]):
            yield from compare_flags(name, flags, seen[name].flags)
    for step, expected in zip(observation.trace, prediction.trace, strict=False):
        for name, flags in expected.items():
            for finding in compare_flags(name, flags, step.flags[name]):
                number = int(step.step)
                text = f"after step {number + 1}, {finding.message}"
                yield Finding("wrong flag", text, finding.expected, finding.observed, number)


def compare_memory(
    draft: Draft, prediction: Prediction, observation: Observation
) -> Iterator[Finding]:
    """Which tensors share memory, and where in it each lies."""
    seen = tensors_of(observation)
    first: dict[int, str] = {}
    for name, memory in prediction.memory.items():
        if name not in seen:
            continue
        other = first.setdefault(memory, name)
        if seen[name].storage != seen[other].storage:
            message = f"{name} and {other} should share memory (model) and do not"
            yield Finding("wrong aliasing", message, "one storage", "two storages")
    storages: dict[Any, str] = {}
    for name in prediction.memory:
        if name not in seen:
            continue
        other = storages.setdefault(seen[name].storage, name)
        if prediction.memory[name] != prediction.memory[other]:
            message = f"{name} and {other} share memory and should not (model)"
            yield Finding("wrong aliasing", message, "two storages", "one storage")
        layout = prediction.layouts[name]
        if layout.numel and seen[name].offset not in (None, layout.offset):
            message = (
                f"{name} starts at element {seen[name].offset} of its memory and should start at "
                f"{layout.offset} (model)"
            )
            yield Finding("wrong aliasing", message, str(layout.offset), str(seen[name].offset))


# -- numbers ------------------------------------------------------------------------------------


def difference(
    what: str, kind: str, seen: NDArray[Any], expected: Entries, dtype: str
) -> Finding | None:
    """The first entry of a tensor that is off, or None; the kind is that of what is wrong."""
    values = np.asarray(expected.values)
    if seen.shape != values.shape:
        message = f"{what} has shape {seen.shape} and should have {values.shape}"
        return Finding("wrong value", message, str(values.shape), str(seen.shape))
    numbers = seen.astype(np.float64)
    if bool((numbers == values).all()):
        return None
    good = close(numbers, values, expected.slack, dtype=dtype)
    if good.all():
        return None
    off = tuple(int(place) for place in np.flatnonzero(~good))
    at = tuple(int(i) for i in np.argwhere(~good)[0])
    place = f"[{', '.join(map(str, at))}]" if at else ""
    message = (
        f"{what}{place} is {float(numbers[at])!r} and should be {float(values[at])!r} "
        f"(jax oracle, rtol {ORACLE_RTOL:g})"
    )
    return Finding(kind, message, _shown(values), _shown(numbers), off=off)


def _shown(array: NDArray[np.float64]) -> str:
    return str(array.tolist())


def _eps_of(seen: str) -> str:
    return "float32" if seen == "float32" else "float64"


def _alike(pairs: Sequence[tuple[ContentsSeen, Entries]]) -> bool:
    """Whether all numbers of several float64 tensors are as they should be, looked at together,
    which takes a fraction of the time; if not, each is to be looked at by itself.
    """
    if not pairs:
        return True
    expected = np.concatenate([entries.values for _, entries in pairs], None)
    seen = np.frombuffer(b"".join([contents.data for contents, _ in pairs]), "<f8")
    if bool((seen == expected).all()):
        return True
    slack = np.concatenate([entries.slack for _, entries in pairs], None)
    return bool(close(seen, expected, slack).all())


def _comparable(seen: ContentsSeen, entries: Entries) -> bool:
    """Whether nothing but numbers can be different."""
    return seen.dtype == "float64" and seen.shape == entries.values.shape


def compare_values(draft: Draft, answer: Answer, observation: Observation) -> Iterator[Finding]:
    tensors = {n: seen for n, seen in tensors_of(observation).items() if n in answer.values}
    together = [
        name
        for name, seen in tensors.items()
        if draft.values[name].dtype == "float64" and _comparable(seen, answer.values[name])
    ]
    if _alike([(tensors[name], answer.values[name]) for name in together]):
        for name in together:
            del tensors[name]
    for name, seen in tensors.items():
        wanted = draft.values[name].dtype
        if seen.dtype != wanted and not (wanted == "float64" and seen.dtype == "float32"):
            message = f"{name} has dtype {seen.dtype} and should have {wanted}"
            yield Finding("wrong value", message, wanted, seen.dtype)
            continue
        finding = difference(
            name, "wrong value", seen.array(), answer.values[name], _eps_of(seen.dtype)
        )
        if finding is not None:
            yield finding


def _alike_gradients(answer: Answer, seen: Mapping[str, TensorSeen]) -> Set[str]:
    """The tensors whose gradients are as they should be, if all are that can be looked at together;
    none otherwise.
    """
    pairs = {
        name: (grad, entries)
        for name, entries in answer.gradients.items()
        if name in seen
        for grad in [seen[name].grad]
        if grad is not None and _comparable(grad, entries)
    }
    return pairs.keys() if _alike([*pairs.values()]) else set()


def compare_gradients(
    prediction: Prediction, answer: Answer, observation: Observation
) -> Iterator[Finding]:
    seen = tensors_of(observation)
    as_expected = _alike_gradients(answer, seen)
    for name, graded in prediction.graded.items():
        # Whether it is a leaf cannot be asked, and so its gradient was not asked for.
        unreadable = name in prediction.flags and prediction.flags[name].unreadable is not None
        if name not in seen or unreadable:
            continue
        grad = seen[name].grad
        if grad is None and graded:
            message = f"{name}.grad is None and should be there (model)"
            expected = _shown(answer.gradients[name].values)
            yield Finding("silent wrong gradient", message, expected, "None")
        elif grad is not None and not graded:
            message = f"{name}.grad is there and should be None (model): nothing reaches it"
            kind = "silent wrong gradient" if np.any(grad.array()) else "wrong flag"
            yield Finding(kind, message, "None", _shown(grad.array().astype(np.float64)))
        elif grad is not None and name not in as_expected:
            finding = difference(
                f"{name}.grad",
                "silent wrong gradient",
                grad.array(),
                answer.gradients[name],
                _eps_of(grad.dtype),
            )
            if finding is not None:
                yield finding
