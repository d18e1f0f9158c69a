"""Drawn programs: where their choices come from, that they are legal, and what they contain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from conformance.cells import COLUMNS, IN_NO_GRAD, OF_SAVED, ON_VIEW, cells_of
from conformance.model import QUIRKS, Kind, predict
from conformance.model.errors import PAST
from strategies.build import DEFAULT, Recipe, build, with_rows
from strategies.choices import Replayed, Seeded, chance, shuffled, weighted
from strategies.draft import Shaped, check
from strategies.drawing import layouts, programs, shapes
from strategies.drawn import Drawn
from strategies.growth import Growth
from strategies.layout import Layout
from strategies.oddities import odd
from strategies.printer import print_body
from strategies.program import Apply, Backward, Generated, Program, inferring, recording
from strategies.reducing import reduced
from strategies.table import OPERATIONS, OUT

DRAWN = [build(Seeded(2, index)) for index in range(3000)]
ROOMY = DEFAULT.most_leaves + 5
"""Leaves, those included that a refused step and an ending bring with them."""


def applied(program: Program) -> list[Apply]:
    return [step for step in program.steps if isinstance(step, Apply)]


def backwards(program: Program) -> list[Backward]:
    return [step for step in program.steps if isinstance(step, Backward)]


def shaped(program: Program) -> list[Shaped]:
    return [step for step in check(program).shaped if isinstance(step, Shaped)]


def viewed(program: Program) -> set[str]:
    """The names of views."""
    return {name for s in applied(program) if OPERATIONS[s.op][0].kind == "view" for name in s.to}


def raised(program: Program) -> Kind | None:
    """The kind of error that torch raises, by the model."""
    raises = predict(check(program), quirks=QUIRKS).raises
    return raises.kind if raises else None


@cache
def drawn_kinds() -> Counter[Kind | None]:
    """How the drawn programs end."""
    return Counter(map(raised, DRAWN))


def text(program: Program) -> list[str]:
    return print_body(check(program)).text.splitlines()


# -- sources of choices ---------------------------------------------------------------------------


def test_a_seeded_program_depends_on_seed_and_index_alone() -> None:
    assert [build(Seeded(2, index)) for index in (7, 3)] == [DRAWN[7], DRAWN[3]]
    assert build(Seeded(3, 7)) != DRAWN[7] != build(Seeded(2, 8))


def test_recorded_choices_make_the_same_program() -> None:
    for index in range(50):
        seeded = Seeded(2, index)
        program = build(seeded)
        assert build(Replayed(seeded.made)) == program


@given(st.data())
def test_hypothesis_and_a_replay_of_its_choices_make_the_same_program(data: st.DataObject) -> None:
    made: list[int] = []

    class Recording(Drawn):
        def below(self, n: int) -> int:
            made.append(super().below(n))
            return made[-1]

    @st.composite
    def recorded(draw: st.DrawFn) -> Program:
        return build(Recording(draw))

    assert data.draw(recorded()) == build(Replayed(made))


def test_a_replay_that_runs_out_makes_the_simplest_choices() -> None:
    assert build(Replayed([])) == build(Replayed([0] * 100))


def test_chances_are_as_often_as_they_say() -> None:
    choose = Seeded(1, 1)
    seen = Counter(chance(choose, 30) for _ in range(5000))
    assert 0.27 < seen[True] / 5000 < 0.33
    assert not any(chance(choose, 0) for _ in range(100))
    assert all(chance(choose, 100) for _ in range(100))


def test_weights_say_how_often() -> None:
    choose = Seeded(1, 2)
    seen = Counter(weighted(choose, (("a", 1), ("b", 3))) for _ in range(4000))
    assert 0.22 < seen["a"] / 4000 < 0.28


def test_shuffled_gives_every_order() -> None:
    orders = {tuple(shuffled(Seeded(1, i), "abc")) for i in range(200)}
    assert len(orders) == 6 and tuple(shuffled(Replayed([]), "abc")) == ("a", "b", "c")


# -- what is drawn --------------------------------------------------------------------------------


def test_drawn_programs_are_legal_and_small() -> None:
    for program in DRAWN:
        draft = check(program)
        assert draft.program() == program
        assert 1 <= len(program.leaves) <= ROOMY
        assert len(program.steps) <= DEFAULT.most_steps + 1
        assert max(value.layout.numel for value in draft.values.values()) <= DEFAULT.most_cells


@given(programs())
def test_programs_of_hypothesis_are_legal(program: Program) -> None:
    assert check(program).program() == program


def test_a_program_ends_with_a_backward_call_or_with_a_step_that_raises() -> None:
    """After a way around autograd nobody knows what raises."""
    for program in DRAWN:
        ended = isinstance(program.steps[-1], Backward) or raised(program)
        assert ended or predict(check(program)).unspecified


def test_ways_around_autograd_are_drawn() -> None:
    """`.data` in one program of a hundred, `resize_` and `set_` of views and of saved tensors."""
    data = [p for p in DRAWN if any(step.op == "data" for step in applied(p))]
    assert 0.005 < len(data) / len(DRAWN) < 0.02
    often = replace(DEFAULT, around=100, rarity=0, most_steps=10)
    cells = Counter(
        cell for i in range(600) for cell in cells_of(check(build(Seeded(6, i), often)))
    )
    for name in ("resize", "set"):
        for column in (ON_VIEW, IN_NO_GRAD, OF_SAVED):
            assert cells[name, column] >= 5, (name, column, cells[name, column])


def test_rows_of_one_rank_get_values_of_it() -> None:
    """`dropout3d` asks for five dimensions, and a view gives them to what has fewer."""
    cells = Counter(cell for program in DRAWN for cell in cells_of(check(program)))
    for column in COLUMNS:
        assert cells["dropout3d", column] >= 2, (column, cells["dropout3d", column])


def test_most_programs_run_to_their_end() -> None:
    """Errors are of interest, and so is what happens without them."""
    assert 0.4 < drawn_kinds()[None] / len(DRAWN) < 0.9


def test_every_kind_of_error_is_drawn() -> None:
    """The common ones by chance, the others by endings that are made for them."""
    rare = replace(DEFAULT, most_steps=10, rarity=100)
    ends = Counter(raised(build(Seeded(2, index), rare)) for index in range(400))
    assert set(Kind) - PAST <= set(ends + drawn_kinds())


CATEGORIES: dict[str, Callable[[Program], bool]] = {
    "in place": lambda p: any(OPERATIONS[s.op][1] for s in applied(p)),
    "view": lambda p: any(OPERATIONS[s.op][0].kind == "view" for s in applied(p)),
    "several views": lambda p: any(len(s.to) > 1 for s in applied(p)),
    "maybe self": lambda p: any(OPERATIONS[s.op][0].kind == "maybe-self" for s in applied(p)),
    "detach": lambda p: any(s.op == "detach" for s in applied(p)),
    "mask": lambda p: any(s.op in ("where", "masked_fill", "masked_fill_") for s in applied(p)),
    "matrix product": lambda p: any(s.op in ("mm", "matmul", "mv", "bmm") for s in applied(p)),
    "indexed write": lambda p: any(s.op == "setitem_" for s in applied(p)),
    "region off": lambda p: any(not recording(s.modes) for s in applied(p)),
    "region on": lambda p: any(s.modes and recording(s.modes) for s in applied(p)),
    "decorator": lambda p: any("@" in mode for s in applied(p) for mode in s.modes),
    "way of writing": lambda p: any(s.via for s in applied(p)),
    "two backward calls": lambda p: len(backwards(p)) > 1,
    "several roots": lambda p: any(len(step.of) > 1 for step in backwards(p)),
    "retained graph": lambda p: any(step.retain_graph for step in backwards(p)),
    "several leaves": lambda p: len(p.leaves) > 1,
    "leaf without grad": lambda p: not all(leaf.requires_grad for leaf in p.leaves),
    "0-d": lambda p: any(leaf.shape == () for leaf in p.leaves),
    "empty": lambda p: any(0 in leaf.shape for leaf in p.leaves),
    "shape in place": lambda p: any(s.row.moves and s.in_place for s in shaped(p)),
    "flag in place": lambda p: any(s.op == "requires_grad_" for s in applied(p)),
    "view that becomes a leaf": lambda p: any(
        s.op == "requires_grad_" and s.args[0] in viewed(p) for s in applied(p)
    ),
    "shape in place, unrecorded": lambda p: any(
        s.row.moves and s.in_place and not recording(s.step.modes) for s in shaped(p)
    ),
    "detached in place": lambda p: any(s.op == "detach_" for s in applied(p)),
    "no derivative": lambda p: any(s.row.undifferentiable for s in shaped(p)),
    "refused": lambda p: any(s.refused for s in shaped(p)),
    "integers": lambda p: any(leaf.dtype == "int64" for leaf in p.leaves),
    "inference mode": lambda p: any(inferring(s.modes) for s in applied(p)),
    "inputs": lambda p: any(step.inputs and not step.via for step in backwards(p)),
    "grad": lambda p: any(step.via == "grad" for step in backwards(p)),
    "generated data": lambda p: any(isinstance(leaf.data, Generated) for leaf in p.leaves),
}


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_is_drawn(category: str) -> None:
    assert sum(map(CATEGORIES[category], DRAWN)) >= 10


def test_every_operation_is_drawn() -> None:
    """The rare ones and the ways around autograd too, but for sgn, whose gradient is no ordinary
    tensor.
    """
    long = replace(DEFAULT, most_steps=40, go_on=98)
    recipes = (*[long] * 2500, *[replace(DEFAULT, odd=60)] * 600)
    programs = [build(Seeded(4, i), recipe) for i, recipe in enumerate(recipes)]
    seen = {step.op for program in programs for step in applied(program)}
    assert set(OPERATIONS) - set(OUT) - {"sgn", "sgn_"} <= seen
    assert len(seen & set(OUT)) > len(OUT) / 2


def test_a_recipe_decides_what_is_drawn() -> None:
    recipe = replace(
        DEFAULT, in_place=0, out=0, region=0, odd=0, rarity=0, most_leaves=1, most_steps=5
    )
    for index in range(200):
        program = build(Seeded(1, index), recipe)
        floats = [leaf for leaf in program.leaves if leaf.dtype == "float64"]
        assert len(floats) <= 3 and len(program.steps) <= 6
        assert not any(OPERATIONS[s.op][1] or s.modes for s in applied(program))


def test_a_recipe_can_be_restricted_to_rows() -> None:
    """But for odd steps and rarities, which are made of rows of their own."""
    recipe = with_rows(replace(DEFAULT, odd=0, rarity=0), "exp", "view", "mul")
    seen = {s.op for i in range(200) for s in applied(build(Seeded(1, i), recipe))}
    assert seen - set(OUT) == {"exp", "exp_", "mul", "mul_", "view"}


def test_a_recipe_decides_how_often_backward_names_its_inputs() -> None:
    for inputs in (0, 100):
        drawn = [build(Seeded(5, i), replace(DEFAULT, inputs=inputs)) for i in range(150)]
        calls = [step for program in drawn for step in backwards(program)]
        named = sum(bool(step.inputs) for step in calls)
        assert named > len(calls) / 2 if inputs else named < len(calls) / 10


def test_a_recipe_decides_how_often_backward_has_several_roots() -> None:
    for roots, low, high in ((0, 0.0, 0.0), (DEFAULT.roots, 0.01, 0.1), (100, 0.5, 1.0)):
        drawn = [build(Seeded(5, i), replace(DEFAULT, roots=roots)) for i in range(500)]
        calls = [step for program in drawn for step in backwards(program)]
        several = sum(len(step.of) > 1 for step in calls)
        assert low * len(calls) <= several <= high * len(calls)


def test_odd_steps_are_as_often_as_the_recipe_says() -> None:
    """Without them shapes, flags and history change in rarities alone, and with them often."""
    for weight in (0, 60):
        recipe = replace(DEFAULT, odd=weight, rarity=0, around=0)
        steps = [s for i in range(150) for s in shaped(build(Seeded(5, i), recipe))]
        rare = [s for s in steps if (s.in_place and (s.row.moves or s.row.relabels)) or s.refused]
        assert (len(rare) > len(steps) / 10) == bool(weight) and bool(rare) == bool(weight)


def test_odd_steps_alone_make_legal_programs() -> None:
    """However many of them a program has."""
    for index in range(100):
        growth = Growth(Seeded(7, index), replace(DEFAULT, most_leaves=1))
        growth.leaf(requires_grad=True)
        for _ in range(20):
            odd(growth)
        assert check(growth.draft.program()).program() == growth.draft.program()


# -- what examples shrink towards -----------------------------------------------------------------


SHRINKING = settings(
    max_examples=5000,
    database=None,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
)
"""Derandomised, so that what an example shrinks to is the same in every run."""


def test_shapes_shrink_towards_few_dimensions_of_the_least_size() -> None:
    assert find(shapes(), lambda shape: True) == ()
    assert find(shapes(least_ndim=2, least_size=1), lambda shape: True) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"least_ndim": 3, "most_ndim": 2}, "least_ndim is 3 and must lie between 0 and most_ndim"),
        ({"least_size": -1}, "least_size is -1 and must lie between 0 and most_size, 3"),
    ],
)
def test_shapes_that_cannot_be_are_refused(arguments: dict[str, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        shapes(**arguments)


def test_layouts_shrink_towards_row_major_ones() -> None:
    assert find(layouts(), lambda layout: True) == Layout((), ())
    assert find(layouts(shape=(2, 3)), lambda layout: True) == Layout((2, 3), (3, 1))


def test_programs_shrink_towards_one_leaf_one_operation_and_backward() -> None:
    smallest = find(programs(), lambda program: True, settings=SHRINKING)
    assert text(smallest) == [
        "a = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)",
        "x0 = a.exp()",
        "x0.backward(torch.tensor([1.0, 1.0], dtype=torch.float64))",
    ]


def test_a_program_with_a_write_shrinks_to_one_leaf_and_three_steps() -> None:
    smallest = find(programs(), CATEGORIES["in place"], settings=SHRINKING)
    assert len(smallest.leaves) == 1
    assert len(smallest.steps) <= 3


def test_an_overwritten_saved_tensor_shrinks_to_three_steps() -> None:
    """As in a trial: by its choices first, then by whole steps."""
    found = find(programs(recipe=Recipe(most_steps=8)), raises_saved, settings=SHRINKING)
    smallest = reduced(found, raises_saved).program
    assert len(smallest.leaves) == 1
    assert len(smallest.steps) == 3


def raises_saved(program: Program) -> bool:
    return raised(program) is Kind.SAVED_MODIFIED


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        (Kind.SAVED_DETACHED, 4),
        (Kind.FLAG_NONLEAF, 4),
        (Kind.NOT_DIFFERENTIABLE, 3),
        (Kind.INFERENCE_SAVED, 4),
        (Kind.INPUT_UNGRADED, 2),
        (Kind.OUT_GRAD, 4),
    ],
)
def test_a_rare_error_shrinks_to_the_steps_that_it_needs(kind: Kind, steps: int) -> None:
    """As in a trial: by its choices first, then by whole steps."""
    recipe = Recipe(most_steps=8, rarity=60)

    def raises_it(program: Program) -> bool:
        return raised(program) is kind

    found = find(programs(recipe=recipe), raises_it, settings=SHRINKING)
    smallest = reduced(found, raises_it).program
    assert len(smallest.steps) <= steps
    assert len(smallest.leaves) <= (2 if kind in (Kind.INPUT_UNGRADED, Kind.OUT_GRAD) else 1)
