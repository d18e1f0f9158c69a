"""What operations were, or have become, in other versions of torch than the table's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest

from conformance.model import Kind, predict
from conformance.oracle.answering import answer
from conformance.oracle.machine import Machine
from strategies.draft import Draft, check
from strategies.program import Apply, Backward, Leaf, Program, ProgramError
from strategies.table import OPERATIONS
from strategies.table.change import within
from strategies.table.changes import ARRIVALS, CHANGES, TABLES, changes_in, missing_form
from tests._agreement import program

NAN = float("nan")
NAMES = {row.name for row, _ in OPERATIONS.values()}


def drafted(
    op: str,
    *args: str | float,
    of: Sequence[float],
    via: str = "",
    params: Mapping[str, float] = MappingProxyType({}),
) -> Draft:
    """One operation on `a`, beside which `b` holds twos, and its backward."""
    count = len(of)
    leaves = (
        Leaf("a", (count,), ["nan" if x != x else x for x in of], requires_grad=True),
        Leaf("b", (count,), [2.0] * count, requires_grad=True),
    )
    step = Apply(op, ("a", *args), dict(params), ("x0",), via)
    return check(Program(leaves, (step, Backward(("x0",), ([1.0] * count,)))))


def test_the_table_is_of_a_version_that_no_change_concerns() -> None:
    assert changes_in(TABLES) == ()
    draft = drafted("exp", of=[1.0, 2.0])
    assert draft.as_in(TABLES) is draft


def test_changes_and_arrivals_are_of_rows_that_there_are() -> None:
    for change in CHANGES:
        assert change.row or change.way, change
        assert set(change.rows) <= NAMES, change
        assert change.source, change
    for arrival in ARRIVALS:
        assert set(arrival.rows) <= NAMES, arrival


@pytest.mark.parametrize(
    ("versions", "torch", "inside"),
    [
        ("<2.13", "2.8.0", True),
        ("<2.13", "2.13.0+cpu", False),
        (">=2.15", "2.15.0.dev20260901", False),
        (">=2.15", "2.16.0.dev20261101+cu132", True),
        ("<2.13", "from source", False),
        ("", "from source", True),
    ],
)
def test_what_is_no_version_is_in_no_range(versions: str, torch: str, inside: bool) -> None:
    assert within(versions, torch) is inside


@pytest.mark.parametrize(
    ("op", "args", "params", "before", "since"),
    [
        ("clamp", (), {"min": 1.0, "max": 2.0}, [1, 1, 0, 1, 0], [0, 0, 0, 1, 0]),
        ("clamp", (), {"max": 2.0}, [1, 1, 1, 1, 0], [1, 0, 1, 1, 0]),
        ("clamp_min", (), {"min": 2.0}, [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]),
        ("clamp_max_tensor", ("b",), {}, [1, 1, 1, 1, 0], [1, 0.5, 1, 1, 1]),
        ("fmax", ("b",), {}, [0, 1, 0, 0, 0], [0, 0.5, 0, 0, 0]),
        ("fmin", ("b",), {}, [1, 1, 1, 1, 0], [1, 0.5, 1, 1, 0]),
    ],
)
def test_ties_are_shared_from_2_15_on(
    machine: Machine,
    op: str,
    args: tuple[str, ...],
    params: dict[str, float],
    before: list[float],
    since: list[float],
) -> None:
    """ "Use the sub-gradient of minimum norm" (Gradients for non-differentiable functions)."""
    draft = drafted(op, *args, of=[1.0, 2.0, 0.0, 1.5, NAN], params=params)
    for torch, wanted in (("2.13.0", before), ("2.15.0", since)):
        there = draft.as_in(torch)
        found = answer(there, predict(there), machine)
        assert found.gradients["a"].values.tolist() == wanted, torch


@pytest.mark.parametrize(
    ("torch", "op", "via", "kind"),
    [
        ("2.8.0", "nextafter", "", Kind.NOT_DIFFERENTIABLE),
        ("2.13.0", "nextafter", "", None),
        ("1.13.1", "exp", "foreach", Kind.NOT_DIFFERENTIABLE),
        ("2.0.1", "exp", "foreach", None),
        ("2.0.1", "foreach_mul", "", Kind.NOT_DIFFERENTIABLE),
        ("2.4.1", "foreach_mul", "", None),
        ("2.0.1", "clamp_min", "foreach", Kind.NOT_DIFFERENTIABLE),
        ("2.4.1", "clamp_min", "foreach", None),
    ],
)
def test_what_had_no_derivative_says_so_in_backward(
    torch: str, op: str, via: str, kind: Kind | None
) -> None:
    args = ("b",) if op in ("nextafter", "foreach_mul") else ()
    params = {"min": 0.0} if op == "clamp_min" else {}
    draft = drafted(op, *args, of=[1.0, 3.0], via=via, params=params)
    raises = predict(draft.as_in(torch)).raises
    assert (raises and raises.kind) == kind


def test_what_had_no_derivative_in_its_operands_says_so_if_asked_for_one() -> None:
    """Of a view made in no_grad nothing is asked, though it says that it requires grad."""
    leaf = Leaf("a", (), [1.0], requires_grad=True)
    view = Apply("view_as", ("a",), {}, ("x0",), modes=("no_grad",))
    steps = (view, Apply("nextafter", ("x0", "x0"), {}, ("x1",)), Backward(("x1",)))
    draft = check(Program((leaf,), steps)).as_in("2.8.0")
    assert predict(draft, quirks=frozenset({"no-grad-view-requires-grad"})).raises is None


@pytest.mark.parametrize(("torch", "kept"), [("2.0.1", ["a"]), ("2.4.1", [])])
def test_mean_kept_its_operand_for_the_count(torch: str, kept: list[str]) -> None:
    leaf = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
    draft = check(Program((leaf,), (Apply("mean", ("a",), {"dim": 0}, ("x0",)),)))
    prediction = predict(draft.as_in(torch))
    assert [saved.tensor for saved in prediction.saved] == kept


@pytest.mark.parametrize(
    ("torch", "kind", "index"),
    [
        ("2.8.0", Kind.VIEW_OF_LEAF_INPLACE, [[None, None, None]]),
        ("2.8.0", Kind.LEAF_INPLACE, ["..."]),
        ("2.8.0", Kind.LEAF_INPLACE, [[None, 2, None]]),
        ("2.8.0", Kind.VIEW_OF_LEAF_INPLACE, [[None, 3, None]]),
        ("2.8.0", Kind.VIEW_OF_LEAF_INPLACE, ["...", [None, None, None]]),
        ("2.13.0", Kind.LEAF_INPLACE, [[None, None, None]]),
    ],
)
def test_a_slice_that_covers_everything_once_made_a_view(
    torch: str, kind: Kind, index: list[object]
) -> None:
    leaf = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
    write = Apply("setitem_", ("a", 2.0), {"index": index}, ())
    raises = predict(check(Program((leaf,), (write,))).as_in(torch)).raises
    assert raises is not None
    assert raises.kind == kind


def test_lists_of_numbers_came_late_to_foreach_lerp() -> None:
    leaf = Leaf("a", (2,), [1.0, 2.0])
    write = Apply("lerp_", ("a", "a", 0.5), {}, (), "foreach")
    (step,) = check(Program((leaf,), (write,))).shaped
    assert not isinstance(step, Backward)
    assert missing_form(step, "2.4.1") == "torch._foreach_lerp_ with a list of numbers"
    assert missing_form(step, "2.8.0") == ""


@pytest.mark.parametrize(
    ("op", "args", "params", "before", "since"),
    [
        ("min_out", ("a",), {}, "2.0.1", "2.4.1"),
        ("mean_out", ("a",), {}, "2.4.1", "2.8.0"),
        (
            "slice_scatter_out",
            ("b", "b"),
            {"dim": 0, "start": 0, "length": 1},
            "2.0.1",
            "2.4.1",
        ),
    ],
)
def test_out_came_late_to_what_had_a_name(
    op: str, args: tuple[str, ...], params: dict[str, float], before: str, since: str
) -> None:
    leaves = Leaf("a", (), [1.0]), Leaf("b", (1,), [1.0])
    target = "b" if "b" in args else "a"
    (step,) = check(Program(leaves, (Apply(op, (target, *args), params),))).shaped
    assert not isinstance(step, Backward)
    assert "with out=" in missing_form(step, before)
    assert missing_form(step, since) == ""


def test_out_with_dim_is_as_old_as_mean() -> None:
    leaves = Leaf("a", (), [1.0]), Leaf("b", (1,), [1.0])
    (step,) = check(Program(leaves, (Apply("mean_out", ("a", "b"), {"dim": 0}),))).shaped
    assert not isinstance(step, Backward)
    assert missing_form(step, "1.2.0") == ""


@pytest.mark.parametrize(("torch", "wanted"), [("2.8.0", [NAN, 1.0]), ("2.13.0", [0.0, 1.0])])
def test_atan2_had_no_gradient_at_the_origin(
    machine: Machine, torch: str, wanted: list[float]
) -> None:
    leaves = (
        Leaf("a", (2,), [0.0, 0.0], requires_grad=True),
        Leaf("b", (2,), [0.0, 1.0], requires_grad=True),
    )
    steps = (Apply("atan2", ("a", "b"), {}, ("x0",)), Backward(("x0",), ([1.0, 1.0],)))
    draft = check(Program(leaves, steps)).as_in(torch)
    found = answer(draft, predict(draft), machine)
    assert found.values["x0"].values.tolist() == [0.0, 0.0]
    assert found.gradients["a"].values.tolist() == pytest.approx(wanted, nan_ok=True)


def test_nanmean_cut_the_gradient_of_what_it_wrote(machine: Machine) -> None:
    """It is refused, but for the quirk."""
    leaf = Leaf("a", (2,), [1.0, "nan"], requires_grad=True)
    steps = (
        Apply("sum", ("a",), {}, ("x0",)),
        Apply("nanmean_out", ("x0", "a"), {}, ()),
        Backward(("x0",)),
    )
    draft = check(Program((leaf,), steps))
    raises = predict(draft).raises
    assert raises is not None
    assert raises.kind == Kind.OUT_GRAD
    quirks = frozenset({"nanmean-out-unseen"})
    found = answer(draft, predict(draft, quirks=quirks), machine, quirks=quirks)
    assert found.values["x0"].values.tolist() == 1.0
    assert found.gradients["a"].values.tolist() == [0.0, 0.0]


def test_trace_of_a_tall_matrix_gave_more_than_the_diagonal(machine: Machine) -> None:
    leaf = Leaf("a", (3, 1), [1.0, 2.0, 3.0], requires_grad=True)
    steps = (Apply("trace", ("a",), {}, ("x0",)), Backward(("x0",)))
    draft = check(Program((leaf,), steps))
    for quirks, wanted in ((frozenset[str](), [1, 0, 0]), ({"trace-of-tall-matrix"}, [1, 0, 1])):
        found = answer(draft, predict(draft), machine, quirks=frozenset(quirks))
        assert found.gradients["a"].values.ravel().tolist() == wanted
        assert found.values["x0"].values.tolist() == 1.0


POLYGAMMA = "polygamma(n >= 2), which polygamma(1) needs in backward"


@pytest.mark.parametrize(
    ("text", "torch", "what"),
    [
        ("a = leaf(2)\nx = a.view(shape=[2])\ny = x.polygamma(n=2)", "1.4.0", POLYGAMMA),
        ("a = leaf(2)\ny = a.polygamma(n=0)", "1.4.0", ""),
        ("a = leaf(2)\ny = a.polygamma(n=2)", "1.8.1", ""),
        ("a = leaf()\ny = a.flatten()", "1.2.0", "flatten and unfold of a 0-d tensor"),
        ("a = leaf()\ny = a.flatten()", "1.4.0", ""),
        ("a = leaf(2)\ny = a.flatten()", "1.2.0", ""),
        ("a = leaf(2, 3)\ni = ints(2, 1)\ny = a.gather(i, dim=1)", "1.4.0", ""),
    ],
)
def test_a_form_is_missing_before_it_came(text: str, torch: str, what: str) -> None:
    steps = [step for step in program(text).shaped if not isinstance(step, Backward)]
    assert next(filter(None, (missing_form(step, torch) for step in steps)), "") == what


COLUMN = Leaf("c", (2, 1), [0.0, 1.0], "int64")


@pytest.mark.parametrize(
    ("torch", "op", "index", "params", "open_"),
    [
        ("2.0.1", "gather", COLUMN, {"dim": 0}, True),
        ("2.0.1", "gather", COLUMN, {"dim": 1}, False),
        ("2.0.1", "gather", Leaf("c", (2, 2), [0.0, 1.0, 0.0, 1.0], "int64"), {"dim": 0}, False),
        ("1.13.1", "gather", COLUMN, {"dim": 0}, False),
        ("2.4.1", "gather", COLUMN, {"dim": 0}, False),
        ("2.0.1", "scatter_add_", COLUMN, {"dim": 0}, True),
    ],
)
def test_values_gathered_by_an_index_of_one_column_were_others(
    torch: str, op: str, index: Leaf, params: dict[str, float], *, open_: bool
) -> None:
    leaves = Leaf("a", (2, 2), [1.0, 2.0, 3.0, 4.0]), Leaf("b", (2, 1), [1.0, 2.0]), index
    args = ("a", "c", "b") if op == "scatter_add_" else ("a", "c")
    step = Apply(op, args, params, () if op == "scatter_add_" else ("x0",))
    assert bool(predict(check(Program(leaves, (step,))).as_in(torch)).open) is open_


@pytest.mark.parametrize(
    ("torch", "seen", "op", "open_"),
    [
        ("2.0.1", "t", "masked_scatter_", True),
        ("2.0.1", "t", "masked_scatter", False),
        ("2.0.1", "view_as", "masked_scatter_", False),
        ("2.4.1", "t", "masked_scatter_", False),
        ("1.4.0", "t", "masked_scatter_", False),
    ],
)
def test_masked_scatter_followed_the_memory_of_its_target(
    torch: str, seen: str, op: str, *, open_: bool
) -> None:
    data: list[Any] = [1.0, 2.0, 3.0, 4.0]
    leaves = Leaf("a", (2, 2), data), Leaf("b", (), [1.0], "bool"), Leaf("c", (2, 2), data)
    view = Apply(seen, ("a",), {}, ("x0",))
    write = Apply(op, ("x0", "b", "c"), {}, () if op.endswith("_") else ("x1",))
    assert bool(predict(check(Program(leaves, (view, write))).as_in(torch)).open) is open_


def test_a_dimension_that_is_padded_had_to_hold_something() -> None:
    leaf = Leaf("a", (2, 0), [])
    for pad, here in (
        ([0, 0, 1, 1], False),
        ([1, 1], True),
        ([0, 0, -1, 0], False),
        ([1, 1, -1, 0], False),
    ):
        draft = check(Program((leaf,), (Apply("pad", ("a",), {"pad": pad}, ("x0",)),)))
        assert draft.as_in("2.13.0").values["x0"].layout.ndim == 2
        if here:
            assert draft.as_in("2.8.0").values["x0"].layout.ndim == 2
            continue
        with pytest.raises(ProgramError, match="leaves nothing of shape"):
            draft.as_in("2.8.0")


@pytest.mark.parametrize(("torch", "wanted"), [("2.13.0", 0.0), ("2.15.0", 2.0)])
def test_a_norm_of_eps_passes_no_gradient_from_2_15_on(
    machine: Machine, torch: str, wanted: float
) -> None:
    draft = drafted("normalize", of=[0.5], params={"dim": 0, "p": 1.0, "eps": 0.5}).as_in(torch)
    found = answer(draft, predict(draft), machine)
    assert found.values["x0"].values.tolist() == [1.0]
    assert found.gradients["a"].values.tolist() == [wanted]


@pytest.mark.parametrize(
    ("shape", "what"),
    [((2, 2), ""), ((1, 2), "gather and scatter by an index smaller than the tensor")],
)
def test_an_index_had_to_be_as_large_as_the_tensor(shape: tuple[int, ...], what: str) -> None:
    leaves = (
        Leaf("a", (2, 2), [1.0, 2.0, 3.0, 4.0]),
        Leaf("i", shape, [0] * (2 * shape[0]), "int64"),
    )
    steps = (Apply("gather", ("a", "i"), {"dim": 1}, ("x",)),)
    (step,) = check(Program(leaves, steps)).shaped
    assert not isinstance(step, Backward)
    assert missing_form(step, "1.4.0") == what
    assert missing_form(step, "1.8.1") == ""


@pytest.mark.parametrize(
    ("quirk", "correction", "wanted"),
    [
        ("variance-below-zero", 3, [1.0, -1.0]),
        ("variance-without-freedom", 3, [math.inf, math.inf]),
        ("", 3, [-math.inf, math.inf]),
        ("variance-below-zero", 2, [-math.inf, math.inf]),
    ],
)
def test_variance_divided_by_a_negative_number(
    machine: Machine, quirk: str, correction: int, wanted: list[float]
) -> None:
    leaf = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
    steps = (Apply("var", ("a",), {"correction": correction}, ("x0",)), Backward(("x0",)))
    draft = check(Program((leaf,), steps))
    quirks = frozenset(filter(None, (quirk,)))
    found = answer(draft, predict(draft), machine, quirks=quirks)
    assert found.values["x0"].values.tolist() == math.inf
    assert found.gradients["a"].values.tolist() == wanted


@pytest.mark.parametrize("op", ["elu", "celu", "selu"])
def test_elu_lost_its_digits_near_zero(machine: Machine, op: str) -> None:
    """exp(x) - 1 has the error of a number of the size of 1; the derivative is as it was."""
    here = drafted(op, of=[-1e-10, -1.0, 1.0])
    now, before = (answer(d, predict(d), machine) for d in (here, here.as_in("2.4.1")))
    assert now.values["x0"].slack.tolist()[0] < 1e-20
    assert before.values["x0"].slack.tolist()[0] > 1e-17
    assert before.values["x0"].values.tolist() == pytest.approx(now.values["x0"].values.tolist())
    gradients = (each.gradients["a"].values.tolist() for each in (before, now))
    assert next(gradients) == next(gradients)


@pytest.mark.parametrize(("torch", "kept"), [("2.13.0", []), ("2.15.0", ["x0"])])
def test_group_norm_keeps_what_it_is_given_from_2_15_on(torch: str, kept: list[str]) -> None:
    leaf = Leaf("a", (2, 3), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], requires_grad=True)
    norm = Apply("group_norm", ("x0",), {"num_groups": 1}, ("x1",))
    draft = check(Program((leaf,), (Apply("t", ("a",), {}, ("x0",)), norm)))
    assert [saved.tensor for saved in predict(draft.as_in(torch)).saved] == kept


@pytest.mark.parametrize(
    ("torch", "strides"), [("1.8.1", (1, 2)), ("2.4.1", (2, 1)), ("2.8.0", (1, 2))]
)
def test_ldexp_was_of_a_power_that_is_row_major(torch: str, strides: tuple[int, ...]) -> None:
    leaf = Leaf("a", (2, 2), [1.0, 2.0, 3.0, 4.0])
    steps = (Apply("t", ("a",), {}, ("x0",)), Apply("ldexp", ("b", "x0"), {}, ("x1",)))
    draft = check(Program((leaf, Leaf("b", (), [1.0])), steps)).as_in(torch)
    assert draft.values["x1"].layout.strides == strides


@pytest.mark.parametrize(
    ("torch", "at", "open_"),
    [("2.0.1", "-0.0", True), ("2.0.1", "0.0", False), ("2.4.1", "-0.0", False)],
)
def test_logit_is_open_at_negative_zero_before_2_4(
    machine: Machine, torch: str, at: str, *, open_: bool
) -> None:
    draft = drafted("logit", of=[float(at), 0.5]).as_in(torch)
    found = answer(draft, predict(draft), machine)
    assert bool(found.unspecified) is open_
