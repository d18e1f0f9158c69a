"""How large a program may be, so that Python, numpy and torch can write what it says.

`docs/program-format.md` states each of these numbers.
"""

from __future__ import annotations

import math
import sys

MOST_STEPS = 1000
MOST_ELEMENTS = 1 << 16
MOST_DIMS = 8
MOST_MODES = 10
"""Python nests 20 statements, and a script needs some of them around the program."""
LARGEST = sys.float_info.max
"""Every finite number is within this; an integer beyond it has no float64."""
LARGEST_INT = 1 << 53
"""The largest integer among numbers: every one up to here is a float64, and fits into int64."""
LARGEST_STEP = 1 << 20
"""Of sizes, strides, offsets and the parts of slices: above what any tensor could need."""


def too_large(shape: tuple[int, ...]) -> str:
    """What of a shape goes beyond the limits, in words; "" if nothing does.

    A size of 0 counts as 1: strides are made of the others all the same.
    """
    if len(shape) > MOST_DIMS:
        return f"more than {MOST_DIMS} dimensions"
    count = math.prod(shape) or math.prod([max(size, 1) for size in shape])
    if count > MOST_ELEMENTS:
        return f"more than {MOST_ELEMENTS} elements"
    return ""
