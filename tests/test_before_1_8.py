"""What operations, views and checks were before torch 1.8."""

from __future__ import annotations

import math

import pytest

from conformance.model import Kind, predict
from conformance.model.prediction import Prediction
from conformance.model.quirks import (
    BEHIND_VIEW,
    COMPOSED_OUT,
    DOT_OUT,
    NO_GRAD_VIEW,
    PAD_ITSELF,
    PIECES_APART,
    PIECES_ASSERTED,
    ROOT_RUNS,
    SLOPE_UNSEEN,
    SOUGHT_NOWHERE,
    UNGRADED_QUIETLY,
)
from conformance.oracle.answering import answer
from conformance.oracle.machine import Machine
from strategies.draft import check
from strategies.program import Apply, Backward, Leaf, Program
from strategies.table.changes import missing_form
from tests._agreement import program


def said(torch: str, text: str, *quirks: str) -> Prediction:
    return predict(program(text).as_in(torch), quirks=frozenset(quirks))


def raised(torch: str, text: str, *quirks: str) -> Kind | None:
    raises = said(torch, text, *quirks).raises
    return None if raises is None else raises.kind


def written(make: str, what: str) -> str:
    """A program that overwrites a tensor between an operation and backward."""
    into = "b = a.mul(2.0)\nc = d.mul(2.0)\n"
    return f"a = leaf(2, 2)\nd = leaf(2, 2)\n{into}{make}\n{what}.add_(1.0)\nbackward(x)"


@pytest.mark.parametrize(
    ("make", "what", "before", "since"),
    [
        ("x = b.elu(alpha=0.5)", "x", Kind.SAVED_MODIFIED, None),
        ("x = b.mse_loss(c)", "b", None, Kind.SAVED_MODIFIED),
    ],
)
def test_what_a_node_saved_before_1_8(
    make: str, what: str, before: Kind | None, since: Kind | None
) -> None:
    text = written(make, what)
    assert raised("1.4.0", text) == before
    assert raised("1.8.1", text) == since


def test_a_power_kept_its_result_since_1_4() -> None:
    text = written("x = b.pow(c)", "x")
    assert raised("1.2.0", text) is None
    assert raised("1.4.0", text) == raised("1.8.1", text) == Kind.SAVED_MODIFIED


def test_and_its_exponent_for_the_gradient_of_its_base_alone() -> None:
    text = "a = const(2)\nd = leaf(2)\nc = d.mul(1.0)\nx = a.pow(c)\nc.mul_(2.0)\nbackward(x)"
    kept = {torch: raised(torch, text) for torch in ("1.2.0", "1.4.0", "1.8.1")}
    assert kept == {
        "1.2.0": Kind.SAVED_MODIFIED,
        "1.4.0": None,
        "1.8.1": Kind.SAVED_MODIFIED,
    }


def test_a_product_kept_both_factors_whichever_gradient_was_wanted() -> None:
    text = "a = leaf(2, 2)\nd = const(2, 2)\nb = a.mul(1.0)\nx = b.mm(d)\nb.mul_(2.0)\nbackward(x)"
    assert raised("1.4.0", text) == Kind.SAVED_MODIFIED
    assert raised("1.8.1", text) is None


def test_a_loss_had_a_kernel_where_the_target_requires_no_grad() -> None:
    text = "a = leaf(2)\nd = {}(2)\nb = d.mul(1.0)\nx = a.mse_loss(b)\nb.mul_(2.0)\nbackward(x)"
    assert raised("1.4.0", text.format("const")) == Kind.SAVED_MODIFIED
    assert raised("1.4.0", text.format("leaf")) is None
    assert raised("1.8.1", text.format("leaf")) == Kind.SAVED_MODIFIED


