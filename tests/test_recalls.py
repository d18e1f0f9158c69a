"""Functions that are called again: which ones, how they are printed, and how they are drawn."""

from __future__ import annotations

from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import check
from strategies.functions import with_calls_again, with_functions
from strategies.printer import print_body
from strategies.program import Apply, Backward, Leaf, Mode, Program
from strategies.recalls import with_a_call_again
from strategies.transforms import TRANSFORMS

A = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
B = Leaf("b", (2,), [3.0, 4.0])


def program(*, op: str = "exp", modes: tuple[Mode, ...] = ()) -> Program:
    """A function of a, and one with the same steps, but for what is given, of b."""
    steps = (
        Apply("exp", ("a",), {}, ("x0",), function=1),
        Apply("mul", ("x0", "a"), {}, ("x1",), function=1),
        Apply(op, ("b",), {}, ("y0",), function=2, modes=modes),
        Apply("mul", ("y0", "b"), {}, ("y1",), function=2, modes=modes),
    )
    return Program((A, B), (*steps, Backward(("x1",), ([1.0, 1.0],))))


def test_a_function_with_the_steps_of_another_is_that_one_called_again() -> None:
    first, second = with_calls_again(program().steps)
    assert (first.again, second.again, second.takes) == (0, 1, ("b",))


def test_a_function_with_other_steps_is_another() -> None:
    assert [one.again for one in with_calls_again(program(op="neg").steps)] == [0, 0]


def test_regions_around_all_steps_are_around_the_call() -> None:
    _, second = with_calls_again(program(modes=("no_grad",)).steps)
    assert (second.again, second.modes) == (1, ("no_grad",))


def test_what_compiles_calls_it_again_and_nothing_else_does() -> None:
    """The steps of the second call stand on the line of the call."""
    draft = check(program(modes=("no_grad",)))
    body = print_body(draft, transform=TRANSFORMS["compile-aot_eager"])
    lines = body.text.splitlines()
    assert lines[-3:-1] == ["with torch.no_grad():", "    y1 = function_1(b)"]
    assert body.step_lines[2] == body.step_lines[3] == len(lines) - 1
    plain = print_body(draft, transform=TRANSFORMS["functionalize"]).text
    assert "def function_2(b):" in plain


def test_drawn_programs_call_functions_again_with_other_tensors() -> None:
    """Every second program has such a call; none is lost that was there without it."""
    again = other = 0
    for index in range(200):
        choose = Seeded(9, index)
        before = with_functions(choose, build(choose))
        after = with_a_call_again(choose, before)
        check(after)
        functions = with_calls_again(after.steps)
        called = [one for one in functions if one.again]
        again += bool(called)
        other += any(one.takes != functions[one.again - 1].takes for one in called)
        assert called or after == before
    assert again > 80
    assert other > 60
