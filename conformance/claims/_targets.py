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
COMPLEX = (1.0, 0.1 + 0.3j, 2.0, 0.7 + 0.3j, 0.3 - 0.7j, 0.5, 2.0j)
"""Values whose products must be rounded, and none of whose sums cancel."""
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
    values: tuple[complex, ...]
    shape: Shape
    dtype: str = "float64"
    layout: str = "contiguous"

    @property
    def array(self) -> NDArray[Any]:
        """The elements in the target's shape: float64, or complex128 if one has two parts."""
        turned = any(isinstance(value, complex) for value in self.values)
        return np.resize(np.array(self.values, np.complex128 if turned else np.float64), self.shape)

    @property
    def stored(self) -> int:
        """How many elements its storage holds."""
        size = math.prod(self.shape)
        return 2 * size if self.lies == "sliced" else size

    @property
    def lies(self) -> str:
        """The layout that the shape allows."""
        if self.layout == "transposed" and len(self.shape) < 2:
            return "contiguous"
        return "contiguous" if not self.shape else self.layout

    @property
    def stored_text(self) -> str:
        """The call that makes what its storage holds."""
        array = self.array
        if self.lies == "transposed":
            return literal(array.swapaxes(0, 1), self.dtype)
        if self.lies == "sliced":
            spaced = np.full((*self.shape[:-1], 2 * self.shape[-1]), FILLER, array.dtype)
            spaced[..., ::2] = array
            return literal(spaced, self.dtype)
        return literal(array, self.dtype)

    @property
    def seen(self) -> str:
        """What is written behind the name of that to have the target."""
        return {"transposed": ".transpose(0, 1)", "sliced": "[..., ::2]"}.get(self.lies, "")

    @property
    def text(self) -> str:
        """The lines that make it, without a line end."""
        if not self.seen:
            return f"{self.name} = {self.stored_text}"
        return f"base = {self.stored_text}\n{self.name} = base{self.seen}"


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
    if isinstance(values, complex):
        return repr(values)
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


def complex_elements() -> st.SearchStrategy[tuple[complex, ...]]:
    """One to six values, some with two parts; examples shrink towards `(1.0,)`."""
    return st.lists(st.sampled_from(COMPLEX), min_size=1, max_size=6).map(tuple)


def shapes(*, ranks: Sequence[int] = (0, 1, 2, 3), empty: bool = True) -> st.SearchStrategy[Shape]:
    """Shapes of these ranks with sides up to 4; examples shrink towards the first rank and 1."""
    sides = st.sampled_from((1, 2, 3, 4, 0) if empty else (1, 2, 3, 4))
    return st.sampled_from(tuple(ranks)).flatmap(
        lambda rank: st.tuples(*(sides for _ in range(rank)))
    )
