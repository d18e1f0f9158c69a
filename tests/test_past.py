"""What older versions of torch did and the register says that they should not have done."""

from __future__ import annotations

import pytest

from conformance.deviations import Deviation, register
from conformance.model import Kind, predict
from conformance.model.quirks import (
    COMPOSED_OUT,
    FOREACH_UNSEEN,
    FOREACH_UNVERSIONED,
    FORMER,
    NO_GRAD_VIEW,
    NOTHING_SUMMED,
    OUT_RECORDED,
    PIECES_ASSERTED,
    PIECES_STALE,
    ROOT_RUNS,
    SLICES_WANT_ALL,
    VIEW_ASSERTED,
)
from conformance.oracle.answering import answer
from conformance.oracle.machine import Machine
from strategies.draft import check
from strategies.program import Apply, Backward, Leaf, Program
from tests._agreement import program

PAST = [d for d in register() if d.program is not None and d.entry.quirk in FORMER]
_VIEW = "a = leaf(2)\nwith no_grad: x = a.view(shape=[2])\ny = x.view(shape=[2])\n"


@pytest.mark.parametrize("deviation", PAST, ids=lambda deviation: deviation.entry.id)
def test_the_entry_of_a_past_quirk_ends_before_the_table_s_version(deviation: Deviation) -> None:
    assert not deviation.applies("eager-cpu", "2.13.0")


@pytest.mark.parametrize("text", ["y.mul_(2.0)", "z = a.detach()\nz.mul_(2.0)\nw = y.exp()"])
def test_a_view_of_a_view_from_no_grad_failed_an_assertion(text: str) -> None:
    draft = program(_VIEW + text)
    raises = predict(draft, quirks=frozenset({NO_GRAD_VIEW, VIEW_ASSERTED})).raises
    assert raises is not None
    assert raises.kind == Kind.VIEW_ASSERTED


WRITTEN = "a = leaf(1)\nd = leaf(1)\nx = a.mul(2.0)\ny = x.view(shape=[1])\ny.mul_(d)\n"


@pytest.mark.parametrize("call", ["inputs=['a']", "inputs=['a'], via='grad'"])
def test_a_written_slice_filled_the_grad_of_leaves_that_nobody_asked_for(
    machine: Machine, call: str
) -> None:
    draft = program(f"{WRITTEN}backward(x, {call})")
    for quirks, filled in ((frozenset[str](), False), (frozenset({SLICES_WANT_ALL}), True)):
        prediction = predict(draft, quirks=quirks)
        assert prediction.graded["d"] is filled
        if filled:
            found = answer(draft, prediction, machine, quirks=quirks)
            assert found.gradients["d"].values.tolist() == [2.0]


def test_a_gradient_of_which_a_part_was_left_out_is_not_judged() -> None:
    draft = program(f"{WRITTEN}z = x.mul(d)\nbackward(z, inputs=['a'])")
    assert predict(draft, quirks=frozenset({SLICES_WANT_ALL})).hidden


def test_a_node_that_torch_did_not_count_is_left_open() -> None:
    draft = program(
        "a = leaf(1)\nx = a.mul(2.0)\ny = x.view(shape=[1])\nz = y.mul(2.0)\ny.mul_(z)\n"
        "backward(x, inputs=['z'], via='grad')"
    )
    assert "did not count" in predict(draft, quirks=frozenset({SLICES_WANT_ALL})).unspecified


def test_what_waits_for_a_node_that_torch_did_not_want_is_left_open() -> None:
    """It ended in 'could not compute gradients for some functions'."""
    draft = program(
        "a = leaf(1)\nx = a.mul(2.0)\ny = x.mul(2.0)\nz = y.view(shape=[1])\nz.mul_(a)\n"
        "backward(y, inputs=['x'], via='grad')"
    )
    assert "not complete" in predict(draft, quirks=frozenset({SLICES_WANT_ALL})).unspecified
    assert not predict(draft).unspecified


