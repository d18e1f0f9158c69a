"""Reading what a script showed, and saying what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from conformance.judge import Finding
from conformance.script_verdict import Asked, Code, Judge, Judgement
from conformance.subjects import ContentsSeen, JsonSeen, Observation, TensorSeen

T = TypeVar("T")
S = TypeVar("S")


class Missing(Exception):
    """A script did not show something that it must show; the message is its name."""


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """Something that a script showed: the expression by which it sees it, and what was seen.

    Comparisons note themselves in `asked`; so does whoever decides by it what must be seen.
    """

    code: str
    value: T
    asked: list[Asked]

    def given(self) -> T:
        """The value, of which what must be seen depends: a script says nothing for another."""
        self.asked.append(Asked("_given", (self.code, Code(self.code), self.value)))
        return self.value

    def derived(self, code: str, value: S) -> Look[S]:
        """What is computed of it, and the expression that does so in the script."""
        return Look(code, value, self.asked)


_READ = {
    "requires_grad": "{}.requires_grad",
    "is_leaf": "{}.is_leaf",
    "grad_fn": "({}.grad_fn is not None)",
    "version": "{}._version",
    "offset": "{}.storage_offset()",
    "shape": "tuple({}.shape)",
    "dtype": "str({}.dtype)[6:]",
}
"""Attribute of a tensor that was seen -> how a script reads it."""


class Shown:
    """What a script showed, by name; raises Missing for what it did not show.

    `asked` are the comparisons that were made of it so far.
    """

    def __init__(self, observation: Observation) -> None:
        self._values = observation.values
        self.asked: list[Asked] = []

    def aside(self) -> Shown:
        """The same, for comparisons that need not hold."""
        other = copy(self)
        other.asked = []
        return other

    def look(self, code: str, value: T) -> Look[T]:
        """What is computed of several things, and the expression that does so in the script."""
        return Look(code, value, self.asked)

    def _tensor(self, name: str) -> TensorSeen:
        value = self._values.get(name)
        if not isinstance(value, TensorSeen):
            raise Missing(name)
        return value

    def contents(self, name: str) -> Look[ContentsSeen]:
        """The tensor of this name, to compare bit by bit."""
        return self.look(name, self._tensor(name))

    def grad_contents(self, name: str) -> Look[ContentsSeen | None]:
        """The gradient of the leaf of this name, if it has one, to compare bit by bit."""
        return self.look(f"{name}.grad", self._tensor(name).grad)

    def array(self, name: str) -> Look[NDArray[Any]]:
        """The elements of the tensor of this name."""
        return self.look(name, self._tensor(name).array())

    def grad(self, name: str) -> Look[NDArray[Any]]:
        """The gradient of the leaf of this name."""
        seen = self._tensor(name).grad
        if seen is None:
            raise Missing(f"{name}.grad")
        return self.look(f"{name}.grad", seen.array())

    def attribute(self, name: str, attribute: str) -> Look[Any]:
        """A flag of the tensor of this name, its version, its place or its kind."""
        return self.look(_READ[attribute].format(name), getattr(self._tensor(name), attribute))

    def one_memory(self, name: str, other: str) -> Look[bool]:
        """Whether two tensors lie in one storage."""
        same = self._tensor(name).storage == self._tensor(other).storage
        return self.look(f"(_memory({name}) == _memory({other}))", same)

    def facts(self) -> dict[str, Any]:
        """What the script noted in `facts`."""
        value = self._values.get("facts")
        if not isinstance(value, JsonSeen) or not isinstance(value.json, dict):
            raise Missing("facts")
        return value.json

    def fact(self, name: str) -> Look[Any]:
        """One of the facts."""
        facts = self.facts()
        if name not in facts:
            raise Missing(f"facts[{name!r}]")
        return self.look(f"facts[{name!r}]", facts[name])

    def fact_or(self, name: str, default: Any = None) -> Look[Any]:
        """One of the facts, or the default where it was not noted."""
        rest = "" if default is None else f", {default!r}"
        return self.look(f"facts.get({name!r}{rest})", self.facts().get(name, default))

    def names(self, name: str) -> Look[list[str]]:
        """The list of names that the script keeps under this name."""
        value = self._values.get(name)
        if not isinstance(value, JsonSeen) or not isinstance(value.json, list):
            raise Missing(name)
        return self.look(name, [str(item) for item in value.json])


Check = Callable[[Shown], Iterable[Finding]]
"""What must be seen, as the findings where it is not."""


def expecting(check: Check, *, error: tuple[str, str] | None = None) -> Judge:
    """The judge of a script that must raise nothing and show what `check` asks for.

    `error` is a part of the message that some torch raises instead, and the quirk that this is.
    """
    fragment, quirk = error or ("", "")

    def judge(observation: Observation) -> Judgement:
        raised = observation.error
        if raised is not None:
            text = f"{raised.class_name}: {raised.message}"
            place = f" at line {raised.line}" if raised.line else ""
            message = f"the script raises{place} and should not: {text}"
            known = quirk if fragment in raised.message else ""
            return Judgement([Finding("spurious error", message, "no error", text, quirk=known)])
        shown = Shown(observation)
        try:
            found = list(check(shown))
        except Missing as missing:
            message = f"{missing} is missing after the script"
            found = [Finding("wrong value", message, f"{missing}", "nothing")]
        return Judgement(found, shown.asked)

    return judge


def same_bits(
    shown: Shown, name: str, other: str, why: str, kind: str = "wrong value"
) -> Iterator[Finding]:
    """Findings unless two tensors have the same dtype, shape and bytes."""
    yield from same_contents(shown.contents(name), shown.contents(other), why, kind)


def same_contents(
    one: Look[ContentsSeen], other: Look[ContentsSeen], why: str, kind: str = "wrong value"
) -> Iterator[Finding]:
    """Findings unless both have the same dtype, shape and bytes, but for which NaN a NaN is."""
    name, like, seen, wanted = one.code, other.code, one.value, other.value
    one.asked.append(Asked("_same", (name, Code(name), like, Code(like))))
    for what in ("dtype", "shape"):
        does, should = getattr(seen, what), getattr(wanted, what)
        if does != should:
            message = f"{name} has {what} {does} and {like} has {should}: {why}"
            yield Finding("wrong value", message, str(should), str(does))
            return
    if seen.data != wanted.data:
        left, right = seen.array(), wanted.array()
        at = _first_difference(left, right)
        if at is not None:
            message = f"{name}{at} is {_entry(left, at)} and {like} has {_entry(right, at)}: {why}"
            yield Finding(kind, message, str(right.tolist()), str(left.tolist()))


Numbers = NDArray[Any] | Look[NDArray[Any]]
"""Those that must be seen: given, or what a script shows elsewhere."""


def exactly(
    name: str, seen: Look[NDArray[Any]], wanted: Numbers, why: str, kind: str = "wrong value"
) -> Iterator[Finding]:
    """Findings unless two arrays are equal as numbers: zeros without their sign, NaN as NaN."""
    yield from within(name, seen, wanted, 0.0, why, kind)


def within(
    name: str,
    look: Look[NDArray[Any]],
    wanted: Numbers,
    room: NDArray[np.float64] | float,
    why: str,
    kind: str = "wrong value",
) -> Iterator[Finding]:
    """Findings unless every entry is as wanted, or within `room` of it."""
    look.asked.append(Asked("_near", tuple(_near(name, look, wanted, room))))
    seen, wanted = look.value, wanted.value if isinstance(wanted, Look) else wanted
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


def _near(
    name: str, seen: Look[NDArray[Any]], wanted: Numbers, room: NDArray[np.float64] | float
) -> Iterator[Any]:
    """What the epilogue's `_near` is given."""
    yield from (name, Code(seen.code))
    if isinstance(wanted, Look):
        yield from (Code(f"tuple({wanted.code}.shape)"), Code(f"_numbers({wanted.code})"))
    else:
        yield from (wanted.shape, wanted.ravel())
    if np.any(room):
        yield np.ravel(room) if np.ndim(room) else float(room)


