"""The kinds of parameters: which values are valid for an operand, and how one is drawn."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from strategies import choices, windows
from strategies.choices import Choose
from strategies.layout import Layout, contiguous, viewed
from strategies.limits import LARGEST, LARGEST_INT, LARGEST_STEP, too_large
from strategies.table.positions import REDUCTIONS
from strategies.table.row import Param

Given = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of a parameter are checked (a phrase of what is expected, or None) and drawn."""

    check: Callable[[Any, Layout, Given], str | None]
    draw: Callable[[Choose, Param, Layout, Given], Any]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _a_float(value: Any, layout: Layout, given: Given) -> str | None:
    if _is_int(value):
        return None if abs(value) <= LARGEST_INT else f"an integer of at most {LARGEST_INT}"
    good = isinstance(value, float) and abs(value) <= LARGEST
    return None if good else "a finite number"


def _a_nonzero(value: Any, layout: Layout, given: Given) -> str | None:
    return "a finite number other than 0" if value == 0 else _a_float(value, layout, given)


def _a_positive(value: Any, layout: Layout, given: Given) -> str | None:
    good = _a_float(value, layout, given) is None and value > 0
    return None if good else "a finite number above 0"


def _a_norm(value: Any, layout: Layout, given: Given) -> str | None:
    good = value == "inf" or (_a_float(value, layout, given) is None and value >= 1)
    return None if good else 'a finite number from 1 up, or "inf"'


def _one_of(*words: str) -> Callable[[Any, Layout, Given], str | None]:
    def check(value: Any, layout: Layout, given: Given) -> str | None:
        return None if value in words else f"one of {', '.join(words)}"

    return check


def _a_probability(value: Any, layout: Layout, given: Given) -> str | None:
    good = _a_float(value, layout, given) is None and 0 <= value <= 1
    return None if good else "a number between 0 and 1"


def _a_low(value: Any, layout: Layout, given: Given) -> str | None:
    return None if value is None else _a_float(value, layout, given)


def _a_high(value: Any, layout: Layout, given: Given) -> str | None:
    if value is None and given["min"] is None:
        return "a finite number where min is not given"
    return _a_low(value, layout, given)


def _a_larger(value: Any, layout: Layout, given: Given) -> str | None:
    *_, (before, least) = given.items()
    good = _a_float(value, layout, given) is None and value > least
    return None if good else f"a number above {before}"


def _an_int(value: Any, layout: Layout, given: Given) -> str | None:
    good = _is_int(value) and abs(value) <= LARGEST_STEP
    return None if good else f"an integer of at most {LARGEST_STEP}"


def _a_bool(value: Any, layout: Layout, given: Given) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def _a_dim(value: Any, layout: Layout, given: Given) -> str | None:
    ndim = max(layout.ndim, 1)
    return None if _is_int(value) and -ndim <= value < ndim else f"a dimension of {layout.shape}"


def _another_dim(value: Any, layout: Layout, given: Given) -> str | None:
    ndim = max(layout.ndim, 1)
    if _is_int(value) and (value - given["dim1"]) % ndim == 0:
        return "a dimension other than dim1"
    return _a_dim(value, layout, given)


def _maybe_a_dim(value: Any, layout: Layout, given: Given) -> str | None:
    return None if value is None else _a_dim(value, layout, given)


def _an_even_dim(value: Any, layout: Layout, given: Given) -> str | None:
    good = _a_dim(value, layout, given) is None and layout.ndim > 0 and layout.shape[value] % 2 == 0
    return None if good else f"a dimension of {layout.shape} with an even size"


def _a_rank(value: Any, layout: Layout, given: Given) -> str | None:
    most = min(layout.shape, default=1)
    good = _is_int(value) and 1 <= value <= most
    return None if good else f"an integer from 1 to {most}, the smallest size"


def _a_divisor(value: Any, layout: Layout, given: Given) -> str | None:
    channels = layout.shape[1] if layout.ndim > 1 else 1
    good = _is_int(value) and value >= 1 and channels % value == 0 and layout.numel != value
    return None if good else f"a divisor of the {channels} channels with more than one value each"


def _a_new_dim(value: Any, layout: Layout, given: Given) -> str | None:
    ndim = layout.ndim + 1
    return None if _is_int(value) and -ndim <= value < ndim else f"a place in {layout.shape}"


