"""Tensors as the text of a script builds them: values, dtype, and how they lie in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

LAYOUTS = ("contiguous", "transposed", "sliced")
FLOATS = ("float64", "float32", "bfloat16", "float16")
DYADIC = (1.0, 2.0, 0.5, -1.0, 0.25, -0.5, -2.0, 3.0, 0.0, -3.0, 6.0, 1.5)
SPECIAL = (-0.0, math.inf, -math.inf, math.nan)
FILLER = 9.0
"""What lies between the elements of a sliced target."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """A tensor of a script: its name, its elements in order, its shape, dtype and layout.

    A layout that the shape does not allow (a transposed vector) is the contiguous one.
    """

    name: str
    values: tuple[float, ...]
    shape: Shape
    dtype: str = "float64"
    layout: str = "contiguous"

    @property
    def array(self) -> NDArray[Any]:
        """The elements as float64, in the target's shape."""
        return np.resize(np.array(self.values, np.float64), self.shape)

    @property
    def lies(self) -> str:
        """The layout that the shape allows."""
        if self.layout == "transposed" and len(self.shape) < 2:
            return "contiguous"
        return "contiguous" if not self.shape else self.layout

    @property
    def text(self) -> str:
        """The lines that make it, without a line end."""
        if self.lies == "transposed":
            base = literal(self.array.swapaxes(0, 1), self.dtype)
            return f"base = {base}\n{self.name} = base.transpose(0, 1)"
        if self.lies == "sliced":
            spaced = np.full((*self.shape[:-1], 2 * self.shape[-1]), FILLER)
            spaced[..., ::2] = self.array
            return f"base = {literal(spaced, self.dtype)}\n{self.name} = base[..., ::2]"
        return f"{self.name} = {literal(self.array, self.dtype)}"


def literal(values: NDArray[Any], dtype: str) -> str:
    """The call that makes a contiguous tensor of these values."""
    if values.size == 0:
        return f"torch.empty({list(values.shape)}, dtype=torch.{dtype}, device=DEVICE)"
    return f"torch.tensor({_nested(values.tolist(), dtype)}, dtype=torch.{dtype}, device=DEVICE)"


def _nested(values: Any, dtype: str) -> str:
    if isinstance(values, list):
        return "[" + ", ".join(_nested(value, dtype) for value in values) + "]"
    if dtype == "bool":
        return str(bool(values))
    if dtype.startswith(("int", "uint")):
        return str(abs(int(values)) if dtype.startswith("uint") else int(values))
    if math.isfinite(values):
        return repr(float(values))
    return "math.nan" if math.isnan(values) else ("math.inf" if values > 0 else "-math.inf")


def elements(
    *, pool: Sequence[float] = DYADIC, special: bool = False
) -> st.SearchStrategy[tuple[float, ...]]:
    """One to six values that are repeated to fill a shape; examples shrink towards `(pool[0],)`.

    With `special`, negative zero, infinities and NaN may be among them.
    """
    values = st.sampled_from((*pool, *SPECIAL) if special else tuple(pool))
    return st.lists(values, min_size=1, max_size=6).map(tuple)


def shapes(*, ranks: Sequence[int] = (0, 1, 2, 3), empty: bool = True) -> st.SearchStrategy[Shape]:
    """Shapes of these ranks with sides up to 4; examples shrink towards the first rank and 1."""
    sides = st.sampled_from((1, 2, 3, 4, 0) if empty else (1, 2, 3, 4))
    return st.sampled_from(tuple(ranks)).flatmap(
        lambda rank: st.tuples(*(sides for _ in range(rank)))
    )
