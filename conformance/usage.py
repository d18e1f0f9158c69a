"""What a command says of its use and of what is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


class UsageError(Exception):
    """What was asked for cannot be done; the message is one sentence that says what to do."""


def installed(package: str) -> str:
    """The version of an installed package, or "unknown"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