def _a_permutation(value: Any, layout: Layout, given: Given) -> str | None:
    good = (
        isinstance(value, list)
        and all(_is_int(d) and -layout.ndim <= d < layout.ndim for d in value)
        and sorted(d % layout.ndim for d in value) == list(range(layout.ndim))
    )
    return None if good else f"a permutation of the {layout.ndim} dimensions"


def _a_shape(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, list) and all(_is_int(n) and -1 <= n <= LARGEST_STEP for n in value)
    beyond = too_large(tuple(value)) if good else ""
    return f"a shape without {beyond}" if beyond else None if good else "a list of sizes"


def _size(layout: Layout, given: Given) -> int:
    return layout.shape[given["dim"]] if layout.ndim else 1


def _a_position(value: Any, layout: Layout, given: Given) -> str | None:
    size = _size(layout, given)
    return None if _is_int(value) and -size <= value < size else f"an index below {size}"


def _a_rest(value: Any, layout: Layout, given: Given) -> str | None:
    left = _size(layout, given) - given["start"]
    good = _is_int(value) and given["start"] >= 0 and 0 <= value <= left
    return None if good else f"a length of at most {left} after a start that is not negative"


def _a_window(value: Any, layout: Layout, given: Given) -> str | None:
    size = layout.shape[given["dimension"]] if layout.ndim else 1
    return None if _is_int(value) and 0 <= value <= size else f"a size from 0 to {size}"


def _a_step(value: Any, layout: Layout, given: Given) -> str | None:
    good = _is_int(value) and 1 <= value <= LARGEST_STEP
    return None if good else f"an integer from 1 to {LARGEST_STEP}"


def _maybe_epsilon(value: Any, layout: Layout, given: Given) -> str | None:
    good = value is None or (isinstance(value, float) and 0.0 <= value <= 0.5)
    return None if good else "a number from 0.0 to 0.5, or null"


def _an_order(value: Any, layout: Layout, given: Given) -> str | None:
    return None if _is_int(value) and 0 <= value <= 8 else "an integer from 0 to 8"


def _a_later_dim(value: Any, layout: Layout, given: Given) -> str | None:
    ndim = max(layout.ndim, 1)
    if _is_int(value) and value % ndim < given["start_dim"] % ndim:
        return "a dimension that does not come before start_dim"
    return _a_dim(value, layout, given)


def _sizes(value: Any, layout: Layout, given: Given) -> str | None:
    if not isinstance(value, list) or not all(_is_int(n) and n >= 0 for n in value):
        return "a list of sizes from 0 up"
    beyond = too_large(tuple(value))
    return f"a shape without {beyond}" if beyond else None


def _strides(value: Any, layout: Layout, given: Given) -> str | None:
    count = len(given["size"])
    good = isinstance(value, list) and len(value) == count
    good = good and all(_is_int(n) and 0 <= n <= LARGEST_STEP for n in value)
    return None if good else f"a list of {count} strides from 0 up"


def _an_offset(value: Any, layout: Layout, given: Given) -> str | None:
    good = value is None or (_is_int(value) and 0 <= value <= LARGEST_STEP)
    return None if good else "an integer from 0 up, or null for the operand's own"


def _slice_item(item: Any) -> bool:
    return (
        isinstance(item, list)
        and len(item) == 3
        and all(part is None or (_is_int(part) and abs(part) <= LARGEST_STEP) for part in item)
        and (item[2] is None or item[2] > 0)
    )


def _an_index(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, list) and all(
        item is None or item == "..." or _is_int(item) or _slice_item(item) for item in value
    )
    return None if good else 'a list of integers, null, "..." and [start, stop, step] slices'


def _some_dims(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, list) and value and all(not _a_dim(d, layout, given) for d in value)
    good = good and len({d % max(layout.ndim, 1) for d in value}) == len(value)
    return None if good else f"a list of different dimensions of {layout.shape}"


def _repeats(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, list) and len(value) >= layout.ndim
    good = good and all(_is_int(n) and 0 <= n <= 1 << 10 for n in value)
    return None if good else f"a list of at least {layout.ndim} integers from 0 up"


def _a_padding(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, list) and value and len(value) % 2 == 0
    good = good and all(_is_int(n) and abs(n) <= 1 << 10 for n in value)
    return None if good else "a list of integers, two for each dimension from the last one on"


def _draw_choice(choose: Choose, param: Param, layout: Layout, given: Given) -> Any:
    return choices.among(choose, param.choices)


