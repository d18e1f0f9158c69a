"""What must hold in each way to run a program: each law catches a subject that breaks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.derived import form_of
from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.subjects import InProcessSubject
from strategies.draft import check
from strategies.manners import FIRST, SECOND, TANGENT
from strategies.printer import print_body
from strategies.program import Apply, Backward, Data, Leaf, Program
from strategies.transforms import DERIVED, LAWS, TRANSFORMS, Law
from tools.transforms import PAGE, page

A = Leaf("a", (2,), [0.5, 2.0], requires_grad=True)
ONES: tuple[Data, ...] = ([1.0, 1.0],)


def program(*steps: Apply | Backward) -> Program:
    return Program((A,), steps)


RIGHT = program(
    Apply("exp", ("a",), {}, ("x0",), function=1),
    Apply("mul", ("x0", "a"), {}, ("x1",), function=1),
    Backward(("x1",), ONES),
)
STALE = program(
    Apply("exp", ("a",), {}, ("x0",), function=1),
    Apply("mul_", ("x0", 3.0), {}),
    Backward(("x0",), ONES),
)
"""It overwrites what exp saved, which eager torch refuses."""


def examined(machine: Machine, mode: str, of: Program, **changes: str) -> str:
    """The verdict on a program in a mode whose text is changed."""
    with InProcessSubject(mode, mode=mode) as subject:
        assert subject.transform is not None
        for what, instead in changes.items():
            old, new = instead.split(" -> ")
            text = getattr(subject.transform, what)
            assert old in text, "the change must change something"
            subject.transform = replace(subject.transform, **{what: text.replace(old, new)})
        judged = Examiner(subject, machine).examine(of)
        return judged.verdict


BROKEN = {
    "same": ("hooks", RIGHT, "lambda gradient: None -> lambda gradient: 2.0 * gradient"),
    "meaning": ("saved-copied", RIGHT, "torch.clone -> torch.zeros_like"),
    "unchecked": ("saved-returned", RIGHT, "lambda saved: saved) -> lambda saved: saved * 2.0)"),
    "numbers": ("vmap", RIGHT, "made[0] -> made.detach()[0]"),
    "written": ("custom-function-dirty", RIGHT, "if two is not None] -> if two is None]"),
    "tangents": ("forward-mode", RIGHT, "is None else along -> is None else 2.0 * along"),
    "twice": ("double-backward", RIGHT, "filled(second -> filled(first"),
    "shared": ("threads-sharing", RIGHT, "else one for one, -> else 2.0 * one for one,"),
}
"""Law -> a mode of it, a program, and what to change in the mode's text so that it is broken."""


@pytest.mark.parametrize("law", BROKEN)
def test_a_subject_that_breaks_the_law_deviates(law: str, machine: Machine) -> None:
    """The same program conforms as long as the mode is what it is."""
    mode, of, change = BROKEN[law]
    assert TRANSFORMS[mode].law == law
    assert examined(machine, mode, of) == "conforms"
    assert examined(machine, mode, of, setup=change) == "deviates"


def test_a_saved_tensor_may_be_written_where_the_law_is_right(machine: Machine) -> None:
    """And must come out right: with hooks that only switch the version check off it does not."""
    assert examined(machine, "mutation-allowed", STALE) == "conforms"
    change = "allow_mutation_on_saved_tensors -> save_on_cpu"
    assert examined(machine, "mutation-allowed", STALE, around=change) == "deviates"


def test_nothing_says_what_becomes_of_a_saved_tensor_that_hooks_return(machine: Machine) -> None:
    assert examined(machine, "saved-returned", STALE) == "unspecified"


def test_every_law_is_one_that_a_mode_has() -> None:
    assert set(LAWS) == {transform.law for transform in TRANSFORMS.values()}
    assert set(LAWS) == {*BROKEN, "right"}


@pytest.mark.parametrize("mode", ["custom-function", "func-grad", "vmap"])
@pytest.mark.parametrize(
    "steps",
    [
        (Apply("view_as", ("a",), {}, ("x0",), function=1),),
        (
            Apply("clone", ("a",), {}, ("x0",)),
            Apply("mul_", ("x0", 2.0), {}, function=1),
            Apply("exp", ("x0",), {}, ("x1",), function=1),
        ),
    ],
    ids=["gives a view of its input", "writes its input"],
)
def test_functions_that_are_not_pure_are_not_exercised(
    mode: str, steps: tuple[Apply, ...], machine: Machine
) -> None:
    """torch.func and custom functions ask for functions without effects."""
    assert examined(machine, mode, program(*steps)) == "not exercised"


