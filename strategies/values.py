"""The numbers in leaves and cotangents: written out, or made by a generator from a seed.

The generators are part of the program format, so they are written out here and in
`docs/program-format.md` and depend on no library: the generator `splitmix64` (Steele, Lea and
Flood, 2014) feeds them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from strategies.program import Data, Generated, ProgramError

_MASK = (1 << 64) - 1
# To look them up by name takes numpy as long as to make a small array.
_DTYPES = {name: np.dtype(name) for name in ("float64", "int64", "bool")}


def splitmix64(seed: int) -> Iterator[int]:
    """An endless stream of 64-bit integers."""
    state = seed & _MASK
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        yield mixed ^ (mixed >> 31)


def _dyadic(word: int) -> float:
    """A multiple of 1/8 between -2 and 2, never 0: sums and products of a few stay exact."""
    eighth = (word >> 11) % 32 - 16
    return (eighth if eighth < 0 else eighth + 1) / 8


def _uniform(word: int) -> float:
    return (word >> 11) / (1 << 52) - 1.0


def _positive(word: int) -> float:
    return 0.25 + (word >> 11) % 30 / 8


def _kinked(word: int) -> float:
    return (-6.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 6.0)[(word >> 11) % 10]


GENERATORS: dict[str, Callable[[int], float]] = {
    "dyadic": _dyadic,
    "uniform": _uniform,
    "positive": _positive,
    "kinked": _kinked,
}
"""Name -> value made of one 64-bit word: dyadic in [-2, 2] without 0; uniform in [-1, 1);
positive eighths in [0.25, 3.875]; kinked from the points where activations bend."""


# Programs are many, and seeds are drawn of a thousand.
@lru_cache(maxsize=4096)
def _begun(generator: str, seed: int) -> tuple[list[float], Iterator[float]]:
    """The numbers of a generator that were asked for by now, and those that follow."""
    return [], map(GENERATORS[generator], splitmix64(seed))


def _generated(generator: str, seed: int, count: int) -> list[float]:
    made, more = _begun(generator, seed)
    if len(made) < count:
        made += islice(more, count - len(made))
    return made[:count]


def materialise(data: Data, shape: tuple[int, ...], dtype: str, where: str) -> NDArray[np.generic]:
    """The array that data describes, in row-major order.

    Raises ProgramError if the number of values, the generator, or a value for the dtype is wrong.
    """
    count = math.prod(shape)
    if isinstance(data, Generated):
        if data.generator not in GENERATORS:
            raise ProgramError(
                f"{where}: unknown generator {data.generator!r}; use one of "
                f"{', '.join(GENERATORS)}."
            )
        values = _generated(data.generator, data.seed, count)
    else:
        values = [*map(float, data)]
    if len(values) != count:
        raise ProgramError(
            f"{where}: shape {list(shape)} needs {count} values and {len(values)} are given."
        )
    if dtype == "bool" and any(v not in (0.0, 1.0) for v in values):
        raise ProgramError(f"{where}: a bool tensor holds only 0 and 1.")
    if dtype == "int64" and not all(abs(v) <= 2**53 and v == int(v) for v in values):
        raise ProgramError(f"{where}: an int64 tensor holds only integers of at most 2 ** 53.")
    made = np.array(values, _DTYPES.get(dtype, dtype))
    return made if len(shape) == 1 else made.reshape(shape)
