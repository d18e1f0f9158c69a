"""Choices that Hypothesis makes; apart from the others, so that programs need no Hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from unittest import mock

from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers

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


@contextmanager
def by_seed_alone() -> Iterator[None]:
    """Inside, what Hypothesis draws depends on its seed and not on which modules are loaded.

    Hypothesis collects the numbers and strings in the source of every local module that is loaded,
    and draws one of them in twenty; a run of one claim would draw other programs than a run of all.
    """
    if _COLLECTED is None:
        yield
        return
    with (
        mock.patch.object(providers, "_get_local_constants", type(_COLLECTED)),
        mock.patch.object(providers, "CONSTANTS_CACHE", _PERMITTED),
    ):
        yield


# There is no setting for it. A Hypothesis that has neither name collects nothing, as before 6.131;
# `tests/test_drawn.py` fails where it does and calls it something else.
_COLLECTED = getattr(providers, "_local_constants", None)
_PERMITTED = type(providers.CONSTANTS_CACHE)(1024) if _COLLECTED is not None else None
"""Which constants suit which draw: those of Hypothesis's own cache are of all modules."""
