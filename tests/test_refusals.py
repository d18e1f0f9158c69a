"""What torch refuses of an in-place step for its shapes, its dtype or its index."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest

from conformance.model import Kind, classify
from strategies.draft import Draft, check
from strategies.layout import contiguous
from strategies.program import Apply, Argument, Leaf, Program, ProgramError
from strategies.refusals import CASTING, casts_to
from strategies.table import TABLE, Row
from tests.on_torch import run

SHAPES = ((2,), (3,), (), (1,), (0,), (2, 2), (3, 1), (1, 1))
INDICES: tuple[list[Any], ...] = (
    *(["..."], [0], [1], [2], [-2], [-3], [0, 0], [0, 1], [0, 2], [2, 0], [0, 0, 0]),
    *([[None, None, None]], [[0, 1, None]], [[0, 0, None]], [[0, 9, None], 1], [[1, None, 1], 5]),
    *(["...", 0], ["...", 5], [0, "..."], [9, "..."], [0, "...", 0], ["...", 0, 0], [0, "...", 9]),
)
BROADCASTING = [
    row
    for row in TABLE.values()
    if row.in_place
    and row.broadcasts
    and row.indexing is None
    and row.name != "setitem"
    and sum(operand.tensor for operand in row.operands) > 1
]
COMPUTING = [
    row
    for row in TABLE.values()
    if row.in_place and not (row.moves or row.relabels or row.inert or row.outside_the_law)
]


def leaf(name: str, shape: tuple[int, ...], dtype: Any = "float64") -> Leaf:
    return Leaf(name, shape, [1.0] * math.prod(shape), dtype)


def refused(leaves: list[Leaf], step: Apply) -> str:
    """Why the step is refused; torch is asked, and must say the same."""
    draft = check(Program(tuple(leaves), (step,)))
    (shaped,) = draft.shaped
    error = run(draft).error
    kind = classify(str(error), in_backward=False) if error else None
    why = getattr(shaped, "refused")  # noqa: B009
    assert (Kind(why) if why else None) == kind and (error is None) == (not why), (step, error)
    return str(why)


@pytest.mark.parametrize("row", BROADCASTING, ids=lambda row: row.name)
def test_every_row_refuses_the_shapes_that_torch_refuses(row: Row) -> None:
    """Operands that do not broadcast at all are told from those that make the target larger."""
    tensors = [operand for operand in row.operands[1:] if operand.tensor]
    seen = set()
    some = SHAPES if len(tensors) == 1 else ((2,), (3,), (), (2, 2))
    for target, *shapes in product(some, repeat=1 + len(tensors)):
        leaves = [leaf("x", target)]
        given: list[Argument] = ["x"]
        left = iter(shapes)
        for number, operand in enumerate(row.operands[1:]):
            if operand.tensor:
                leaves.append(leaf(f"o{number}", next(left), operand.dtype))
            given.append(f"o{number}" if operand.tensor else 2.0)
        if row.needs((contiguous(target), *map(contiguous, shapes))):
            seen.add(refused(leaves, Apply(row.name + "_", tuple(given))))
    assert seen == {"", "broadcast target", "operands do not broadcast"}


def test_fill_takes_numbers_and_0d_tensors() -> None:
    whys = {
        shape: refused([leaf("x", target), leaf("v", shape)], Apply("fill_", ("x", "v")))
        for target, shape in product(SHAPES, repeat=2)
    }
    assert {shape for shape, why in whys.items() if not why} == {()}


def test_an_indexed_write_refuses_what_torch_refuses() -> None:
    """The index is looked at before the value, and each for its own reasons."""
    seen = set()
    for shape, index, value in product(SHAPES, INDICES, (2.0, *SHAPES)):
        leaves = [leaf("x", shape)]
        if isinstance(value, tuple):
            leaves.append(leaf("v", value))
        what: Argument = "v" if isinstance(value, tuple) else value
        seen.add(refused(leaves, Apply("setitem_", ("x", what), {"index": index})))
    assert seen - {""} == {
        "value of another size",
        "value of more dimensions",
        "index out of range",
        "too many indices",
        "index of a 0-d tensor",
    }


@pytest.mark.parametrize("dtype", ["int64", "bool"])
@pytest.mark.parametrize("row", COMPUTING, ids=lambda row: row.name)
def test_a_target_of_another_dtype_is_refused_where_torch_cannot_cast(row: Row, dtype: Any) -> None:
    """Where it computes all the same, or says something else, there is no such program."""
    leaves = [leaf("x", (2,), dtype)]
    given: list[Argument] = ["x"]
    for number, operand in enumerate(row.operands[1:]):
        if operand.tensor and not operand.number:
            leaves.append(leaf(f"o{number}", (2,), operand.dtype))
        given.append(f"o{number}" if operand.tensor and not operand.number else 2.0)
    step = Apply(row.name + "_", tuple(given))
    if casts_to(row, dtype, {}):
        assert refused(leaves, step) == "dtype cast"
        return
    draft = Draft()
    for each in leaves:
        draft.add_leaf(each)
    with pytest.raises(ProgramError):
        draft.add(step)


def test_every_row_of_the_list_of_casts_computes_in_place() -> None:
    assert {row.name for row in COMPUTING} >= CASTING