@pytest.mark.parametrize(
    ("torch", "op", "kind"),
    [
        ("1.2.0", "atan2_", Kind.VALUE_DIMENSIONS),
        ("1.4.0", "atan2_", Kind.BROADCAST_TARGET),
        ("1.4.0", "remainder_", Kind.VALUE_DIMENSIONS),
        ("1.8.1", "remainder_", Kind.BROADCAST_TARGET),
    ],
)
def test_operands_were_expanded_to_the_target(torch: str, op: str, kind: Kind) -> None:
    assert raised(torch, f"a = const(2)\nb = const(2, 2)\na.{op}(b)") == kind


REMAINDER = "a = leaf(2)\n{}x = a.remainder(a)"


def test_an_operand_without_a_derivative_was_refused_at_once() -> None:
    assert raised("1.4.0", REMAINDER.format("")) == Kind.NOT_DIFFERENTIABLE
    assert raised("1.12.1", REMAINDER.format("")) is None


def test_and_it_was_in_no_grad_as_well() -> None:
    quiet = REMAINDER.format("with no_grad: ")
    assert raised("1.4.0", quiet) is None
    assert raised("1.4.0", quiet, UNGRADED_QUIETLY) == Kind.NOT_DIFFERENTIABLE


def test_fmod_had_no_derivative_in_its_divisor() -> None:
    text = "a = leaf(2)\nd = {}(2)\nx = a.fmod(d)\nbackward(x)"
    assert raised("1.8.1", text.format("leaf")) == Kind.NOT_DIFFERENTIABLE
    assert raised("1.8.1", text.format("const")) is None
    assert raised("1.12.1", text.format("leaf")) is None


SPLIT = "a = leaf(2)\nb = a.mul(2.0)\nx, y = b.split(split_size=1)\n"


def test_pieces_of_split_were_no_views(machine: Machine) -> None:
    draft = program(f"{SPLIT}x.mul_(3.0)\nbackward(b)").as_in("1.4.0")
    for quirks, gradient, version in (((), [6.0, 2.0], 1), ((PIECES_APART,), [2.0, 2.0], 0)):
        prediction = predict(draft, quirks=frozenset(quirks))
        found = answer(draft, prediction, machine, quirks=frozenset(quirks))
        assert prediction.flags["b"].version == version
        assert found.values["b"].values.tolist() == [6.0, 4.0]
        assert found.gradients["a"].values.tolist() == gradient


def test_a_leaf_was_written_through_its_pieces() -> None:
    text = "a = leaf(2)\nx, y = a.split(split_size=1)\nx.mul_(3.0)\nbackward(y)"
    assert raised("1.4.0", text) == Kind.LEAF_MOVED
    assert raised("1.4.0", text, PIECES_APART) is None


def test_of_several_views_all_but_the_first_failed_an_assertion() -> None:
    text = "a = leaf(2)\nb = a.mul(2.0)\nx, y = b.unbind()\nb.mul_(3.0)\nbackward({})"
    assert raised("1.4.0", text.format("y")) is None
    assert raised("1.4.0", text.format("x"), PIECES_ASSERTED) is None
    assert raised("1.4.0", text.format("y"), PIECES_ASSERTED) == Kind.PIECE_ASSERTED


def test_a_negative_slope_in_place_went_unseen() -> None:
    text = "a = leaf(2)\nb = a.mul(1.0)\nb.leaky_relu_(negative_slope=-0.5)\nbackward(b)"
    assert raised("1.4.0", text) == Kind.FORBIDDEN_IN_PLACE
    unseen = said("1.4.0", text, SLOPE_UNSEEN)
    assert unseen.raises is None
    assert "negative parameter" in unseen.hidden


def test_elu_took_the_sign_of_its_result_for_its_operand_s(machine: Machine) -> None:
    draft = program("a = leaf(2)\nb = a.mul(-1.0)\nx = b.elu(alpha=-1.0)\nbackward(x)")
    there = draft.as_in("1.4.0")
    quirks = frozenset({"elu-by-result"})
    right = answer(there, predict(there), machine).gradients["a"].values
    wrong = answer(there, predict(there), machine, quirks=quirks).gradients["a"].values
    assert right.tolist() == pytest.approx([math.exp(-1.0), math.exp(-2.0)])
    assert wrong.tolist() == [-1.0, -1.0]


