"""What `x[index] = value` looks at before it writes, and which part of the tensor it writes.

All of it is observed: the index is followed first, then the value is fitted to the part that it
names, and only then is that part written as any other tensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.model.errors import Kind
from conformance.model.state import Node, Raised, Tensor
from strategies.draft import Shaped, Value
from strategies.layout import Layout
from strategies.program import recording
from strategies.table.row import Row
from strategies.table.views import fault

if TYPE_CHECKING:
    from conformance.model.interpreter import Interpreter


AT_POSITIONS = frozenset(f"setitem_{where}" for where in ("at", "second", "twice", "rows"))
"""Rows that put a value where an index tensor says."""


def collides(step: Shaped) -> bool:
    """Whether nobody says which of two entries of an index counts."""
    layouts = step.layouts
    indexing, index = step.row.indexing, step.index
    assert indexing is not None and index is not None
    return indexing.collides(index, layouts, step.params)


def written_part(interpreter: Interpreter, step: Shaped, operands: list[Tensor]) -> Tensor:
    """The tensor, or a view of it that is made on the way, unless the index covers everything
    (observed).

    Raises Raised where the index or the value is refused, or reading a node on the way is.
    """
    tensor, *values = operands
    if step.row.name == "setitem":
        _follow(interpreter, step, tensor)
    target = _part(interpreter, step, tensor)
    if step.row.name == "setitem" or step.row.name in AT_POSITIONS:
        _fit(interpreter, step, target, values)
    return target


def _follow(interpreter: Interpreter, step: Shaped, tensor: Tensor) -> None:
    """An index is followed entry by entry, and each view on the way reads its operand's node."""
    index = step.params["index"]
    wrong = fault(tensor.layout, index)
    if wrong is None:
        return
    if recording(step.step.modes) and not _covers(step.row, index, wrong.at, tensor.layout):
        interpreter.graph.edge(tensor)
    raise Raised(Kind(wrong.why), f"{tensor.name} has the shape {list(tensor.layout.shape)}")


def _part(interpreter: Interpreter, step: Shaped, tensor: Tensor) -> Tensor:
    layout, index = step.target, step.params.get("index", [0])
    whole = _covers(step.row, index, len(index), tensor.layout)
    if layout is None or step.row.part is None or whole:
        return tensor
    records = recording(step.step.modes)
    node = None
    if records and interpreter.graph.requires_grad(tensor):
        node = Node("index", [interpreter.graph.edge(tensor)], interpreter.graph.number())
    part = Value(tensor.name, tensor.dtype, layout, tensor.memory)
    return interpreter.viewed(tensor, part, node, "default" if records else "no_grad")


def _fit(interpreter: Interpreter, step: Shaped, target: Tensor, values: list[Tensor]) -> None:
    """A value of another shape is viewed, which reads its node first, and expanded; of one that is
    put at positions only leading dimensions of size 1 are viewed away.
    """
    for value in values if recording(step.step.modes) else ():
        shape = value.layout.shape
        at_positions = step.row.name in AT_POSITIONS
        viewed = shape[:1] == (1,) if at_positions else shape not in ((), target.layout.shape)
        if viewed and interpreter.counts(value):
            interpreter.graph.grad_fn(value)
    if step.refused:
        (value,) = values
        sizes = list(value.layout.shape), list(target.layout.shape)
        why = f"{value.name} of the shape {sizes[0]} does not expand to {sizes[1]}"
        raise Raised(Kind(step.refused), why)


def _covers(row: Row, index: list[Any], count: int, layout: Layout) -> bool:
    """Whether the first entries of an index take everything in order, so that torch makes no view
    for them; for a slice whose end is not named it may make one all the same.
    """
    at = 0
    for item in index[:count]:
        if item == "...":
            at += layout.ndim - (len(index) - 1)
            continue
        if not isinstance(item, list):
            return False
        start, stop, step = item
        if start or step not in (None, 1) or (stop is not None and stop < layout.shape[at]):
            return False
        if row.views_its_part and stop != layout.shape[at]:
            return False
        at += 1
    return True
