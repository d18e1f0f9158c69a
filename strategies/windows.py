"""Parameters of convolutions, pooling and their like: windows, padding, groups and sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from strategies import choices
from strategies.choices import Choose
from strategies.layout import Layout
from strategies.table.row import Param

Given = Mapping[str, Any]
Check = Callable[[Any, Layout, Given], str | None]
Draw = Callable[[Choose, Param, Layout, Given], Any]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _room(layout: Layout, dims: int) -> int:
    """The smallest of the last sizes, in which a window must find room."""
    return min(layout.shape[-dims:]) if layout.ndim > dims else 1


def _window(dims: int) -> tuple[Check, Draw]:
    def check(value: Any, layout: Layout, given: Given) -> str | None:
        room = _room(layout, dims)
        return None if _is_int(value) and 1 <= value <= max(room, 1) else f"from 1 to {room}"

    def draw(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
        room = max(_room(layout, dims), 1)
        return choices.among(choose, [size for size in (2, 1, 3) if size <= room])

    return check, draw


def _groups(dims: int) -> tuple[Check, Draw]:
    def channels(layout: Layout) -> int:
        return max(layout.shape[-dims - 1], 1) if layout.ndim > dims else 1

    def check(value: Any, layout: Layout, given: Given) -> str | None:
        good = _is_int(value) and value > 0 and channels(layout) % value == 0
        return None if good else f"a divisor of {channels(layout)} channels"

    def draw(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
        count = channels(layout)
        return choices.among(choose, [n for n in range(1, count + 1) if count % n == 0])

    return check, draw


def _factor(divided: Callable[[Layout, int], bool]) -> tuple[Check, Draw]:
    def check(value: Any, layout: Layout, given: Given) -> str | None:
        good = _is_int(value) and 1 <= value <= 1 << 10 and divided(layout, value)
        return None if good else "a positive integer that divides what it is for"

    def draw(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
        return choices.among(choose, [n for n in (2, 3, 1) if n == 1 or divided(layout, n)])

    return check, draw


def _channels_by_squares(layout: Layout, factor: int) -> bool:
    return layout.ndim >= 3 and layout.shape[-3] % factor**2 == 0


def _sides(layout: Layout, factor: int) -> bool:
    return layout.ndim >= 3 and all(size % factor == 0 for size in layout.shape[-2:])


def _a_step(value: Any, layout: Layout, given: Given) -> str | None:
    good = value is None or (_is_int(value) and 1 <= value <= 1 << 20)
    return None if good else "a positive integer, or null for the window's size"


def _a_padding(value: Any, layout: Layout, given: Given) -> str | None:
    return None if _is_int(value) and 0 <= value <= 1 << 10 else "an integer from 0 up"


def _several(value: Any, layout: Layout, given: Given) -> str | None:
    return None if _is_int(value) and 2 <= value <= 1 << 10 else "an integer from 2 up"


def _half(value: Any, layout: Layout, given: Given) -> str | None:
    most = given["kernel_size"] // 2
    return None if _is_int(value) and 0 <= value <= most else f"from 0 to {most}"


def _draw_half(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return choose.below(given["kernel_size"] // 2 + 1)


def _sizes(value: Any, layout: Layout, given: Given) -> str | None:
    count = max(layout.ndim - 2, 0)
    good = isinstance(value, list) and len(value) == count
    good = good and all(_is_int(n) and 1 <= n <= 1 << 10 for n in value)
    good = good and math.prod(value) <= 1 << 10
    return None if good else f"a list of {count} sizes from 1 up, of few elements"


def _draw_sizes(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    """Sizes of which not all are larger than what is there, or programs outgrow their readers."""
    spatial = layout.shape[2:]
    most = 4 if len(spatial) == 1 else 3
    return [1 + (size + choose.below(most)) % most for size in spatial]


def _draw_choice(choose: Choose, param: Param, layout: Layout, given: Given) -> Any:
    return choices.among(choose, param.choices)


KINDS: dict[str, tuple[Check, Draw]] = {
    **{f"window {dims}d": _window(dims) for dims in (1, 2, 3)},
    **{f"groups {dims}d": _groups(dims) for dims in (1, 2, 3)},
    "upscaling": _factor(_channels_by_squares),
    "downscaling": _factor(_sides),
    "optional step": (_a_step, _draw_choice),
    "several": (_several, _draw_choice),
    "spatial padding": (_a_padding, _draw_choice),
    "half window": (_half, _draw_half),
    "output sizes": (_sizes, _draw_sizes),
}
"""Kind of parameter -> how it is checked and drawn."""