def test_padding_by_nothing_is_left_open() -> None:
    text = "a = leaf(2)\nx = a.pad(pad={})"
    assert said("1.4.0", text.format([0, 0]), PAD_ITSELF).unspecified
    assert not said("1.4.0", text.format([0, 1]), PAD_ITSELF).unspecified
    assert not said("1.4.0", text.format([0, 0])).unspecified


def gradient_of(
    machine: Machine, torch: str, leaves: tuple[Leaf, ...], step: Apply, *quirks: str
) -> list[float]:
    """The gradient of the last leaf, where everything that the step makes gets a gradient of 1."""
    numel = check(Program(leaves, (step,))).values["x"].layout.numel
    draft = check(Program(leaves, (step, Backward(("x",), ([1.0] * numel,)))), torch)
    found = answer(draft, predict(draft), machine, quirks=frozenset(quirks))
    gradient: list[float] = found.gradients[leaves[-1].name].values.ravel().tolist()
    return gradient


ALIKE = (Leaf("a", (2,), [1.0, 1.0], requires_grad=True),)
ONE = (Leaf("a", (), [1.0], requires_grad=True),)
LINE = (Leaf("a", (1, 1, 2), [1.0, 2.0], requires_grad=True),)
NAMED = (
    Leaf("c", (2,), [1.0, 2.0]),
    Leaf("i", (2,), [0, 0], "int64"),
    Leaf("a", (), [3.0], requires_grad=True),
)
SLOPE = 1.0 / (1.0 + math.exp(-1.0))


@pytest.mark.parametrize(
    ("quirk", "torch", "leaves", "step", "right", "wrong"),
    [
        (
            "ties-get-all-gradient",
            "1.4.0",
            ALIKE,
            Apply("max", ("a",), {}, ("x",)),
            [0.5, 0.5],
            [1.0, 1.0],
        ),
        (
            "index-fill-counts-again",
            "1.8.1",
            NAMED,
            Apply("index_fill", ("c", "i", "a"), {"dim": 0}, ("x",)),
            [1.0],
            [2.0],
        ),
        (
            "softplus-by-result",
            "1.8.1",
            ONE,
            Apply("softplus", ("a",), {"threshold": 1.0}, ("x",)),
            [SLOPE],
            [1.0],
        ),
        (
            "interpolate-to-one",
            "1.8.1",
            LINE,
            Apply("interpolate_linear", ("a",), {"size": [1]}, ("x",)),
            [0.5, 0.5],
            [1.0, 0.0],
        ),
    ],
)
def test_what_an_old_gradient_was_and_should_have_been(
    machine: Machine,
    quirk: str,
    torch: str,
    leaves: tuple[Leaf, ...],
    step: Apply,
    right: list[float],
    wrong: list[float],
) -> None:
    assert gradient_of(machine, torch, leaves, step) == pytest.approx(right)
    assert gradient_of(machine, torch, leaves, step, quirk) == pytest.approx(wrong)


def test_which_of_equal_elements_max_gave_was_open(machine: Machine) -> None:
    """From 1.7 on "the indices of the first maximal value are returned" (torch.max)."""
    steps = (Apply("max_dim", ("a",), {"dim": 0}, ("x",)), Backward(("x",)))
    for torch, known in (("1.4.0", False), ("1.8.1", True)):
        draft = check(Program(ALIKE, steps), torch)
        assert (answer(draft, predict(draft), machine).unspecified == "") is known


def test_logical_operations_were_their_own_out_form() -> None:
    text = "a = leaf(2)\nx = a.logical_not()"
    assert raised("1.4.0", text) is None
    assert raised("1.4.0", text, COMPOSED_OUT) == Kind.OUT_GRAD
    assert raised("1.12.1", text, COMPOSED_OUT) is None


def test_pixels_were_shuffled_by_views() -> None:
    text = "a = leaf(1, 4, 1, 1)\nb = a.mul(1.0)\nx = b.pixel_shuffle(upscale_factor=2)"
    before, since = said("1.8.1", text), said("1.12.1", text)
    assert before.memory["x"] == before.memory["b"]
    assert since.memory["x"] != since.memory["b"]


