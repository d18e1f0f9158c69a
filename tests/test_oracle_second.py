"""Forward derivatives and second gradients of the oracle are the limits of differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from conformance.derived import Form, form_of
from conformance.examine import ModelAndOracle
from conformance.oracle.machine import Machine
from conformance.oracle.moving import Movement
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import Draft, check
from strategies.program import Apply, Backward, Leaf, Program
from strategies.transforms import Law
from strategies.values import materialise

STEP = 1e-5
NEAR = 2e-4
"""Of differences over so long a step; curvature and rounding stay below it in most programs."""


def moved(form: Form, by: float) -> Draft:
    """The program with its leaves a step along their directions."""

    def there(leaf: Leaf) -> Leaf:
        if leaf.name not in form.directions:
            return leaf
        old = materialise(leaf.data, leaf.shape, leaf.dtype, leaf.name).astype(np.float64)
        new = old + by * form.directions[leaf.name]
        return replace(leaf, data=new.ravel().tolist())

    leaves = tuple(there(leaf) for leaf in form.meant.leaves)
    return check(Program(leaves, tuple(form.meant.steps)))


def movement(by: ModelAndOracle, form: Form) -> Movement:
    prediction = by.predict(form.meant)
    if prediction.raises is not None or prediction.left_open:
        return Movement({}, {}, {}, "it raises, or is open")
    return by.movement(form.meant, prediction, form.directions, twice=form.twice)


def near(one: NDArray[np.float64], two: NDArray[np.float64]) -> bool:
    size = max(1.0, float(np.abs(two).max(initial=0.0)))
    return bool((np.abs(one - two) <= NEAR * size).all())


@pytest.mark.parametrize("law", ["tangents", "twice"])
def test_derivatives_are_limits_of_differences(law: Law, machine: Machine) -> None:
    """Of 300 drawn programs, all but those where a step crosses a kink or is too long."""
    by = ModelAndOracle(machine)
    agreed = wrong = 0
    for index in range(300):
        form = form_of(check(build(Seeded(11, index))), law)
        if isinstance(form, str) or not all(map(_plain, form.meant.steps)):
            continue
        found = movement(by, form)
        if found.unspecified:
            continue
        ends = [by.answer(draft, by.predict(draft)) for draft in (moved(form, s) for s in _BOTH)]
        if any(end.unspecified for end in ends):
            continue
        for name, entries in (found.second if form.twice else found.tangents).items():
            low, high = ((e.gradients if form.twice else e.values).get(name) for e in ends)
            if low is None or high is None:
                continue
            with np.errstate(invalid="ignore"):
                slope = (high.values - low.values) / (2 * STEP)
            if not np.isfinite(slope).all() or np.abs(slope).max(initial=0.0) > 1e3:
                continue
            agreed += near(entries.values, slope)
            wrong += not near(entries.values, slope)
    assert agreed > 80
    assert wrong <= agreed // 50


_BOTH = (-STEP, STEP)


def _plain(step: Apply | Backward) -> bool:
    """Whether what it computes and what is differentiated are one function."""
    return not step.modes and not (isinstance(step, Apply) and step.op == "detach")


def test_a_second_gradient_by_hand(machine: Machine) -> None:
    """Of a³ it is 6 a times the tangent, which is an eighth of a whole number."""
    leaf = Leaf("a", (1,), [2.0], requires_grad=True)
    steps = (
        Apply("square", ("a",), {}, ("x0",)),
        Apply("mul", ("x0", "a"), {}, ("x1",)),
        Backward(("x1",)),
    )
    form = form_of(check(Program((leaf,), steps)), "twice")
    assert isinstance(form, Form)
    found = movement(ModelAndOracle(machine), form)
    assert found.second["a"].values.tolist() == [12.0 * form.directions["a"].item()]


def test_the_second_gradient_of_mish_has_all_digits_where_tanh_is_one(machine: Machine) -> None:
    """The numbers are those of forty digits, of x (n - 1) / (n + 1) with n = (1 + exp(x)) ** 2."""
    for at, right in ((9.0, -9.741549711986796e-07), (25.0, -3.7031997078560734e-20)):
        leaf = Leaf("a", (1,), [at], requires_grad=True)
        steps = (Apply("mish", ("a",), {}, ("x0",)), Backward(("x0",)))
        form = form_of(check(Program((leaf,), steps)), "twice")
        assert isinstance(form, Form)
        found = movement(ModelAndOracle(machine), form).second["a"].values.item()
        assert found == pytest.approx(right * form.directions["a"].item(), rel=1e-12)


def twice_of(op: str, at: float, *others: str) -> Form:
    leaf = Leaf("a", (1,), [at], requires_grad=True)
    steps = (Apply(op, ("a", *others), {}, ("x0",)), Backward(("x0",)))
    form = form_of(check(Program((leaf,), steps)), "twice")
    assert isinstance(form, Form)
    return form


@pytest.mark.parametrize("at", [3.0, 4.0])
def test_squares_and_cubes_have_a_derivative_by_their_exponent(at: float, machine: Machine) -> None:
    """Of a ** a it is a ** a ((1 + log a) ** 2 + 1 / a), and a ** (a - 1) is one there."""
    form = twice_of("pow", at, "a")
    found = movement(ModelAndOracle(machine), form).second["a"].values.item()
    right = at**at * ((1 + math.log(at)) ** 2 + 1 / at)
    assert found == pytest.approx(right * form.directions["a"].item(), rel=1e-12)


def test_what_is_written_out_for_one_derivative_is_open_for_two(machine: Machine) -> None:
    """That of gelu is a number beside its value: as a constant it would have none."""
    found = movement(ModelAndOracle(machine), twice_of("gelu", 1.0))
    assert "written out" in found.unspecified


def test_of_what_cancels_all_opinions_find_a_bound(machine: Machine) -> None:
    """The second gradient of the arc tangent of a tangent is zero, but for errors; those of one
    opinion cancel too at one of these.
    """
    leaf = Leaf("a", (6,), [3.75, 2.5, 2.0, 2.875, 2.75, 2.375], requires_grad=True)
    tangent = Apply("tan", ("a",), {}, ("x0",))
    steps = (tangent, Apply("atan", ("x0",), {}, ("x1",)), Backward(("x1",), ([1.0] * 6,)))
    form = form_of(check(Program((leaf,), steps)), "twice")
    assert isinstance(form, Form)
    by = ModelAndOracle(machine)
    given = (form.meant, by.predict(form.meant), form.directions)
    once, again = (by.movement(*given, twice=True, again=asked) for asked in (False, True))
    assert (once.second["a"].slack == 0.0).any()
    assert (again.second["a"].slack > 0.0).all()


def test_where_a_first_derivative_jumps_there_is_no_second(machine: Machine) -> None:
    leaf = Leaf("a", (2,), [0.0, 2.0], requires_grad=True)
    steps = (Apply("relu", ("a",), {}, ("x0",)), Backward(("x0",), ([1.0, 1.0],)))
    form = form_of(check(Program((leaf,), steps)), "twice")
    assert isinstance(form, Form)
    assert "jumps" in movement(ModelAndOracle(machine), form).unspecified
