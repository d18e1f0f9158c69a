"""What a torch lacks is not drawn for it, and all other programs are the ones of any torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from strategies import around, scenes
from strategies.build import build
from strategies.choices import Choose, Replayed, Seeded
from strategies.drawing import programs, programs_with_functions
from strategies.lacking import drawing_without, suited
from strategies.program import Apply, Program
from strategies.staging import drawn

LACKING = frozenset({"mul", "mul_", "exp", "sigmoid", "setitem_", "add_out", "sum"})


def ops(program: Program) -> set[str]:
    return {step.op for step in program.steps if isinstance(step, Apply)}


def stream(count: int, make: Callable[[Choose], Program] = build) -> list[Program]:
    return [suited(Seeded(5, index), make) for index in range(count)]


def test_programs_without_what_lacks_are_the_same_for_every_torch() -> None:
    everything = stream(300)
    with drawing_without(LACKING):
        here = stream(300)
    unable = [bool(ops(program) & LACKING) for program in everything]
    assert 100 < sum(unable) < 290
    for program, other, lacks in zip(everything, here, unable, strict=True):
        assert lacks or program == other


def test_what_lacks_is_not_drawn() -> None:
    """But by steps of which a rare end is made, whatever is to be drawn."""
    with drawing_without(LACKING):
        programs = stream(300)
    assert sum(bool(ops(program) & LACKING) for program in programs) < 30


def test_once_drawing_is_over_everything_is_drawn() -> None:
    with drawing_without(LACKING):
        pass
    assert any(ops(program) & LACKING for program in stream(50))


def test_the_simplest_choices_stay_the_simplest() -> None:
    with drawing_without(frozenset({"exp"})):
        program = suited(Replayed([]), build)
    assert program.leaves[0].shape == (2,) and "exp" not in ops(program)


@pytest.mark.parametrize(
    "strategy",
    [programs(), drawn(scenes.views_written), programs_with_functions()],
    ids=["programs", "scene", "functions"],
)
def test_hypothesis_draws_nothing_that_lacks(strategy: st.SearchStrategy[Program]) -> None:
    seen: list[Program] = []

    @seed(3)
    @settings(
        max_examples=60,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(program: Program) -> None:
        seen.append(program)

    with drawing_without(frozenset({"exp", "exp_", "tanh_"})):
        collect()
    assert len(seen) > 20
    assert not any(ops(program) & {"exp", "exp_", "tanh_"} for program in seen)


def test_an_operation_that_lacks_gets_no_turn() -> None:
    with drawing_without(frozenset({"erfinv", "erfinv_"})):
        turns = {cell.op for cell, _ in around.every(1, 3)}
    assert "erfinv_" not in turns and "exp_" in turns