def test_a_view_from_no_grad_could_not_be_saved() -> None:
    text = "a = leaf(2)\nwith no_grad: x = a.view(shape=[2])\ny = x.sin()\nbackward(y)"
    assert raised("1.12.1", text) == Kind.NOTHING_REQUIRES_GRAD
    assert raised("1.8.1", text, NO_GRAD_VIEW) == Kind.LEAF_SAVED
    assert raised("1.13.1", text, NO_GRAD_VIEW) is None


def test_operands_of_one_range_were_taken_for_the_same() -> None:
    text = "a = const(2, 2)\nb = a.t()\nb.mul_(a)"
    assert raised("1.12.1", text) == Kind.OVERLAP_PARTIAL
    before = said("1.8.1", text)
    assert before.raises is None
    assert "other strides" in before.open


def test_what_no_graph_reaches_was_sought_everywhere() -> None:
    text = "a = leaf(2)\nb = leaf(2)\nx = b.mul(2.0)\nbackward(x, inputs=['{}'], via='grad')"
    assert said("1.8.1", text.format("a"), SOUGHT_NOWHERE).unspecified
    assert not said("1.8.1", text.format("b"), SOUGHT_NOWHERE).unspecified
    assert not said("1.8.1", text.format("a")).unspecified


def test_numbers_were_cast_to_their_target_in_1_2() -> None:
    text = "m = ints(2)\nm.mul_(2.5)"
    assert raised("1.4.0", text) == Kind.DTYPE_CAST
    before = said("1.2.0", text)
    assert before.raises is None
    assert "cast" in before.open
    alike = "m = ints()\na = const()\nm.mul_(a)"
    assert raised("1.2.0", alike) == Kind.DTYPE_CAST


@pytest.mark.parametrize(
    ("torch", "op", "strides"),
    [
        ("1.4.0", "exp()", (3, 1)),
        ("1.8.1", "exp()", (1, 2)),
        ("1.4.0", "add(1.0)", (1, 2)),
        ("1.8.1", "flip(dims=[0])", (3, 1)),
        ("1.12.1", "flip(dims=[0])", (1, 2)),
        ("1.8.1", "rot90(k=1)", (1, 3)),
        ("1.8.1", "rot90(k=2)", (3, 1)),
        ("1.4.0", "pow(2.0)", (1, 2)),
        ("1.4.0", "pow(b)", (3, 1)),
    ],
)
def test_results_of_some_kernels_were_row_major(
    torch: str, op: str, strides: tuple[int, ...]
) -> None:
    draft = program(f"a = const(3, 2)\nb = a.t()\nx = b.{op}").as_in(torch)
    assert draft.values["x"].layout.strides == strides


@pytest.mark.parametrize(
    "text", ["x = a.einsum(a, equation='i,j->ij')", "x = b.group_norm(num_groups=1)"]
)
def test_what_gave_a_view_of_its_own_result(text: str) -> None:
    text = f"a = leaf(2)\nb = leaf(1, 2)\n{text}\nx.detach_()"
    assert raised("1.4.0", text, BEHIND_VIEW) == Kind.DETACH_VIEW
    assert raised("1.4.0", text) is None
    assert raised("1.8.1", text, BEHIND_VIEW) is None


@pytest.mark.parametrize(
    ("op", "far", "since", "off"),
    [("selu", -20.0, "1.8.1", 1e-8), ("logsigmoid", 20.0, "1.12.1", 1e-8)],
)
def test_digits_that_old_formulas_lost(
    machine: Machine, op: str, far: float, since: str, off: float
) -> None:
    """The error bound tells of it: what torch gave is within, and what is right is as well."""
    leaf = Leaf("a", (1,), [far], requires_grad=True)
    draft = check(Program((leaf,), (Apply(op, ("a",), {}, ("x",)), Backward(("x",)))))
    slack = {}
    for torch in ("1.4.0", since):
        there = draft.as_in(torch)
        found = answer(there, predict(there), machine).gradients["a"]
        slack[torch] = float(found.slack[0] / abs(found.values[0]))
    assert slack["1.4.0"] > off > 1e-10 > slack[since]


