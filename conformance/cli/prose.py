"""Prose on a terminal."""

from __future__ import annotations

import textwrap

from rich.console import Console

_WIDTH = 80


def say(console: Console, text: str, style: str = "") -> None:
    """Print a text as it is, wrapped to the terminal."""
    console.print(text, style=style, markup=False, highlight=False)


def indented(text: str) -> str:
    """A text by two spaces to the right, in 80 columns; ids are not broken at their hyphens."""
    return textwrap.fill(
        text, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
