"""Why a program raises, or why it does not: the error traced to the step that caused it."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.explain.facts import Advice, Ending
from conformance.explain.ledger import BANS, Bump, Ledger
from conformance.explain.misfits import details, moved_leaf
from conformance.explain.origins import origins, told
from conformance.explain.repair import repairs
from conformance.explain.rules import OBSERVED, RULES, UNKNOWN
from conformance.explain.trace import Traced, all_names, cut_off, in_order
from conformance.model import QUIRKS, predict
from conformance.model.errors import Kind, fragments
from conformance.model.state import Node, Raised, Saved, Tensor
from strategies.program import Apply, Backward

_SHOWN = "What a torch does, `autograd-conformance check` shows."
_DETACH = (
    "Use .detach() in place of .data: writes through it are counted, and backward raises in place "
    "of a wrong gradient."
)
_BANNED = (
    Kind.MULTI_VIEW_INPLACE,
    Kind.MULTI_VIEW_REBASED,
    Kind.NO_GRAD_VIEW_INPLACE,
    Kind.NO_GRAD_VIEW_REBASED,
    Kind.INFERENCE_VIEW_INPLACE,
    Kind.INFERENCE_VIEW_REBASED,
)
_INFERENCE = (Kind.INFERENCE_WRITE, Kind.INFERENCE_SAVED, Kind.INFERENCE_GRAD)
_MOST = 6
"""How many writes are told one by one."""


def ending(traced: Traced) -> Ending:
    """How the program ends; where it raises, with the rule, advice, and torch's message."""
    if traced.raised is not None:
        return _raises(traced, traced.raised)
    deviations = tuple(_deviations(traced))
    if traced.unspecified:
        open_from = next(step.number for step in traced.steps if step.unspecified)
        why = (
            f"The documentation does not say what happens: {traced.unspecified}.",
            f"From step {open_from} on all is open: whether anything raises, values, gradients and "
            f"versions. {_SHOWN}",
        )
        return Ending(outcome="unspecified", why=why, deviations=deviations)
    if traced.hidden:
        return Ending(
            outcome="runs",
            why=tuple(_why_nobody_saw(traced)),
            rule="A write through .data is not counted: .data has a version counter of its own.",
            source=OBSERVED,
            advice=(Advice(text=_DETACH),),
            trusted=False,
            deviations=deviations,
        )
    told = _open(traced.open) if traced.open else tuple(_why_it_runs(traced.ledger))
    return Ending(outcome="runs", why=told, trusted=not traced.open, deviations=deviations)


def _open(reason: str) -> tuple[str, ...]:
    """Nothing raises, but numbers are anybody's guess."""
    return (f"The documentation does not say what the numbers are: {reason}.",)


def _call(traced: Traced, number: int) -> str:
    """By which of torch's two functions a step runs backward."""
    step = traced.ledger.draft.steps[number - 1]
    return "grad" if isinstance(step, Backward) and step.via else "backward"


def _raises(traced: Traced, raised: Raised) -> Ending:
    failing = next(step.number for step in traced.steps if step.raises)
    rule = RULES.get(raised.kind, UNKNOWN)
    advice = repairs(traced, raised.kind, failing)
    return Ending(
        outcome="raises",
        step=failing,
        kind=raised.kind.value,
        why=tuple(_why(traced, raised, failing)),
        rule=rule.sentence,
        source=rule.source,
        advice=advice or (Advice(text=rule.advice),),
        message=fragments(raised.kind, call=_call(traced, failing)),
        deviations=tuple(_deviations(traced)),
    )


def _deviations(traced: Traced) -> Iterator[str]:
    """Where torch is known to raise elsewhere than its documentation says."""
    draft = traced.ledger.draft
    documented = predict(draft).raises
    for quirk in sorted(QUIRKS):
        torch = predict(draft, quirks=frozenset({quirk})).raises
        if torch == documented:
            continue
        does = "runs on" if torch is None else f"raises at step {torch.step + 1} ({torch.why})"
        yield f"torch itself {does}: the known deviation {quirk}"


