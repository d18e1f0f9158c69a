"""Indices and masks: what they may name, what is drawn for them, what torch makes of them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from conformance.examine import Examiner, Judged
from conformance.model import Kind
from strategies.build import DEFAULT, build, with_rows
from strategies.choices import Seeded
from strategies.draft import check
from strategies.indices import draw_index
from strategies.layout import contiguous
from strategies.printer import print_body
from strategies.program import Apply, Backward, Leaf, Program, ProgramError
from strategies.reducing import reduced
from strategies.table import TABLE
from strategies.table.positions import rounds

INDEXED = [name for name, row in TABLE.items() if row.indexing is not None]
DRAWN = [build(Seeded(9, i), with_rows(DEFAULT, "mul", "view", *INDEXED)) for i in range(200)]


def applied(program: Program) -> list[Apply]:
    return [step for step in program.steps if isinstance(step, Apply)]


def used(program: Program, name: str) -> int:
    return sum(name in step.args for step in applied(program))


def indices(program: Program) -> list[str]:
    return [leaf.name for leaf in program.leaves if leaf.dtype == "int64"]


def ones(name: str, *shape: int, grad: bool = True) -> Leaf:
    return Leaf(name, shape, [1.0] * int(np.prod(shape)), requires_grad=grad)


def index(name: str, *entries: float) -> Leaf:
    return Leaf(name, (len(entries),), list(entries), "int64")


def judged(examiner: Examiner, leaves: list[Leaf], *steps: Apply | Backward) -> Judged:
    return examiner.examine(Program(tuple(leaves), steps))


def step(op: str, *args: Any, to: str = "", **params: Any) -> Apply:
    return Apply(op, args, params, (to,) if to else ())


# -- what is drawn --------------------------------------------------------------------------------


def test_index_leaves_are_drawn_for_steps_that_use_them() -> None:
    """A leaf that was drawn for a step which then could not be is taken back."""
    writes = {"add_", "mul_", "div_"}
    for program in DRAWN:
        refused = {str(s.args[0]) for s in applied(program) if s.op in writes}
        assert all(used(program, name) for name in {*indices(program)} - refused)


def test_an_index_that_is_there_is_used_again() -> None:
    assert any(used(program, name) > 1 for program in DRAWN for name in indices(program))


def test_programs_with_indices_stay_small() -> None:
    assert max(len(program.leaves) for program in DRAWN) <= DEFAULT.most_leaves + 5


@pytest.mark.parametrize("name", INDEXED)
def test_positions_exist_and_are_apart_where_they_must_be(name: str) -> None:
    """So nothing that is drawn is unspecified for its index."""
    indexing, first = TABLE[name].indexing, contiguous((2, 3))
    assert indexing is not None
    params: dict[str, Any] = {"dim": 1, "accumulate": False}
    for seed in range(40):
        data = draw_index(Seeded(1, seed), indexing, (2, 1), (first,), params)
        entries = np.array(data).reshape(2, 1)
        assert indexing.covers(entries, (first,), params)
        assert not indexing.collides(entries, (first,), params)


def test_entries_count_from_the_end_where_that_is_understood() -> None:
    counted = set()
    for program in DRAWN:
        leaves = [leaf for leaf in program.leaves if leaf.dtype == "int64"]
        data = {leaf.name: np.array(leaf.data, float) for leaf in leaves}
        negative = {name for name, entries in data.items() if (entries < 0).any()}
        counted |= {s.op.rstrip("_") for s in applied(program) if negative & {*map(str, s.args)}}
    understood = {n for n in INDEXED if (i := TABLE[n].indexing) is not None and i.from_end}
    assert counted and counted - {"add", "mul", "div"} <= understood


def test_rounds_name_no_place_twice_and_leave_none_out() -> None:
    for length in range(6):
        for places in itertools.product(range(3), repeat=length):
            entries = np.array(places, np.int64)
            groups = list(rounds(entries))
            assert sorted(n for group in groups for n in group) == list(range(length))
            assert all(len({*entries[group]}) == len(group) for group in groups)


# -- what a program may be ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (step("index_select", "w", "i", to="x", dim=0), "i must hold positions from 0 to 1"),
        (step("take", "w", "j", to="x"), "j must hold positions from -6 to 5"),
        (step("gather", "w", "i", to="x", dim=0), "does not go with"),
        (step("scatter", "a", "a", 1.0, to="x", dim=0), "index is float64 and must be int64"),
        (step("cat", "a", "w", to="x"), "does not go with"),
        (step("scatter_reduce", "a", "i", "a", to="x", dim=0, reduce="max"), "one of sum, prod"),
        (step("flip", "w", to="x", dims=[0, -2]), "a list of different dimensions"),
        (step("repeat", "w", to="x", repeats=[2]), "at least 2 integers from 0 up"),
        (step("pad", "w", to="x", pad=[1]), "two for each dimension"),
        (step("pad", "w", to="x", pad=[-2, -2]), "leaves less than nothing"),
        (step("index", "w", to="x", index=[None, 0, 0, 0]), "too many entries"),
    ],
)
def test_steps_that_cannot_be(steps: Apply, expected: str) -> None:
    leaves = (ones("w", 2, 3), ones("a", 2), index("i", 0.0, 2.0), index("j", 6.0))
    with pytest.raises(ProgramError, match=expected):
        check(Program(leaves, (steps,)))


def test_none_in_an_index_is_a_new_dimension() -> None:
    program = Program(
        (ones("w", 2, 3),),
        (
            step("index", "w", to="x", index=["...", None, 0]),
            step("setitem_", "x", 2.0, index=[None]),
        ),
    )
    draft = check(program)
    assert draft.values["x"].layout.shape == (2, 1)
    assert print_body(draft).text.splitlines()[1:] == ["x = w[..., None, 0]", "x[None] = 2.0"]


# -- what torch makes of it -----------------------------------------------------------------------


def test_who_writes_a_place_twice_is_unspecified(examiner: Examiner) -> None:
    """ "If accumulate is False, the behavior is undefined if indices contain duplicate elements"
    (torch.Tensor.index_put_)."""
    leaves = [ones("a", 3, grad=False), index("i", 0.0, 0.0), ones("b", 2)]
    assert judged(examiner, leaves, step("index_put_", "a", "i", "b")).verdict == "unspecified"
    added = step("index_put_", "a", "i", "b", accumulate=True)
    assert judged(examiner, leaves, added).verdict == "conforms"


def test_all_that_are_as_large_share_the_gradient(examiner: Examiner) -> None:
    """Evenly: a pairwise maximum would give a half, a quarter and a quarter."""
    leaves = [Leaf("a", (2,), [0.0, 0.0]), index("i", 0.0, 0.0, 0.0), ones("b", 3)]
    reduce = step("scatter_reduce", "a", "i", "b", to="x", dim=0, reduce="amax")
    found = judged(examiner, leaves, reduce, Backward(("x",), ([1.0, 1.0],)))
    assert found.verdict == "conforms"
    np.testing.assert_allclose(found.answer.gradients["b"].values, [1 / 3] * 3)


@pytest.mark.parametrize("op", ["index_add_", "index_copy_", "index_put_", "setitem_at_"])
def test_a_source_that_is_the_target_is_refused(examiner: Examiner, op: str) -> None:
    leaves = [ones("a", 2, grad=False), index("i", 0.0, 1.0)]
    params: dict[str, Any] = {"dim": 0} if op in ("index_add_", "index_copy_") else {}
    found = judged(examiner, leaves, step(op, "a", "i", "a", **params))
    assert found.verdict == "conforms" and found.prediction.raises is not None
    assert found.prediction.raises.kind is Kind.OVERLAP_PARTIAL


def test_a_target_is_not_its_own_source_once_torch_has_viewed_it(examiner: Examiner) -> None:
    """`x[i] = x` views a value with a leading dimension of size 1, and of gaps it knows nothing."""
    leaves = [ones("a", 1, 4, grad=False), index("i", 0.0)]
    half = step("index", "a", to="x", index=["...", [None, None, 2]])
    found = judged(examiner, leaves, half, step("setitem_at_", "x", "i", "x"))
    assert found.observation.error is None and found.verdict == "unspecified"


def test_a_masked_scatter_of_a_tensor_into_itself_is_unspecified(examiner: Examiner) -> None:
    leaves = [ones("a", 2, grad=False), Leaf("m", (2,), [0.0, 1.0], "bool")]
    assert judged(examiner, leaves, step("masked_scatter_", "a", "m", "a")).verdict == "unspecified"


def test_a_failure_with_an_index_shrinks_to_one_entry() -> None:
    def still(program: Program) -> bool:
        return any(step.op == "index_add_" for step in applied(program))

    programs = [program for program in DRAWN if still(program)][:3]
    assert len(programs) == 3
    for program in programs:
        smallest = reduced(program, still).program
        assert len(smallest.steps) == 1 and len(smallest.leaves) == 2
        assert [leaf.shape for leaf in smallest.leaves if leaf.dtype == "int64"] == [(1,)]


def test_a_write_to_what_a_step_made_shrinks_to_the_plain_step() -> None:
    """Where the step is needed only for something to be written."""

    def still(program: Program) -> bool:
        steps = applied(program)
        return bool(steps) and steps[-1].op in ("mul", "mul_") and steps[-1].args[1:] == ("b",)

    leaves = (ones("a", 2), ones("b", 2, grad=False))
    written = Program(leaves, (step("exp", "a", to="x"), step("mul_", "x", "b")))
    assert len(reduced(written, still).program.steps) == 1
