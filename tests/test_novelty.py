"""What is told apart in functions, and that cuts with more of it are taken."""

from __future__ import annotations

from statistics import mean

from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import check
from strategies.functions import functions_of, with_functions
from strategies.novelty import features, novel
from strategies.program import Apply, Backward, Leaf, Program

A = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)


def test_features_say_how_tensors_are_taken_written_and_given() -> None:
    steps = (
        Apply("mul", ("a", 2.0), {}, ("x0",)),
        Apply("view_as", ("x0", "a"), {}, ("x1",)),
        Apply("mul_", ("x1", 2.0), {}, modes=("no_grad",), function=1),
        Apply("t", ("x0",), {}, ("x2",), function=1),
        Apply("exp_", ("x0",), {}),
        Backward(("x2",), ([1.0, 1.0],)),
    )
    assert features(Program((A,), steps)) == {
        "takes a result",
        "takes a view",
        "takes two that share memory",
        "in it writes in no_grad what it takes or gives, through a view",
        "after it writes what it takes or gives, itself",
        "gives a view of what it takes",
        "gives one",
    }


def test_a_program_without_functions_has_none() -> None:
    assert features(Program((A,), (Apply("exp", ("a",), {}, ("x0",)),))) == frozenset()


def test_the_cut_with_the_most_is_taken() -> None:
    """Of 200 programs; leaves and steps are those of the program without functions."""
    plain, chosen = [], []
    for index in range(200):
        program = build(Seeded(4, index))
        plain.append(len(features(with_functions(Seeded(5, index), program))))
        cut = novel(Seeded(5, index), program)
        check(cut)
        assert bool(functions_of(cut.steps)) == bool(features(cut))
        chosen.append(len(features(cut)))
    assert all(one >= two for one, two in zip(chosen, plain, strict=True))
    assert mean(chosen) > 1.2 * mean(plain)
