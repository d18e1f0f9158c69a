"""A program explained: what each step does to versions, aliases and saved tensors, and why it ends.

The model runs the program; no torch is needed.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance._trace_schema import Trace, TraceStep, Visit
from conformance.explain.ending import ending
from conformance.explain.facts import Explanation, StepFact
from conformance.explain.reading import trace_of_script
from conformance.explain.text import IN_ORDER, found, notes, render
from conformance.explain.trace import trace
from strategies.draft import Draft, check
from strategies.program import Program

__all__ = ["Explanation", "explain", "render", "trace_of", "trace_of_script"]


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


def trace_of(draft: Draft) -> Trace:
    """The same facts as records keep them, with the memory after each step."""
    traced = trace(draft)
    end = ending(traced)
    start, *moments = traced.moments
    storages = [*moments, *[()] * (len(traced.steps) - len(moments))]
    return Trace(
        leaves=tuple(leaf.text for leaf in traced.leaves),
        storages=start,
        steps=tuple(
            TraceStep(
                number=step.number,
                code=step.text,
                opening=step.opening,
                notes=tuple(_said(step, end.kind)),
                reached=step.reached,
                raises=step.raises,
                storages=changed,
                path=_path(step),
            )
            for step, changed in zip(traced.steps, storages, strict=True)
        ),
        closing=traced.closing,
        outcome=end.outcome,
        kind=end.kind,
        why=end.why,
        rule=end.rule,
        source=end.source,
    )


def _said(step: StepFact, kind: str) -> Iterator[str]:
    """What a step does but for the nodes that it runs, which are its path."""
    for text, deeper in notes(step, kind):
        if not deeper and text != IN_ORDER:
            yield text


def _path(step: StepFact) -> tuple[Visit, ...]:
    if step.backward is None:
        return ()
    return tuple(
        Visit(one.node, found(one), "" if one.dropped else one.adds_to, one.raises)
        for one in step.backward.executed
    )
