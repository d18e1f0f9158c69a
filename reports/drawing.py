"""Where everything lies in the drawing of a program's memory, one small picture for each step.

Names stand on the left, the memories that they share in the middle, and on the right the nodes that
saved them. Below a backward step stands the path of the gradient. The templates turn this into SVG.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conformance.records import Trace
from conformance.records import TraceStep as Step
from conformance.records import TraceStorage as Storage

WIDTH = 422
"""Of every picture, in units of its own: it is scaled to the space that there is."""
_LEFT, _MIDDLE, _RIGHT = (1, 124), (148, 118), (289, 132)
"""Where the three columns begin, and how wide they are."""
_WIDE = 6.7
"""The width of a character."""
_LINE = 15
_PAD = 7
_GAP = 8
_APART = 14
_CHARACTERS = 17
"""Of a node's name in one line."""
_SENTENCE = 60
_MOST = 8
"""Memories that one picture shows."""

_RELATIONS = {
    "leaf": "a leaf",
    "new memory": "its own memory",
    "view": "a view of {}",
    "same object": "{} itself",
    "detached alias": "{} detached",
    ".data alias": "{}.data",
}
_HELD = {
    "as saved": ("held", "✓ as saved"),
    "overwritten": ("lost", "✗ overwritten"),
    "freed": ("freed", "freed"),
}


@dataclass(frozen=True)
class Box:
    """A rectangle with lines of text; `look` is its class."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    look: str

    @property
    def middle(self) -> float:
        """Half of its height."""
        return self.y + self.height / 2

    @property
    def texts(self) -> list[tuple[float, str]]:
        """Each line with its place below the box's upper edge."""
        most = int((self.width - _PAD) / _WIDE)
        cut = [line if len(line) <= most else f"{line[: most - 1]}…" for line in self.lines]
        return [(self.y + _PAD + _LINE * n + 11, line) for n, line in enumerate(cut)]


@dataclass(frozen=True)
class Line:
    """A line between two boxes; `look` is its class."""

    x1: float
    y1: float
    x2: float
    y2: float
    look: str


@dataclass(frozen=True)
class Picture:
    """Boxes and lines, and the same in words for those who do not see them."""

    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    words: tuple[str, ...]
    width: float = WIDTH
    hidden: int = 0
    """Memories that the step does not touch, and that are left out."""


@dataclass(frozen=True)
class Drawn:
    """A step with its pictures."""

    step: Step
    memory: Picture | None
    path: Picture | None
    wrong: bool
    """Whether this is where the subject did something else."""


@dataclass(frozen=True)
class Drawing:
    """A program step by step."""

    trace: Trace
    start: Picture
    steps: tuple[Drawn, ...]

    @property
    def of_script(self) -> bool:
        """Whether it is of a whole script, which begins with nothing."""
        return not self.trace.leaves


def draw(trace: Trace, wrong: int | str | None = None) -> Drawing:
    """The pictures of a trace; `wrong` is the index of the step at which a subject deviated."""
    latest = {storage.id: storage for storage in trace.storages}
    steps = []
    for step in trace.steps:
        changed = {storage.id for storage in step.storages}
        latest |= {storage.id: storage for storage in step.storages}
        # Without names it is drawn no longer.
        latest = {id: storage for id, storage in latest.items() if storage.names}
        shown = [one for one in latest.values() if one.id in changed or _named_in(one, step.code)]
        memory = None
        if step.reached and shown:
            memory = _memory(shown, changed, hidden=len(latest) - len(shown))
        here = isinstance(wrong, int) and step.number == wrong + 1
        steps.append(Drawn(step, memory, _path(step) if step.path else None, here))
        latest = {id: _settled(storage) for id, storage in latest.items()}
    return Drawing(trace, _memory(trace.storages, set()), tuple(steps))


def _named_in(storage: Storage, code: str) -> bool:
    words = set(re.findall(r"\w+", code))
    return any(name.name in words for name in storage.names)


def _settled(storage: Storage) -> Storage:
    """A memory as the next step finds it: its versions are old, and what was freed is gone."""
    counters = tuple(type(one)(one.names, one.after, one.after) for one in storage.counters)
    kept = tuple(one for one in storage.kept if one.state != "freed")
    return type(storage)(storage.id, storage.title, storage.names, counters, kept)


# -- memory


def _memory(storages: Sequence[Storage], changed: set[int], hidden: int = 0) -> Picture:
    boxes: list[Box] = []
    lines: list[Line] = []
    words: list[str] = []
    top = 1.0
    for storage in storages[:_MOST]:
        new_boxes, new_lines, height = _one_memory(storage, top, storage.id in changed)
        boxes += new_boxes
        lines += new_lines
        words.append(_in_words(storage))
        top += height + _APART
    hidden += max(0, len(storages) - _MOST)
    return Picture(
        max(top - _APART, 0) + 1, tuple(boxes), tuple(lines), tuple(words), hidden=hidden
    )


