"""Drawing the entries of an index: positions that exist, and apart where they must be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from strategies.choices import Choose, chance
from strategies.program import Number
from strategies.table import Indexing
from strategies.table.row import Layouts


def draw_index(
    choose: Choose,
    indexing: Indexing,
    shape: tuple[int, ...],
    layouts: Layouts,
    params: dict[str, Any],
) -> list[Number]:
    """Entries of an index of this shape, row-major; examples shrink towards 0, 1, 2."""
    bound, count = indexing.bound(layouts, params), math.prod(shape)
    if indexing.repeats(params) and chance(choose, 70):
        places = [choose.below(bound) for _ in range(count)]
        return [float(place) for place in _some_from_end(choose, indexing, places, bound)]
    # Steps of 1 and of -1 never come to the same position twice before they come round.
    backwards, shift = chance(choose, 50), choose.below(max(bound, 1))
    entries = np.zeros(shape, np.int64)
    lines = indexing.lines(np.arange(count).reshape(shape), params)
    for number, line in enumerate(lines):
        for place, at in enumerate(line):
            step = -place - 1 if backwards else place
            entries.flat[at] = (shift + number + step) % bound
    places = entries.ravel().tolist()
    return [float(place) for place in _some_from_end(choose, indexing, places, bound)]


def _some_from_end(choose: Choose, indexing: Indexing, places: list[int], bound: int) -> list[int]:
    """The positions, some of them counted from the end where that is understood."""
    if not indexing.from_end or not chance(choose, 25):
        return places
    return [place - bound if choose.below(2) else place for place in places]