def says(
    look: Look[Any], fragment: str, finding: Callable[[Any], Finding], what: str
) -> Iterator[Finding]:
    """The finding made of what was seen, unless that is a text with the fragment in it."""
    held = look.value is not None and fragment in str(look.value)
    code = f"({look.code} is not None and {fragment!r} in str({look.code}))"
    wrong = f"{what} does not say {fragment!r}"
    yield from unless(look.derived(code, held), wrong, finding(look.value))


def flag(name: str, look: Look[Any], wanted: object, why: str, kind: str) -> Iterator[Finding]:
    """A finding unless a fact is as wanted, or as another one."""
    should = Code(wanted.code) if isinstance(wanted, Look) else wanted
    look.asked.append(Asked("_check", (name, Code(look.code), should)))
    seen, wanted = look.value, wanted.value if isinstance(wanted, Look) else wanted
    if seen != wanted:
        message = f"{name} is {seen!r} and should be {wanted!r}: {why}"
        yield Finding(kind, message, repr(wanted), repr(seen))


def unless(look: Look[bool], wrong: str, finding: Finding) -> Iterator[Finding]:
    """The finding, unless what is looked at holds; `wrong` is how the script says it."""
    look.asked.append(Asked("_holds", (wrong, Code(look.code))))
    if not look.value:
        yield finding


def sums_up(shown: Shown, what: str, code: str, wanted: object) -> None:
    """Note a comparison that a script makes at once, where the findings are made one by one.

    They are made of `shown.aside()`: what there is to ask differs between versions of torch.
    """
    shown.asked.append(Asked("_check", (what, Code(code), wanted)))


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
