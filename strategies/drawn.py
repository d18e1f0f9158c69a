"""Choices that Hypothesis makes; apart from the others, so that programs need no Hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from hypothesis import strategies as st

from strategies.choices import T


class Drawn:
    """Choices that Hypothesis draws."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def below(self, n: int) -> int:
        return self._draw(_integers(n)) if n > 1 else 0

    def apart(self, make: Callable[[], T]) -> T:
        # Hypothesis's shrinker treats what one strategy draws as a unit.
        made: T = self._draw(st.builds(make))
        return made


@cache
def _integers(n: int) -> st.SearchStrategy[int]:
    return st.integers(min_value=0, max_value=n - 1)
