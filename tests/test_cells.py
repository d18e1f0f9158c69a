"""Which cells of operation x how, on what and in which grad mode a step falls into."""

from __future__ import annotations

from typing import Any

from benchmarks.distribution import Tally
from conformance.cells import (
    COLUMNS,
    IN_NO_GRAD,
    IN_PLACE,
    OF_SAVED,
    ON_VIEW,
    PLAIN,
    cells_of,
    every_form,
    why_never,
)
from conformance.model import predict
from strategies.draft import check
from strategies.program import Apply, Backward, Leaf, Mode, Program
from strategies.table import OPERATIONS, OUT, TABLE

A = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
NO_GRAD: tuple[Mode, ...] = ("no_grad",)


def _apply(op: str, *args: Any, to: str = "", modes: tuple[Mode, ...] = ()) -> Apply:
    return Apply(op, args, {}, tuple(to.split()), "", modes)


def _cells(*steps: Apply | Backward) -> list[tuple[str, str]]:
    return list(cells_of(check(Program((A,), steps))))


def test_a_write_of_what_a_node_saved() -> None:
    """`exp` saved its result, and a view of it is written in no_grad: all but the plain column."""
    cells = _cells(
        _apply("exp", "a", to="x"),
        _apply("view_as", "x", to="v"),
        _apply("mul_", "v", 2.0, modes=NO_GRAD),
    )
    assert cells[0] == ("exp", PLAIN)
    assert cells[2:] == [("mul", column) for column in (IN_PLACE, ON_VIEW, IN_NO_GRAD, OF_SAVED)]


def test_a_write_of_what_is_saved_no_longer() -> None:
    """A sum saves nothing, a second write finds the version gone, backward frees what is left."""
    freed = _cells(
        _apply("exp", "a", to="x"),
        Backward(("x",), ([1.0, 1.0],)),
        _apply("neg_", "x"),
    )
    assert ("neg", OF_SAVED) not in freed
    twice = _cells(_apply("exp", "a", to="x"), _apply("neg_", "x"), _apply("zero_", "x"))
    assert ("neg", OF_SAVED) in twice
    assert ("zero", OF_SAVED) not in twice
    assert ("neg", OF_SAVED) not in _cells(_apply("clone", "a", to="x"), _apply("neg_", "x"))


def test_the_plain_form_of_a_row_that_writes_fills_no_other_column() -> None:
    """`exp(v)` of a view in no_grad is plain only; `sum`, which has no in-place form, is all."""
    cells = _cells(
        _apply("view_as", "a", to="v"),
        _apply("exp", "v", to="x", modes=NO_GRAD),
        _apply("sum", "v", to="y", modes=NO_GRAD),
    )
    assert cells[1:] == [
        ("exp", PLAIN),
        *[("sum", column) for column in (PLAIN, ON_VIEW, IN_NO_GRAD)],
    ]


def test_a_detached_alias_is_no_view() -> None:
    """It shares memory and has no base."""
    cells = _cells(_apply("detach", "a", to="d"), _apply("neg_", "d"))
    assert ("neg", ON_VIEW) not in cells


def test_a_step_without_numbers() -> None:
    """Truth values are to hold what a product of them and a number would be."""
    cells = _cells(_apply("gt", "a", 1.0, to="m"), _apply("mul_", "m", 2.5))
    assert cells[-1] == ("mul", IN_PLACE)


def test_what_follows_an_error_does_not_count() -> None:
    """The step that raises counts, and nothing after it."""
    assert _cells(_apply("neg_", "a"), _apply("exp", "a", to="x")) == [("neg", IN_PLACE)]
    loss = Backward(("x",), ([1.0, 1.0],))
    freed = _cells(_apply("exp", "a", to="x"), loss, loss, _apply("neg_", "x"))
    assert freed == [("exp", PLAIN)]


def test_cells_that_nothing_can_fill_say_why() -> None:
    """Rows lack a form; every other cell can be filled."""
    empty = {(name, c) for name, row in TABLE.items() for c in COLUMNS if why_never(row, c)}
    assert ("zero", PLAIN) in empty
    assert ("sum", OF_SAVED) in empty
    assert ("data", PLAIN) not in empty
    assert ("relu", OF_SAVED) not in empty
    assert ("view", ON_VIEW) not in empty


def test_hidden_writes_are_counted_apart() -> None:
    """A write through `.data` of what a node saved leaves gradients open, and nothing else."""
    counts = Tally()
    draft = check(
        Program(
            (A,),
            (
                _apply("exp", "a", to="x0"),
                _apply("data", "x0", to="x1"),
                _apply("zero_", "x1"),
                Backward(("x0",), ([1.0, 1.0],)),
            ),
        )
    )
    counts.add(draft, predict(draft))
    assert counts.hidden == {
        "x, which exp saved, was overwritten through .data, where its version counter does not "
        "see it": 1
    }
    assert not counts.unspecified and counts.predicted == counts.steps == 4


def test_every_operation_of_programs_is_listed_with_its_forms() -> None:
    """The `out=` forms too: they write an operand, and have no plain form."""
    listed = every_form()
    assert {row.name for row, _ in OPERATIONS.values()} == set(listed)
    assert {listed[name] for name in OUT} == {"in place"}
    assert (listed["mul"], listed["sum"], listed["copy"]) == ("both", "plain", "in place")
