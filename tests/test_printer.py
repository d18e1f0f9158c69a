"""The text of programs: it compiles, has a line a step, and means exactly what the program says."""

from __future__ import annotations

import ast
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.build import Recipe, build
from strategies.choices import Seeded
from strategies.draft import check
from strategies.drawing import shapes
from strategies.printer import print_body
from strategies.program import Apply, Backward, Leaf, Mode, Program
from strategies.statements import literal, number
from tests.on_torch import names, run, same

DRAWN = [check(build(Seeded(11, index), Recipe(region=40))) for index in range(300)]
A = Leaf("a", (2,), [1.0, -0.5], requires_grad=True)
S = Leaf("s", (), [3.0], requires_grad=True)
W = Leaf("w", (2, 3), [float(i) for i in range(6)])
M = Leaf("m", (2,), [0, 1], "bool")


def lines(*steps: Apply | Backward) -> list[str]:
    """The lines that steps on the leaves above are printed as."""
    body = print_body(check(Program((A, S, W, M), steps)))
    return body.text.splitlines()[4:]


def test_drawn_programs_compile_and_each_step_has_its_own_line() -> None:
    for draft in DRAWN:
        body = print_body(draft)
        ast.parse(body.text)
        assert len(set(body.step_lines)) == len(draft.steps)
        assert [body.step_at(line) for line in body.step_lines] == list(range(len(draft.steps)))
        text = body.text.splitlines()
        for step, line in zip(draft.steps, body.step_lines, strict=True):
            first = step.of[0] if isinstance(step, Backward) else str(step.args[0])
            assert first in text[line - 1]


def test_a_leafs_line_belongs_to_no_step() -> None:
    body = print_body(DRAWN[0])
    assert body.step_at(1) is None and body.step_at(None) is None


def test_a_watched_body_runs_the_same_statements() -> None:
    for draft in DRAWN:
        plain = print_body(draft).text
        watched = print_body(draft, watch=True).text.splitlines()
        looks = [line for line in watched if line.startswith("watch(")]
        assert looks == [f"watch({index})" for index in range(len(draft.steps))]
        kept = [line.strip() for line in watched if not line.startswith("watch(")]
        statements = [line.strip() for line in plain.splitlines()]
        missing = [line for line in statements if line not in kept]
        assert all(line.startswith(("decorated_", "def decorated_", "global")) for line in missing)


FLOATS = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)


@given(st.data(), shapes(most_ndim=3))
def test_literals_hold_exactly_the_values(data: st.DataObject, shape: tuple[int, ...]) -> None:
    count = math.prod(shape)
    values = data.draw(st.lists(FLOATS, min_size=count, max_size=count), label="values")
    array = np.array(values, dtype=np.float64).reshape(shape)
    tensor = eval(literal(array), names())
    assert same(tensor, torch.from_numpy(array.copy()).reshape(shape))


@pytest.mark.parametrize(
    "array",
    [
        np.array([True, False]),
        np.array([[1, -2]], dtype=np.int64),
        np.array(2**53, dtype=np.int64),
        np.zeros((2, 0), dtype=np.bool_),
        np.array([0.1, -0.0, np.nan, np.inf, -np.inf, 5e-324]),
    ],
    ids=str,
)
def test_literals_keep_dtype_and_shape(array: NDArray[np.generic]) -> None:
    tensor = eval(literal(array), names())
    expected = torch.from_numpy(np.array(array))
    assert same(tensor, expected) and not tensor._is_view()


def test_literals_name_another_device() -> None:
    text = literal(np.zeros(1), "cuda", ", requires_grad=True")
    expected = 'torch.tensor([0.0], dtype=torch.float64, device="cuda", requires_grad=True)'
    assert text == expected


@given(FLOATS | st.integers() | st.booleans() | st.none())
def test_numbers_mean_themselves(value: float | int | bool | None) -> None:
    again = eval(number(value))
    assert type(again) is type(value)
    assert repr(again) == repr(value)


