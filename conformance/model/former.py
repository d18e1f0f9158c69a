"""What operations once did otherwise than by autograd's rules, as quirks of the register have it.

Nothing here is asked of the torch that the op table is of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.model.errors import Kind
from conformance.model.laws import DETACHED_MOVES, ONE_IS_MULTIPLIED, TRANSPOSES_APART
from conformance.model.overlap import check_overlap
from conformance.model.prediction import Acted
from conformance.model.quirks import (
    COMPOSED_OUT,
    DOT_OUT,
    NORM_OUT,
    PAD_ITSELF,
    PIECES_STALE,
    QUIET_PASSES,
    UNGRADED_QUIETLY,
)
from conformance.model.saving import by_name, creation_of
from conformance.model.state import Counter, Node, Raised, Tensor, Unspecified
from strategies.draft import Shaped, Value, way_of
from strategies.program import inferring, recording
from strategies.table.change import within

if TYPE_CHECKING:
    from conformance.model.interpreter import Interpreter

_COMPOSED = (
    ("logical_and logical_not logical_or logical_xor", ("plain", "in place"), ">=1.4,<1.12", ""),
    ("polygamma", ("in place",), ">=1.4,<1.12", ""),
    ("square heaviside", ("in place",), ">=1.8,<1.12", ""),
    ("trunc", ("plain", "in place"), ">=1.8,<1.12", "fix torch.fix torch.fix_"),
)
"""Rows that were an `out=` form, which of their forms were, in which versions, and the ways of
writing them that were, if not all."""
_COMPOSED_ROWS = frozenset(name for rows, *_ in _COMPOSED for name in rows.split())


def refuse_composed(interpreter: Interpreter, step: Shaped) -> None:
    """Raise Raised where an operation called its `out=` form, which refuses what requires grad."""
    if step.row.name not in _COMPOSED_ROWS:
        return
    if COMPOSED_OUT not in interpreter.quirks or not recording(step.step.modes):
        return
    wanting = [t for t in interpreter.operands(step) if interpreter.graph.requires_grad(t)]
    form = "in place" if step.in_place else "plain"
    for rows, forms, torch, ways in _COMPOSED:
        named = step.row.name in rows.split() and form in forms
        named = named and (not ways or way_of(step) in ways.split())
        if wanting and named and within(torch, interpreter.draft.torch):
            raise Raised(Kind.OUT_GRAD, f"{wanting[0].name} requires grad")


def write_nanmean(interpreter: Interpreter, step: Shaped) -> Acted:
    """`out` is filled with 0, through a view unless dimensions are kept, gets the sum where
    autograd does not look, and is then divided in place (observed).
    """
    graph = interpreter.graph
    target, *operands = interpreter.operands(step)
    records = recording(step.step.modes) and graph.requires_grad(target)
    part = target if step.params["keepdim"] else _seen(interpreter, step, target)
    acted = Acted(recorded=records, connected=(records, *(False for _ in operands)))
    acted.open = check_overlap(step, target, operands, graph.broken)
    if any(tensor.memory == target.memory for tensor in operands):
        acted.open = "out= that shares memory with an operand"
    graph.writes[target.memory] += 1
    for name, written in (("fill_", part), ("div_", target)):
        node = None
        if records:
            graph.check_write(written, stale_is_leaf=True)
            keeps = name == "div_"
            node = Node(
                name, [graph.edge(written)], graph.number(), (written,), graph.at, keeps=keeps
            )
            graph.recorded.append(node)
            acted.node = node
        graph.count_write(target, acted, inferring=inferring(step.step.modes), operands=operands)
        if node is not None:
            graph.rebase(written, node, floods=name == "fill_")
    return acted


def _seen(interpreter: Interpreter, step: Shaped, target: Tensor) -> Tensor:
    """A view of `out` that has the dimensions of what is summed."""
    graph, node = interpreter.graph, None
    if recording(step.step.modes) and graph.requires_grad(target):
        node = Node("as_strided", [graph.edge(target)], graph.number(), (target,))
    value = Value(target.name, target.dtype, target.layout, target.memory)
    return interpreter.viewed(target, value, node, creation_of(step, graph))


def refuse_ungraded(interpreter: Interpreter, step: Shaped) -> None:
    """Raise Raised for an operand in which an operation has no derivative, where torch does so at
    once: it should where autograd records, and did in no_grad as well (observed).
    """
    if not step.row.ungraded:
        return
    tensor = by_name(step.row, step, interpreter.operands(step)).get(step.row.ungraded)
    asks = recording(step.step.modes) or UNGRADED_QUIETLY in interpreter.quirks
    if tensor is not None and asks and interpreter.counts(tensor):
        raise Raised(Kind.NOT_DIFFERENTIABLE, f"{step.step.op} has no derivative in {tensor.name}")


def split_apart(interpreter: Interpreter, step: Shaped, node: Node | None, acted: Acted) -> Acted:
    """Pieces share memory with what they are pieces of, and neither version nor history."""
    (parent,) = interpreter.operands(step)
    for number, value in enumerate(step.results):
        piece = Tensor(value.name, parent.memory, Counter(), value.layout, parent.dtype)
        piece.node, piece.number = node, number
        piece.history = interpreter.new_history()
        interpreter.tensors[value.name] = piece
    return acted


def reach_base(interpreter: Interpreter, target: Tensor, acted: Acted) -> None:
    """A piece of what was made in no_grad, or a view of it, has a node that leads nowhere, and is a
    part of its base all the same once it is written (observed).
    """
    if target.base is None or acted.connected[0]:
        return
    if PIECES_STALE not in interpreter.quirks and QUIET_PASSES not in interpreter.quirks:
        return
    edge = interpreter.graph.edge(target.base)
    acted.connected = (edge is not None and edge.alive, *acted.connected[1:])


_SQUEEZE_OUT = frozenset("max_dim_out min_dim_out median_dim_out mode_out kthvalue_out".split())
"""`out=` forms that wrote a dimension of size 1 and then took it away."""
_LEFT_OPEN = _SQUEEZE_OUT | {"pad", "matmul_out", "norm_out", "prod"}
"""Rows of which something may be left open."""


def transposes_itself(interpreter: Interpreter, step: Shaped) -> bool:
    """Whether torch gave an inference tensor itself, since its dimensions stay where they are."""
    (tensor,) = interpreter.operands(step)
    if not tensor.inference or TRANSPOSES_APART not in interpreter.graph.broken:
        return False
    if step.row.name in ("transpose", "swapaxes", "swapdims"):
        return len({dim % tensor.layout.ndim for dim in step.params.values()}) == 1
    return step.row.name == "t" and tensor.layout.ndim < 2


def _wants(interpreter: Interpreter, step: Shaped) -> bool:
    """Whether something that a step reads or writes requires grad."""
    return any(map(interpreter.graph.requires_grad, interpreter.operands(step)))


def leave_open(interpreter: Interpreter, step: Shaped) -> None:
    """Raise Unspecified where a quirk gives what belongs to another tensor, or records an `out=`
    form.
    """
    if step.row.name not in _LEFT_OPEN:
        return
    pads = step.row.name == "pad" and PAD_ITSELF in interpreter.quirks
    if pads and max(step.params["pad"]) <= 0:
        raise Unspecified("F.pad by nothing gives its operand, or memory of it")
    if DOT_OUT in interpreter.quirks and step.row.name == "matmul_out":
        vectors = all(t.layout.ndim == 1 for t in interpreter.operands(step)[1:])
        if vectors and _wants(interpreter, step):
            raise Unspecified("torch.matmul of vectors resizes out, and fills it")
    if NORM_OUT in interpreter.quirks and step.row.name == "norm_out":
        frobenius = step.params["p"] == 2.0
        if frobenius and recording(step.step.modes) and _wants(interpreter, step):
            raise Unspecified("torch.norm without p writes out where autograd records")
    if ONE_IS_MULTIPLIED in interpreter.graph.broken and step.row.name == "prod":
        (factors,) = interpreter.operands(step)
        drops = step.params["dim"] is not None and not step.params["keepdim"]
        if drops and factors.layout.shape == (1,) and _wants(interpreter, step):
            raise Unspecified("prod of one element by dim, which fails in backward if it is zero")
    squeezes = step.row.name in _SQUEEZE_OUT and DETACHED_MOVES in interpreter.graph.broken
    if squeezes and not step.params["keepdim"] and interpreter.operands(step)[0].fixed:
        raise Unspecified("an out= that was detached and loses a dimension on the way")
