"""What the node of a step is like: the row that it stands for, what it saves, what it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from conformance.model.indexing import AT_POSITIONS
from conformance.model.laws import (
    ALIASES_KEEP,
    ERRORS_FIRST,
    PIECES_REFUSED,
    QUIET_FIRST,
    TARGET_FIRST,
)
from conformance.model.quirks import CLAMP_SHAPES, PIECES_STALE, SPLITS
from conformance.model.state import AT_ONCE, Counter, Creation, Graph, Node, Tensor
from strategies.draft import Shaped, Value, way_of
from strategies.layout import broadcast_shapes
from strategies.program import inferring, recording
from strategies.table import TABLE, Save
from strategies.table.changes import row_in
from strategies.table.row import Row

WRAPS = frozenset({"mul", "div", "div_floor", "div_trunc"})
"""Rows whose nodes keep a number operand as a tensor of their own, which makes them run once."""
_TAKES_AS_TENSORS = WRAPS | frozenset(
    {"add", "sub", "floor_divide", "setitem", "setitem_where", *AT_POSITIONS}
)
"""Rows for which torch makes a tensor of a number before it looks for what to call."""
_DIVERGENCES = frozenset({"kl_div", "kl_div_log_target"})
_READ_IN_ORDER = {**dict.fromkeys((*_DIVERGENCES, "linear"), (1, 0)), "linear_bias": (1, 2, 0)}
"""Rows composed of operations of which the first one does not read the first operand (observed);
others read first what torch views first.
"""


def read_in_order(name: str, broken: frozenset[str]) -> tuple[int, ...]:
    """The places of a row's operands in the order in which they are read; none if it is theirs."""
    if name in _DIVERGENCES and TARGET_FIRST in broken:
        return ()
    return _READ_IN_ORDER.get(name, ())


def recorded_row(step: Shaped, torch: str) -> Row:
    """The row of the node that is recorded: `matmul` records what its operands' ranks call for."""
    if step.row.acts_as is None:
        return step.row
    layouts = tuple(o.layout for o in step.operands if isinstance(o, Value))
    return row_in(TABLE[step.row.acts_as(layouts)], "", torch)


def by_name(row: Row, step: Shaped, operands: list[Tensor]) -> dict[str, Tensor | None]:
    """Each operand's tensor by torch's argument name; None for a number."""
    left = iter(operands)
    return {
        spec.name: next(left) if isinstance(given, Value) else None
        for spec, given in zip(row.operands, step.operands, strict=True)
    }


def creation_of(step: Shaped, graph: Graph) -> Creation:
    """How a view that the step makes came to be."""
    if step.row.name in SPLITS and PIECES_STALE in graph.quirks:
        return "stale"
    if step.row.multi and step.row.name not in SPLITS and QUIET_FIRST in graph.broken:
        return "multi"
    if not recording(step.step.modes):
        return "inference" if inferring(step.step.modes) else "no_grad"
    refused = step.row.name not in SPLITS or PIECES_REFUSED not in graph.broken
    return "multi" if step.row.multi and refused else "default"


def by_formulas(row: Row, saves: Sequence[Save]) -> list[Save]:
    """What a node keeps, in the order in which the derivatives of its operands ask for it: by the
    names of the operands that are derived, and for each by the places of those that are kept.
    """
    places = {operand.name: place for place, operand in enumerate(row.operands)}
    in_place_of = sorted(saves, key=lambda save: places.get(save.what, len(places)))
    asked = [
        save
        for derived in sorted(places)
        for save in in_place_of
        if not save.when or derived in save.when or any(" " in when for when in save.when)
    ]
    return list(dict.fromkeys((*asked, *saves)))


def applies(
    save: Save,
    named: dict[str, Tensor | None],
    edges: dict[str, Node | None],
    params: Mapping[str, Any],
) -> bool:
    """Whether a node keeps what the row says, by its operands, those that have an edge, and its
    parameters.
    """
    return not save.when or any(_holds(when, named, edges, params) for when in save.when)


def _holds(
    when: str,
    named: dict[str, Tensor | None],
    edges: dict[str, Node | None],
    params: Mapping[str, Any],
) -> bool:
    kind, _, name = when.rpartition(" ")
    if not kind:
        return edges.get(name) is not None
    if kind == "no":
        return edges.get(name) is None
    if kind == "given":
        return params[name] is not None
    if kind.startswith("but-"):
        return bool(params[name] != float(kind[4:]))
    return (named[name] is None) == (kind == "number")


def lose_derivative(
    node: Node, step: Shaped, quirks: frozenset[str], broken: frozenset[str]
) -> None:
    """Mark the node of an operation that has no derivative in this form, as backward will say.

    `broken` are the rules that are not followed.
    """
    if step.row.name == "clamp_tensor" and CLAMP_SHAPES in quirks:
        node.misfit = partial(_misfit, step)
    if step.row.undifferentiable == "always":
        fail(node, step, broken)
    elif step.row.undifferentiable == "in self":
        node.underivable, node.underived = step.step.op, (0,)
    elif step.row.undifferentiable == "in other":
        node.underivable, node.underived = step.step.op, tuple(range(len(node.edges)))[1:2]
    elif step.row.undifferentiable == "of each":
        node.underivable, node.underived = step.step.op, tuple(range(len(node.edges)))
    elif step.row.undifferentiable and step.in_place:
        node.underivable = step.step.op


def fail(node: Node, step: Shaped, broken: frozenset[str]) -> None:
    """Make a node that stands for a missing derivative; it runs as soon as it can, or in turn."""
    node.underivable = step.step.op
    if ERRORS_FIRST not in broken:
        node.order = AT_ONCE


def _misfit(step: Shaped, wanted: Sequence[bool]) -> str:
    """What is wrong in a clamp whose masks torch combines in place, if one is too small.

    It makes masks only for the operands whose gradients are wanted.
    """
    one, low, high = (o.layout.shape for o in step.operands if isinstance(o, Value))
    to_self, to_low, to_high = wanted
    whole = broadcast_shapes(one, low, high)
    of_low = (to_self or to_low) and broadcast_shapes(one, low) != whole
    of_high = to_high and broadcast_shapes(one, high) != whole
    return f"a mask of {step.step.op} does not fit into another" if of_low or of_high else ""


def wraps_number(step: Shaped, broken: frozenset[str]) -> bool:
    """Whether a number operand is kept as a tensor."""
    alias = way_of(step).removeprefix("torch.") in ("multiply", "divide")
    return step.row.name in WRAPS and not (alias and ALIASES_KEEP in broken)


def sums_nothing(step: Shaped) -> bool:
    """Whether it is an einsum with an operand that has no elements."""
    if step.row.name != "einsum":
        return False
    return any(isinstance(o, Value) and not o.layout.numel for o in step.operands)


def out_of_sight(tensor: Tensor) -> Tensor:
    """The same memory as a node keeps it where no version tells of a write."""
    return replace(tensor, counter=Counter(), node=None, base=None)


def asks_autograd(step: Shaped, operands: list[Tensor]) -> bool:
    """Whether autograd sees an operation: not where all operands are inference tensors, even if one
    has got a history through an alias that has a version (observed).
    """
    if not all(t.inference for t in operands):
        return True
    numbers = any(not isinstance(given, Value) for given in step.operands)
    # The noise of rrelu is a tensor as well.
    return step.row.name == "rrelu" or (numbers and step.row.name in _TAKES_AS_TENSORS)
