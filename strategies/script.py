"""A program as a torch script that runs by itself: a body that a subject executes, an epilogue.

The epilogue holds what must come out, as plain data that the caller computed, and prints the
verdict: `conforms`, `deviates` with each difference, `known deviation` with its id where what comes
out is what the register predicts, or `unspecified` with the reason.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.printer import Body
from strategies.statements import literal


@dataclass(frozen=True, slots=True)
class Numbers:
    """What an expression must hold: float64 values, and how far each entry may be off."""

    values: NDArray[np.float64]
    slack: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must be true after a program; the lists are checked in their order.

    `raises` is the line of the body that raises and fragments of the message, and `made` the last
    tensor that exists by then; `exact` pairs an expression with the value it must equal;
    `unreadable` pairs one that raises with a fragment. `guarded` is for a body that may raise
    though it must not: it is then caught and told of.

    `unspecified` says why nothing is decided where nothing is wrong; if `undecided`, nothing is
    looked at, whatever the program does. `known` is what a registered deviation makes of it.
    """

    raises: tuple[int, tuple[str, ...]] | None = None
    made: str = ""
    guarded: bool = False
    exact: tuple[tuple[str, Any], ...] = ()
    numbers: tuple[tuple[str, Numbers], ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    header: tuple[str, ...] = field(default=())
    unspecified: str = ""
    undecided: bool = False
    known: Known | None = None

    @property
    def caught(self) -> bool:
        """Whether the script must go on after an error of the body."""
        may = self.guarded or self.undecided or self.raises is not None
        return may or (self.known is not None and self.known.expected.raises is not None)


@dataclass(frozen=True, slots=True)
class Known:
    """The names of registered deviations, and what must be true if these show and nothing else."""

    name: str
    expected: Expectation


_IMPORTS = """\
import torch
from torch import nn
from torch.nn import functional as F
"""

# Names of the scripts' own begin with an underscore: no tensor's name does. Of Python's functions
# they use those alone that are no tensor's name either.
_CHECK = """\
_wrong = []


def _check(what, seen, should):
    if seen != should:
        _wrong.append(f"{what} is {seen!s} and should be {should!s}")
"""

_NEAR = """\


def _near(what, seen, should, slack, rtol=RTOL):
    if seen is None or seen.shape != should.shape:
        _wrong.append(f"{what} is {seen!s} and should be {should!s}")
        return
    seen = seen.data.cpu().double()
    close = ((seen - should).abs() <= rtol * should.abs() + slack) & (should.abs() != float("inf"))
    same = (seen == should) | ((seen != seen) & (should != should))
    if not (same | close).all():
        _wrong.append(f"{what} is {seen.tolist()} and should be {should.tolist()}")
"""

_UNREADABLE = """\


def _unreadable(what, read, fragment):
    try:
        _wrong.append(f"{what} is {read()!s} and should raise")
    except RuntimeError as error:
        _check("the error of " + what, fragment in f"{error!s}", True)
"""

_CAUGHT = """\
_raised = None
try:
{body}
except Exception as _error:
    _raised = _error
"""

_NOT_RAISED = """\
if _raised is not None:
    _wrong.append(f"{_raised.__class__.__name__}: {_raised!s}")"""

_DEVIATES = """\
print("deviates: " + "; ".join(_wrong))
raise SystemExit(1)"""

_TRIED = """\
_documented()
if _wrong:
    _seen, _wrong = _wrong, []
    _registered()
    if not _wrong:
        print({known!r} + ": " + "; ".join(_seen))
        raise SystemExit(0)
    _wrong = _seen
"""


def write_script(body: Body, expected: Expectation, *, rtol: float) -> str:
    """The whole script; it needs torch alone, and exits with 1 if something is wrong."""
    parts = [*commented(expected.header), _IMPORTS]
    if expected.caught:
        parts.append(_CAUGHT.format(body=textwrap.indent(body.text.rstrip("\n"), "    ")))
    else:
        parts.append(body.text)
    parts.append(_epilogue(body, expected, rtol))
    return "\n".join(parts)


def commented(texts: Iterable[str]) -> Iterator[str]:
    """Each line of the texts as a comment: what torch says may have several."""
    return (f"# {line}".rstrip() for text in texts for line in text.splitlines())


def looked_at(body: Body, expected: Expectation) -> str:
    """The part of a script that checks what is expected: where two are equal, they say the same."""
    return "\n".join(_statements(body, expected, caught=expected.caught, end="return"))


def demonstrate(body: Body, title: str, shown: tuple[str, ...]) -> str:
    """The program under a title, then what the expressions hold; nothing is judged."""
    used = [line for line in _IMPORTS.splitlines() if _needed(line, body.text)]
    prints = [f"print({what!r}, {what})" for what in shown]
    return "\n".join([f"# {title}", *used, "", body.text.rstrip("\n"), *prints]) + "\n"


def _needed(line: str, text: str) -> bool:
    alias = line.split()[-1]
    return alias == "torch" or f"{alias}." in text


def _epilogue(body: Body, expected: Expectation, rtol: float) -> str:
    verdict = f"unspecified: {expected.unspecified}" if expected.unspecified else "conforms"
    end = f"print({verdict!r})\nraise SystemExit(0)\n"
    if expected.undecided:
        return end
    both = [expected, *([expected.known.expected] if expected.known else [])]
    text = _CHECK
    if any(one.numbers for one in both):
        text += _NEAR.replace("RTOL", repr(rtol))
    if any(one.unreadable for one in both):
        text += _UNREADABLE
    caught = expected.caught
    if expected.known is None:
        lines = _statements(body, expected, caught=caught, end=_DEVIATES)
        text += "\n".join(["", "", *lines]) + "\n"
    else:
        for name, one in zip(("_documented", "_registered"), both, strict=True):
            lines = _statements(body, one, caught=caught, end="return")
            inner = textwrap.indent("\n".join(lines) or "pass", "    ")
            text += f"\n\ndef {name}():\n{inner}\n"
        text += "\n\n" + _TRIED.format(known=f"known deviation ({expected.known.name})")
    return f"{text}if _wrong:\n{textwrap.indent(_DEVIATES, '    ')}\n{end}"


def _statements(body: Body, expected: Expectation, *, caught: bool, end: str) -> list[str]:
    """The lines that check one expectation; what raised elsewhere is the `end` of them."""
    lines: list[str] = []
    if expected.raises is not None:
        line, fragments = expected.raises
        statement = body.text.splitlines()[line - 1].strip()
        lines.append(f'_check({statement!r} + " raises", _raised is not None, True)')
        said = [(f"{part!r} in the message", part) for part in fragments]
        lines += [f'_check({what!r}, {part!r} in f"{{_raised!s}}", True)' for what, part in said]
        if expected.made:
            what = f"whether there is {expected.made}"
            lines.append(f"_check({what!r}, {expected.made!r} in globals(), True)")
    elif caught:
        lines.append(_NOT_RAISED)
    if caught:
        # It left nothing that could be looked at.
        lines += ["if _wrong:", textwrap.indent(end, "    ")]
    lines += [f"_check({what!r}, {what}, {should!r})" for what, should in expected.exact]
    for what, numbers in expected.numbers:
        slack = literal(numbers.slack) if np.any(numbers.slack) else "0.0"
        lines.append(f"_near({what!r}, {what}, {literal(numbers.values)}, {slack})")
    lines += [
        f"_unreadable({what!r}, lambda: {what}, {part!r})" for what, part in expected.unreadable
    ]
    return lines
