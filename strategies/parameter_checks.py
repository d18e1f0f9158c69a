"""Which values of a parameter are valid for an operand: each check says what else is expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from strategies.layout import Layout
from strategies.limits import LARGEST, LARGEST_INT, LARGEST_STEP, too_large

Given = Mapping[str, Any]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def a_float(value: Any, layout: Layout, given: Given) -> str | None:
    if _is_int(value):
        return None if abs(value) <= LARGEST_INT else f"an integer of at most {LARGEST_INT}"
    good = isinstance(value, float) and abs(value) <= LARGEST
    return None if good else "a finite number"


def a_nonzero(value: Any, layout: Layout, given: Given) -> str | None:
    return "a finite number other than 0" if value == 0 else a_float(value, layout, given)


def a_positive(value: Any, layout: Layout, given: Given) -> str | None:
    good = a_float(value, layout, given) is None and value > 0
    return None if good else "a finite number above 0"


def a_norm(value: Any, layout: Layout, given: Given) -> str | None:
    good = value == "inf" or (a_float(value, layout, given) is None and value >= 1)
    return None if good else 'a finite number from 1 up, or "inf"'


def one_of(*words: str) -> Callable[[Any, Layout, Given], str | None]:
    def check(value: Any, layout: Layout, given: Given) -> str | None:
        return None if value in words else f"one of {', '.join(words)}"

    return check


def a_probability(value: Any, layout: Layout, given: Given) -> str | None:
    good = a_float(value, layout, given) is None and 0 <= value <= 1
    return None if good else "a number between 0 and 1"


def a_low(value: Any, layout: Layout, given: Given) -> str | None:
    return None if value is None else a_float(value, layout, given)


def a_high(value: Any, layout: Layout, given: Given) -> str | None:
    if value is None and given["min"] is None:
        return "a finite number where min is not given"
    return a_low(value, layout, given)


def a_larger(value: Any, layout: Layout, given: Given) -> str | None:
    *_, (before, least) = given.items()
    good = a_float(value, layout, given) is None and value > least
    return None if good else f"a number above {before}"


def an_int(value: Any, layout: Layout, given: Given) -> str | None:
    good = _is_int(value) and abs(value) <= LARGEST_STEP
    return None if good else f"an integer of at most {LARGEST_STEP}"


def a_bool(value: Any, layout: Layout, given: Given) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def a_dim(value: Any, layout: Layout, given: Given) -> str | None:
    ndim = max(layout.ndim, 1)
    return None if _is_int(value) and -ndim <= value < ndim else f"a dimension of {layout.shape}"


def another_dim(value: Any, layout: Layout, given: Given) -> str | None:
    ndim = max(layout.ndim, 1)
    if _is_int(value) and (value - given["dim1"]) % ndim == 0:
        return "a dimension other than dim1"
    return a_dim(value, layout, given)


def maybe_a_dim(value: Any, layout: Layout, given: Given) -> str | None:
    return None if value is None else a_dim(value, layout, given)


def an_even_dim(value: Any, layout: Layout, given: Given) -> str | None:
    good = a_dim(value, layout, given) is None and layout.ndim > 0 and layout.shape[value] % 2 == 0
    return None if good else f"a dimension of {layout.shape} with an even size"


def a_rank(value: Any, layout: Layout, given: Given) -> str | None:
    most = min(layout.shape, default=1)
    good = _is_int(value) and 1 <= value <= most
    return None if good else f"an integer from 1 to {most}, the smallest size"


def a_divisor(value: Any, layout: Layout, given: Given) -> str | None:
    channels = layout.shape[1] if layout.ndim > 1 else 1
    good = _is_int(value) and value >= 1 and channels % value == 0 and layout.numel != value
    return None if good else f"a divisor of the {channels} channels with more than one value each"


def a_new_dim(value: Any, layout: Layout, given: Given) -> str | None:
    ndim = layout.ndim + 1
    return None if _is_int(value) and -ndim <= value < ndim else f"a place in {layout.shape}"


def a_permutation(value: Any, layout: Layout, given: Given) -> str | None:
    good = (
        isinstance(value, list)
        and all(_is_int(d) and -layout.ndim <= d < layout.ndim for d in value)
        and sorted(d % layout.ndim for d in value) == list(range(layout.ndim))
    )
    return None if good else f"a permutation of the {layout.ndim} dimensions"


def a_shape(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, list) and all(_is_int(n) and -1 <= n <= LARGEST_STEP for n in value)
    beyond = too_large(tuple(value)) if good else ""
    return f"a shape without {beyond}" if beyond else None if good else "a list of sizes"


def size_along(layout: Layout, given: Given) -> int:
    return layout.shape[given["dim"]] if layout.ndim else 1


def a_position(value: Any, layout: Layout, given: Given) -> str | None:
    size = size_along(layout, given)
    return None if _is_int(value) and -size <= value < size else f"an index below {size}"


def a_rest(value: Any, layout: Layout, given: Given) -> str | None:
    left = size_along(layout, given) - given["start"]
    good = _is_int(value) and given["start"] >= 0 and 0 <= value <= left
    return None if good else f"a length of at most {left} after a start that is not negative"


def a_window(value: Any, layout: Layout, given: Given) -> str | None:
    size = layout.shape[given["dimension"]] if layout.ndim else 1
    return None if _is_int(value) and 0 <= value <= size else f"a size from 0 to {size}"


def a_step(value: Any, layout: Layout, given: Given) -> str | None:
    good = _is_int(value) and 1 <= value <= LARGEST_STEP
    return None if good else f"an integer from 1 to {LARGEST_STEP}"


def maybe_epsilon(value: Any, layout: Layout, given: Given) -> str | None:
    good = value is None or (isinstance(value, float) and 0.0 <= value <= 0.5)
    return None if good else "a number from 0.0 to 0.5, or null"


def an_order(value: Any, layout: Layout, given: Given) -> str | None:
    return None if _is_int(value) and 0 <= value <= 8 else "an integer from 0 to 8"


def a_later_dim(value: Any, layout: Layout, given: Given) -> str | None:
    ndim = max(layout.ndim, 1)
    if _is_int(value) and value % ndim < given["start_dim"] % ndim:
        return "a dimension that does not come before start_dim"
    return a_dim(value, layout, given)


def sizes(value: Any, layout: Layout, given: Given) -> str | None:
    if not isinstance(value, list) or not all(_is_int(n) and n >= 0 for n in value):
        return "a list of sizes from 0 up"
    beyond = too_large(tuple(value))
    return f"a shape without {beyond}" if beyond else None


def strides(value: Any, layout: Layout, given: Given) -> str | None:
    count = len(given["size"])
    good = isinstance(value, list) and len(value) == count
    good = good and all(_is_int(n) and 0 <= n <= LARGEST_STEP for n in value)
    return None if good else f"a list of {count} strides from 0 up"


def an_offset(value: Any, layout: Layout, given: Given) -> str | None:
    good = value is None or (_is_int(value) and 0 <= value <= LARGEST_STEP)
    return None if good else "an integer from 0 up, or null for the operand's own"


def _slice_item(item: Any) -> bool:
    return (
        isinstance(item, list)
        and len(item) == 3
        and all(part is None or (_is_int(part) and abs(part) <= LARGEST_STEP) for part in item)
        and (item[2] is None or item[2] > 0)
    )


def an_index(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, list) and all(
        item is None or item == "..." or _is_int(item) or _slice_item(item) for item in value
    )
    return None if good else 'a list of integers, null, "..." and [start, stop, step] slices'


def a_written_index(value: Any, layout: Layout, given: Given) -> str | None:
    fault = an_index(value, layout, given)
    is_true = isinstance(value, list) and len(value) == 1 and value[0] is True
    return f"{fault}, or [true]" if fault and not is_true else None


def some_dims(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, list) and value and all(not a_dim(d, layout, given) for d in value)
    good = good and len({d % max(layout.ndim, 1) for d in value}) == len(value)
    return None if good else f"a list of different dimensions of {layout.shape}"


def repeats(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, list) and len(value) >= layout.ndim
    good = good and all(_is_int(n) and 0 <= n <= 1 << 10 for n in value)
    return None if good else f"a list of at least {layout.ndim} integers from 0 up"


def a_padding(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, list) and value and len(value) % 2 == 0
    good = good and all(_is_int(n) and abs(n) <= 1 << 10 for n in value)
    return None if good else "a list of integers, two for each dimension from the last one on"


def keeps(value: Any, layout: Layout, given: Given) -> str | None:
    if given["dim"] is None and value:
        return "false where dim is not given"
    return a_bool(value, layout, given)


_EQUATION = re.compile(r"[a-z]+(,[a-z]+)?->[a-z]*")


def an_equation(value: Any, layout: Layout, given: Given) -> str | None:
    good = isinstance(value, str) and _EQUATION.fullmatch(value)
    return None if good else "an equation such as 'ij,jk->ik'"
