"""Reading what a script showed, and saying what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.judge import Finding
from conformance.subjects import ContentsSeen, JsonSeen, Observation, TensorSeen


class Missing(Exception):
    """A script did not show something that it must show; the message is its name."""


class Shown:
    """What a script showed, by name; raises Missing for what it did not show."""

    def __init__(self, observation: Observation) -> None:
        self._values = observation.values

    def tensor(self, name: str) -> TensorSeen:
        """The tensor of this name."""
        value = self._values.get(name)
        if not isinstance(value, TensorSeen):
            raise Missing(name)
        return value

    def array(self, name: str) -> NDArray[Any]:
        """The elements of the tensor of this name."""
        return self.tensor(name).array()

    def grad(self, name: str) -> NDArray[Any]:
        """The gradient of the leaf of this name."""
        seen = self.tensor(name).grad
        if seen is None:
            raise Missing(f"{name}.grad")
        return seen.array()

    def facts(self) -> dict[str, Any]:
        """What the script noted in `facts`."""
        value = self._values.get("facts")
        if not isinstance(value, JsonSeen) or not isinstance(value.json, dict):
            raise Missing("facts")
        return value.json

    def names(self, name: str) -> list[str]:
        """The list of names that the script keeps under this name."""
        value = self._values.get(name)
        if not isinstance(value, JsonSeen) or not isinstance(value.json, list):
            raise Missing(name)
        return [str(item) for item in value.json]


Check = Callable[[Shown], Iterable[Finding]]
"""What must be seen, as the findings where it is not."""


def expecting(
    check: Check, *, error: tuple[str, str] | None = None
) -> Callable[[Observation], list[Finding]]:
    """The judge of a script that must raise nothing and show what `check` asks for.

    `error` is a part of the message that some torch raises instead, and the quirk that this is.
    """
    fragment, quirk = error or ("", "")

    def findings(observation: Observation) -> list[Finding]:
        raised = observation.error
        if raised is not None:
            text = f"{raised.class_name}: {raised.message}"
            place = f" at line {raised.line}" if raised.line else ""
            message = f"the script raises{place} and should not: {text}"
            known = quirk if fragment in raised.message else ""
            return [Finding("spurious error", message, "no error", text, quirk=known)]
        try:
            return list(check(Shown(observation)))
        except Missing as missing:
            message = f"{missing} is missing after the script"
            return [Finding("wrong value", message, f"{missing}", "nothing")]

    return findings


def same_bits(shown: Shown, name: str, other: str, why: str) -> Iterator[Finding]:
    """Findings unless two tensors have the same dtype, shape and bytes."""
    yield from same_contents(shown.tensor(name), shown.tensor(other), name, other, why)


def same_contents(
    seen: ContentsSeen,
    wanted: ContentsSeen,
    name: str,
    other: str,
    why: str,
    kind: str = "wrong value",
) -> Iterator[Finding]:
    """Findings unless both have the same dtype, shape and bytes, but for which NaN a NaN is."""
    for what in ("dtype", "shape"):
        does, should = getattr(seen, what), getattr(wanted, what)
        if does != should:
            message = f"{name} has {what} {does} and {other} has {should}: {why}"
            yield Finding("wrong value", message, str(should), str(does))
            return
    if seen.data != wanted.data:
        left, right = seen.array(), wanted.array()
        at = _first_difference(left, right)
        if at is not None:
            message = f"{name}{at} is {_entry(left, at)} and {other} has {_entry(right, at)}: {why}"
            yield Finding(kind, message, str(right.tolist()), str(left.tolist()))


def exactly(
    name: str, seen: NDArray[Any], wanted: NDArray[Any], why: str, kind: str = "wrong value"
) -> Iterator[Finding]:
    """Findings unless two arrays are equal as numbers: zeros without their sign, NaN as NaN."""
    yield from within(name, seen, wanted, 0.0, why, kind)


def within(
    name: str,
    seen: NDArray[Any],
    wanted: NDArray[Any],
    room: NDArray[np.float64] | float,
    why: str,
    kind: str = "wrong value",
) -> Iterator[Finding]:
    """Findings unless every entry is as wanted, or within `room` of it."""
    if seen.shape != wanted.shape:
        message = f"{name} has shape {seen.shape} and should have {wanted.shape}: {why}"
        yield Finding("wrong value", message, str(wanted.shape), str(seen.shape))
        return
    with np.errstate(invalid="ignore"):
        good = (seen == wanted) | (np.abs(seen - wanted) <= room)
    good |= np.isnan(seen) & np.isnan(wanted)
    if not good.all():
        at = [int(i) for i in np.argwhere(~good)[0]]
        tolerance = f", within {float(np.max(room)):g}" if np.any(room) else ""
        message = (
            f"{name}{at or ''} is {_entry(seen, at)} and should be {_entry(wanted, at)} "
            f"({why}{tolerance})"
        )
        yield Finding(kind, message, str(wanted.tolist()), str(seen.tolist()))


def flag(name: str, seen: object, wanted: object, why: str, kind: str) -> Iterator[Finding]:
    """A finding unless a fact is as wanted."""
    if seen != wanted:
        message = f"{name} is {seen!r} and should be {wanted!r}: {why}"
        yield Finding(kind, message, repr(wanted), repr(seen))


def _first_difference(left: NDArray[Any], right: NDArray[Any]) -> list[int] | None:
    """Where two arrays differ in a bit; two NaNs do not, whose bits nothing documents."""
    width = left.dtype.itemsize
    bits = [np.frombuffer(a.tobytes(), np.uint8).reshape(*a.shape, width) for a in (left, right)]
    differ = (bits[0] != bits[1]).any(-1)
    if left.dtype.kind in "fc":
        differ &= ~(np.isnan(left) & np.isnan(right))
    return [int(i) for i in np.argwhere(differ)[0]] if differ.any() else None


def _entry(array: NDArray[Any], at: list[int]) -> str:
    return repr(array[tuple(at)].item())
