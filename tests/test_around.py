"""Programs around one operation: every one gets its turn, in every form."""

from __future__ import annotations

from collections import Counter

import pytest

from strategies.around import CELLS, Cell, every
from strategies.draft import Shaped, check
from strategies.program import Program
from strategies.table import OPERATIONS


@pytest.fixture(scope="module")
def turns() -> list[tuple[Cell, Program]]:
    """Three programs around each cell."""
    return list(every(3, 7))


def test_every_operation_has_a_cell() -> None:
    """But for those that change what autograd knows of a tensor, which other programs have."""
    left = {op for op in OPERATIONS if op not in {cell.op for cell in CELLS}}
    rows = [OPERATIONS[op][0] for op in left]
    assert all(row.moves or row.relabels or row.name in ("detach", "data") for row in rows)


def test_every_cell_gets_as_many_programs(turns: list[tuple[Cell, Program]]) -> None:
    assert Counter(cell for cell, _ in turns) == dict.fromkeys(CELLS, 3)


def test_its_operation_acts_on_what_the_cell_says(turns: list[tuple[Cell, Program]]) -> None:
    """It occurs, and its first float64 operand is a view where it should be one."""
    for cell, program in turns:
        draft = check(program)
        steps = [s for s in draft.shaped if isinstance(s, Shaped) and s.step.op == cell.op]
        assert steps, cell
        if cell.on_view:
            views = {v.name for s in draft.shaped if isinstance(s, Shaped) for v in s.results}
            assert any(set(step.step.args) & views for step in steps), cell


def test_programs_depend_on_seed_and_place_alone(turns: list[tuple[Cell, Program]]) -> None:
    assert list(every(1, 7))[5] == turns[15]
    assert [p for _, p in every(1, 8)] != [p for _, p in turns[::3]]