def test_an_einsum_of_nothing_was_not_recorded() -> None:
    draft = program("a = leaf(0)\nx = a.einsum(a, equation='i,j->ij')")
    assert predict(draft).flags["x"].requires_grad
    assert not predict(draft, quirks=frozenset({NOTHING_SUMMED})).flags["x"].requires_grad


@pytest.mark.parametrize(("value", "passes"), [(1.0, 1.0), (-1.0, 0.0)])
def test_threshold_in_place_asked_its_result(machine: Machine, value: float, passes: float) -> None:
    """Only in place, and only where what was put there is above the threshold."""
    text = "b = a.mul(-1.0)\n{}threshold{}(threshold=0.0, value={})\nbackward({})"
    for in_place in (True, False):
        form = ("b.", "_", value, "b") if in_place else ("x = b.", "", value, "x")
        there = program("a = leaf(1)\n" + text.format(*form)).as_in("1.12.1")
        found = answer(there, predict(there), machine, quirks=frozenset({"threshold-by-result"}))
        assert found.gradients["a"].values.tolist() == [-passes if in_place else 0.0]


def kind_of(text: str, torch: str, *quirks: str) -> Kind | None:
    raises = predict(program(text).as_in(torch), quirks=frozenset(quirks)).raises
    return None if raises is None else raises.kind


def test_foreach_in_place_raised_no_version() -> None:
    """Not even a saved tensor was known to be overwritten."""
    draft = program("a = leaf(1)\nx = a.exp()\nbackward(x)").program()
    write = Apply("zero_", ("x",), {}, (), "foreach")
    there = check(Program(draft.leaves, (draft.steps[0], write, draft.steps[1]))).as_in("1.8.1")
    before = predict(there, quirks=frozenset({FOREACH_UNSEEN}))
    assert before.raises is not None
    assert before.raises.kind == Kind.SAVED_MODIFIED
    quirks = frozenset({FOREACH_UNSEEN, FOREACH_UNVERSIONED})
    assert predict(there, quirks=quirks).raises is None
    assert predict(there, quirks=quirks).hidden


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("b.square_()", True),
        ("b.heaviside_(a)", True),
        ("x = b.logical_not()", True),
        ("with no_grad: x = b.logical_not()", False),
        ("x = b.square()", False),
    ],
)
def test_what_called_a_function_with_out_was_refused_as_that(text: str, refused: bool) -> None:
    text = f"a = leaf(2)\nb = a.mul(2.0)\n{text}"
    assert kind_of(text, "1.8.1", COMPOSED_OUT) == (Kind.OUT_GRAD if refused else None)
    assert kind_of(text, "1.8.1") is None


@pytest.mark.parametrize(("via", "refused"), [("fix", True), ("method", False)])
def test_fix_was_refused_and_trunc_was_not(via: str, refused: bool) -> None:
    leaf = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
    draft = check(Program((leaf,), (Apply("trunc", ("a",), {}, ("x0",), via),))).as_in("1.8.1")
    raises = predict(draft, quirks=frozenset({COMPOSED_OUT})).raises
    assert (raises is not None) is refused


SPLIT = "a = leaf(2)\nb = a.mul(1.0)\np, q = b.split(split_size=1)\n"


@pytest.mark.parametrize(
    ("text", "right", "stale"),
    [
        ("b.mul_(3.0)\nbackward(p, q)", [3.0, 3.0], [1.0, 1.0]),
        ("p.mul_(3.0)\nbackward(b)", [3.0, 1.0], [3.0, 1.0]),
        ("p.mul_(3.0)\nb.mul_(3.0)\nbackward(p, q)", [9.0, 3.0], [9.0, 1.0]),
        ("v = p.view(shape=[1])\nv.mul_(3.0)\nbackward(p)", [3.0, 0.0], [1.0, 0.0]),
        ("b.mul_(2.0)\np.mul_(2.0)\nbackward(p)", [4.0, 0.0], [4.0, 0.0]),
    ],
)
def test_pieces_of_a_split_went_stale(
    machine: Machine, text: str, right: list[float], stale: list[float]
) -> None:
    """Unless they were written themselves, and then until the next write elsewhere."""
    there = program(SPLIT + text).as_in("1.8.1")
    for quirks, wanted in ((frozenset[str](), right), (frozenset({PIECES_STALE}), stale)):
        found = answer(there, predict(there, quirks=quirks), machine, quirks=quirks)
        assert found.gradients["a"].values.tolist() == wanted