def _one_memory(storage: Storage, top: float, changed: bool) -> tuple[list[Box], list[Line], float]:
    """A memory with its names and what was saved of it, centred on one another."""
    versions = [_version(storage, n) for n in range(len(storage.counters))]
    moved = any(one.before not in (None, one.after) for one in storage.counters)
    texts = (f"memory of {storage.title}", *versions)
    names = [
        ((name.name, _relation(name.how, name.of, name.requires_grad)), f"name {_slug(name.how)}")
        for name in storage.names
    ]
    kept = [
        (
            (*_wrapped(one.node), f"{one.tensor} at version {one.version}", _HELD[one.state][1]),
            f"kept {_HELD[one.state][0]}",
        )
        for one in storage.kept
    ]
    tallest = max(_tall(names), _tall(kept), _height(texts))
    look = "storage" + (" moved" if moved else " changed" if changed else "")
    middle = Box(
        *(_MIDDLE[0], top + (tallest - _height(texts)) / 2, _MIDDLE[1], _height(texts)), texts, look
    )
    left = [*_stacked(names, _LEFT, top + (tallest - _tall(names)) / 2)]
    right = [*_stacked(kept, _RIGHT, top + (tallest - _tall(kept)) / 2)]
    lines = [
        *(
            Line(sum(_LEFT), box.middle, _MIDDLE[0], middle.middle, f"alias {box.look}")
            for box in left
        ),
        *(
            Line(sum(_MIDDLE), middle.middle, _RIGHT[0], box.middle, f"saves {box.look}")
            for box in right
        ),
    ]
    return [middle, *left, *right], lines, tallest


Stacked = Sequence[tuple[tuple[str, ...], str]]


def _stacked(items: Stacked, column: tuple[int, int], top: float) -> Iterator[Box]:
    for lines, look in items:
        yield Box(column[0], top, column[1], _height(lines), lines, look)
        top += _height(lines) + _GAP


def _height(lines: Sequence[str]) -> float:
    return len(lines) * _LINE + 2 * _PAD


def _tall(items: Stacked) -> float:
    return sum(_height(lines) + _GAP for lines, _ in items) - (_GAP if items else 0)


def _version(storage: Storage, number: int) -> str:
    counter = storage.counters[number]
    of = f" ({counter.names[0]})" if len(storage.counters) > 1 else ""
    if counter.after is None:
        return "no version"
    if counter.before in (None, counter.after):
        return f"version {counter.after}{of}"
    return f"version {counter.before} → {counter.after}{of}"


def _relation(how: str, of: str, requires_grad: bool) -> str:
    return _RELATIONS[how].format(of) + (" ∇" if requires_grad else "")


def _wrapped(node: str) -> list[str]:
    return textwrap.wrap(node, _CHARACTERS, break_on_hyphens=False)[:3] or [""]


def _slug(how: str) -> str:
    return how.strip(".").replace(" ", "-")


def _in_words(storage: Storage) -> str:
    names = ", ".join(
        f"{name.name} ({_relation(name.how, name.of, name.requires_grad)})"
        for name in storage.names
    )
    versions = ", ".join(_version(storage, n) for n in range(len(storage.counters)))
    kept = "".join(
        f"; {one.node} saved {one.tensor} at version {one.version}: {one.state}"
        for one in storage.kept
    )
    return f"Memory of {storage.title}, {versions}: {names}{kept}."


# -- the path of the gradient


def _path(step: Step) -> Picture:
    boxes: list[Box] = []
    lines: list[Line] = []
    words = []
    top = 1.0
    for number, visit in enumerate(step.path, start=1):
        said = [line for text in visit.found for line in textwrap.wrap(text, _SENTENCE)]
        if visit.adds_to:
            said.append(f"{visit.adds_to}.grad receives its gradient")
        if visit.raises:
            said.append("✗ raises here")
        title = textwrap.wrap(f"{number}. {visit.node}", _SENTENCE)
        look = "visit" + (" fails" if visit.raises else " arrives" if visit.adds_to else "")
        texts = (*title, *said)
        box = Box(1, top, WIDTH - 2, _height(texts), texts, look)
        if boxes:
            lines.append(Line(24, boxes[-1].y + boxes[-1].height, 24, top, "flow"))
        boxes.append(box)
        words.append(f"{'; '.join((*title, *said))}.")
        top += box.height + _APART
    return Picture(top - _APART + 1, tuple(boxes), tuple(lines), tuple(words))