DETACHING = {
    "in no_grad": (Apply("exp", ("a",), {}, ("x0",), modes=("no_grad",), function=1),),
    "by detach": (Apply("detach", ("a",), {}, ("x0",), function=1),),
    "beside what requires grad": (
        Apply("exp", ("a",), {}, ("x0",), function=1),
        Apply("mul", ("b", 2.0), {}, ("x1",), function=1),
    ),
}
"""Functions that have, or give, what is detached from what they take."""


@pytest.mark.parametrize("steps", DETACHING.values(), ids=DETACHING)
def test_a_reentrant_checkpoint_is_not_for_what_is_detached(
    steps: tuple[Apply, ...], machine: Machine
) -> None:
    """Its page says so, of the reentrant variant alone."""
    of = Program((A, Leaf("b", (2,), [0.5, 2.0])), (*steps, Apply("neg", ("a",), {}, ("x2",))))
    assert examined(machine, "checkpoint-reentrant", of) == "not exercised"
    assert examined(machine, "checkpoint", of) == "conforms"


def test_a_reentrant_checkpoint_is_asked_where_all_requires_grad(machine: Machine) -> None:
    assert examined(machine, "checkpoint-reentrant", RIGHT) == "conforms"


FOR_RECORDING = {
    "out= of what requires grad": (Apply("frac_out", ("b", "a"), {}, function=1),),
    "celu_ of a negative alpha": (
        Apply("mul", ("a", 2.0), {}, ("x0",), function=1),
        Apply("celu_", ("x0",), {"alpha": -1}, function=1),
        Backward(("x0",), ONES),
    ),
}
"""What eager torch refuses for how it records, and functionalize computes otherwise."""


@pytest.mark.parametrize("steps", FOR_RECORDING.values(), ids=FOR_RECORDING)
def test_nothing_says_what_comes_of_errors_for_how_eager_records(
    steps: tuple[Apply | Backward, ...], machine: Machine
) -> None:
    of = Program((A, Leaf("b", (2,), [0.5, 2.0])), steps)
    assert examined(machine, "functionalize", of) == "unspecified"


def test_forward_mode_has_no_backward_calls_and_heeds_no_grad_mode() -> None:
    """What is meant is the program with copies of the leaves that move, and without regions."""
    draft = check(
        program(
            Apply("mul", ("a", 2.0), {}, ("x0",), modes=("no_grad",), function=1),
            Backward(("a",), ONES),
        )
    )
    form = form_of(draft, "tangents")
    assert not isinstance(form, str)
    assert [step.op for step in form.meant.steps if isinstance(step, Apply)] == ["clone", "mul"]
    assert not any(step.modes for step in form.meant.steps)
    lines = print_body(form.printed, transform=TRANSFORMS["forward-mode"]).text.splitlines()
    assert lines[-4:] == [
        "    with torch.no_grad():",
        "        x0 = a.mul(2.0)",
        f"    {TANGENT}a = moves(a)",
        f"    {TANGENT}x0 = moves(x0)",
    ]


def test_double_backward_is_of_the_first_call() -> None:
    draft = check(program(*RIGHT.steps, Apply("neg", ("x1",), {}, ("x2",))))
    form = form_of(draft, "twice")
    assert not isinstance(form, str)
    assert form.observed == (f"{FIRST}a", f"{SECOND}a")
    last = print_body(form.printed, transform=TRANSFORMS["double-backward"]).text.splitlines()[-1]
    assert last.startswith(f"{FIRST}a, {SECOND}a = twice([x1], ")


@pytest.mark.parametrize("law", sorted(DERIVED))
def test_programs_that_say_what_requires_grad_are_not_exercised(law: Law) -> None:
    draft = check(program(Apply("requires_grad_", ("a",), {"requires_grad": False})))
    assert isinstance(form_of(draft, law), str)


def test_the_page_is_made_of_the_table() -> None:
    """Where this fails: run `python -m tools.transforms`."""
    assert PAGE.read_text(encoding="utf-8") == page()
