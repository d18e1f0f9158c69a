"""The command line: `autograd-conformance`."""

from __future__ import annotations

from conformance.cli.main import main

__all__ = ["main"]