# -- why it raises ------------------------------------------------------------------------------


def _why(traced: Traced, raised: Raised, failing: int) -> Iterator[str]:
    ledger = traced.ledger
    stale = _stale(traced)
    subject = _subject(ledger, raised)
    if raised.kind is Kind.SAVED_MODIFIED and stale and traced.failed:
        yield from _saved_modified(ledger, traced.failed, stale, failing)
    elif raised.kind is Kind.FREED and traced.failed:
        yield from _freed(ledger, traced.failed, failing)
    elif raised.kind is Kind.NOTHING_REQUIRES_GRAD and subject:
        yield from _no_start(ledger, subject, failing)
    elif raised.kind in (Kind.LEAF_INPLACE, Kind.VIEW_OF_LEAF_INPLACE) and subject:
        yield from _leaf(ledger, subject, failing)
    elif raised.kind is Kind.SAVED_DETACHED and traced.failed:
        yield from _detached(ledger, traced.failed, failing)
    elif raised.kind in _INFERENCE:
        yield from _inferred(ledger, raised, failing)
    elif raised.kind in _BANNED and subject and subject.creation in BANS:
        yield from _banned(ledger, subject, failing)
    elif raised.kind is Kind.LEAF_MOVED and subject:
        yield from moved_leaf(ledger, subject, failing)
    else:
        yield f"Step {failing}, `{ledger.text(failing)}`, raises: {raised.why}."
        yield from details(ledger, raised.kind, failing, traced.failed)


def _stale(traced: Traced) -> Saved | None:
    if traced.failed is None:
        return None
    work = traced.failed.inner or traced.failed
    modified = [saved for saved in work.saved if saved.stale]
    return min(modified, key=lambda s: (s.is_result, s.what), default=None)


def _subject(ledger: Ledger, raised: Raised) -> Tensor | None:
    """The tensor that the model's reason names first."""
    words = raised.why.replace(",", " ").split()
    tensors = {t.name: t for t in ledger.interpreter.tensors.values()}
    return next((tensors[word] for word in words if word in tensors), None)


def _saved_modified(ledger: Ledger, node: Node, saved: Saved, failing: int) -> Iterator[str]:
    name = saved.tensor.name
    saver = ledger.step_of(node)
    role = ", its result," if saved.is_result else ""
    yield (
        f"The backward of step {failing} runs the node {ledger.label(node)}, which had saved "
        f"{name}{role} at version {saved.version}."
    )
    bumps = ledger.modified_by(saved)
    for bump in bumps[:_MOST]:
        through = _through(ledger, bump, saved.tensor)
        again = "the same step" if bump.step == saver else f"step {bump.step}"
        yield (
            f"Then {again}, `{ledger.text(bump.step)}`, wrote {through}: version {bump.before} -> "
            f"{bump.after}."
        )
    if len(bumps) > _MOST:
        yield f"So did {len(bumps) - _MOST} more steps."
    yield (
        f"Saved at {saved.version}, now at {saved.tensor.counter.value}: what {node_word(node)} "
        f"needs is gone, and backward raises in place of computing with another value. Torch "
        f"compares the versions, not the values."
    )


def _detached(ledger: Ledger, node: Node, failing: int) -> Iterator[str]:
    """An operand that a node saved, and the step that cut it off from the graph."""
    saved = next(s for s in in_order((node.inner or node).saved) if cut_off(s))
    yield (
        f"The backward of step {failing} runs the node {ledger.label(node)}, which had saved "
        f"{saved.tensor.name} while it was the result of an operation."
    )
    tensors = ledger.interpreter.tensors
    for number, step in enumerate(ledger.draft.steps[: failing - 1], start=1):
        if not isinstance(step, Apply) or step.op != "detach_":
            continue
        if tensors.get(str(step.args[0])) is saved.tensor:
            yield f"Step {number}, `{ledger.text(number)}`, made it a leaf."


