"""Where random choices come from: a seeded stream that records what it chose, or Hypothesis.

Every choice is one integer in [0, n); 0 is the simplest, so that a recorded stream and what
Hypothesis draws mean the same program, and shrinking goes towards it.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Choose(Protocol):
    """A source of integers."""

    def below(self, n: int) -> int:
        """An integer in [0, n); examples shrink towards 0."""

    def apart(self, make: Callable[[], T]) -> T:
        """What `make` returns; its choices are simplified, or left out, as one."""


class Seeded:
    """Choices of program `index` of a stream: they depend on seed and index alone."""

    def __init__(self, seed: int, index: int) -> None:
        number = random.Random(f"{seed}:{index}").random
        self.made: list[int] = []
        note = self.made.append

        # A closure: a program takes a hundred choices, and looking for attributes half their time.
        def below(n: int) -> int:
            choice = int(number() * n)
            note(choice)
            return choice

        self.below: Callable[[int], int] = below

    def apart(self, make: Callable[[], T]) -> T:
        return make()


class Replayed:
    """Choices recorded earlier, then zeros; each is brought into the range asked for."""

    def __init__(self, made: Sequence[int]) -> None:
        self._left = list(reversed(made))

    def below(self, n: int) -> int:
        return min(self._left.pop(), n - 1) if self._left else 0

    def apart(self, make: Callable[[], T]) -> T:
        return make()


def among(choose: Choose, options: Sequence[T]) -> T:
    """One of the options; examples shrink towards the first."""
    return options[choose.below(len(options))]


def recent(choose: Choose, options: Sequence[T]) -> T:
    """One of the options, a later one rather than an earlier; examples shrink towards the last."""
    last = len(options) - 1
    first, second = choose.below(len(options)), choose.below(len(options))
    return options[last - min(first, second)]


def chance(choose: Choose, percent: int) -> bool:
    """True in so many cases of a hundred; examples shrink towards False."""
    if percent <= 0:
        return False
    return percent >= 100 or choose.below(100) >= 100 - percent


class Weights(Generic[T]):
    """Options with their weights, of which many are drawn; examples shrink towards the first."""

    __slots__ = ("_ends", "_options", "_total")

    def __init__(self, options: Sequence[tuple[T, int]]) -> None:
        self._options = [option for option, _ in options]
        self._ends = list(accumulate(weight for _, weight in options))
        self._total = self._ends[-1]

    def one(self, choose: Choose) -> T:
        """One of the options by its weight: what `weighted` would draw."""
        return self._options[bisect_right(self._ends, choose.below(self._total))]


def weighted(choose: Choose, options: Sequence[tuple[T, int]]) -> T:
    """One of the options by its weight; examples shrink towards the first."""
    total = 0
    for _, weight in options:
        total += weight
    point = choose.below(total)
    for option, weight in options:
        if point < weight:
            return option
        point -= weight
    raise AssertionError("the weights of the options add up to more than was drawn")


def shuffled(choose: Choose, options: Sequence[Any]) -> list[Any]:
    """The options in some order; examples shrink towards the order given."""
    left, order = list(options), []
    while left:
        order.append(left.pop(choose.below(len(left))))
    return order
