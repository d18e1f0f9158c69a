"""What programs drawn for old versions alone found of their operations and checks."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.model import Kind, predict
from conformance.model.quirks import BEHIND_VIEW, NO_GRAD_VIEW, NORM_OUT, ROOT_RUNS
from conformance.oracle.answering import answer
from conformance.oracle.machine import Machine
from strategies.draft import Shaped, check
from strategies.program import Apply, Backward, Leaf, Program
from strategies.table.changes import missing_form
from tests._agreement import program


def raised(torch: str, text: str) -> Kind | None:
    raises = predict(program(text).as_in(torch)).raises
    return None if raises is None else raises.kind


@pytest.mark.parametrize(
    ("torch", "one", "other", "strides"),
    [
        ("1.2.0", "b", "c", (4, 1, 2)),
        ("1.2.0", "c", "b", (4, 1, 2)),
        ("1.4.0", "b", "c", (2, 1, 4)),
        ("1.4.0", "c", "b", (4, 1, 2)),
    ],
)
def test_where_a_sum_lay_did_not_depend_on_which_operand_came_first(
    torch: str, one: str, other: str, strides: tuple[int, ...]
) -> None:
    text = (
        "a = const(2, 2, 2)\nb = a.permute(dims=[1, 2, 0])\nc = a.permute(dims=[0, 2, 1])\n"
        f"x = {one}.add({other})"
    )
    assert program(text).as_in(torch).values["x"].layout.strides == strides


def test_truth_values_could_be_multiplied_by_a_number_and_not_divided() -> None:
    for op, missing in (("mul_", ""), ("div_", "division of truth values by a number")):
        draft = program(f"a = const(2)\nm = a.gt(1.0)\ns = const()\nm.{op}(s)").as_in("1.2.0")
        step = draft.shaped[-1]
        assert isinstance(step, Shaped)
        assert missing_form(step, "1.2.0") == missing
        assert missing_form(step, "1.4.0") == ""


@pytest.mark.parametrize(
    ("torch", "op", "kind"),
    [
        ("1.4.0", "atan2_", None),
        ("1.8.1", "atan2_", Kind.OVERLAP_PARTIAL),
        ("1.4.0", "mul_", Kind.OVERLAP_PARTIAL),
    ],
)
def test_some_kernels_did_not_look_at_what_lies_in_their_target(
    torch: str, op: str, kind: Kind | None
) -> None:
    text = f"a = const(2, 2)\nb = a.select(dim=0, index=1)\na.{op}(b)"
    assert raised(torch, text) == kind
    if kind is None:
        assert "overlap" in predict(program(text).as_in(torch)).open


def test_a_tensor_is_its_own_operand_all_the_same() -> None:
    assert not predict(program("a = const(2, 2)\na.atan2_(a)").as_in("1.4.0")).open


def test_a_detached_out_lost_a_dimension_on_the_way() -> None:
    text = "a = const(2, 3)\nb = const(3)\nc = b.detach()\nmode_out(c, a, dim=0)"
    assert predict(program(text).as_in("1.12.1")).unspecified
    assert not predict(program(text).as_in("1.13.1")).unspecified
    kept = "a = const(2, 3)\nb = const(1, 3)\nc = b.detach()\nmode_out(c, a, dim=0, keepdim=True)"
    assert not predict(program(kept).as_in("1.12.1")).unspecified


@pytest.mark.parametrize(
    ("torch", "p", "kind"),
    [
        ("1.12.1", "", None),
        ("1.12.1", "p=3.0", Kind.SAVED_MODIFIED),
        ("1.13.1", "", Kind.SAVED_MODIFIED),
    ],
)
def test_a_frobenius_norm_was_copied_into_its_result(torch: str, p: str, kind: Kind | None) -> None:
    assert raised(torch, f"a = leaf(2)\nx = a.norm({p})\nx.mul_(2.0)\nbackward(x)") == kind


def test_a_norm_of_everything_was_written_where_autograd_records() -> None:
    text = "a = leaf(2)\nb = const()\nnorm_out(b, a)"
    quirks = frozenset({"norm-out-unseen"})
    said = predict(program(text).as_in("1.13.1"), quirks=quirks)
    assert said.raises is None and said.unspecified
    assert raised("1.13.1", text) == Kind.OUT_GRAD
    by_one = predict(program(text + "\n").as_in("1.13.1"), quirks=quirks)
    assert by_one.unspecified == said.unspecified


@pytest.mark.parametrize("operation", ["t()", "transpose(dim0=0, dim1=0)"])
def test_an_inference_tensor_was_its_own_transpose(operation: str) -> None:
    text = f"a = leaf(2)\nwith inference_mode: b = a.mul(2.0)\nx = b.{operation}"
    assert predict(program(text).as_in("1.12.1")).unspecified
    assert not predict(program(text).as_in("1.13.1")).unspecified


def test_the_power_of_ldexp_has_a_node_of_its_own() -> None:
    """Where a view from no_grad is said to require grad, the product keeps its other factor."""
    text = (
        "a = leaf(2)\nb = leaf(2)\nwith no_grad: x = a.view(shape=[2])\n"
        "y = b.ldexp(x)\nwith no_grad: b.mul_(2.0)\nbackward(y)"
    )
    draft = program(text).as_in("1.12.1")
    said = predict(draft, quirks=frozenset({NO_GRAD_VIEW})).raises
    assert said is not None and said.kind == Kind.SAVED_MODIFIED
    assert predict(draft).raises is None


def test_layer_norm_saved_a_copy_of_what_is_not_contiguous() -> None:
    text = "a = leaf(2, 2)\nb = a.mul(2.0)\n{}y = c.layer_norm()\nb.mul_(2.0)\nbackward(y)"
    assert raised("1.4.0", text.format("c = b.t()\n")) is None
    assert raised("1.4.0", text.format("c = b.view(shape=[2, 2])\n")) == Kind.SAVED_MODIFIED
    assert raised("1.8.1", text.format("c = b.t()\n")) == Kind.SAVED_MODIFIED


@pytest.mark.parametrize(("torch", "zero"), [("1.4.0", [True, False]), ("1.8.1", [False, False])])
def test_the_derivative_by_an_exponent_was_not_a_number_at_zero(
    machine: Machine, torch: str, zero: list[bool]
) -> None:
    leaves = (
        Leaf("a", (2,), [0.0, 2.0], requires_grad=True),
        Leaf("b", (2,), [1.0, 1.0], requires_grad=True),
    )
    steps = (Apply("pow", ("a", "b"), {}, ("x",)), Backward(("x",), ([1.0, 1.0],)))
    draft = check(Program(leaves, steps)).as_in(torch)
    found = answer(draft, predict(draft), machine)
    assert np.isnan(found.gradients["b"].values).tolist() == zero
    assert found.gradients["a"].values.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("torch", "kind"),
    [
        ("1.4.0", None),
        ("1.8.1", Kind.SAVED_MODIFIED),
        ("1.12.1", Kind.SAVED_MODIFIED),
        ("1.13.1", None),
    ],
)
def test_l1_loss_had_a_kernel_for_every_target_from_1_8_to_1_12(
    torch: str, kind: Kind | None
) -> None:
    text = "a = leaf(2)\nb = a.mul(2.0)\ny = b.l1_loss(b)\nb.mul_(2.0)\nbackward(y)"
    assert raised(torch, text) == kind


def test_the_exponent_of_ldexp_was_looked_at_once_the_other_gradient_was_there() -> None:
    text = "a = leaf()\nc = leaf()\nb = c.mul(2.0)\ny = a.ldexp(b)\nb.sigmoid_()\nbackward(y)"
    for torch, received in (("2.8.0", {"a"}), ("2.13.0", set())):
        found = predict(program(text).as_in(torch))
        assert found.raises is not None and found.raises.kind == Kind.SAVED_MODIFIED
        (flow,) = [acted.flow for acted in found.acted if acted.flow is not None]
        assert {leaf.name for leaf in flow.accumulated} == received


def test_equal_operands_of_l1_loss_had_the_gradient_of_a_greater_one(machine: Machine) -> None:
    leaves = (Leaf("a", (2,), [1.0, 3.0], requires_grad=True), Leaf("b", (2,), [1.0, 4.0]))
    steps = (Apply("l1_loss", ("a", "b"), {"reduction": "sum"}, ("x",)), Backward(("x",)))
    draft = check(Program(leaves, steps)).as_in("1.2.0")
    for quirks, first in ((set(), 0.0), ({"l1-loss-counts-equal-as-greater"}, 1.0)):
        found = answer(draft, predict(draft), machine, quirks=frozenset(quirks))
        np.testing.assert_array_equal(found.gradients["a"].values, [first, -1.0])


def test_a_target_of_l1_loss_has_its_gradient_all_the_same(machine: Machine) -> None:
    leaves = tuple(
        Leaf(name, (), [value], requires_grad=True) for name, value in (("a", 1.0), ("b", 4.0))
    )
    draft = check(Program(leaves, (Apply("l1_loss", ("a", "b"), {}, ("x",)), Backward(("x",)))))
    quirks = frozenset({"l1-loss-counts-equal-as-greater"})
    draft = draft.as_in("1.2.0")
    found = answer(draft, predict(draft, quirks=quirks), machine, quirks=quirks)
    assert [float(found.gradients[name].values) for name in "ab"] == [-1.0, 1.0]


def test_the_gradient_of_cumprod_was_a_difference_of_sums(machine: Machine) -> None:
    """Of infinities, it is NaN where the gradient is infinite."""
    leaves = (Leaf("a", (2,), [1.0, 2.0], requires_grad=True),)
    steps = (Apply("cumprod", ("a",), {"dim": 0}, ("x",)), Backward(("x",), ([1.0, "inf"],)))
    draft = check(Program(leaves, steps))
    for torch, quirks, second in (
        ("1.8.1", frozenset[str](), np.inf),
        ("1.8.1", frozenset({"product-by-quotient"}), np.nan),
        ("1.12.1", frozenset({"product-by-quotient"}), np.inf),
    ):
        old = draft.as_in(torch)
        found = answer(old, predict(old), machine, quirks=quirks)
        np.testing.assert_array_equal(found.gradients["a"].values, [np.inf, second])


def test_a_quotient_by_zero_was_not_a_number_rounded_down(machine: Machine) -> None:
    leaves = (Leaf("a", (2,), [1.0, 3.0]), Leaf("b", (2,), [0.0, 2.0]))
    steps = (Apply("div_floor", ("a", "b"), {}, ("x",)),)
    draft = check(Program(leaves, steps)).as_in("1.8.1")
    for quirks, first in ((frozenset[str](), np.inf), (frozenset({"floor-by-zero"}), np.nan)):
        found = answer(draft, predict(draft), machine, quirks=quirks)
        np.testing.assert_array_equal(found.values["x"].values, [first, 1.0])


def test_a_logarithm_of_a_sum_was_rounded_before_it_was_taken(machine: Machine) -> None:
    leaves = (Leaf("a", (), [0.0]), Leaf("b", (), [-50.0]))
    draft = check(Program(leaves, (Apply("logaddexp", ("a", "b"), {}, ("x",)),)))
    old, small = draft.as_in("1.13.1"), 1.9287498479639178e-22
    for quirks, value in ((set(), small), ({"logaddexp-without-log1p"}, 0.0)):
        found = answer(old, predict(old), machine, quirks=frozenset(quirks))
        np.testing.assert_allclose(found.values["x"].values, value, rtol=1e-12)


def test_the_gradient_of_softplus_was_made_of_its_result(machine: Machine) -> None:
    """One minus a power of the result loses digits where that is small."""
    leaves = (Leaf("a", (), [-20.0], requires_grad=True),)
    steps = (Apply("softplus", ("a",), {}, ("x",)), Backward(("x",)))
    old = check(Program(leaves, steps)).as_in("1.4.0")
    exact, rounded = (
        answer(old, predict(old), machine, quirks=quirks).gradients["a"]
        for quirks in (frozenset[str](), frozenset({"softplus-by-result"}))
    )
    off = abs(float(rounded.values) / float(exact.values) - 1.0)
    assert 1e-10 < off < 1e-7 and float(rounded.slack) > 1e-17


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x = a.linear(w)", Kind.LEAF_SAVED),
        ("x = w.linear(a)", None),
        ("b = a.view(shape=[1, 1, 1])\nx = b.linear(w)", None),
    ],
)
def test_linear_kept_views_of_what_is_no_matrix(text: str, kind: Kind | None) -> None:
    """The weight is transposed first, which makes a node for a view from no_grad."""
    made = "c = leaf(1, 1)\nw = leaf(1, 1)\nwith no_grad: a = c.view(shape=[1, 1])\n"
    draft = program(f"{made}{text}\nbackward(x)").as_in("1.8.1")
    said = predict(draft, quirks=frozenset({NO_GRAD_VIEW})).raises
    assert (None if said is None else said.kind) == kind


def test_prod_of_one_element_is_open() -> None:
    for text, told in (("x = a.prod(dim=0)", True), ("x = a.prod(dim=0, keepdim=True)", False)):
        whole = f"a = leaf(1)\n{text}\nbackward(x)"
        assert bool(predict(program(whole).as_in("1.12.1")).unspecified) == told
        assert not predict(program(whole).as_in("1.13.1")).unspecified


def test_a_number_is_written_into_cells_that_repeat_since_2_15() -> None:
    text = "a = const(2)\nb = a.as_strided(size=[2, 2], stride=[0, 1])\nsetitem_(b, 2.0, index=[0])"
    whole = text.replace("index=[0]", "index=['...']")
    assert raised("2.13.0", whole) == Kind.OVERLAP_SELF and raised("2.15.0", whole) is None
    assert raised("2.13.0", text) is None


def test_a_written_slice_asked_for_every_derivative() -> None:
    """One that torch lacks too, though the gradient of another operand alone was wanted."""
    leaves = tuple(Leaf(name, (), [1.0], requires_grad=True) for name in "ab")
    steps = (
        Apply("mul", ("a", 2.0), {}, ("x",)),
        Apply("view_as", ("x",), {}, ("y",)),
        Apply("igammac_", ("y", "b"), {}),
        Backward(("x",), inputs=("b",)),
    )
    draft = check(Program(leaves, steps)).as_in("1.13.1")
    said = predict(draft, quirks=frozenset({"slices-want-all"})).raises
    assert said is not None and said.kind == Kind.NOT_DIFFERENTIABLE
    assert predict(draft).raises is None


def test_shuffled_pixels_of_several_batches_are_a_view_where_they_can_be() -> None:
    made = "a = leaf(1, 2, 1, 2, 1)\nb = a.transpose(dim0=0, dim1=3)\n"
    text = made + "x = b.pixel_shuffle(upscale_factor=1)"
    for torch, view in (("1.8.1", True), ("2.13.0", False)):
        draft = program(text).as_in(torch)
        assert (draft.values["x"].memory == draft.values["b"].memory) == view


def test_what_is_written_out_where_cells_repeat_is_open_where_some_kernel_does_not_look() -> None:
    made = "a = const(1, 2)\nb = a.expand(shape=[2, 2])\nc = const(2, 2)\n"
    for torch, text, kind, told in (
        ("2.13.0", "exp_out(b, c)", Kind.OVERLAP_SELF, False),
        ("1.4.0", "exp_out(b, c)", None, True),
        ("2.13.0", "mm_out(b, c, c)", Kind.OVERLAP_SELF, False),
        ("2.13.0", "cummax_out(b, c, dim=0)", None, True),
    ):
        found = predict(program(made + text).as_in(torch))
        assert (found.raises and found.raises.kind) == kind and bool(found.unspecified) == told


@pytest.mark.parametrize("op", ["conv1d", "conv_transpose1d"])
def test_a_convolution_of_one_dimension_was_a_view_of_one_of_two(op: str) -> None:
    text = f"a = leaf(2, 2, 1)\nx = a.{op}(a)\nx.detach_()"
    for torch, refused in (("1.8.1", Kind.DETACH_VIEW), ("1.12.1", None)):
        assert raised_by(torch, text, BEHIND_VIEW) == refused


def raised_by(torch: str, text: str, *quirks: str) -> Kind | None:
    raises = predict(program(text).as_in(torch), quirks=frozenset(quirks)).raises
    return None if raises is None else raises.kind


def test_a_loss_of_a_target_that_says_it_requires_grad_kept_their_difference() -> None:
    made = "a = leaf(2)\nc = const(2)\nwith no_grad: b = a.view(shape=[2])\n"
    both, one = (f"{made}x = {loss}\nbackward(x)" for loss in ("a.mse_loss(b)", "b.mse_loss(c)"))
    assert raised_by("1.4.0", both, NO_GRAD_VIEW) is None
    assert raised_by("1.4.0", one, NO_GRAD_VIEW) == Kind.LEAF_SAVED


def test_strides_of_0_counted_for_sizes_of_1() -> None:
    made = "a = const(6)\n"
    for size, stride, refused in (([2, 1], [2, 0], True), ([2, 1], [1, 0], False)):
        text = f"{made}b = a.as_strided(size={size}, stride={stride})\nb.mul_(2.0)"
        assert raised("1.4.0", text) == (Kind.OVERLAP_SELF if refused else None)
        assert raised("1.8.1", text) is None


def test_what_was_written_into_a_copy_had_its_gradient_before_what_was_copied() -> None:
    """So that it stays where the other one has become a part of the graph."""
    made = "a = leaf(2)\nc = leaf(2)\nm = a.gt(0.0)\n"
    moved = "v = a.view_as()\nv.mul_(2.0)\nbackward(x)"
    for operation, accumulated in (("a.masked_scatter(m, c)", True), ("a.add(c)", False)):
        found = predict(program(f"{made}x = {operation}\n{moved}").as_in("1.2.0"))
        assert found.raises is not None and found.raises.kind == Kind.LEAF_MOVED
        assert found.graded["c"] == accumulated


@pytest.mark.parametrize(("shape", "graded"), [((1,), False), ((), True)])
def test_a_written_slice_wanted_what_its_value_was_viewed_as(
    shape: tuple[int, ...], graded: bool
) -> None:
    leaves = tuple(
        Leaf(name, dims, [1.0], requires_grad=True) for name, dims in (("a", (1,)), ("b", shape))
    )
    steps = (
        Apply("mul", ("a", 2.0), {}, ("x",)),
        Apply("setitem_", ("x", "b"), {"index": [0]}),
        Backward(("x",), inputs=("a",)),
    )
    draft = check(Program(leaves, steps)).as_in("1.13.1")
    assert predict(draft, quirks=frozenset({"slices-want-all"})).graded["b"] == graded


def test_roots_that_no_leaf_leads_to_may_run_for_an_input_that_no_node_has_read() -> None:
    leaves = (Leaf("a", (), [1.0], requires_grad=True),)
    steps = (
        Apply("view_as", ("a",), {}, ("x",), modes=("no_grad",)),
        Apply("square", ("x",), {}, ("y",)),
        Backward(("y", "y"), inputs=("a",)),
    )
    draft = check(Program(leaves, steps)).as_in("1.8.1")
    found = predict(draft, quirks=frozenset({NO_GRAD_VIEW, ROOT_RUNS}))
    assert found.raises is None and "no node has read" in found.unspecified


def test_norm_without_p_wrote_out_whatever_its_dimensions() -> None:
    text = "a = leaf(1, 1)\nnorm_out(a, a, dim=1, keepdim=True)"
    draft = program(text).as_in("1.12.1")
    assert "writes out" in predict(draft, quirks=frozenset({NORM_OUT})).unspecified
    raises = predict(draft).raises
    assert raises is not None and raises.kind == Kind.OUT_GRAD


def test_a_leaf_that_a_written_slice_wanted_keeps_its_gradient_where_the_call_raises() -> None:
    leaves = (
        Leaf("a", (), [1.0], requires_grad=True),
        Leaf("c", (2,), [1.0, 2.0], requires_grad=True),
        Leaf("m", (1, 2), [1.0, 0.0], dtype="bool"),
    )
    steps = (
        Apply("exp", ("c",), {}, ("x",)),
        Apply("unsqueeze", ("x",), {"dim": 0}, ("y",)),
        Apply("setitem_where_", ("y", "m", "a"), {}),
        Backward(("x",), ([1.0, 1.0],), inputs=("c", "a"), via="grad"),
    )
    draft = check(Program(leaves, steps)).as_in("1.13.1")
    for quirks, graded in ((frozenset[str](), False), (frozenset({"slices-want-all"}), True)):
        found = predict(draft, quirks=quirks)
        assert found.raises is not None and found.raises.kind == Kind.SAVED_MODIFIED
        assert found.graded["a"] == graded


def test_index_fill_took_slices_for_blocks_of_memory() -> None:
    leaves = (Leaf("a", (2, 2), [1.0] * 4), Leaf("i", (1,), [0.0], dtype="int64"))
    for op, params, astray in (
        ("unfold", {"dimension": 0, "size": 2, "step": 1}, True),
        ("unsqueeze", {"dim": 0}, False),
    ):
        steps = (
            Apply(op, ("a",), params, ("x",)),
            Apply("index_fill_", ("x", "i", 2.0), {"dim": 1}),
        )
        draft = check(Program(leaves, steps))
        assert bool(predict(draft.as_in("1.4.0")).left_open) == astray
        assert not predict(draft.as_in("1.8.1")).left_open


@pytest.mark.parametrize("op", ["kl_div", "kl_div_log_target"])
def test_a_divergence_reads_its_target_first_since_1_13(op: str) -> None:
    made = "a = leaf(2, 2)\nb = a.mul(2.0)\nwith no_grad: x = b.select(dim=0, index=0)\n"
    text = f"{made}c = a.mul(2.0)\ny, z = c.unbind()\nb.mul_(2.0)\nc.mul_(2.0)\nk = x.{op}(y)"
    assert raised("1.12.1", text) == Kind.NO_GRAD_VIEW_REBASED
    assert raised("1.13.1", text) == Kind.MULTI_VIEW_REBASED


@pytest.mark.parametrize(("torch", "left_open"), [("1.8.1", True), ("1.12.1", False)])
def test_a_norm_that_is_nan_was_multiplied_by_0(
    machine: Machine, torch: str, left_open: bool
) -> None:
    leaf = Leaf("a", (2, 2), [1.0, 0.0, "nan", -3.0], requires_grad=True)
    steps = (
        Apply("renorm", ("a",), {"p": 1, "dim": 0, "maxnorm": 2.0}, ("x",)),
        Backward(("x",), ([1.0, 1.0, 1.0, 1.0],)),
    )
    draft = check(Program((leaf,), steps)).as_in(torch)
    assert bool(answer(draft, predict(draft), machine).unspecified) == left_open


@pytest.mark.parametrize(
    "step", [Apply("lerp", ("a", "b", "a"), {}, ("c",)), Apply("lerp_out", ("a", "a", "b", "a"))]
)
@pytest.mark.parametrize(("torch", "value"), [("1.13.1", "-inf"), ("2.0.1", "nan")])
def test_a_negative_weight_went_from_the_start_before_2(
    machine: Machine, step: Apply, torch: str, value: str
) -> None:
    """The other formula, end - (end - start) * (1 - weight), is infinity less infinity here."""
    leaves = (Leaf("a", (1,), [-1.0]), Leaf("b", (1,), [np.inf]))
    draft = check(Program(leaves, (step,))).as_in(torch)
    name = step.to[0] if step.to else "a"
    assert str(answer(draft, predict(draft), machine).values[name].values[0]) == value