def _inferred(ledger: Ledger, raised: Raised, failing: int) -> Iterator[str]:
    """What a step does to a tensor that was made in inference mode."""
    yield f"Step {failing}, `{ledger.text(failing)}`, raises: {raised.why}."
    words = raised.why.split()
    for tensor in dict.fromkeys(ledger.interpreter.tensors.values()):
        born = ledger.born.get(tensor, 0)
        if tensor.name in words and tensor.inference and born:
            yield f"Step {born}, `{ledger.text(born)}`, made {tensor.name} an inference tensor."


def node_word(node: Node) -> str:
    """The operation of a node, that inside CopySlices included."""
    return (node.inner or node).operation


def _through(ledger: Ledger, bump: Bump, saved: Tensor) -> str:
    """A write by the alias that did it."""
    target = bump.target
    if target is saved:
        return f"{saved.name} itself"
    if target.base is not None and target.base is saved:
        how = f"{target.name}, a view of {saved.name}"
    elif saved.base is target:
        how = f"{target.name}, the base of {saved.name}"
    elif target.base is not None and target.base is saved.base:
        how = f"{target.name}, a view of the same base ({target.base.name})"
    else:
        how = f"{target.name}, an alias with the same version counter"
    return f"the memory of {saved.name} through {how}"


def _freed(ledger: Ledger, node: Node, failing: int) -> Iterator[str]:
    first = ledger.freed_at.get(node)
    when = f"the backward of step {first}" if first else "an earlier backward"
    yield (
        f"The backward of step {failing} runs the node {ledger.label(node)} again, but {when} ran "
        f"it without retain_graph=True and freed what it had saved."
    )


def _no_start(ledger: Ledger, root: Tensor, failing: int) -> Iterator[str]:
    yield (
        f"Backward of step {failing} starts at {root.name}, which does not require grad: no node "
        f"leads from it to any leaf."
    )
    ends = origins(ledger, root, failing)
    links = [*dict.fromkeys(link for origin in ends for link in origin)]
    for link in links[:_MOST]:
        yield told(ledger, link)
    if len(links) > _MOST:
        yield f"So it is with {len(links) - _MOST} more."


def _leaf(ledger: Ledger, target: Tensor, failing: int) -> Iterator[str]:
    leaf = target.base or target
    through = f" through {target.name}, a view of it (step {ledger.born[target]})"
    yield (
        f"Step {failing}, `{ledger.text(failing)}`, would write {leaf.name}, a leaf that requires "
        f"grad,{through if leaf is not target else ''} where autograd records."
    )
    yield (
        f"A recorded write would turn {leaf.name} into the result of an operation, and there would "
        f"be no leaf left whose .grad could receive the gradient."
    )


def _banned(ledger: Ledger, view: Tensor, failing: int) -> Iterator[str]:
    born = ledger.born.get(view, 0)
    made = f"Step {born}, `{ledger.text(born)}`, made {view.name}, a view {BANS[view.creation]}."
    if view.creation == "multi":
        made = f"Step {born}, `{ledger.text(born)}`, made {view.name} as one of its several views."
    yield made
    moved = [b for b in ledger.bumps if b.counter is view.counter and b.after > view.made_at]
    if not moved or not ledger.interpreter.outdated(view):
        yield (
            f"Step {failing}, `{ledger.text(failing)}`, would write it where autograd records, and "
            f"then its history would have to be rewritten; for such a view that is forbidden."
        )
        return
    bump = moved[0]
    yield (
        f"Step {bump.step}, `{ledger.text(bump.step)}`, wrote {_through(ledger, bump, view)}: "
        f"version {bump.before} -> {bump.after}. By that the node of {view.name}, made at version "
        f"{view.made_at}, is out of date."
    )
    yield (
        f"Step {failing} needs that node, and would have to make it anew; for such a view that is "
        f"forbidden."
    )


