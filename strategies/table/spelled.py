"""Which names of torch the table spells, read off its templates."""

from __future__ import annotations

import re
from collections.abc import Mapping

from strategies.table.row import Row

AUGMENTED: dict[str, str] = {
    "+=": "__iadd__",
    "-=": "__isub__",
    "*=": "__imul__",
    "/=": "__itruediv__",
    "//=": "__ifloordiv__",
    "%=": "__imod__",
    "**=": "__ipow__",
    "&=": "__iand__",
    "|=": "__ior__",
    "^=": "__ixor__",
    "<<=": "__ilshift__",
    ">>=": "__irshift__",
}
"""Augmented assignment -> the method that Python calls for it."""

_SPACES = (
    ("Tensor", re.compile(r"^\{\d\}\.(\w+)\(")),
    ("torch", re.compile(r"\btorch\.(\w+)\(")),
    ("F", re.compile(r"\bF\.(\w+)\(")),
    ("nn", re.compile(r"\bnn\.(\w+)\(")),
)
_ASSIGNS = re.compile(r"^\{0\} (\S+=) ")
_SUBSCRIPT = re.compile(r"^\{0\}\[.*\] = ")


def spelled(template: str) -> list[str]:
    """The names that a template calls, qualified as in `Tensor.add_` or `F.relu`."""
    found = [f"{space}.{match}" for space, name in _SPACES for match in name.findall(template)]
    assigns = _ASSIGNS.match(template)
    if assigns is not None and assigns[1] in AUGMENTED:
        found.append(f"Tensor.{AUGMENTED[assigns[1]]}")
    if _SUBSCRIPT.match(template):
        found.append("Tensor.__setitem__")
    return found


def names_of(row: Row) -> dict[str, str]:
    """Every qualified name that writes in place by this row -> the operation's name in programs."""
    return {
        name: f"{row.name}_" for template in row.in_place.values() for name in spelled(template)
    }


def spelled_in_place(table: Mapping[str, Row]) -> dict[str, str]:
    """Every qualified name of an in-place form in the table -> the operation's name."""
    return {name: op for row in table.values() for name, op in names_of(row).items()}
