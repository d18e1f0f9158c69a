"""The words of a report: what each verdict means, how it is drawn, and how figures are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from conformance.records import KINDS, Kind, RowVerdict

ARTICLES = {
    "000": "The inplace parameter of nn.ReLU()",
    "001": "nn.ReLU and F.relu, and in-place operations",
    "002": "ReLU and a custom GuidedBackpropReLU",
    "003": "What in-place means",
    "004": "torch.no_grad, tried out",
}
NO_ARTICLE = "Beyond the articles"

MEANINGS: dict[RowVerdict, tuple[str, str]] = {
    "deviates": (
        "✗",
        "The subject did something else than the claim says, and no register entry covers it.",
    ),
    "suite error": ("!", "The suite itself failed; this says nothing about the subject."),
    "gave up": ("?", "The suite could not reach a verdict within its limits."),
    "unexpectedly conforms": (
        "↑",
        "A registered deviation no longer shows; its entry must be looked at.",
    ),
    "interrupted": (
        "‖",
        "The run ended before this claim was finished. A state of the run, not a verdict.",
    ),
    "known deviation": ("◆", "It deviates as an entry of the register says, and in no other way."),
    "unspecified": (
        "~",
        "Nothing documented decides this case, or it is too ill-conditioned to judge.",
    ),
    "conforms": (
        "✓",
        "The program raised exactly where it must, or its values and gradients are right.",
    ),
    "not exercised": ("○", "It was not tried on this subject; the reason is given."),
}
"""Glyph and meaning of each verdict, the one that needs attention most first."""

SEVERITY: tuple[RowVerdict, ...] = tuple(MEANINGS)

# Controls and marks that reorder or hide text: shown as escapes, so that records cannot disguise
# what they say and the page stays valid HTML.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
_LONGEST = 20_000
_LONGEST_NAME = 90
_ADDRESS = re.compile(r"https://[a-z0-9.-]+(?::\d+)?(?:/[^\s\"<>\\]*)?")
_ISSUE = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)/(?:issues|pull)/(\d+)(?:[#?].*)?")


def visible(text: str) -> str:
    """The text with every character that would not be seen written as an escape."""
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def clipped(text: str, most: int = _LONGEST) -> str:
    """The text, cut at so many characters with a line that says so."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n... ({len(text) - most:,} more characters are in the records)"


def address(text: str) -> bool:
    """Whether a text may be a link: an entry of the register must not bring in a script."""
    return _ADDRESS.fullmatch(text) is not None


def site(text: str) -> str:
    """An address as a reader knows the place: `pytorch/pytorch #11390`, or the host."""
    issue = _ISSUE.fullmatch(text)
    if issue:
        return f"{issue[1]} #{issue[2]}"
    return text.removeprefix("https://").partition("/")[0]


def slug(text: str) -> str:
    """The text as lower-case letters, digits and hyphens, for class names and anchors."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


class PageNames:
    """Names of pages: letters, digits and hyphens alone, no two the same, whatever they are of."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def new(self, wish: str) -> str:
        """A file name like the wish that was not given before."""
        plain = slug(wish)[:_LONGEST_NAME].strip("-") or "page"
        name, number = plain, 1
        while name in self._given:
            number += 1
            name = f"{plain}-{number}"
        self._given.add(name)
        return f"{name}.html"


def glyph(verdict: RowVerdict) -> str:
    """One character that tells a verdict from the others without colour."""
    return MEANINGS[verdict][0]


def gravity(kind: Kind | None) -> int:
    """The place of a kind, gravest first; one that is not stated comes last."""
    return len(KINDS) if kind is None else KINDS.index(kind)


def count(n: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 program`, `1,200 programs`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def some(names: Sequence[str], most: int = 6) -> str:
    """The names, or of many the first and how many more there are."""
    if len(names) <= most:
        return "; ".join(names)
    return f"{'; '.join(names[: most - 1])}; and {len(names) - most + 1} more"


def duration(seconds: float) -> str:
    """A length of time such as `0.4 s`, `12 s`, `3 min 05 s` or `2 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(text: str) -> str:
    """An ISO date and time as a reader writes it, or the text itself if it is none."""
    try:
        # Python 3.10 reads an offset but not the letter Z.
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return text
    zone = f" {when.tzname()}" if when.tzname() else ""
    return f"{when.day} {when:%B %Y, %H:%M}{zone}"
