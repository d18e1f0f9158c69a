"""The reducer: every program ends as the one that a person would write by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from conformance.model import QUIRKS, Kind, predict
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import check
from strategies.printer import print_body
from strategies.program import (
    Apply,
    Backward,
    Generated,
    Leaf,
    Mode,
    Number,
    Program,
    inferring,
    recording,
)
from strategies.reducing import reduced, size, tidied
from strategies.table import OPERATIONS

LEAF = "a = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)"
ONE = "a = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)"
PAIR = "a = torch.tensor([1.0, 1.0], dtype=torch.float64, requires_grad=True)"


SQUARE = "a = torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=torch.float64, requires_grad=True)"
_PAIR = "[[1.0, 1.0], [1.0, 1.0]]"
TRIPLE = "a = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64, requires_grad=True)"
CUBE = f"a = torch.tensor([{_PAIR}, {_PAIR}], dtype=torch.float64, requires_grad=True)"
MADE_IN_INFERENCE = ("with torch.inference_mode():", "    x0 = a.mul(2.0)")
DATA: list[Number] = [1.0, 2.0]
LEAVES = (Leaf("a", (2,), DATA, requires_grad=True), Leaf("b", (2,), DATA, requires_grad=True))


def raising(kind: Kind) -> Callable[[Program], bool]:
    """Whether a program must raise an error of this kind."""

    def still(program: Program) -> bool:
        raises = predict(check(program), quirks=QUIRKS).raises
        return raises is not None and raises.kind is kind

    return still


def writes_a_view_of_no_grad(program: Program) -> bool:
    """Whether a view that was made while nothing is recorded is written later."""
    views: set[object] = set()
    for step in program.steps:
        if isinstance(step, Apply):
            row, in_place = OPERATIONS[step.op]
            if row.kind == "view" and not recording(step.modes):
                views.update(step.to)
            if in_place and step.args[0] in views:
                return True
    return False


def examples(still: Callable[[Program], bool], count: int) -> list[Program]:
    """The first drawn programs for which this is true."""
    found: list[Program] = []
    for index in range(20000):
        program = build(Seeded(6, index))
        if still(program):
            found.append(program)
            if len(found) == count:
                return found
    raise AssertionError(f"only {len(found)} of 20000 programs")


def text(program: Program) -> list[str]:
    return print_body(check(program)).text.splitlines()


def test_what_always_holds_is_shown_by_a_leaf_alone() -> None:
    program = reduced(build(Seeded(1, 1)), lambda program: True).program
    assert text(program) == [LEAF]


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (Kind.LEAF_INPLACE, [[LEAF, "a.mul_(2.0)"]]),
        (
            Kind.VIEW_OF_LEAF_INPLACE,
            [[ONE, "a[0] = 2.0"], [LEAF, "x0 = a.view_as(a)", "x0.mul_(2.0)"]],
        ),
        (Kind.FREED, [[LEAF, "x0 = a.mul(2.0)", "x0.backward()", "x0.backward()"]]),
        (Kind.FLAG_NONLEAF, [[LEAF, "x0 = a.mul(2.0)", "x0.requires_grad_(False)"]]),
        (Kind.DETACH_VIEW, [[LEAF, "x0 = a.view_as(a)", "x0.detach_()"]]),
        (
            Kind.SAVED_DETACHED,
            [[LEAF, "x0 = a.mul(2.0)", "x1 = x0.square()", "x0.detach_()", "x1.backward()"]],
        ),
        (Kind.INFERENCE_WRITE, [[LEAF, *MADE_IN_INFERENCE, "x0.mul_(2.0)"]]),
        (Kind.INFERENCE_GRAD, [[LEAF, *MADE_IN_INFERENCE, "x0.requires_grad_()"]]),
        (
            Kind.INFERENCE_SAVED,
            [
                *(
                    [LEAF, *MADE_IN_INFERENCE, line]
                    for line in ("x1 = a.mul(x0)", "x1 = x0.mul(a)")
                ),
                *(
                    [LEAF, MADE_IN_INFERENCE[0], "    x0 = a.gt(2.0)", f"x1 = a.{line}"]
                    for line in ("masked_scatter(x0, a)", "masked_fill(x0, 2.0)")
                ),
            ],
        ),
        (
            Kind.DTYPE_CAST,
            [
                ["a = torch.tensor(0, dtype=torch.int64)", "a.mul_(2.0)"],
                ["a = torch.tensor(True, dtype=torch.bool)", "a.mul_(2.0)"],
                [LEAF, "x0 = a.gt(2.0)", "x0.mul_(2.0)"],
            ],
        ),
        (
            Kind.VIEW_STRIDE,
            [
                [SQUARE, "x0 = a.t()", "x1 = x0.view((-1,))"],
                [PAIR, "x0 = a.expand((2, 2))", "x1 = x0.view((-1,))"],
                [TRIPLE, "x0 = a.expand((2, 3))", "x1 = x0.view((-1,))"],
                [TRIPLE, "x0 = a.expand((2, 2, 3))", "x1 = x0.view((-1,))"],
                [CUBE, "x0 = a.select(1, 0)", "x1 = x0.view((-1,))"],
                [PAIR, "x0 = a.addr(a, a)", "x1 = x0.t()", "x2 = x1.view((-1,))"],
            ],
        ),
        (
            Kind.INPUT_UNGRADED,
            [
                [
                    LEAF,
                    "b = torch.tensor(1.0, dtype=torch.float64)",
                    "torch.autograd.backward([a], [None], inputs=[b])",
                ]
            ],
        ),
    ],
)
def test_examples_of_an_error_end_as_the_same_program(kind: Kind, shown: list[list[str]]) -> None:
    for program in examples(raising(kind), 4):
        assert text(reduced(program, raising(kind)).program) in shown


def test_an_overwritten_saved_tensor_needs_two_operations_a_write_and_backward() -> None:
    """What saves its result needs one operation less than what saves its operand, and a product of
    matrices one leaf more.
    """
    still = raising(Kind.SAVED_MODIFIED)
    scalars = 0
    for program in examples(still, 4):
        smallest = reduced(program, still).program
        scalar = {leaf.shape for leaf in smallest.leaves} == {()}
        assert len(smallest.leaves) + len(smallest.steps) <= (5 if scalar else 6)
        scalars += scalar
    assert scalars >= 2


def test_a_multi_output_view_needs_two_steps() -> None:
    """Or three where it is a view of no dimension that was made into a vector."""
    still = raising(Kind.MULTI_VIEW_INPLACE)
    for program in examples(still, 3):
        smallest = reduced(program, still).program
        (shape,) = (leaf.shape for leaf in smallest.leaves)
        assert (shape, len(smallest.steps)) in (((1,), 2), ((2,), 2), ((), 3))


def test_a_region_stays_where_it_matters() -> None:
    for program in examples(writes_a_view_of_no_grad, 3):
        smallest = reduced(program, writes_a_view_of_no_grad).program
        assert text(smallest) == [
            LEAF,
            "with torch.no_grad():",
            "    x0 = a.view_as(a)",
            "x0.mul_(2.0)",
        ]


def test_a_target_that_is_too_small_has_no_dimension() -> None:
    """It is a leaf, or made of one that could not be written itself."""
    still = raising(Kind.BROADCAST_TARGET)
    for program in examples(still, 4):
        smallest = reduced(program, still).program
        assert len(smallest.leaves) + len(smallest.steps) <= 4
        shapes = {value.layout.shape for value in check(smallest).values.values()}
        assert shapes == {(), (1,)}


def backwards(program: Program) -> list[Backward]:
    return [step for step in program.steps if isinstance(step, Backward)]


@pytest.mark.parametrize(
    ("still", "shown"),
    [
        (lambda backward: True, "a.backward()"),
        (lambda backward: backward.inputs, "torch.autograd.backward([a], [None], inputs=[a])"),
        (lambda backward: backward.via, "torch.autograd.grad([a], [a], [None], allow_unused=True)"),
    ],
)
def test_backward_is_plain_unless_it_matters_how_it_is_called(
    still: Callable[[Backward], object], shown: str
) -> None:
    """Inputs are dropped, and autograd.grad becomes backward."""
    product = Apply("mul", ("a", "b"), to=("x",))
    call = Backward(("x",), ([1.0, 2.0],), True, inputs=("a", "b"), via="grad")
    smallest = reduced(
        Program(LEAVES, (product, call)), lambda p: any(map(still, backwards(p)))
    ).program
    assert len(smallest.leaves) == 1 and shown in text(smallest)[-1]


@pytest.mark.parametrize(
    ("matters", "modes"),
    [
        (lambda modes: True, ()),
        (lambda modes: not recording(modes), ("no_grad",)),
        (lambda modes: inferring(modes), ("inference_mode",)),
    ],
)
def test_inference_mode_becomes_no_grad_and_that_goes(
    matters: Callable[[tuple[Mode, ...]], bool], modes: tuple[Mode, ...]
) -> None:
    """Unless it matters that it is there, or that nothing is recorded."""
    made = Apply("mul", ("a", 2.0), to=("x",), modes=("inference_mode", "enable_grad"))

    def still(program: Program) -> bool:
        return program.steps != () and matters(program.steps[0].modes)

    assert reduced(Program(LEAVES[:1], (made,)), still).program.steps[0].modes == modes


@pytest.mark.parametrize(
    ("step", "grad"),
    [
        (Apply("requires_grad_", ("a",), {"requires_grad": False}), False),
        (Apply("detach_", ("a",)), False),
        (Apply("requires_grad_", ("a",)), True),
    ],
)
def test_a_leaf_has_from_the_start_the_flag_that_a_step_gives_it(step: Apply, grad: bool) -> None:
    """What depends on the flag keeps it, and the step goes."""
    leaf = Leaf("a", (2,), DATA, requires_grad=not grad)

    def still(program: Program) -> bool:
        exp = any(isinstance(step, Apply) and step.op == "exp" for step in program.steps)
        return exp and predict(check(program)).flags["a"].requires_grad is grad

    smallest = reduced(Program((leaf,), (step, Apply("exp", ("a",), to=("x",)))), still).program
    assert [leaf.requires_grad for leaf in smallest.leaves] == [grad]
    assert len(smallest.steps) == 1 and smallest.steps[0] != step


def test_steps_that_change_no_element_go() -> None:
    steps = (
        Apply("mul", ("a", 2.0), to=("x",)),
        Apply("unsqueeze_", ("x",), {"dim": 0}),
        Apply("detach_", ("x",)),
        Apply("requires_grad_", ("x",)),
        Apply("exp", ("x",), to=("y",)),
    )

    def still(program: Program) -> bool:
        return any(isinstance(step, Apply) and step.op == "exp" for step in program.steps)

    assert text(reduced(Program(LEAVES[:1], steps), still).program) == [LEAF, "x0 = a.exp()"]


def test_integers_become_floating_point_numbers_where_that_does_not_matter() -> None:
    leaf = Leaf("a", (2,), DATA, "int64")
    smallest = reduced(Program((leaf,), (Apply("mul_", ("a", 2.0)),)), lambda p: bool(p.steps))
    assert text(smallest.program) == [LEAF, "a.mul_(2.0)"]


def test_what_is_reduced_still_shows_it_and_is_legal() -> None:
    still = raising(Kind.SAVED_MODIFIED)
    for program in examples(still, 4):
        outcome = reduced(program, still)
        assert outcome.minimal and still(outcome.program)
        assert check(outcome.program).program() == outcome.program
        assert size(outcome.program) <= size(program)


def test_a_minimal_program_stays_as_it_is() -> None:
    still = raising(Kind.LEAF_INPLACE)
    smallest = reduced(examples(still, 1)[0], still).program
    assert reduced(smallest, still).program == smallest


def test_a_budget_that_is_spent_ends_the_search() -> None:
    program = build(Seeded(1, 4))
    outcome = reduced(program, lambda program: True, deadline=time.monotonic() - 1)
    assert not outcome.minimal
    assert size(outcome.program)[:2] == size(program)[:2]


def test_no_candidate_is_judged_twice_and_every_one_is_legal() -> None:
    seen: list[Program] = []

    def still(program: Program) -> bool:
        seen.append(program)
        check(program)
        return len(program.steps) >= 4

    reduced(examples(lambda program: len(program.steps) >= 8, 1)[0], still)
    tried = seen[:-1]
    assert len({program.id for program in tried}) == len(tried)


def test_tidied_renames_in_order() -> None:
    steps = (
        Apply("exp", ("q",), to=("z",)),
        Apply("mul", ("z", "p"), to=("a",)),
        Backward(("a",), (Generated("dyadic", 1),)),
    )
    program = Program((Leaf("p", (2,), [1, 2]), Leaf("q", (2,), [1, 2])), steps)
    assert tidied(program).names == ("a", "b", "x0", "x1")
    assert text(tidied(program))[2:4] == ["x0 = b.exp()", "x1 = x0.mul(a)"]


def reads_what_a_view_wrote(program: Program) -> bool:
    """Whether backward, which does not raise, starts where what a view has written is read."""
    last = program.steps[-1] if program.steps else None
    if not isinstance(last, Backward) or predict(check(program)).raises is not None:
        return False
    views: dict[str, str] = {}
    written: set[str] = set()
    for step in program.steps:
        if isinstance(step, Apply):
            target = str(step.args[0])
            if step.op == "view_as":
                views[step.to[0]] = target
            if step.op == "mul_" and target in views:
                written.add(views[target])
            if step.op in ("mul", "exp") and target in written and step.to == last.of:
                return True
    return False


def steps(*written: Apply | Backward) -> Program:
    """These steps on one leaf."""
    return Program((Leaf("a", (1,), [1.0], requires_grad=True),), written)


def test_a_leaf_of_its_own_takes_the_place_of_a_step() -> None:
    """Where the leaf itself cannot be written, since the gradient is to come to it."""
    long = steps(
        Apply("mul", ("a", 2.0), {}, ("x0",)),
        Apply("view_as", ("x0",), {}, ("x1",)),
        Apply("mul_", ("x1", 2.0)),
        Apply("exp", ("x0",), {}, ("x2",)),
        Backward(("x2",)),
    )
    assert reads_what_a_view_wrote(check(long).program())
    found = reduced(long, reads_what_a_view_wrote)
    assert found.minimal and len(found.program.steps) == 4
    assert text(found.program)[2:] == [
        "x0 = b.view_as(b)",
        "x0.mul_(2.0)",
        "x1 = b.mul(a)",
        "x1.backward()",
    ]


def test_a_view_goes_and_leaves_its_shape() -> None:
    """An empty view of what is not empty: the leaf becomes empty in its place."""

    def writes_nothing(program: Program) -> bool:
        draft = check(program)
        saves = any(isinstance(s, Apply) and s.op == "exp" for s in program.steps)
        return saves and any(
            isinstance(s, Apply)
            and s.op == "mul_"
            and draft.values[str(s.args[0])].layout.numel == 0
            for s in program.steps
        )

    long = steps(
        Apply("exp", ("a",), {}, ("x0",)),
        Apply("narrow", ("x0",), {"dim": 0, "start": 0, "length": 0}, ("x1",)),
        Apply("mul_", ("x1", 2.0)),
    )
    assert [s.op for s in reduced(long, writes_nothing).program.steps if isinstance(s, Apply)] == [
        "exp",
        "mul_",
    ]
