"""What writes into `out=`, which has no history to give: autograd refuses what could have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.model import former
from conformance.model.errors import Kind
from conformance.model.laws import MATMUL_LOOKS, OUT_ASKS, OUT_LOOKS
from conformance.model.overlap import check_overlap
from conformance.model.prediction import Acted
from conformance.model.quirks import (
    BY_FALLBACK,
    COMPARED,
    COMPARISON_UNVERSIONED,
    FOREACH_UNVERSIONED,
    KRON_OUT,
    LOOKS_ITSELF,
    NANMEAN_OUT,
    OUT_RECORDED,
    OUT_UNSEEN,
    RESHAPES_AFTER,
)
from conformance.model.saving import asks_autograd, fail
from conformance.model.state import Raised, Tensor, Unspecified
from strategies.draft import Shaped, way_of
from strategies.program import grad_mode, inferring, recording
from strategies.table.out import APART, SUFFIX

if TYPE_CHECKING:
    from conformance.model.interpreter import Interpreter

COPIED = frozenset({"inner_out"})
"""Rows whose `out=` forms are said to write what is computed, and nothing more: torch records such
a form as a copy of the plain one, whose gradients are right, and no page rules that out."""


_REPEATS_UNSEEN = frozenset(
    """
    addmv amax amin baddbmm bmm cross cummax cummin kthvalue logsumexp matmul max_dim mean
    median_dim min_dim mode mv nanmean nanmedian_dim nansum norm prod renorm std sum topk var
    """.split()
)
"""Rows whose kernels write into cells that repeat, in some version at least (observed)."""


def write_out(interpreter: Interpreter, step: Shaped) -> Acted:
    """ "functions with out=... arguments don't support automatic differentiation" (torch's own
    message), and everything that could have a history is refused: observed, as no page says it.
    """
    graph, quirks = interpreter.graph, interpreter.quirks
    if NANMEAN_OUT in quirks and step.row.name == "nanmean_out":
        return former.write_nanmean(interpreter, step)
    former.leave_open(interpreter, step)
    target, *operands = interpreter.operands(step)
    wanting = [t for t in (target, *operands) if graph.requires_grad(t)]
    looks = step.row.name in LOOKS_ITSELF and MATMUL_LOOKS not in graph.broken
    if wanting and looks and grad_mode(step.step.modes):
        raise Raised(Kind.OUT_GRAD, f"{wanting[0].name} requires grad")
    layouts = step.layouts
    viewed = step.row.viewed(layouts) if recording(step.step.modes) else ()
    for place in viewed:
        # To view an operand is to read its node, which may raise.
        graph.edge(operands[place - 1])
    node, acted = None, Acted(connected=(False,) * (1 + len(operands)))
    asked = recording(step.step.modes) and asks_autograd(step, interpreter.operands(step))
    unseen = step.row.name in OUT_UNSEEN and OUT_UNSEEN[step.row.name] in quirks
    if wanting and asked and not unseen:
        why = f"{wanting[0].name} requires grad"
        if step.row.name in COPIED:
            raise Unspecified(f"{step.step.op} where autograd records")
        if OUT_RECORDED not in quirks or step.row.name not in BY_FALLBACK:
            raise Raised(Kind.OUT_GRAD, why)
        try:
            graph.check_write(target, stale_is_leaf=True)
        except Raised:
            if OUT_ASKS in graph.broken:
                raise
            raise Raised(Kind.OUT_GRAD, why) from None
        node, acted = interpreter.record(step, [target, *operands])
        fail(node, step, graph.broken)
    unseen = OUT_LOOKS in graph.broken or step.row.name.removesuffix(SUFFIX) in _REPEATS_UNSEEN
    if target.layout.repeats_a_cell and unseen:
        raise Unspecified("out= whose cells repeat, which only some kernels look at")
    same = (operands[0].memory, operands[0].layout) == (target.memory, target.layout)
    # What writes by an index copies its first operand into `out`, unless it lies there already.
    copies = step.row.reads_apart and step.row.name.removesuffix(SUFFIX) not in APART
    others = operands[1:] if same and copies else operands
    acted.open = check_overlap(step, target, others, graph.broken)
    if not step.row.broadcasts and any(t.memory == target.memory for t in operands):
        acted.open = "out= that shares memory with an operand"
    graph.writes[target.memory] += 1
    count_write(interpreter, step, target, acted, operands)
    if node is not None:
        graph.rebase(target, node, floods=False)
    return acted


def count_write(
    interpreter: Interpreter, step: Shaped, target: Tensor, acted: Acted, operands: list[Tensor]
) -> None:
    """Raise the version of what a step has written, as often as the row says."""
    layouts = step.layouts
    inside = inferring(step.step.modes)
    once = inside and step.row.name in RESHAPES_AFTER
    times = 1 if once else step.row.writes_in(layouts, step.params)
    unversioned = (
        (FOREACH_UNVERSIONED, way_of(step) == "foreach"),
        (KRON_OUT, step.row.name == "kron_out"),
        (COMPARISON_UNVERSIONED, step.row.name in COMPARED),
    )
    if any(so and quirk in interpreter.quirks for quirk, so in unversioned):
        times = 0
    interpreter.graph.count_write(target, acted, inferring=inside, operands=operands, times=times)
