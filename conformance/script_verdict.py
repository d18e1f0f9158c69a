"""How a whole script ends: with the comparisons that judged it, as plain Python, and a verdict.

A claim's check is a function of what a script showed. Each comparison that it makes is noted with
the expression by which the script itself sees the same, so that the script can make it again
wherever it is run: with torch and without the suite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conformance.judge import Finding
from conformance.subjects import Observation


@dataclass(frozen=True, slots=True)
class Code:
    """An expression of a script, where a comparison is written down."""

    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One comparison: a function of the epilogue, and what it is given, as values or as Code."""

    function: str
    arguments: tuple[Any, ...]

    @property
    def line(self) -> str:
        """The statement that makes it."""
        return f"{self.function}({', '.join(map(written, self.arguments))})"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is wrong with what a script showed, and the comparisons that say so.

    `allows` is the condition, of `error`, on which the script may raise; where it is not empty it
    is Python. `raising` is what it says of any other error. Where the comparisons are None they are
    not known: it did not come to its end.
    """

    findings: list[Finding]
    asked: Sequence[Asked] | None = field(default=None, compare=False, repr=False)
    allows: str = ""
    raising: str = "deviates: the script raises and should not"


Judge = Callable[[Observation], Judgement]


def written(value: object) -> str:
    """A value as Python that makes an equal one, by names that a script has."""
    if isinstance(value, Code):
        return value.text
    if isinstance(value, (np.ndarray, np.generic)):
        return written(value.tolist())
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(written, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, complex):
        return f"complex({written(value.real)}, {written(value.imag)})"
    if isinstance(value, float) and not math.isfinite(value):
        return "math.nan" if math.isnan(value) else ("math.inf" if value > 0 else "-math.inf")
    return repr(value)


_HOOK = """\
import sys

_stage = {raising!r}


def _raised(kind, error, where):
{allowed}    sys.__excepthook__(kind, error, where)
    print(_stage + ": " + kind.__name__ + ": " + str(error))


sys.excepthook = _raised
"""
_ALLOWED = """\
    if {allows}:
        print("conforms")
        sys.exit(0)
"""

_BEGIN = """\
_stage = "deviates: what must be seen cannot be read"
_wrong = []


def _end(verdict):
    if _wrong:
        print("deviates: " + "; ".join(_wrong))
        sys.exit(1)
    print(verdict)
    sys.exit(0)
"""

# Names of the scripts' own begin with an underscore.
_HELPERS = {
    "_check": """\
def _check(what, seen, should):
    if seen != should:
        _wrong.append(what + " is " + repr(seen) + " and should be " + repr(should))
""",
    "_holds": """\
def _holds(what, holds):
    if not holds:
        _wrong.append(what)
""",
    "_given": """\
def _given(what, seen, value):
    if seen != value:
        was = " is " + repr(seen) + "; this script says what must be where it is "
        _end("unspecified: " + what + was + repr(value))
""",
    "_stands": """\
def _stands(entry, facts):
    said = facts.get("deviates")
    if not isinstance(said, bool):
        _end('unspecified: it set no facts["deviates"]')
    if said:
        _end("known deviation (" + entry + ")")
""",
    "_same": """\
def _same(what, seen, like, should):
    # The same dtype, shape and bits, but for which NaN a NaN is.
    for name in ("dtype", "shape"):
        one, other = getattr(seen, name), getattr(should, name)
        if one != other:
            _wrong.append("%s has %s %s and %s has %s" % (what, name, one, like, other))
            return
    for at, (one, other) in enumerate(zip(_numbers(seen), _numbers(should))):
        if repr(one) != repr(other) and (one == one or other == other):
            place = _place(at, seen.shape)
            _wrong.append("%s%s is %r and %s has %r" % (what, place, one, like, other))
            return
""",
    "_near": """\
def _near(what, seen, shape, should, room=0.0):
    # The same numbers within the room; zeros without their sign, NaN as NaN.
    if seen is None or tuple(seen.shape) != shape:
        has = None if seen is None else tuple(seen.shape)
        _wrong.append("%s has shape %s and should have %s" % (what, has, shape))
        return
    rooms = room if isinstance(room, list) else [room] * len(should)
    for at, (one, other, off) in enumerate(zip(_numbers(seen), should, rooms)):
        good = one == other or abs(one - other) <= off or (one != one and other != other)
        if not good:
            _wrong.append("%s%s is %r and should be %r" % (what, _place(at, shape), one, other))
            return
""",
    "_numbers": """\
def _numbers(tensor):
    tensor = tensor.data.cpu()
    return (tensor.double() if tensor.is_floating_point() else tensor).reshape(-1).tolist()
""",
    "_place": """\
def _place(at, shape):
    places = []
    for side in reversed(tuple(shape)):
        places.insert(0, at % side)
        at //= side
    return str(places) if places else ""
""",
    "_memory": """\
def _memory(tensor):
    # The storage's own address: empty tensors have one too.
    holder = tensor.untyped_storage() if hasattr(tensor, "untyped_storage") else tensor.storage()
    return holder._cdata if hasattr(holder, "_cdata") else tensor.data_ptr()
""",
    "_noted": """\
def _noted(facts):
    # As what is plain: tuples become lists, and what is no number or text its name.
    return json.loads(json.dumps(facts, default=str))
""",
}
_CALLED = re.compile(r"\b(_[a-z]+)\(")
_MAX_CHARACTERS = 200_000
"""Of the comparisons of one script; what is longer than that nobody can copy."""


def hook(judgement: Judgement) -> str:
    """What is written before a body: an error of it is a verdict too."""
    allowed = _ALLOWED.format(allows=judgement.allows) if judgement.allows else ""
    return _HOOK.format(allowed=allowed, raising=judgement.raising)


def epilogue(judgement: Judgement) -> str:
    """What is written after a body: the comparisons, in their order, and the verdict."""
    lines = [asked.line for asked in judgement.asked or ()]
    end = "conforms"
    if judgement.asked is None:
        end = "unspecified: it comes to its end here, and did not where this script was written"
    elif sum(map(len, lines)) > _MAX_CHARACTERS:
        lines, end = [], "unspecified: what it must show is too long for a script"
    text = "\n".join([*lines, f'_end("{end}")'])
    facts = ""
    if re.search(r"\bfacts\b", text):
        facts = "facts = _noted(facts)\n"
    helpers = list(_needed(text + facts))
    parts = [
        *(["import json\n"] if facts else []),
        _BEGIN,
        *(_HELPERS[name] for name in helpers),
        facts + text + "\n",
    ]
    return "\n\n".join(parts)


def _needed(text: str) -> Iterator[str]:
    """The helpers that a text calls, and those that these call, in the order of the table."""
    called = set(_CALLED.findall(text))
    while True:
        more = {name for one in called & set(_HELPERS) for name in _CALLED.findall(_HELPERS[one])}
        if more <= called:
            break
        called |= more
    return (name for name in _HELPERS if name in called)
