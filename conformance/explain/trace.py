"""A program run on the model, and what each step changed: the state before against that after.

No operation is treated by name, so that a new one is explained as soon as the model knows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from conformance._trace_schema import Storage
from conformance.explain.changes import changes_of, writes_of
from conformance.explain.facts import (
    BackwardFact,
    ExecutedFact,
    How,
    KeptFact,
    LeafFact,
    MadeFact,
    NodeFact,
    StepFact,
    TakenFact,
    UnpackedFact,
)
from conformance.explain.ledger import BANS, Ledger, Looked, Watched, names_of
from conformance.explain.memory import Memories
from conformance.model.backward import Flow
from conformance.model.prediction import Acted
from conformance.model.quirks import NO_GRAD_VIEW
from conformance.model.state import Node, Raised, Saved, Tensor, Unspecified
from strategies.draft import Draft, Shaped, Value
from strategies.printer import Body, print_body
from strategies.program import Backward, Mode, inferring, recording


@dataclass(slots=True)
class Traced:
    """A program that has been run on the model."""

    ledger: Ledger
    leaves: tuple[LeafFact, ...]
    steps: tuple[StepFact, ...]
    closing: tuple[str, ...]
    raised: Raised | None = None
    failed: Node | None = None
    """The node whose execution raised."""
    unspecified: str = ""
    open: str = ""
    """Why values, or gradients, are unspecified although the program is not."""
    hidden: str = ""
    moments: list[tuple[Storage, ...]] = field(default_factory=list)
    """The memories of the leaves, then those that each step changed, up to the last one reached."""


def trace(draft: Draft) -> Traced:
    """Run every step up to the one that raises; the others are only listed."""
    body = print_body(draft)
    lines = body.text.splitlines()
    texts = tuple(_quoted(lines[line - 1].strip()) for line in body.step_lines)
    ledger = Ledger(draft, Watched(draft), texts)
    ledger.adopt(0)
    closing = tuple(_between(body, len(draft.shaped), len(draft.leaves)))
    traced = Traced(ledger, _leaves(draft, lines), (), closing)
    memories = Memories()
    traced.moments.append(memories.changed(ledger, ledger.look()))
    steps = []
    for index, step in enumerate(draft.shaped):
        text = lines[body.step_lines[index] - 1]
        opening = tuple(_between(body, index, len(draft.leaves)))
        if traced.raised or traced.unspecified:
            fact = StepFact(number=index + 1, text=text, opening=opening, reached=False)
        else:
            fact = _step(traced, step, index + 1, text, opening)
            traced.moments.append(memories.changed(ledger, ledger.look()))
        steps.append(fact)
    traced.steps = tuple(steps)
    return traced


def _quoted(text: str) -> str:
    """A statement as sentences quote it: lists of numbers are left out."""
    return re.sub(r"torch\.(?:tensor|zeros)\([\[(].*?[\])], dtype=[^)]*\)", "...", text)


def _leaves(draft: Draft, lines: list[str]) -> tuple[LeafFact, ...]:
    return tuple(
        LeafFact(
            name=leaf.name,
            text=line,
            shape=leaf.shape,
            dtype=leaf.dtype,
            requires_grad=leaf.requires_grad,
        )
        for leaf, line in zip(draft.leaves, lines, strict=False)
    )


def _between(body: Body, index: int, leaves: int) -> list[str]:
    """The script's lines before a step and after the one before, which open and close regions."""
    lines = body.text.splitlines()
    first = body.step_lines[index - 1] if index else leaves
    last = body.step_lines[index] - 1 if index < len(body.step_lines) else len(lines)
    return lines[first:last]


# -- one step -----------------------------------------------------------------------------------


def _step(
    traced: Traced, step: Shaped | Backward, number: int, text: str, opening: tuple[str, ...]
) -> StepFact:
    ledger = traced.ledger
    graph = ledger.interpreter.graph
    before, known = ledger.look(), len(graph.recorded)
    acted = Acted()
    try:
        acted = ledger.interpreter.run_step(step)
    except Raised as raised:
        traced.raised = raised
        return StepFact(number=number, text=text, opening=opening, raises=True)
    except Unspecified as reason:
        traced.unspecified = str(reason)
        return StepFact(number=number, text=text, opening=opening, unspecified=True)
    traced.open = traced.open or acted.open
    ledger.adopt(number)
    after = ledger.look()
    nodes = graph.recorded[known:]
    for node in nodes:
        ledger.touched[node] = _memories(step, after)
    writes = writes_of(ledger, step, number, before, after, bool(nodes))
    made = _made(ledger, step, before, after)
    silent = not writes and not any(one.how != "same object" for one in made)
    why_not = "" if nodes or silent else _why_not_recorded(step, before)
    if why_not:
        ledger.unrecorded[number] = why_not
        ledger.read[number] = tuple(before[name] for name in _operands(step))
    ledger.lost += [
        (number, old.tensor)
        for name, old in before.items()
        if old.requires_grad and not after[name].requires_grad
    ]
    backward = None if acted.flow is None else _backward(traced, acted.flow, number)
    return StepFact(
        number=number,
        text=text,
        opening=opening,
        recorded=None if silent and not nodes else bool(nodes),
        why_not_recorded=why_not,
        made=made,
        writes=writes,
        changes_nothing=isinstance(step, Shaped) and step.in_place and before == after,
        nodes=tuple(_node(node) for node in nodes),
        changes=changes_of(ledger, step, before, after),
        backward=backward,
        raises=traced.raised is not None,
    )


def _memories(step: Shaped | Backward, after: Looked) -> frozenset[int]:
    """The memories that a step reads or makes."""
    if isinstance(step, Backward):
        return frozenset()
    return frozenset(after[name].tensor.memory for name in [*_operands(step), *step.step.to])