def test_a_written_piece_of_a_view_from_no_grad_was_a_part_of_its_base(machine: Machine) -> None:
    text = "a = leaf(1)\nb = a.mul(2.0)\nwith no_grad: v = b.view(shape=[1])\n"
    there = program(f"{text}p = v.split(split_size=1)\np.mul_(3.0)\nbackward(b)").as_in("1.8.1")
    quirks = frozenset({PIECES_STALE, NO_GRAD_VIEW})
    found = answer(there, predict(there, quirks=quirks), machine, quirks=quirks)
    assert found.gradients["a"].values.tolist() == [6.0]


def test_pieces_are_refused_in_place_since_1_12() -> None:
    assert kind_of(SPLIT + "p.mul_(3.0)", "1.8.1") is None
    assert kind_of(SPLIT + "p.mul_(3.0)", "1.12.1") == Kind.MULTI_VIEW_INPLACE


@pytest.mark.parametrize("call", ["inputs=['b']", "inputs=['b'], via='grad'"])
def test_a_single_root_ran_whatever_was_asked_for(call: str) -> None:
    draft = program(f"a = leaf(1)\nb = leaf(1)\nbackward(a, {call})")
    for quirks, filled in ((frozenset[str](), False), (frozenset({ROOT_RUNS}), True)):
        assert predict(draft, quirks=quirks).graded["a"] is filled


@pytest.mark.parametrize(
    ("op", "to_a", "to_b"), [("maximum", [0, 1, 1], [1, 1, 0]), ("minimum", [0, 1, 0], [1, 1, 1])]
)
def test_ties_of_two_tensors_were_the_second_one_s(
    machine: Machine, op: str, to_a: list[float], to_b: list[float]
) -> None:
    leaves = (
        Leaf("a", (3,), [1.0, "nan", 2.0], requires_grad=True),
        Leaf("b", (3,), [1.0, 1.0, 1.0], requires_grad=True),
    )
    steps = (Apply(op, ("a", "b"), {}, ("x0",)), Backward(("x0",), ([1.0, 1.0, 1.0],)))
    there = check(Program(leaves, steps)).as_in("1.8.1")
    found = answer(there, predict(there), machine)
    assert found.gradients["a"].values.tolist() == to_a
    assert found.gradients["b"].values.tolist() == to_b


def test_a_piece_that_is_stale_and_not_the_first_failed_an_assertion() -> None:
    for write, kind in (("b.mul_(3.0)\nq.mul_(2.0)", Kind.PIECE_ASSERTED), ("q.mul_(2.0)", None)):
        assert kind_of(SPLIT + write, "1.8.1", PIECES_STALE, PIECES_ASSERTED) == kind


def test_an_input_that_no_node_has_read_is_left_open() -> None:
    draft = program("a = leaf(1)\nb = leaf(1)\nx = a.mul(2.0)\nbackward(x, inputs=['b'])")
    assert "no node has read" in predict(draft, quirks=frozenset({ROOT_RUNS})).unspecified


def test_a_view_from_no_grad_could_be_written_where_nothing_required_grad() -> None:
    """It was a view as any other from then on."""
    text = "a = leaf(2)\nb = const(2)\nwith no_grad: x = b.view(shape=[2])\nx.mul_(a)\nx.mul_(2.0)"
    assert kind_of(text, "1.8.1") is None
    assert kind_of(text, "1.12.1") == Kind.NO_GRAD_VIEW_INPLACE


@pytest.mark.parametrize(
    ("op", "via", "kind"), [("mul", "multiply", None), ("mul", "method", Kind.FREED)]
)
def test_aliases_kept_no_number(op: str, via: str, kind: Kind | None) -> None:
    leaf = Leaf("a", (), [1.0], requires_grad=True)
    steps = (Apply(op, ("a", 2.0), {}, ("x0",), via), Backward(("x0",)), Backward(("x0",)))
    raises = predict(check(Program((leaf,), steps)).as_in("1.8.1")).raises
    assert (raises and raises.kind) == kind