def test_log_sigmoid_of_minus_infinity_was_not_a_number(machine: Machine) -> None:
    draft = check(Program((Leaf("a", (), ["-inf"]),), (Apply("logsigmoid", ("a",), {}, ("x",)),)))
    for torch, wanted in (("1.8.1", math.nan), ("1.12.1", -math.inf)):
        there = draft.as_in(torch)
        found = float(answer(there, predict(there), machine).values["x"].values)
        assert found == wanted or (math.isnan(wanted) and math.isnan(found))


def test_matmul_of_vectors_with_out_is_left_open() -> None:
    for modes in ((), ("no_grad",)):
        leaves = (Leaf("a", (2,), [1.0, 2.0]), Leaf("b", (), [1.0], requires_grad=True))
        step = Apply("matmul_out", ("b", "a", "a"), {}, (), modes=modes)
        there = check(Program(leaves, (step,)), "1.8.1")
        assert predict(there, quirks=frozenset({DOT_OUT})).unspecified
        raises = predict(there).raises
        assert (raises is None) is bool(modes)


def test_index_select_of_no_dimensions_is_left_out() -> None:
    leaves = (Leaf("a", (), [1.0]), Leaf("i", (1,), [0], "int64"))
    for step in (
        Apply("index_select", ("a", "i"), {"dim": 0}, ("x",)),
        Apply("index_select_out", ("a", "a", "i"), {"dim": 0}),
    ):
        (shaped,) = check(Program(leaves, (step,))).shaped
        assert not isinstance(shaped, Backward)
        assert "without dimensions" in missing_form(shaped, "1.4.0")
        assert missing_form(shaped, "1.8.1") == ""


def test_a_view_from_no_grad_was_warned_of_once() -> None:
    """By whoever looks at its node first: it is a view as any other from then on."""
    seen = "a = const(1)\nb = leaf(1)\nwith no_grad: x = a.view(shape=[1])\na.mul_(b)\n"
    assert raised("1.8.1", f"{seen}x.mul_(2.0)") == Kind.NO_GRAD_VIEW_INPLACE
    assert raised("1.8.1", f"{seen}y = x.exp()\nx.mul_(2.0)", NO_GRAD_VIEW) is None


def test_pieces_from_no_grad_could_not_be_saved() -> None:
    text = "a = leaf(1)\nwith no_grad: x = a.unbind()\ny = a.mul(x)\nbackward(y)"
    assert raised("1.8.1", text, NO_GRAD_VIEW) == Kind.LEAF_SAVED
    assert raised("1.8.1", text) is None


@pytest.mark.parametrize(
    ("op", "kind"), [("setitem_where_", Kind.OVERLAP_PARTIAL), ("masked_fill_", None)]
)
def test_a_value_put_by_a_mask_was_looked_at(op: str, kind: Kind | None) -> None:
    leaves = (Leaf("a", (), [1.0]), Leaf("m", (1,), [1], "bool"))
    view = Apply("view", ("a",), {"shape": [-1]}, ("b",))
    draft = check(Program(leaves, (view, Apply(op, ("b", "m", "a")))))
    raises = {torch: predict(draft.as_in(torch)).raises for torch in ("1.8.1", "1.12.1")}
    assert (raises["1.8.1"] and raises["1.8.1"].kind) == kind
    assert raises["1.12.1"] is None


def test_only_row_major_tensors_were_looked_at() -> None:
    leaves = (Leaf("a", (2, 2), [1.0] * 4), Leaf("i", (2,), [0, 1], "int64"))
    steps = (Apply("t", ("a",), {}, ("b",)), Apply("setitem_at_", ("a", "i", "b")))
    draft = check(Program(leaves, steps))
    before, since = (predict(draft.as_in(torch)) for torch in ("1.8.1", "1.12.1"))
    assert before.raises is None and before.open
    assert since.raises is not None and since.raises.kind == Kind.OVERLAP_PARTIAL


