"""Where the traceback of a fault of the suite goes: nowhere, unless it is asked for."""

from __future__ import annotations

import os

VARIABLE = "AUTOGRAD_CONFORMANCE_TRACEBACK"
"""The environment variable that asks for tracebacks."""


class SuiteError(Exception):
    """A fault of the suite that was seen where it cannot be raised, with its traceback as text."""

    def __init__(self, sentence: str, traceback: str = "") -> None:
        super().__init__(sentence)
        self.traceback = traceback


def wants_traceback() -> bool:
    return bool(os.environ.get(VARIABLE))


def sentence_of(error: BaseException) -> str:
    """A fault in one sentence that ends with how to learn more."""
    what = str(error)
    if not isinstance(error, SuiteError):
        first = what.strip().partition("\n")[0].rstrip(".")
        what = f"{type(error).__name__}: {first}" if first else type(error).__name__
    more = "" if wants_traceback() else f"; set {VARIABLE}=1 to see where"
    return f"The suite itself failed, which says nothing about the subject ({what}){more}."
