"""Places where torch does not compute what is documented, as the oracle knows them by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

REPLACED = {
    "hardsigmoid-float-constant": {"hardsigmoid": "hardsigmoid_float_constant"},
    "sinc-gradient-cancels": {"sinc": "sinc_by_difference"},
    "trigamma-by-few-terms": {
        "digamma": "digamma_by_few_terms",
        "polygamma": "polygamma_by_few_terms",
    },
    "trace-of-tall-matrix": {"trace": "trace"},
    "softplus-by-result": {"softplus below its threshold": "by the result"},
    "index-fill-counts-again": {"a position counts once": "as often as it is named"},
    "interpolate-to-one": {"a single place is in the middle": "the first element"},
    "ties-get-all-gradient": {"ties share a gradient": "all of it"},
    "elu-by-result": {"sign of the operand": "sign of the result"},
    "threshold-by-result": {"threshold": "threshold"},
    "half-power-by-root": {"half power": "half power"},
    "product-by-quotient": {"product": "product_by_quotient"},
    "exponentials-by-result": {"logsumexp": "logsumexp_by_result"},
    "excluded-self-counts-as-tie": {"no_tie": "eq"},
    "scatter-reduce-nan-elsewhere": {"untouched": "untouched"},
    "variance-without-freedom": {"variance": "variance_without_freedom"},
    "xlogy-by-float32": {"logarithm of a number": "in float32"},
    "floor-by-zero": {"a quotient by zero": "not a number"},
    "logaddexp-without-log1p": {"a small logarithm of a sum": "by log"},
    "l1-loss-counts-equal-as-greater": {"equal operands of l1_loss": "the first is greater"},
    "variance-below-zero": {"variance below zero": "variance below zero"},
}
"""Quirk -> what is replaced by what torch does instead of what is documented: a primitive by
another one, or a part of a meaning, which asks with `deviates`."""

SELF_PRODUCT = "product-reads-its-results"
"""Quirk: an in-place matrix product of its own target is what the order of its loops makes it."""

_BY_QUIRK = {old: (quirk, new) for quirk, pairs in REPLACED.items() for old, new in pairs.items()}
"""What is replaced -> the one quirk that does so, and what takes its place."""


class Replaced(Mapping[str, str]):
    """What some quirks replace; a quirk is looked for only where what it replaces is asked for."""

    __slots__ = ("_also", "_quirks")

    def __init__(self, quirks: frozenset[str], also: Mapping[str, str] | None = None) -> None:
        self._quirks = quirks
        self._also = also or {}

    def __getitem__(self, old: str) -> str:
        if old in self._also:
            return self._also[old]
        quirk, new = _BY_QUIRK[old]
        if quirk in self._quirks:
            return new
        raise KeyError(old)

    def get(self, old: str, otherwise: Any = None) -> Any:
        """As a mapping does, but for the price of an exception: most of what is asked for is there
        in no quirk.
        """
        quirk, new = _BY_QUIRK.get(old, ("", ""))
        asked = quirk != "" and quirk in self._quirks
        if old in self._also:
            return self._also[old]
        return new if asked else otherwise

    def __contains__(self, old: object) -> bool:
        if old in _BY_QUIRK and _BY_QUIRK[str(old)][0] in self._quirks:
            return True
        return old in self._also

    def __iter__(self) -> Iterator[str]:
        return (old for old in (*_BY_QUIRK, *self._also) if old in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
