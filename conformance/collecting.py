"""When Python looks for cycles of objects that nobody refers to any more.

Next to nothing that a program leaves is one, while libraries, caches and verdicts are hundreds of
thousands of objects that stay: to look through them as often as Python does took a tenth to a
sixth of the time of a run.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_SELDOM = (10_000, 20, 20)


def settle() -> None:
    """Look for cycles now, and never again among what is there."""
    gc.collect()
    gc.freeze()


@contextmanager
def seldom() -> Iterator[None]:
    """Look for cycles seldom, and not among what is there by now."""
    before = gc.get_threshold()
    settle()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def afterwards() -> Iterator[None]:
    """Look for cycles when it is over, and never again among what is left."""
    gc.disable()
    try:
        yield
    finally:
        settle()
        gc.enable()
