"""A program explained: what each step does to versions, aliases and saved tensors, and why it ends.

The model runs the program; no torch is needed.
"""

from __future__ import annotations

from conformance.explain.ending import ending
from conformance.explain.facts import Explanation
from conformance.explain.text import render
from conformance.explain.trace import trace
from strategies.draft import check
from strategies.program import Program

__all__ = ["Explanation", "explain", "render"]


def explain(program: Program) -> Explanation:
    """Explain a program by the documented rules; raises ProgramError if it cannot be."""
    traced = trace(check(program))
    return Explanation(
        program=program.id,
        leaves=traced.leaves,
        steps=traced.steps,
        closing=traced.closing,
        ending=ending(traced),
    )