def _draw_dim(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return choose.below(max(layout.ndim, 1))


def _draw_even_dim(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    even = [dim for dim, size in enumerate(layout.shape) if size % 2 == 0]
    return choices.among(choose, even or [0])


def _draw_rank(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return 1 + choose.below(max(min(layout.shape, default=1), 1))


def _draw_divisor(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    channels = layout.shape[1] if layout.ndim > 1 else 1
    fitting = [n for n in range(1, channels + 1) if channels % n == 0 and layout.numel != n]
    return choices.among(choose, fitting or [1])


def _draw_maybe_dim(choose: Choose, param: Param, layout: Layout, given: Given) -> int | None:
    dim = choose.below(layout.ndim + 1)
    return None if dim == 0 else dim - 1


def _keeps(value: Any, layout: Layout, given: Given) -> str | None:
    if given["dim"] is None and value:
        return "false where dim is not given"
    return _a_bool(value, layout, given)


def _draw_keeps(choose: Choose, param: Param, layout: Layout, given: Given) -> bool:
    return given["dim"] is not None and choices.chance(choose, 40)


def _draw_new_dim(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return choose.below(layout.ndim + 1)


def _draw_permutation(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    return choices.shuffled(choose, list(range(layout.ndim))[::-1])


def _factorings(numel: int) -> list[list[int]]:
    if numel == 0:
        return [[0], [0, 1], [2, 0]]
    two = [[n, numel // n] for n in range(1, numel + 1) if numel % n == 0]
    return [[numel], *two, *([[]] if numel == 1 else [])]


def _draw_shape(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    fitting = [s for s in _factorings(layout.numel) if viewed(layout, tuple(s)) is not None]
    return choices.among(choose, [*fitting, list(layout.shape)])


def _draw_any_shape(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    return choices.among(choose, _factorings(layout.numel))


def _draw_larger(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    lead = [2, 3][choose.below(2) : 1] if layout.ndim < 4 and choices.chance(choose, 60) else []
    return lead + [
        n if n != 1 else 1 + choose.below(3 if layout.numel <= 4 else 1) for n in layout.shape
    ]


def _draw_position(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return choose.below(max(_size(layout, given), 1))


def _draw_rest(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    left: int = _size(layout, given) - given["start"]
    return left - choose.below(left + 1)


def _draw_window(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    size = layout.shape[given["dimension"]] if layout.ndim else 1
    return min(1 + choose.below(max(size, 1)), size)


def _draw_end(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
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


def _draw_sizes(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    count = layout.numel
    wanted = [[min(count, 2)], [count], list(layout.shape), [2, 2], [], [count, 1]]
    fitting = [size for size in wanted if _placements(layout, tuple(size))]
    return choices.among(choose, fitting)


def _draw_strides(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    size = tuple(given["size"])
    every = [strides for strides, _ in _placements(layout, size)]
    apart = [strides for strides in every if not Layout(size, strides).overlaps_itself]
    repeats = not apart or choices.chance(choose, 20)
    return list(choices.among(choose, every if repeats else apart))


def _draw_offset(choose: Choose, param: Param, layout: Layout, given: Given) -> int | None:
    offsets = dict(_placements(layout, tuple(given["size"])))[tuple(given["stride"])]
    own = [None] if layout.offset in offsets else []
    return choices.among(choose, [*own, *(o for o in offsets if o != layout.offset)])


def _draw_some_dims(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    dims = choices.shuffled(choose, list(range(layout.ndim)))
    return dims[: 1 + choose.below(max(layout.ndim, 1))]


def _draw_repeats(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
    times = [1 + (layout.numel <= 6 and choose.below(2)) for _ in layout.shape]
    lead = [[2], [1]][choose.below(2)] if not times or choices.chance(choose, 30) else []
    return [*lead, *(int(n) for n in times)]


def _draw_padding(choose: Choose, param: Param, layout: Layout, given: Given) -> list[int]:
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


def _draw_index(choose: Choose, param: Param, layout: Layout, given: Given) -> list[Any]:
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


_EQUATION = re.compile(r"[a-z]+(,[a-z]+)?->[a-z]*")


def _an_equation(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, str) and _EQUATION.fullmatch(value)
    return None if good else "an equation such as 'ij,jk->ik'"


def _draw_equation(choose: Choose, param: Param, layout: Layout, given: Given) -> str:
    """An equation whose first term suits the operand, if there is one."""

    def suits(equation: str) -> bool:
        term = re.split("[,-]", equation)[0]
        sizes = set(zip(term, layout.shape, strict=False))
        return len(term) == layout.ndim and len(sizes) == len(set(term))

    fitting = [equation for equation in param.choices if suits(equation)]
    return str(choices.among(choose, fitting or param.choices[:1]))


def _draw_dim_of_three(choose: Choose, param: Param, layout: Layout, given: Given) -> int:
    return int(choices.among(choose, [d for d, n in enumerate(layout.shape) if n == 3] or [0]))


KINDS: dict[str, Kind] = {
    "float": Kind(_a_float, _draw_choice),
    "nonzero float": Kind(_a_nonzero, _draw_choice),
    "larger float": Kind(_a_larger, _draw_choice),
    "positive float": Kind(_a_positive, _draw_choice),
    "norm order": Kind(_a_norm, _draw_choice),
    "reduction": Kind(_one_of("mean", "sum", "none"), _draw_choice),
    "approximation": Kind(_one_of("none", "tanh"), _draw_choice),
    "probability": Kind(_a_probability, _draw_choice),
    "low bound": Kind(_a_low, _draw_choice),
    "high bound": Kind(_a_high, _draw_choice),
    "int": Kind(_an_int, _draw_choice),
    "bool": Kind(_a_bool, _draw_choice),
    "keepdim": Kind(_keeps, _draw_keeps),
    "dim": Kind(_a_dim, _draw_dim),
    "first dim": Kind(_a_dim, lambda choose, param, layout, given: 0),
    "last dim": Kind(_another_dim, lambda choose, param, layout, given: layout.ndim - 1),
    "even dim": Kind(_an_even_dim, _draw_even_dim),
    "rank": Kind(_a_rank, _draw_rank),
    "groups": Kind(_a_divisor, _draw_divisor),
    "optional dim": Kind(_maybe_a_dim, _draw_maybe_dim),
    "new dim": Kind(_a_new_dim, _draw_new_dim),
    "dim of three": Kind(_a_dim, _draw_dim_of_three),
    "equation": Kind(_an_equation, _draw_equation),
    "permutation": Kind(_a_permutation, _draw_permutation),
    "shape": Kind(_a_shape, _draw_shape),
    "any shape": Kind(_a_shape, _draw_any_shape),
    "larger shape": Kind(_a_shape, _draw_larger),
    "position": Kind(_a_position, _draw_position),
    "rest of dim": Kind(_a_rest, _draw_rest),
    "window": Kind(_a_window, _draw_window),
    "optional epsilon": Kind(_maybe_epsilon, _draw_choice),
    "order": Kind(_an_order, _draw_choice),
    "positive int": Kind(_a_step, _draw_choice),
    "start dim": Kind(_a_dim, _draw_dim),
    "end dim": Kind(_a_later_dim, _draw_end),
    "sizes": Kind(_sizes, _draw_sizes),
    "strides": Kind(_strides, _draw_strides),
    "storage offset": Kind(_an_offset, _draw_offset),
    "scatter reduction": Kind(_one_of(*REDUCTIONS), _draw_choice),
    "index reduction": Kind(_one_of(*REDUCTIONS[1:]), _draw_choice),
    "some dims": Kind(_some_dims, _draw_some_dims),
    "repeats": Kind(_repeats, _draw_repeats),
    "padding": Kind(_a_padding, _draw_padding),
    "index": Kind(_an_index, _draw_index),
    **{name: Kind(*pair) for name, pair in windows.KINDS.items()},
}
"""Kind of parameter -> how it is checked and drawn."""


def complete(params: tuple[Param, ...], given: Given, layout: Layout, where: str) -> dict[str, Any]:
    """Every parameter with its value, defaults filled in; raises ValueError with one sentence."""
    unknown = set(given) - {param.name for param in params}
    if unknown:
        known = ", ".join(param.name for param in params) or "none"
        raise ValueError(f"{where} has no parameter {sorted(unknown)[0]!r}; it takes {known}.")
    values: dict[str, Any] = {}
    for param in params:
        if param.required and param.name not in given:
            raise ValueError(f"{where} needs the parameter {param.name!r}.")
        value = given.get(param.name, param.default)
        expected = KINDS[param.kind].check(value, layout, values)
        if expected:
            raise ValueError(f"{where}: {param.name} is {value!r} and should be {expected}.")
        values[param.name] = value
    return values
