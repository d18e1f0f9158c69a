"""Which in-place writes raise because cells of memory are written twice, or read and written.

"More than one element of an expanded tensor may refer to a single memory location. As a result,
in-place operations [...] may result in incorrect behavior" (torch.Tensor.expand). Which of them
raise is observed.
"""

from __future__ import annotations

import math

from conformance.model.errors import Kind
from conformance.model.laws import (
    ALL_LOOK,
    INDEX_FILLS,
    INDEX_LOOKS,
    NUMBERS_FILL,
    ONES_REPEAT_NOTHING,
    STRIDES_COUNT,
    VALUE_LOOKS,
)
from conformance.model.state import Raised, Tensor, Unspecified
from strategies import layout as lay
from strategies.draft import Shaped, Value
from strategies.layout import Layout
from strategies.table.out import BY_MATRIX


def check_overlap(
    step: Shaped, target: Tensor, others: list[Tensor], broken: frozenset[str] = frozenset()
) -> str:
    """Raise Raised if the kernel refuses the write; say why if its order decides the result.

    Writing one number everywhere is harmless. Dense operands that overlap the target partially are
    refused, others are not looked at (observed). `broken` are the rules that are not followed.
    """
    by_index = step.row.indexing is not None and INDEX_LOOKS in broken
    looks = Kind.OVERLAP_PARTIAL not in broken and not by_index
    places = [
        _place(step, target, t, first=number == 0)
        for number, t in enumerate(others)
        if t.memory == target.memory
    ]
    masked = (
        step.row.name == "setitem_where" and INDEX_FILLS in broken and INDEX_LOOKS not in broken
    )
    fills = _fills(step, target, others) and not masked
    copies = step.row.name in _COPIES and not fills
    if copies and _written(step, target) in places:
        return ""
    flooding = floods(step, broken)
    repeats = target.layout.repeats_a_cell and not target.layout.is_dense
    if ONES_REPEAT_NOTHING in broken:
        repeats = 0 in target.layout.strides and not target.layout.is_contiguous
    unchecked = step.row.unchecked_overlap and not _is_copied_back(step, target.layout)
    if repeats and step.row.name in _LOOKED_AT_TIMES and ALL_LOOK in broken:
        raise Unspecified(f"{step.step.op} of cells that repeat, which it did not always look at")
    if repeats and not flooding and not unchecked:
        raise Raised(Kind.OVERLAP_SELF, f"cells of {target.name} repeat")
    repeats = repeats or target.layout.overlaps_itself
    open_values = "a write to cells that repeat" if repeats and not flooding else ""
    if fills or step.row.reads_first:
        return open_values
    if (
        looks
        and (step.row.reads_apart or masked)
        and any(t is target for t in _as_they_are(step, target, others))
    ):
        raise Raised(Kind.OVERLAP_PARTIAL, f"{target.name} is its own operand")
    for place in places:
        scattered = step.row.unchecked_reads and not step.row.broadcasts
        ordered = step.row.reads_apart or scattered or masked
        alike = _same_cells(place, target.layout) and not ordered
        if alike or not _touch(place, target.layout):
            continue
        if STRIDES_COUNT in broken and place.span == target.layout.span and not ordered:
            open_values = "operands of one range and other strides"
            continue
        if step.row.reads_as_it_writes:
            if _intersect(place, target.layout):
                open_values = "partially overlapping operands"
            continue
        dense = place.is_dense and target.layout.is_dense
        if STRIDES_COUNT in broken:
            dense = place.is_contiguous and target.layout.is_contiguous
        if looks and dense and not step.row.unchecked_reads:
            raise Raised(Kind.OVERLAP_PARTIAL, f"an operand overlaps {target.name} partially")
        if _intersect(place, target.layout):
            open_values = "partially overlapping operands"
    return open_values