def _why_nobody_saw(traced: Traced) -> Iterator[str]:
    """A saved tensor was overwritten, and no version tells."""
    ledger = traced.ledger
    counters: dict[int, set[int]] = {}
    for tensor in ledger.interpreter.tensors.values():
        counters.setdefault(tensor.memory, set()).add(id(tensor.counter))
    for bump in [b for b in ledger.bumps if len(counters[b.memory]) > 1][:_MOST]:
        yield f"Step {bump.step}, `{ledger.text(bump.step)}`, wrote {bump.target.name}."
    yield f"By that, {traced.hidden}."
    yield (
        "So backward found the version that it expected, and computed with the new value as if it "
        "were the old one: nothing raises, and the gradients are not to be trusted."
    )
    yield f"The values are certain, the gradients that run through that node are open. {_SHOWN}"


# -- why it does not ----------------------------------------------------------------------------


def _why_it_runs(ledger: Ledger) -> Iterator[str]:
    ran = any(isinstance(step, Backward) for step in ledger.draft.shaped)
    if not ledger.bumps:
        yield "Nothing is written in place, so no version moves and nothing saved can change."
    for bump in ledger.bumps[:_MOST]:
        yield from _harmless(ledger, bump)
    if len(ledger.bumps) > _MOST:
        yield f"The other {len(ledger.bumps) - _MOST} writes are as harmless."
    if not ran:
        yield "No backward runs, so nothing that was saved is ever looked at."


def _harmless(ledger: Ledger, bump: Bump) -> Iterator[str]:
    """Why one write makes nothing raise."""
    target = bump.target
    root = target.base or target
    where = f"Step {bump.step} writes {all_names(ledger, target)}"
    if root.flag and not bump.recorded:
        yield (
            f"{where}, and {root.name} is a leaf that requires grad: allowed, since the step is "
            f"not recorded ({ledger.unrecorded.get(bump.step, 'autograd is off')})."
        )
    holders = [
        (node, saved)
        for node in ledger.interpreter.graph.recorded
        for saved in node.saved
        if saved.tensor.counter is bump.counter
        and saved.version < bump.after
        and ledger.made_by.get(node, 0) <= bump.step
    ]
    for node, saved in holders[:_MOST]:
        runs = [at for at in ledger.executed_at.get(node, []) if at < bump.step]
        before = f", after the backward of step {runs[-1]} had run it" if runs else ""
        yield (
            f"{where}, which {ledger.label(node)} had saved at version {saved.version}{before}; no "
            f"backward runs that node afterwards, and one that did would raise."
        )
    unseen = [
        (node, saved)
        for node in ledger.interpreter.graph.recorded
        for saved in node.saved
        if saved.tensor.memory == bump.memory
        and saved.tensor.counter is not bump.counter
        and ledger.made_by.get(node, 0) <= bump.step
    ]
    for node, saved in unseen[:_MOST]:
        yield (
            f"{where}, and with it the memory of {saved.tensor.name}, which {ledger.label(node)} "
            f"had saved; no version tells, so backward would run on a wrong value."
        )
    if holders or unseen or (root.flag and not bump.recorded):
        return
    users = [
        node
        for node in ledger.interpreter.graph.recorded
        if bump.memory in ledger.touched.get(node, ()) and ledger.made_by[node] <= bump.step
    ]
    yield f"{where}. No node holds its old value{_because(ledger, users)}."


def _because(ledger: Ledger, users: list[Node]) -> str:
    """What the nodes that knew a memory kept of it."""
    if not users:
        return ": no recorded operation had used it"
    labels = [ledger.label(node) for node in users[:3]]
    nothing = "saves nothing" if len(users) == 1 else "save nothing"
    others = f" and {len(users) - 3} more" if len(users) > 3 else ""
    known = ", ".join(labels[:-1]) + (" and " if len(labels) > 1 and not others else "")
    known += (", " if others and len(labels) > 1 else "") + labels[-1] + others
    return f": {known} {nothing} that this write changes"
