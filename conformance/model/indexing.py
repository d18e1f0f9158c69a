"""What an index takes: all of a tensor, or one position twice."""

from __future__ import annotations

from conformance.model.state import Tensor
from strategies.draft import Shaped, Value


def collides(step: Shaped) -> bool:
    """Whether nobody says which of two entries of an index counts."""
    layouts = tuple(o.layout if isinstance(o, Value) else None for o in step.operands)
    indexing, index = step.row.indexing, step.index
    assert indexing is not None and index is not None
    return indexing.collides(index, layouts, step.params)


def covers(index: list[object], tensor: Tensor) -> bool:
    """Whether an index takes everything in order, so that torch makes no view for it."""
    at = 0
    for item in index:
        if item == "...":
            at += tensor.layout.ndim - (len(index) - 1)
            continue
        if not isinstance(item, list):
            return False
        start, stop, step = item
        if start or step not in (None, 1) or (stop is not None and stop < tensor.layout.shape[at]):
            return False
        at += 1
    return True