def test_a_missing_derivative_raised_though_nobody_asked_for_it() -> None:
    text = "a = leaf(2)\nd = leaf(2)\nb = d.mul(2.0)\nx = b.igamma(a)\nbackward(x, inputs=['a'])"
    assert raised("1.12.1", text) == Kind.NOT_DIFFERENTIABLE
    assert raised("1.13.1", text) is None


def test_which_nodes_of_a_root_run_is_open() -> None:
    text = (
        "a = leaf(1, 1, 2)\nb = leaf(1, 2, 2)\nx = a.matmul(b)\n"
        "backward(x, inputs=['x'], via='grad')"
    )
    assert "which of the nodes" in said("1.8.1", text, ROOT_RUNS).unspecified
    assert not said("1.8.1", text).unspecified


def test_what_was_saved_was_not_asked_for_its_node() -> None:
    text = "a = leaf(1)\nx = a.unbind()\ny = x.square()\nwith no_grad: a.mul_(2.0)\nbackward(y)"
    assert raised("1.8.1", text) == Kind.SAVED_MODIFIED
    assert raised("1.12.1", text) == Kind.MULTI_VIEW_REBASED


def test_the_gradient_of_a_value_counts_cells_that_repeat() -> None:
    """Which nothing documents: it is not judged."""
    text = "a = const(1, 3)\nd = leaf()\nx = a.unfold(dimension=1, size=2, step=1)\n{}\nbackward(a)"
    assert said("1.8.1", text.format("x.fill_(d)")).hidden


def gradient_of_cumsum(machine: Machine, torch: str) -> list[float]:
    steps = (Apply("cumsum", ("a",), {"dim": 0}, ("x",)), Backward(("x",), (["inf", 3.0],)))
    draft = check(Program(ALIKE, steps), torch)
    gradient: list[float] = answer(draft, predict(draft), machine).gradients["a"].values.tolist()
    return gradient


def test_cumsum_took_infinity_away_again(machine: Machine) -> None:
    assert all(math.isnan(each) for each in gradient_of_cumsum(machine, "1.8.1"))
    assert gradient_of_cumsum(machine, "1.12.1") == [math.inf, 3.0]


NOT_ALL_NUMBERS = (Leaf("a", (2,), ["nan", 0.0], requires_grad=True),)


@pytest.mark.parametrize(
    ("torch", "step"),
    [
        ("1.8.1", Apply("logcumsumexp", ("a",), {"dim": 0}, ("x",))),
        ("1.4.0", Apply("median", ("a",), {}, ("x",))),
    ],
)
def test_what_comes_of_nan_is_open(machine: Machine, torch: str, step: Apply) -> None:
    for leaves, known in ((NOT_ALL_NUMBERS, False), (TWO, True)):
        draft = check(Program(leaves, (step,)), torch)
        assert (answer(draft, predict(draft), machine).unspecified == "") is known


TWO = (Leaf("a", (2,), [1.0, 2.0], requires_grad=True),)


def test_rrelu_passed_the_gradient_of_nan(machine: Machine) -> None:
    step = Apply("rrelu", ("a",), {}, ("x",))
    assert gradient_of(machine, "1.4.0", NOT_ALL_NUMBERS, step)[0] == 1.0
    assert gradient_of(machine, "1.8.1", NOT_ALL_NUMBERS, step)[0] < 0.3


def test_xlogy_by_a_number_was_derived_in_float32(machine: Machine) -> None:
    step = Apply("xlogy", ("a", 2.0), {}, ("x",))
    exactly = pytest.approx([math.log(2.0)], rel=1e-12)
    assert gradient_of(machine, "1.8.1", ONE, step) == exactly
    by_quirk = gradient_of(machine, "1.8.1", ONE, step, "xlogy-by-float32")
    assert by_quirk != exactly
    assert by_quirk == pytest.approx([math.log(2.0)], rel=1e-7)
