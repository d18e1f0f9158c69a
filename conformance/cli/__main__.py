"""`python -m conformance.cli` is `autograd-conformance`, for this interpreter."""

from __future__ import annotations

from conformance.cli.main import main

main()
