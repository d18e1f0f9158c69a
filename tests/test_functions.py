"""The functions of a program: which steps, what they take and give, and how they are printed."""

from __future__ import annotations

import pytest

from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import check
from strategies.functions import functions_of, with_functions
from strategies.printer import print_body
from strategies.program import Apply, Backward, Leaf, Program, ProgramError, decode, encode
from strategies.transforms import TRANSFORMS

A = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)


def program(*functions: int) -> Program:
    """Three steps, which have these function numbers, and a backward call."""
    steps = (
        Apply("exp", ("a",), {}, ("x0",), function=functions[0]),
        Apply("mul_", ("x0", 2.0), {}, function=functions[1]),
        Apply("neg", ("x0",), {}, ("x1",), function=functions[2]),
    )
    return Program((A,), (*steps, Backward(("x1",), ([1.0, 1.0],))))


def test_a_function_takes_what_it_uses_and_gives_what_is_used_later_or_nowhere() -> None:
    """What only the function itself uses stays inside."""
    (inner,) = functions_of(program(1, 1, 1).steps)
    assert (inner.first, inner.last, inner.takes, inner.gives) == (0, 2, ("a",), ("x1",))
    (outer,) = functions_of(program(1, 1, 0).steps)
    assert (outer.takes, outer.gives) == (("a",), ("x0",))


def test_a_function_that_is_torn_apart_is_refused() -> None:
    with pytest.raises(ProgramError, match="function 1 do not follow each other"):
        check(program(1, 0, 1))


def test_steps_in_inference_mode_are_no_part_of_a_function() -> None:
    step = Apply("exp", ("a",), {}, ("x0",), modes=("inference_mode",), function=1)
    with pytest.raises(ProgramError, match="cannot be part of a function in inference_mode"):
        check(Program((A,), (step,)))


def test_functions_survive_encoding() -> None:
    before = program(1, 1, 2)
    assert decode(encode(before)) == before
    assert b"function" not in encode(program(0, 0, 0))


def test_functions_are_printed_with_the_transform_and_steps_without() -> None:
    draft = check(program(0, 1, 1))
    assert "function_1" not in print_body(draft).text
    lines = print_body(draft, transform=TRANSFORMS["compile-aot_eager"]).text.splitlines()
    assert lines[0].startswith("transformed = lambda function: torch.compile(")
    assert lines[3:] == [
        "@transformed",
        "def function_1(x0):",
        "    x0.mul_(2.0)",
        "    x1 = x0.neg()",
        "    return x1",
        "x1 = function_1(x0)",
        "x1.backward(torch.tensor([1.0, 1.0], dtype=torch.float64))",
    ]


def test_lines_of_steps_are_those_inside_of_the_function() -> None:
    draft = check(program(0, 1, 1))
    body = print_body(draft, transform=TRANSFORMS["functionalize"])
    lines = body.text.splitlines()
    assert [lines[line - 1].strip() for line in body.step_lines[:3]] == [
        "x0 = a.exp()",
        "x0.mul_(2.0)",
        "x1 = x0.neg()",
    ]


def test_drawn_programs_have_functions_that_can_be() -> None:
    """Nearly all have one, and leaves and steps are those of the program without."""
    have = 0
    for index in range(200):
        choose = Seeded(5, index)
        plain = build(choose)
        drawn = with_functions(choose, plain)
        check(drawn)
        assert print_body(check(drawn)).text == print_body(check(plain)).text
        have += bool(functions_of(drawn.steps))
    assert have > 180
