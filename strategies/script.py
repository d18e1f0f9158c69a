"""A program as a torch script that runs by itself: a body that a subject executes, an epilogue.

The epilogue holds what must come out, as plain data that the caller computed, and prints the
verdict: `conforms`, or `deviates` with each difference.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.printer import Body, literal


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
    """

    raises: tuple[int, tuple[str, ...]] | None = None
    made: str = ""
    guarded: bool = False
    exact: tuple[tuple[str, Any], ...] = ()
    numbers: tuple[tuple[str, Numbers], ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    header: tuple[str, ...] = field(default=())


_IMPORTS = """\
import torch
from torch import nn
from torch.nn import functional as F
"""

_CHECK = """\
wrong = []


def check(what, seen, should):
    if seen != should:
        wrong.append(what + " is " + str(seen) + " and should be " + str(should))
"""

_NEAR = """\


def near(what, seen, should, slack, rtol={rtol!r}):
    if seen is None or seen.shape != should.shape:
        wrong.append(what + " is " + str(seen) + " and should be " + str(should))
        return
    seen = seen.data.cpu().double()
    close = (seen - should).abs() <= rtol * should.abs() + slack
    same = (seen == should) | ((seen != seen) & (should != should))
    if not bool((same | close).all()):
        wrong.append(what + " is " + str(seen.tolist()) + " and should be " + str(should.tolist()))
"""

_UNREADABLE = """\


def unreadable(what, read, fragment):
    try:
        wrong.append(what + " is " + str(read()) + " and should raise")
    except RuntimeError as error:
        check("the error of " + what, fragment in str(error), True)
"""

_RAISED = """\
raised = None
try:
{body}
except Exception as error:
    raised = error
"""


_NOT_RAISED = """\
if raised is not None:
    print("deviates: " + type(raised).__name__ + ": " + str(raised))
    raise SystemExit(1)
"""

_END = """\
print("deviates: " + "; ".join(wrong) if wrong else "conforms")
raise SystemExit(1 if wrong else 0)
"""


def write_script(body: Body, expected: Expectation, *, rtol: float) -> str:
    """The whole script; it needs torch alone, and exits with 1 if something is wrong."""
    parts = [f"# {line}" for line in expected.header]
    parts.append(_IMPORTS)
    if expected.raises is None and not expected.guarded:
        parts.append(body.text)
    else:
        parts.append(_RAISED.format(body=textwrap.indent(body.text.rstrip("\n"), "    ")))
        if expected.raises is None:
            parts.append(_NOT_RAISED)
    parts.append(_epilogue(body, expected, rtol))
    return "\n".join(parts)


def demonstrate(body: Body, title: str, shown: tuple[str, ...]) -> str:
    """The program under a title, then what the expressions hold; nothing is judged."""
    used = [line for line in _IMPORTS.splitlines() if _needed(line, body.text)]
    prints = [f"print({what!r}, {what})" for what in shown]
    return "\n".join([f"# {title}", *used, "", body.text.rstrip("\n"), *prints]) + "\n"


def _needed(line: str, text: str) -> bool:
    alias = line.split()[-1]
    return alias == "torch" or f"{alias}." in text


def _epilogue(body: Body, expected: Expectation, rtol: float) -> str:
    text = _CHECK
    if expected.numbers:
        text += _NEAR.format(rtol=rtol)
    if expected.unreadable:
        text += _UNREADABLE
    lines = ["", ""]
    if expected.raises is not None:
        line, fragments = expected.raises
        statement = body.text.splitlines()[line - 1].strip()
        lines.append(f'check({statement!r} + " raises", raised is not None, True)')
        said = [(f"{part!r} in the message", part) for part in fragments]
        lines += [f"check({what!r}, {part!r} in str(raised), True)" for what, part in said]
        if expected.made:
            what = f"whether there is {expected.made}"
            lines.append(f"check({what!r}, {expected.made!r} in globals(), True)")
        # What raised elsewhere left nothing that could be looked at.
        lines += ["if wrong:", textwrap.indent(_END, "    ").rstrip("\n")]
    lines += [f"check({what!r}, {what}, {should!r})" for what, should in expected.exact]
    for what, numbers in expected.numbers:
        slack = literal(numbers.slack) if np.any(numbers.slack) else "0.0"
        lines.append(f"near({what!r}, {what}, {literal(numbers.values)}, {slack})")
    lines += [
        f"unreadable({what!r}, lambda: {what}, {part!r})" for what, part in expected.unreadable
    ]
    return text + "\n".join(lines) + "\n" + _END