@pytest.mark.parametrize("op", ["transpose", "swapaxes", "swapdims"])
def test_an_inference_tensor_transposed_by_nothing_was_itself(op: str) -> None:
    draft = program(
        f"a = leaf(1)\nwith inference_mode: x = a.mul(2.0)\ny = x.{op}(dim0=0, dim1=-1)"
    )
    assert "gives the inference tensor x itself" in predict(draft.as_in("1.12.1")).unspecified
    assert not predict(draft.as_in("1.13.1")).unspecified


def test_the_derivative_of_sinc_at_0_was_not_a_number(machine: Machine) -> None:
    leaf = Leaf("a", (2,), [0.0, 1.5], requires_grad=True)
    draft = check(
        Program((leaf,), (Apply("sinc", ("a",), {}, ("x0",)), Backward(("x0",), ([1.0, 1.0],))))
    )
    for torch, wanted in (("1.8.1", [True, False]), ("1.12.1", [False, False])):
        there = draft.as_in(torch)
        found = answer(there, predict(there), machine).gradients["a"].values
        assert [x != x for x in found] == wanted


def test_clamp_multiplied_gradients_by_its_mask(machine: Machine) -> None:
    leaf = Leaf("a", (2,), [-1.0, 0.5], requires_grad=True)
    steps = (
        Apply("clamp", ("a",), {"min": 0.0}, ("x0",)),
        Backward(("x0",), (["inf", 2.0],)),
    )
    draft = check(Program((leaf,), steps))
    for torch, masked in (("1.8.1", True), ("1.12.1", False)):
        there = draft.as_in(torch)
        found = answer(there, predict(there), machine).gradients["a"].values.tolist()
        assert (found[0] != found[0]) is masked
        assert found[1] == 2.0


@pytest.mark.parametrize(
    ("stride", "torch", "left_open"),
    [(2, "1.8.1", True), (1, "1.8.1", False), (2, "1.12.1", False)],
)
def test_transposed_convolution_of_points_is_left_open(
    stride: int, torch: str, left_open: bool
) -> None:
    leaves = (Leaf("a", (1, 1, 2), [1.0, 2.0]), Leaf("w", (1, 1, 1), [1.0]))
    step = Apply("conv_transpose1d", ("a", "w"), {"stride": stride}, ("x0",))
    there = check(Program(leaves, (step,))).as_in(torch)
    assert bool(predict(there).open) is left_open


def test_prelu_multiplied_the_gradient_of_its_weight_by_zero(machine: Machine) -> None:
    leaves = (
        Leaf("a", (2,), [1.0, -1.0], requires_grad=True),
        Leaf("w", (1,), [1.0], requires_grad=True),
    )
    steps = (Apply("prelu", ("a", "w"), {}, ("x0",)), Backward(("x0",), (["-inf", 2.0],)))
    draft = check(Program(leaves, steps))
    for torch, masked in (("1.8.1", True), ("1.12.1", False)):
        there = draft.as_in(torch)
        (found,) = answer(there, predict(there), machine).gradients["w"].values.tolist()
        assert found == -2.0 if not masked else found != found


def test_a_slice_that_out_wrote_by_the_fallback_is_open_where_leaves_are_asked_for() -> None:
    leaves = (Leaf("a", (), [1.0], requires_grad=True), Leaf("b", (2,), [1.0, 2.0]))
    steps = (
        Apply("select", ("b",), {"dim": 0, "index": 1}, ("x",)),
        Apply("heaviside_out", ("x", "a", "a"), {}),
    )
    for inputs, told in ((("a",), True), ((), False)):
        backward = Backward(("b",), ([1.0, 1.0],), inputs=inputs)
        draft = check(Program(leaves, (*steps, backward)))
        found = predict(draft, quirks=frozenset({OUT_RECORDED}))
        assert ("no edge for what it wrote" in found.unspecified) == told
        documented = predict(draft).raises
        assert documented is not None and documented.kind == Kind.OUT_GRAD
