"""What a step changed of the tensors that were there: versions, nodes, flags, shapes."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.explain.facts import OutdatedFact, WriteFact
from conformance.explain.ledger import BANS, Bump, Ledger, Looked, State
from conformance.model.quirks import NO_GRAD_VIEW
from conformance.model.state import Tensor
from strategies.draft import Shaped, Value
from strategies.program import Backward


def writes_of(
    ledger: Ledger,
    step: Shaped | Backward,
    number: int,
    before: Looked,
    after: Looked,
    recorded: bool,
) -> tuple[WriteFact, ...]:
    risen = {
        state.tensor.counter: name
        for name, state in reversed(before.items())
        if state.tensor.counter.value != state.version
    }
    facts = []
    for counter, name in risen.items():
        if isinstance(step, Shaped) and isinstance(step.operands[0], Value):
            target = step.operands[0].name
            name = target if after[target].tensor.counter is counter else name
        state = before[name]
        memory = state.tensor.memory
        family = [n for n in before if before[n].tensor.memory == memory]
        bump = Bump(number, counter, memory, state.version, counter.value, state.tensor, recorded)
        ledger.bumps.append(bump)
        facts.append(
            WriteFact(
                through=name,
                version_before=bump.before,
                version_after=bump.after,
                seen_by=tuple(n for n in family if before[n].tensor.counter is counter),
                hidden_from=tuple(n for n in family if before[n].tensor.counter is not counter),
                outdates=tuple(_outdated(ledger, bump)),
                moves=isinstance(step, Shaped) and step.row.moves is not None,
                uncounted=state.tensor.inference,
            )
        )
    return tuple(facts)


def _outdated(ledger: Ledger, bump: Bump) -> Iterator[OutdatedFact]:
    """What nodes had saved of a memory just before it was written."""
    told = set()
    for node in ledger.interpreter.graph.recorded:
        for saved in node.saved:
            same = saved.tensor.counter is bump.counter and saved.version == bump.before
            if same and (node, saved.tensor) not in told:
                told.add((node, saved.tensor))
                label = ledger.label(node)
                yield OutdatedFact(node=label, tensor=saved.tensor.name, saved_at=saved.version)


def changes_of(
    ledger: Ledger, step: Shaped | Backward, before: Looked, after: Looked
) -> tuple[str, ...]:
    """What else a step changed of the tensors that were there, one sentence each."""
    target = None
    if isinstance(step, Shaped) and step.in_place and isinstance(step.operands[0], Value):
        target = before[step.operands[0].name].tensor
    told: list[str] = []
    banned: dict[tuple[str, bool], list[str]] = {}
    seen: set[Tensor] = set()
    for name, old in before.items():
        new = after[name]
        if old.tensor in seen:
            continue
        seen.add(old.tensor)
        told += _changes_to(ledger, name, old, new, written=old.tensor is target)
        if new.banned and not old.banned:
            banned.setdefault((new.tensor.creation, new.requires_grad), []).append(name)
    for (creation, counts), names in banned.items():
        told.append(_ban(creation, " or ".join(names), counts=counts))
    return tuple(told)


def _ban(creation: str, names: str, *, counts: bool) -> str:
    """That a view cannot be used any more, by itself or where another operand requires grad."""
    why = f"a view {BANS.get(creation, 'made where autograd forbids it')}, whose memory has been"
    if counts:
        return f"from now on, using {names} where autograd records raises: {why} written"
    return (
        f"from now on, a step that is recorded because another operand requires grad raises if it "
        f"uses {names}: {why} written (torch says that {names} requires grad itself, and raises "
        f"wherever autograd records: known deviation {NO_GRAD_VIEW})"
    )


def _changes_to(ledger: Ledger, name: str, old: State, new: State, *, written: bool) -> list[str]:
    told = []
    if old.layout.shape != new.layout.shape:
        told.append(f"{name} has shape {list(new.layout.shape)} now")
    if old.node is not new.node:
        told.append(_node_change(ledger, name, old, new, written=written))
    elif old.requires_grad != new.requires_grad:
        word = "requires grad now" if new.requires_grad else "does not require grad any more"
        told.append(
            f"{name} {word}" + (f", as {new.base.name}, its base, does" if new.base else "")
        )
    return told


def _node_change(ledger: Ledger, name: str, old: State, new: State, *, written: bool) -> str:
    node = new.node
    if node is None:
        return f"{name} is cut off from the graph: it is a leaf now"
    if node.inner is not None:
        return (
            f"{name} gets the node CopySlices around {node.inner.operation}: the part that was "
            f"written has a new history, the rest keeps the old one"
        )
    if node in ledger.renewed and new.base is not None:
        why = "" if written else ": its memory was written after the old one was made"
        return f"{name}, a view, gets a new node, AsStrided, on its base {new.base.name}{why}"
    if old.node is None:
        return f"{name} is no leaf any more: {node.operation} is its node, and it requires grad"
    return f"{name} has the node {node.operation} now, which leads on to the one that it had"