def _operands(step: Shaped | Backward) -> list[str]:
    if isinstance(step, Backward):
        return []
    return [o.name for o in step.operands if isinstance(o, Value)]


def _why_not_recorded(step: Shaped | Backward, before: Looked) -> str:
    if isinstance(step, Backward):
        return ""
    operands = _operands(step)
    if not any(before[name].requires_grad for name in operands):
        return f"{' and '.join(dict.fromkeys(operands))} {_do(operands)} not require grad"
    if not recording(step.step.modes):
        return f"it is inside {region(step.step.modes)}"
    if not step.row.differentiable:
        return "no gradient passes through it"
    return ""


def region(modes: tuple[Mode, ...]) -> str:
    """The region that decides that nothing is recorded."""
    return "inference_mode" if inferring(modes) else modes[-1].removeprefix("@")


def _do(names: list[str]) -> str:
    return "does" if len(set(names)) == 1 else "do"


def _node(node: Node) -> NodeFact:
    kept = tuple(
        KeptFact(
            tensor=saved.tensor.name,
            role="result" if saved.is_result else saved.what,
            version=saved.version,
        )
        for saved in node.saved
    )
    return NodeFact(operation=node.operation, saves=kept, private=node.keeps and not kept)


# -- what came to be ----------------------------------------------------------------------------


def _made(
    ledger: Ledger, step: Shaped | Backward, before: Looked, after: Looked
) -> tuple[MadeFact, ...]:
    operands = _operands(step)
    facts = []
    for name in after:
        if name in before:
            continue
        state = after[name]
        tensor = state.tensor
        how, of = _relation(tensor, operands, before)
        silent = ledger.interpreter.graph.requires_grad(tensor) and not state.requires_grad
        facts.append(
            MadeFact(
                name=name,
                how=how,
                of=of,
                base=tensor.base.name if tensor.base else "",
                shape=tensor.layout.shape,
                version=state.version,
                requires_grad=state.requires_grad,
                is_leaf=state.node is None and not ledger.interpreter.outdated(tensor),
                ban=BANS.get(tensor.creation, ""),
                says_otherwise=NO_GRAD_VIEW if silent else "",
                inference=tensor.inference,
            )
        )
    return tuple(facts)


def _relation(tensor: Tensor, operands: list[str], before: Looked) -> tuple[How, str]:
    """How a new name relates to what was there, and to which name of it."""
    sharing = [name for name in before if before[name].tensor.memory == tensor.memory]
    sharing.sort(key=lambda name: name not in operands)
    if not sharing:
        return "new memory", ""
    if any(before[name].tensor is tensor for name in sharing):
        return "same object", next(n for n in sharing if before[n].tensor is tensor)
    if tensor.base is not None:
        return "view", sharing[0]
    shares = before[sharing[0]].tensor.counter is tensor.counter
    return "detached alias" if shares else ".data alias", sharing[0]


# -- backward -----------------------------------------------------------------------------------


def _backward(traced: Traced, flow: Flow, number: int) -> BackwardFact:
    ledger = traced.ledger
    traced.hidden = traced.hidden or flow.hidden
    traced.open = traced.open or flow.shared
    traced.raised = flow.raised
    if flow.raised and flow.executed:
        traced.failed = flow.executed[-1]
    executed = tuple(_executed(ledger, flow, node, node is traced.failed) for node in flow.executed)
    freed = []
    for node in flow.executed:
        ledger.executed_at.setdefault(node.inner or node, []).append(number)
        if node.freed and node.keeps and node not in ledger.freed_at:
            ledger.freed_at[node] = number
            freed.append(ledger.label(node))
    return BackwardFact(
        executed=executed,
        graded=tuple(tensor.name for tensor in flow.accumulated),
        taken=tuple(
            TakenFact(
                tensor=each.tensor.name,
                node=ledger.label(each.node),
                runs=each.node in flow.executed,
            )
            for each in flow.captured
        ),
        freed=tuple(freed),
        hidden=flow.hidden,
    )


def _executed(ledger: Ledger, flow: Flow, node: Node, raises: bool) -> ExecutedFact:
    if node.leaf is not None:
        return ExecutedFact(
            node=ledger.label(node),
            step=None,
            adds_to=node.leaf.name,
            dropped=not raises and node.leaf not in flow.accumulated,
            raises=raises,
        )
    work = node.inner or node
    unpacks: list[UnpackedFact] = []
    looked = [] if node.keeps and node in ledger.freed_at else in_order(work.saved)
    for saved in looked:
        unpacks.append(
            UnpackedFact(
                tensor=saved.tensor.name,
                saved_at=saved.version,
                now_at=saved.tensor.counter.value,
                modified_by=tuple(b.step for b in ledger.modified_by(saved)),
                cut_off=cut_off(saved),
            )
        )
        if saved.stale or cut_off(saved):
            break
    return ExecutedFact(
        node=ledger.label(node),
        step=ledger.step_of(node),
        unpacks=tuple(unpacks),
        raises=raises,
    )


def cut_off(saved: Saved) -> bool:
    """Whether a saved operand has lost its node since, which backward refuses."""
    return saved.of_node and not saved.is_result and saved.tensor.node is None


def in_order(saved: list[Saved]) -> list[Saved]:
    """Saved tensors in the order in which backward unpacks them."""
    return sorted(saved, key=lambda s: (s.is_result, s.what))


def all_names(ledger: Ledger, tensor: Tensor) -> str:
    """A tensor by all its names."""
    return " alias ".join(names_of(ledger.interpreter.tensors, tensor)) or tensor.name