def _is_copied_back(step: Shaped, layout: Layout) -> bool:
    """Whether the kernel computes elsewhere and copies: one that works on matrices does so unless
    they lie one after another, where there are more than three dimensions (observed).
    """
    if step.row.name not in BY_MATRIX or layout.ndim < 4:
        return False
    expected = math.prod(layout.shape[-2:])
    for place in reversed(range(layout.ndim - 2)):
        size, stride = layout.shape[place], layout.strides[place]
        if place == 0 and (stride == 0 or size == 1):
            break
        if stride != expected:
            return True
        expected *= size
    return False


def floods(step: Shaped, broken: frozenset[str] = frozenset()) -> bool:
    """Whether a step writes one number everywhere; `broken` are the rules that are not followed."""
    values = [operand for operand in step.operands[1:] if isinstance(operand, Value)]
    fills = step.row.name == "fill" or (step.row.name == "setitem" and INDEX_FILLS not in broken)
    if VALUE_LOOKS in broken and fills:
        return all(value.layout.ndim == 0 for value in values)
    numbers = step.row.name == "fill" or (step.row.name == "setitem" and NUMBERS_FILL not in broken)
    return step.row.name in ("zero", "fill_diagonal") or (numbers and not values)


def reads_its_results(step: Shaped) -> bool:
    """Whether an in-place kernel reads an operand of which it has written a part by then."""
    if not (step.in_place and step.row.reads_as_it_writes):
        return False
    first, *others = (o for o in step.operands if isinstance(o, Value))
    return any(o.memory == first.memory and _intersect(o.layout, first.layout) for o in others)


_COPIES = frozenset({"copy", "foreach_copy", "setitem"})
"""Rows that copy, which is done before it is begun where both tensors are the same."""
_LOOKED_AT_TIMES = frozenset({"addr", "index_copy", "renorm"})
"""Rows whose kernels of TH refused cells that repeat for some operands alone."""
_OF_ONE_VALUE = frozenset({"fill", "masked_fill", "index_fill", "setitem_where"})
"""Rows that read one value, before they write."""


def _place(step: Shaped, target: Tensor, other: Tensor, *, first: bool) -> Layout:
    """Where an operand is read: `x[index] = value` expands its value to the target first.

    addr sees its first vector as a column (observed).
    """
    if step.row.name == "addr" and first:
        return lay.viewed(other.layout, (other.layout.numel, 1)) or other.layout
    shape = _written(step, target).shape
    if step.row.name != "setitem" or other.layout.shape == shape:
        return other.layout
    # A view chooses strides of its own for sizes of 1, of the same shape too.
    seen = lay.viewed(other.layout, lay.without_leading_ones(other.layout).shape)
    assert seen is not None
    return lay.expanded(seen, shape)


def _written(step: Shaped, target: Tensor) -> Layout:
    """Where `x[index] = value` writes, with the dimensions that the index adds."""
    if step.row.name == "setitem" and step.target is not None:
        return step.target
    return target.layout


def _as_they_are(step: Shaped, target: Tensor, others: list[Tensor]) -> list[Tensor]:
    """The operands that torch does not view first."""
    viewed = step.row.viewed((target.layout, *(t.layout for t in others)))
    return [t for place, t in enumerate(others, start=1) if place not in viewed]


def _fills(step: Shaped, target: Tensor, others: list[Tensor]) -> bool:
    """Whether one value goes everywhere: torch copies it first if it shares the target's memory."""
    by_index = step.row.name == "setitem" and len(others) == 1 and not others[0].layout.shape
    return step.row.name in _OF_ONE_VALUE or (by_index and target.layout.shape != ())


def _same_cells(one: Layout, two: Layout) -> bool:
    """Whether torch takes them for the same: it compares range and strides, and no sizes."""
    return one == two or (one.strides == two.strides and one.span == two.span)


def _touch(one: Layout, two: Layout) -> bool:
    if not one.numel or not two.numel:
        return False
    first, second = one.span, two.span
    return first[0] <= second[1] and second[0] <= first[1]


def _intersect(one: Layout, two: Layout) -> bool:
    return bool(set(one.cells().ravel().tolist()) & set(two.cells().ravel().tolist()))
