"""Why a tensor does not require grad, followed back to the steps where its gradient ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from conformance.explain.ledger import Ledger, State
from conformance.model.state import Tensor
from strategies.draft import Shaped, Value
from strategies.program import Apply, recording


@dataclass(frozen=True, slots=True)
class Link:
    """A step that made or wrote a tensor that does not require grad; step 0 for a leaf."""

    step: int
    tensor: Tensor


Origin = tuple[Link, ...]
"""The unrecorded steps from a tensor back to where its gradient ends, which is the last link."""


def origins(ledger: Ledger, tensor: Tensor, until: int) -> list[Origin]:
    """Where the gradient of a tensor ends, by the steps before a given one; nearest first."""
    found: dict[Link, Origin] = {}
    seen: set[Link] = set()
    waiting: list[tuple[Tensor, int, Origin]] = [(tensor, until, ())]
    while waiting:
        known, before, path = waiting.pop(0)
        if Link(before, known) in seen:
            continue
        seen.add(Link(before, known))
        for step, values in _sources(ledger, known, before):
            link = Link(step, known)
            if any(state.requires_grad for state in values):
                found.setdefault(link, (*path, link))
            else:
                waiting += [(state.tensor, step, (*path, link)) for state in values]
        lost = [step for step, one in ledger.lost if one is known and step < before]
        if lost:
            found.setdefault(Link(lost[-1], known), (*path, Link(lost[-1], known)))
        elif not ledger.born.get(known, 0):
            found.setdefault(Link(0, known), (*path, Link(0, known)))
    return list(found.values())


def _sources(
    ledger: Ledger, tensor: Tensor, before: int
) -> Iterator[tuple[int, tuple[State, ...]]]:
    """The unrecorded steps that made a tensor or wrote its memory, and what they read for it."""
    born = ledger.born.get(tensor, 0)
    if born < before and born in ledger.read:
        yield born, ledger.read[born]
    for bump in ledger.bumps:
        if bump.memory == tensor.memory and born < bump.step < before and bump.step in ledger.read:
            yield bump.step, ledger.read[bump.step][1:]


def told(ledger: Ledger, link: Link) -> str:
    """In a sentence, why a tensor does not require grad."""
    step, name = link.step, link.tensor.name
    if not step:
        return f"{name} is a leaf that was made without requires_grad=True."
    text = f"Step {step}, `{ledger.text(step)}`,"
    if step not in ledger.unrecorded:
        return f"{text} made {name} a leaf that does not require grad."
    made = "made" if ledger.born.get(link.tensor) == step else "wrote"
    return f"{text} {made} {name} and was not recorded: {ledger.unrecorded[step]}."


def passed(ledger: Ledger, origin: Origin) -> list[int]:
    """The steps of a path that stand where nothing is recorded."""
    found = []
    for number in sorted({link.step for link in origin if link.step}):
        step = ledger.draft.steps[number - 1]
        if isinstance(step, Apply) and not recording(step.modes):
            found.append(number)
    return found


def alias_at(ledger: Ledger, step: int) -> tuple[str, str] | None:
    """The name of an alias without history that a step makes, and of what it is one."""
    shaped = ledger.draft.shaped[step - 1] if step else None
    if not isinstance(shaped, Shaped) or shaped.in_place or shaped.row.name not in _ALIASES:
        return None
    (source,) = (o.name for o in shaped.operands if isinstance(o, Value))
    return shaped.step.to[0], source


_ALIASES = ("detach", "data")