def test_leaves_are_printed_as_they_are() -> None:
    body = print_body(check(Program((A, M), ())))
    assert body.text.splitlines() == [
        "a = torch.tensor([1.0, -0.5], dtype=torch.float64, requires_grad=True)",
        "m = torch.tensor([False, True], dtype=torch.bool)",
    ]


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (Apply("exp", ("a",), to=("x",)), "x = a.exp()"),
        (Apply("exp", ("a",), to=("x",), via="function"), "x = torch.exp(a)"),
        (Apply("add", ("a", 2), {"alpha": 2}, ("x",)), "x = a.add(2.0, alpha=2)"),
        (Apply("add", ("a", 2), {}, ("x",), "operator"), "x = a + 2.0"),
        (Apply("mul_", ("a", -0.0)), "a.mul_(-0.0)"),
        (Apply("mul_", ("a", "s"), via="operator"), "a *= s"),
        (Apply("relu_", ("a",), via="module"), "nn.ReLU(inplace=True)(a)"),
        (Apply("relu_", ("a",), via="F_"), "F.relu_(a)"),
        (Apply("threshold", ("a",), {"threshold": 0.0, "value": 1.0}, ("x",)),
         "x = F.threshold(a, 0.0, 1.0)"),
        (Apply("sum", ("w",), {"dim": 1, "keepdim": True}, ("x",)), "x = w.sum(1, keepdim=True)"),
        (Apply("permute", ("w",), {"dims": [1, 0]}, ("x",)), "x = w.permute((1, 0))"),
        (Apply("view", ("w",), {"shape": [6]}, ("x",)), "x = w.view((6,))"),
        (Apply("view", ("s",), {"shape": []}, ("x",)), "x = s.view(())"),
        (Apply("index", ("w",), {"index": [0, [None, 1, None]]}, ("x",)), "x = w[0, :1]"),
        (Apply("index", ("w",), {"index": ["...", [None, None, 2]]}, ("x",)), "x = w[..., ::2]"),
        (Apply("index", ("s",), {"index": []}, ("x",)), "x = s[()]"),
        (Apply("setitem_", ("w", 0.0), {"index": [[-1, None, None]]}), "w[-1:] = 0.0"),
        (Apply("unbind", ("a",), to=("x", "y")), "x, y = a.unbind()"),
        (Apply("chunk", ("a",), {"chunks": 1}, ("x",)), "(x,) = a.chunk(1)"),
        (Apply("where", ("m", "a", "s"), to=("x",)), "x = torch.where(m, a, s)"),
        (Apply("data", ("a",), to=("x",)), "x = a.data"),
        (Backward(("s",)), "s.backward()"),
        (Backward(("s",), retain_graph=True), "s.backward(retain_graph=True)"),
        (Backward(("a",), ([1.0, "nan"],)),
         'a.backward(torch.tensor([1.0, float("nan")], dtype=torch.float64))'),
        (Backward(("s", "s"), (None, [2.0]), True),
         "torch.autograd.backward([s, s], [None, torch.tensor(2.0, dtype=torch.float64)], "
         "retain_graph=True)"),
    ],
)  # fmt: skip
def test_a_step_is_written_as_a_person_would(step: Apply | Backward, line: str) -> None:
    assert lines(step) == [line]


def exp(name: str, *modes: Mode) -> Apply:
    return Apply("exp", ("a",), to=(name,), modes=modes)


def test_neighbours_share_their_common_regions() -> None:
    assert lines(
        exp("t", "no_grad"), exp("u", "no_grad", "enable_grad"), exp("v", "no_grad"), exp("x")
    ) == [
        "with torch.no_grad():",
        "    t = a.exp()",
        "    with torch.enable_grad():",
        "        u = a.exp()",
        "    v = a.exp()",
        "x = a.exp()",
    ]


def test_a_decorated_function_assigns_the_names_of_its_steps() -> None:
    write = Apply("mul_", ("t", 2.0), via="operator", modes=("@no_grad",))
    assert lines(exp("t"), write, exp("u", "@no_grad"), exp("v")) == [
        "t = a.exp()",
        "@torch.no_grad()",
        "def decorated_1():",
        "    global t, u",
        "    t *= 2.0",
        "    u = a.exp()",
        "decorated_1()",
        "v = a.exp()",
    ]


def test_a_step_in_a_decorated_function_is_found_by_its_line() -> None:
    """The line of an error inside the function, not that of its call, names the step."""
    write = Apply("mul_", ("a", 2.0), modes=("no_grad", "@enable_grad"))
    result = run(check(Program((A,), (exp("t"), write))))
    assert result.step == 1 and "leaf Variable" in str(result.error)
