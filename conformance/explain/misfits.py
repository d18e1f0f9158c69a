"""What lies behind errors of one step: shapes, dtypes, cells that repeat, a leaf that moved."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.explain.ledger import Ledger
from conformance.model.errors import Kind
from conformance.model.state import Node, Tensor
from strategies import layout as lay
from strategies.draft import Shaped, Value
from strategies.layout import Layout


def details(ledger: Ledger, kind: Kind, failing: int, failed: Node | None) -> Iterator[str]:
    """The shapes, dtypes or earlier steps by which a step cannot be; nothing for other kinds."""
    step = ledger.draft.shaped[failing - 1]
    if kind is Kind.BACKWARD_OVERLAP and failed is not None:
        writer = ledger.step_of(failed)
        written = ledger.draft.shaped[writer - 1] if writer else None
        if isinstance(written, Shaped):
            yield from _repeating(ledger, written, writer or 0)
    if not isinstance(step, Shaped):
        return
    if kind is Kind.BROADCAST_TARGET:
        yield _broadcast(step)
    elif kind is Kind.DTYPE_CAST:
        yield _cast(step)
    elif kind is Kind.OVERLAP_SELF:
        yield from _repeating(ledger, step, failing)


def _tensors(step: Shaped) -> list[Value]:
    return [operand for operand in step.operands if isinstance(operand, Value)]


def _broadcast(step: Shaped) -> str:
    target, *others = _tensors(step)
    shapes = " and ".join(f"{o.name} has shape {list(o.layout.shape)}" for o in others)
    result = lay.broadcast_shapes(*(o.layout.shape for o in (target, *others)))
    return (
        f"{target.name} has shape {list(target.layout.shape)} and {shapes}: together they "
        f"broadcast to {list(result)}, and a target keeps its shape."
    )


def _cast(step: Shaped) -> str:
    target, result = _tensors(step)[0], step.row.operands[0].dtype
    return (
        f"{target.name} is {target.dtype} and the result is {result}, which cannot be cast to "
        f"{target.dtype}."
    )


def _repeating(ledger: Ledger, step: Shaped, number: int) -> Iterator[str]:
    """The step that first laid several elements of the target into one cell."""
    name, before, origin = _tensors(step)[0].name, number, 0
    while True:
        born = ledger.born.get(ledger.interpreter.tensors[name], 0)
        maker = ledger.draft.shaped[born - 1] if 0 < born < before else None
        if not isinstance(maker, Shaped) or not any(_repeats(r.layout) for r in maker.results):
            break
        origin, before, name = born, born, _tensors(maker)[0].name
    if origin:
        maker = ledger.draft.shaped[origin - 1]
        assert isinstance(maker, Shaped)
        yield (
            f"Step {origin}, `{ledger.text(origin)}`, made {maker.step.to[0]}, of which several "
            f"elements lie in one cell of memory."
        )


def _repeats(layout: Layout) -> bool:
    return layout.repeats_a_cell


def _family(tensor: Tensor) -> Tensor:
    """The base whose history a tensor shares: its own, if it is no view."""
    return tensor.base or tensor


def moved_leaf(ledger: Ledger, leaf: Tensor, failing: int) -> Iterator[str]:
    """Which step wrote a leaf so that it became the result of an operation."""
    yield (
        f"The backward of step {failing} arrives at {leaf.name}, which was a leaf that requires "
        f"grad when the graph was recorded, and is the result of an operation now."
    )
    for step, tensor in ledger.lost:
        if tensor is leaf:
            yield (
                f"Step {step}, `{ledger.text(step)}`, let it not require grad any more, so that it "
                f"could be written."
            )
    for bump in ledger.bumps:
        if bump.recorded and _family(bump.target) is _family(leaf):
            through = "" if bump.target is leaf else f" through {bump.target.name}"
            yield (
                f"Step {bump.step}, `{ledger.text(bump.step)}`, wrote it{through} where autograd "
                f"records: since then it is the result of that step."
            )
            return
