"""How a parameter is drawn for an operand."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product
from typing import Any

from strategies import choices
from strategies.choices import Choose
from strategies.layout import Layout, contiguous, viewed
from strategies.parameter_checks import Given, size_along
from strategies.table.row import Param


def draw_choice(choose: Choose, param: Param, layout: Layout, given: Given) -> Any:
    return choices.among(choose, param.choices)


def draw_dim(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return choose.below(max(layout.ndim, 1))


def draw_wrap(choose: Choose, param: Param, layout: Layout, given: Given) -> bool:
    """Of what is not row-major torch writes other memory (the register has a script)."""
    in_rows = layout.strides == contiguous(layout.shape).strides
    return in_rows and choices.among(choose, (False, True))


def draw_even_dim(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    even = [dim for dim, size in enumerate(layout.shape) if size % 2 == 0]
    return choices.among(choose, even or [0])


def draw_rank(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return 1 + choose.below(max(min(layout.shape, default=1), 1))


def draw_divisor(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    channels = layout.shape[1] if layout.ndim > 1 else 1
    fitting = [n for n in range(1, channels + 1) if channels % n == 0 and layout.numel != n]
    return choices.among(choose, fitting or [1])


def draw_maybe_dim(choose: Choose, param: Param, layout: Layout, given: Given) -> int | None:
    dim = choose.below(layout.ndim + 1)
    return None if dim == 0 else dim - 1


def draw_keeps(choose: Choose, param: Param, layout: Layout, given: Given) -> bool:
    return given["dim"] is not None and choices.chance(choose, 40)


def draw_new_dim(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return choose.below(layout.ndim + 1)


def draw_permutation(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    return choices.shuffled(choose, list(range(layout.ndim))[::-1])


def _factorings(numel: int) -> list[list[int]]:
    if numel == 0:
        return [[0], [0, 1], [2, 0]]
    two = [[n, numel // n] for n in range(1, numel + 1) if numel % n == 0]
    return [[numel], *two, *([[]] if numel == 1 else [])]


def draw_shape(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    fitting = [s for s in _factorings(layout.numel) if viewed(layout, tuple(s)) is not None]
    return choices.among(choose, [*fitting, list(layout.shape)])


def draw_any_shape(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    return choices.among(choose, _factorings(layout.numel))


def draw_larger(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    lead = [2, 3][choose.below(2) : 1] if layout.ndim < 4 and choices.chance(choose, 60) else []
    return lead + [
        n if n != 1 else 1 + choose.below(3 if layout.numel <= 4 else 1) for n in layout.shape
    ]


def draw_position(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return choose.below(max(size_along(layout, given), 1))


def draw_rest(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    left: int = size_along(layout, given) - given["start"]
    return left - choose.below(left + 1)


def draw_window(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    size = layout.shape[given["dimension"]] if layout.ndim else 1
    return min(1 + choose.below(max(size, 1)), size)


def draw_end(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return -1 - choose.below(max(layout.ndim - given["start_dim"], 1))


# Programs are many and their layouts few.
@lru_cache(maxsize=1024)
def _placements(
    layout: Layout, size: tuple[int, ...]
) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """Strides for a size, each with the offsets at which it stays in its operand's memory."""
    steps = dict.fromkeys((1, 2, *layout.strides, 0))
    every = product(steps, repeat=len(size)) if len(size) <= 2 else ()
    candidates = (contiguous(size).strides, contiguous(size[::-1]).strides[::-1], *every)
    held = frozenset(layout.cells().ravel().tolist())
    found = []
    for strides in dict.fromkeys(candidates):
        reached = Layout(size, strides).cells().ravel().tolist()
        offsets = tuple(o for o in sorted(held) if all(o + cell in held for cell in reached))
        if not reached:
            offsets = (layout.offset,)
        if offsets:
            found.append((strides, offsets))
    return tuple(found)


def draw_sizes(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    count = layout.numel
    wanted = [[min(count, 2)], [count], list(layout.shape), [2, 2], [], [count, 1]]
    fitting = [size for size in wanted if _placements(layout, tuple(size))]
    return choices.among(choose, fitting)


def draw_strides(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    size = tuple(given["size"])
    every = [strides for strides, _ in _placements(layout, size)]
    apart = [strides for strides in every if not Layout(size, strides).overlaps_itself]
    repeats = not apart or choices.chance(choose, 20)
    return list(choices.among(choose, every if repeats else apart))


def draw_offset(choose: Choose, param: Param, layout: Layout, given: Given) -> int | None:
    offsets = dict(_placements(layout, tuple(given["size"])))[tuple(given["stride"])]
    own = [None] if layout.offset in offsets else []
    return choices.among(choose, [*own, *(o for o in offsets if o != layout.offset)])


def draw_some_dims(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    dims = choices.shuffled(choose, list(range(layout.ndim)))
    return dims[: 1 + choose.below(max(layout.ndim, 1))]


def draw_repeats(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    times = [1 + (layout.numel <= 6 and choose.below(2)) for _ in layout.shape]
    lead = [[2], [1]][choose.below(2)] if not times or choices.chance(choose, 30) else []
    return [*lead, *(int(n) for n in times)]


def draw_padding(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    sides = 1 + (layout.ndim > 1 and choose.below(2))
    pad = []
    for size in layout.shape[::-1][:sides]:
        pad += [choices.among(choose, (1, 0, *((-1,) if size > 1 else ()))), choose.below(2)]
    return pad


_SLICES: tuple[list[int | None], ...] = (
    [None, 1, None],
    [1, None, None],
    [None, None, 2],
    [None, None, None],
    [-1, None, None],
    [0, 0, None],
)


def draw_index(choose: Choose, param: Param, layout: Layout, given: Given) -> list[Any]:
    if layout.ndim == 0:
        return ["..."]
    index: list[Any] = ["..."] if choices.chance(choose, 15) else []
    if layout.ndim < 5 and choices.chance(choose, 6):
        return [None, *index]
    room = range(layout.ndim - len(index))
    for axis in room[: 1 + choose.below(len(room))] if room else ():
        size = layout.shape[axis] if not index or index[0] != "..." else 0
        if size and choices.chance(choose, 40):
            index.append(choose.below(size))
        else:
            index.append(list(choices.among(choose, _SLICES)))
    return index


def draw_written_index(choose: Choose, param: Param, layout: Layout, given: Given) -> list[Any]:
    alone = 0 < layout.ndim < 5 and choices.chance(choose, 3)
    return [True] if alone else draw_index(choose, param, layout, given)


def draw_equation(choose: Choose, param: Param, layout: Layout, given: Given) -> str:
    """An equation whose first term suits the operand, if there is one."""

    def suits(equation: str) -> bool:
        term = re.split("[,-]", equation)[0]
        sizes = set(zip(term, layout.shape, strict=False))
        return len(term) == layout.ndim and len(sizes) == len(set(term))

    fitting = [equation for equation in param.choices if suits(equation)]
    return str(choices.among(choose, fitting or param.choices[:1]))


def draw_dim_of_three(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return int(choices.among(choose, [d for d, n in enumerate(layout.shape) if n == 3] or [0]))
