"""A badge: one line that says how many claims stand, as SVG and as the JSON of a badge service."""

from __future__ import annotations

import json
from dataclasses import dataclass

from reports.page import Page
from reports.words import count

LABEL = "autograd conformance"
_COLOURS = {"good": "#1c6b43", "bad": "#a4202b", "unsure": "#5b3a99"}
_NAMES = {"good": "brightgreen", "bad": "red", "unsure": "blueviolet"}
"""Colours as badge services name them."""
_CHARACTER = 6.6
_PAD = 8


@dataclass(frozen=True)
class Badge:
    """What a badge says, and how that is meant: good, bad or unsure."""

    message: str
    mood: str

    @property
    def colour(self) -> str:
        """The ground of the message; white text on it is easy to read."""
        return _COLOURS[self.mood]

    @property
    def widths(self) -> tuple[float, float]:
        """Of the label and of the message."""
        label, message = (len(text) * _CHARACTER + 2 * _PAD for text in (LABEL, self.message))
        return round(label, 1), round(message, 1)


def badge_of(page: Page) -> Badge:
    """Claims that deviate, else what is not complete, else how many conform or are registered."""
    total = len(page.claims)
    if page.deviating:
        return Badge(f"{page.deviating} of {count(total, 'claim')} deviating", "bad")
    if page.known and any(item.fixed for item in page.known):
        return Badge("the register no longer fits", "bad")
    if not page.programs or page.incomplete:
        return Badge("not a complete result", "unsure")
    known = sum(n for word, n in page.tally if word == "known deviation")
    more = f", {known} with known deviations" if known else ""
    return Badge(f"{count(total, 'claim holds', 'claims hold')}{more}", "good")


def render_badge_json(page: Page) -> str:
    """As an endpoint of a badge service serves it (schemaVersion 1)."""
    badge = badge_of(page)
    document = {
        "schemaVersion": 1,
        "label": LABEL,
        "message": badge.message,
        "color": _NAMES[badge.mood],
    }
    return json.dumps(document) + "\n"
