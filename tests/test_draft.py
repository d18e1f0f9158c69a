"""What a program may be: sentences for what it may not, and torch's word for what it may."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from conformance.model import classify, predict
from strategies.draft import Draft, Shaped, check
from strategies.layout import Layout
from strategies.limits import MOST_MODES, MOST_STEPS
from strategies.printer import print_body
from strategies.program import Apply, Backward, Generated, Leaf, Program, ProgramError, decode
from tests.mutants import mutants
from tests.on_torch import layout_of, run

A = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
W = Leaf("w", (2, 3), Generated("dyadic", 1))
S = Leaf("s", (), [1.0])
M = Leaf("m", (2,), [0.0, 1.0], "bool")
LEAVES = (A, W, S, M)


def apply(op: str, *args: Any, to: str = "x", via: str = "", **params: Any) -> Apply:
    return Apply(op, args, params, tuple(to.split()), via)


def program(*steps: Apply | Backward) -> Program:
    return Program(LEAVES, steps)


WRONG: list[tuple[Apply | Backward, str]] = [
    (apply("jump", "a"), "step 1: unknown operation 'jump'; `autograd-conformance ops` lists them"),
    (apply("exp", "y"), r"step 1 \(exp\) uses 'y', which no leaf or earlier step makes"),
    (apply("exp", "x"), r"step 1 \(exp\) uses 'x', which no leaf or earlier step makes"),
    (apply("exp", 1.0), r"step 1 \(exp\): self is 1.0 and must be the name of a tensor"),
    (apply("exp", "m"), r"step 1 \(exp\): self is bool and must be float64"),
    (apply("where", "a", "a", "a"), r"step 1 \(where\): condition is float64 and must be bool"),
    (apply("mul", "a", True), r"\(mul\): other is True and must be a finite number"),
    (apply("mul", "a", 10**400), r"\(mul\): other is 10+ and must be a finite number"),
    (apply("fill_diagonal_", "w", "s", to=""), "fill_value must be a number, not a tensor"),
    (apply("mul", "a"), r"\(mul\) takes 2 operands \(self, other\), not 1"),
    (apply("mul", "a", "w"), r"step 1 \(mul\): shapes .* do not broadcast"),
    (apply("fill_", "m", "a", to=""), r"\(fill_\): self is bool and must be float64"),
    (apply("setitem_", "w", 1.0, to="", index=["...", "..."]), "has too many entries for shape"),
    (apply("sub_", "m", 1.0, to=""), r"\(sub_\): self is bool and must be float64"),
    (apply("exp_", "m", 1.0, to=""), r"\(exp_\) takes 1 operands \(self\), not 2"),
    (apply("t_", "a", to="x"), r"\(t_\) gives 0 results and names 1 in `to`"),
    (apply("transpose_", "w", to="", dim0=0, dim1=2), "dim1 is 2 and should be a dimension of"),
    (apply("unsqueeze_", "a", to=""), r"\(unsqueeze_\) needs the parameter 'dim'"),
    (apply("requires_grad_", "a", to="", requires_grad=2), "requires_grad is 2 and should be"),
    (apply("requires_grad_", "m", to=""), r"\(requires_grad_\): self is bool and must be float64"),
    (apply("flatten", "w", start_dim=1, end_dim=0), "end_dim is 0 and should be"),
    (apply("as_strided", "a", size=[3], stride=[1]), r"\(as_strided\)"),
    (apply("unfold", "a", dimension=0, size=3, step=1), "size is 3 and should be"),
    (apply("mm", "a", "w"), r"\(mm\) is not defined for operands of shape \(2,\), \(2, 3\)"),
    (apply("exp", "a", to="x y"), r"\(exp\) gives 1 results and names 2 in `to`"),
    (apply("mul_", "a", 2.0), r"\(mul_\) gives 0 results and names 1 in `to`"),
    (apply("unbind", "a"), r"\(unbind\) gives 2 results and names 1 in `to`"),
    (apply("unbind", "a", to="x x"), "step 1: 'x' is already the name of a tensor"),
    (apply("exp", "a", to="a"), "step 1: 'a' is already the name of a tensor"),
    (apply("exp", "a", to="torch"), "step 1: 'torch' cannot be a tensor's name"),
    (
        apply("exp", "a", via="module"),
        "cannot be written via 'module'; use one of method, func",
    ),
    (apply("add", "a", 1.0, via="operator", alpha=2), "takes no parameters when written via 'oper"),
    (apply("exp", "a", dim=0), r"\(exp\) takes no parameters when written via|no parameter 'dim'"),
    (apply("sum", "a", axis=0), "has no parameter 'axis'; it takes dim, keepdim"),
    (apply("select", "a", dim=0), r"\(select\) needs the parameter 'index'"),
    (apply("select", "a", dim=1, index=0), r"dim is 1 and should be a dimension of \(2,\)"),
    (apply("select", "a", dim=0, index=2), "index is 2 and should be an index below 2"),
    (apply("narrow", "a", dim=0, start=1, length=2), "length is 2 and should be a length of at mo"),
    (apply("narrow", "a", dim=0, start=None, length=1), "start is None and should be an index"),
    (apply("permute", "w", dims=[0, 0]), "dims is .* should be a permutation of the 2 dimensions"),
    (apply("view", "w", shape=[4]), r"\(view\): shape \(4,\) is invalid for 6 elements"),
    (apply("expand", "w", shape=[3, 3]), r"\(expand\): shape \(2, 3\) does not expand to \(3, 3\)"),
    (apply("unsqueeze", "a", dim=2), r"dim is 2 and should be a place in \(2,\)"),
    (apply("index", "w", index=[0, 0, 0]), "has too many entries for shape"),
    (apply("index", "w", index=[2]), r"index 2 is out of range for shape \(2, 3\)"),
    (apply("index", "w", index=[[0, 1, 0]]), "index is .* should be a list of integers"),
    (apply("diagonal", "w", dim1=1), "dim2 is 1 and should be a dimension other than dim1"),
    (apply("sum", "w", keepdim=True), "keepdim is True and should be false where dim is not given"),
    (apply("clamp", "a"), "max is None and should be a finite number where min is not given"),
    (apply("clamp", "a", min=float("nan")), "min is nan and should be a finite number"),
    (apply("celu", "a", alpha=0), "alpha is 0 and should be a finite number other than 0"),
    (apply("hardtanh", "a", min_val=2), "max_val is 1.0 and should be a number above min_val"),
    (apply("dropout", "a", p=2), "p is 2 and should be a number between 0 and 1"),
    (apply("chunk", "a", chunks=0), r"\(chunk\): chunk needs at least one chunk"),
    (apply("expand", "s", shape=[2] * 17), "shape is .* be a shape without more than 8 dimensions"),
    (apply("expand", "a", shape=[1 << 16, 2]), "should be a shape without more than 65536 elem"),
    (apply("expand", "a", shape=[1 << 16, -1]), "'x' has more than 65536 elements"),
    (apply("view", "w", shape=[0, 10**18, 10**18]), "shape is .* and should be a list of sizes"),
    (apply("reshape", "w", shape=[1] * 71), "be a shape without more than 8 dimensions"),
    (apply("as_strided", "a", size=[0, 65536, 65536], stride=[1] * 3), "than 65536 elements"),
    (apply("add", "a", 1.0, alpha=10**30), "alpha is 10+ and should be an integer of at most"),
    (apply("clamp", "a", min=10**30), "min is 10+ and should be an integer of at most"),
    (apply("index", "w", index=[[0, 2, 2**63]]), "index is .* and should be a list of integers"),
    (apply("setitem_", "a", 1.0, to="", index=[[-(10**30), None, None]]), "index is .* should be"),
    (Apply("exp", ("a",), to=("x",), modes=("no_grad",) * 21), "in 21 modes and may stand in 10"),
    (Backward(()), r"step 1 \(backward\) names no tensor to start from"),
    (Backward(("y",)), r"step 1 \(backward\) uses 'y', which no leaf or earlier step makes"),
    (Backward(("m",)), "'m' is not float64 and has no gradient"),
    (Backward(("a",)), r"'a' has shape \[2\] and needs a cotangent"),
    (Backward(("a",), ([1.0],)), r"cotangent of 'a': shape \[2\] needs 2 values and 1 are given"),
    (Backward(("a", "s"), ([1.0, 1.0],)), "has 2 roots and 1 cotangents"),
    (Backward(("s",), inputs=("y",)), r"\(backward\): its input 'y' is no float64 leaf; via grad"),
    (Backward(("s",), inputs=("m",)), r"\(backward\): its input 'm' is no float64 leaf; via grad"),
    (Backward(("s",), inputs=("y",), via="grad"), "input 'y' is no float64 tensor by then"),
    (Backward(("s",), inputs=("m",), via="grad"), "input 'm' is no float64 tensor by then"),
    (Backward(("s",), inputs=("a", "a")), r"\(backward\) names an input twice"),
    (Backward(("s",), via="grad"), r"\(backward\) via grad needs inputs"),
    (Backward(("s",), modes=("@enable_grad",) * 11), r"\(backward\) stands in 11 modes"),
    (Backward(("s",), modes=("inference_mode",)), r"\(backward\) cannot stand in inference_mode"),
]


@pytest.mark.parametrize(("step", "sentence"), WRONG)
def test_a_step_that_cannot_be_is_refused_with_its_place(
    step: Apply | Backward, sentence: str
) -> None:
    with pytest.raises(ProgramError, match=sentence) as caught:
        check(program(step))
    assert str(caught.value).startswith("step 1") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("leaf", "sentence"),
    [
        (Leaf("A", (), [1.0]), "leaf 'A': 'A' cannot be a tensor's name"),
        (Leaf("a", (), [1.0]), "leaf 'a': 'a' is already the name of a tensor"),
        (Leaf("b", (-1,), []), r"leaf 'b': shape \[-1\] needs sizes from 0 up"),
        (Leaf("b", (1 << 17,), []), "leaf 'b': 'b' has more than 65536 elements"),
        (Leaf("b", (0, 1 << 9, 1 << 9), []), "leaf 'b': 'b' has more than 65536 elements"),
        (Leaf("b", (1,) * 9, [1.0]), "leaf 'b': 'b' has more than 8 dimensions"),
        (Leaf("b", (2,), [1.0]), r"leaf 'b': shape \[2\] needs 2 values and 1 are given"),
        (Leaf("b", (1,), [1.0], "int64", True), "only a float64 leaf can require grad, not int64"),
    ],
)
def test_a_leaf_that_cannot_be_is_refused(leaf: Leaf, sentence: str) -> None:
    with pytest.raises(ProgramError, match=sentence):
        check(Program((A, leaf), ()))


def test_a_program_needs_a_leaf_and_an_end() -> None:
    with pytest.raises(ProgramError, match="needs at least one leaf"):
        check(Program((), ()))
    with pytest.raises(ProgramError, match="at most 1000 steps, not 1001"):
        check(program(*[apply("exp_", "a", to="")] * (MOST_STEPS + 1)))


def test_what_goes_to_the_limits_runs() -> None:
    """Torch takes the deepest modes, the most dimensions and the longest slices that are legal."""
    deep = Leaf("d", (1,) * 7, [2.0], requires_grad=True)
    modes: tuple[Any, ...] = ("no_grad", "@enable_grad") * (MOST_MODES // 2)
    far = 1 << 20
    steps = (
        Apply("unsqueeze", ("d",), {"dim": 0}, ("u",), modes=modes),
        Apply("add", ("u", 1.0), {"alpha": 2**53}, ("v",)),
        Apply("setitem_", ("v", 1.0), {"index": [[-far, far, far]]}),
        Apply("split", ("w",), {"split_size": 1, "dim": 0}, tuple(f"x{i}" for i in range(6))),
        Apply("expand", ("w",), {"shape": [2, -1]}, ("e",)),
        Backward(("v",), modes=modes),
    )
    wide = Leaf("w", (6,), [1.0] * 6)
    result = run(check(Program((deep, wide), steps)))
    assert result.error is None
    assert result.names["v"].shape == (1,) * 8 and result.names["d"].grad is not None


def test_a_refused_step_leaves_the_draft_as_it_was() -> None:
    draft = check(program(apply("exp", "a")))
    for step, _ in WRONG:
        with pytest.raises(ProgramError):
            draft.add(step) if isinstance(step, Apply) else draft.add_backward(step)
    assert draft.program() == program(apply("exp", "a"))
    assert set(draft.values) == {"a", "w", "s", "m", "x"}


@pytest.mark.parametrize("filled", [Backward(("s",)), Backward(("s",), inputs=("a",), via="grad")])
def test_autograd_grad_overwrites_no_gradient(filled: Backward) -> None:
    """What it sets is `.grad`, which must be empty still."""
    again = Backward(("s",), inputs=("a",), via="grad")
    with pytest.raises(
        ProgramError, match=r"step 2 \(backward\) via grad sets a.grad, which an ear"
    ):
        check(program(filled, again))
    check(program(Backward(("s",), inputs=("w",)), again))


def test_autograd_grad_takes_what_is_no_leaf() -> None:
    """By one of its names, and if no earlier call can have filled its `.grad`."""
    sought = Backward(("s",), inputs=("x",), via="grad")
    result = apply("exp", "a")
    check(program(result, Backward(("s",)), sought))
    for before in (
        (result, sought),
        (apply("detach", "a"), apply("requires_grad_", "x", to=""), Backward(("s",))),
        (apply("contiguous", "a"), Backward(("s",))),
    ):
        with pytest.raises(
            ProgramError, match="sets x.grad, which an earlier call may have filled"
        ):
            check(program(*before, sought))
    twice = Backward(("s",), inputs=("a", "x"), via="grad")
    with pytest.raises(ProgramError, match="names an input twice"):
        check(program(apply("contiguous", "a"), twice))


def test_a_change_of_shape_moves_all_names_of_the_tensor_and_no_view() -> None:
    steps = (
        apply("contiguous", "w", to="c"),
        apply("view_as", "w", to="v"),
        apply("t_", "w", to=""),
        apply("unsqueeze_", "v", to="", dim=0),
    )
    values = check(program(*steps)).values
    assert values["w"].layout == values["c"].layout == Layout((3, 2), (1, 3))
    assert values["v"].layout.shape == (1, 2, 3)
    assert values["v"].memory == values["w"].memory


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([apply("mul_", "s", "a", to="")], "broadcast target"),
        ([apply("copy_", "a", "w2", to="")], "broadcast target"),
        ([apply("mul_", "m", 2.0, to="")], "dtype cast"),
        ([apply("exp_", "m", to="")], "dtype cast"),
        ([apply("mul_", "a", "w", to="")], "operands do not broadcast"),
        ([apply("copy_", "w", "a", to="")], "operands do not broadcast"),
        ([apply("fill_", "w", "a", to="")], "fill with what is not 0-d"),
        ([apply("setitem_", "s", "a", to="", index=["..."])], "value of more dimensions"),
        ([apply("setitem_", "w", "a", to="", index=[0])], "value of another size"),
        ([apply("setitem_", "w", 1.0, to="", index=[2])], "index out of range"),
        ([apply("setitem_", "w", 1.0, to="", index=[0, 0, 0])], "too many indices"),
        ([apply("setitem_", "s", 1.0, to="", index=[0])], "index of a 0-d tensor"),
        ([apply("t", "w", to="v"), apply("view", "v", shape=[6])], "view stride"),
        ([apply("t_", "w", to=""), apply("view", "w", shape=[6])], "view stride"),
        ([apply("mul_", "a", "s", to="")], ""),
    ],
)
def test_a_step_that_torch_refuses_is_legal_and_known(steps: list[Apply], why: str) -> None:
    leaves = (*LEAVES, Leaf("w2", (2, 2), [1.0] * 4))
    last = check(Program(leaves, tuple(steps))).shaped[-1]
    assert isinstance(last, Shaped) and last.refused == why


def test_views_and_aliases_lie_in_the_memory_of_their_source() -> None:
    steps = (
        apply("transpose", "w", to="v", dim0=0, dim1=1),
        apply("detach", "v", to="d"),
        apply("contiguous", "w", to="c"),
        apply("contiguous", "v", to="e"),
        apply("clone", "w", to="f"),
    )
    values = check(program(*steps)).values
    assert values["v"].memory == values["d"].memory == values["c"].memory == values["w"].memory
    assert len({values[name].memory for name in ("w", "e", "f", "a")}) == 4


def test_what_is_accepted_runs_on_torch_with_the_predicted_layouts() -> None:
    """Of mutated programs: those that are accepted raise nothing but errors of autograd's kinds."""
    refused = ran = 0
    for text in mutants(seed=3, count=1500):
        try:
            draft = check(decode(text))
        except ProgramError:
            refused += 1
            continue
        ran += 1
        _agree(draft)
    assert refused > 300 and ran > 300, (refused, ran)


def _agree(draft: Draft) -> None:
    for number, step in enumerate(draft.shaped):
        if isinstance(step, Shaped) and step.row.outside_the_law:
            draft = _up_to(draft, number)
            break
    result = run(draft)
    if result.error is not None:
        assert result.step is not None
        in_backward = isinstance(draft.steps[result.step], Backward)
        kind = classify(str(result.error), in_backward=in_backward)
        if kind is None and predict(draft).unspecified:
            return
        assert kind is not None, f"{result.error}\n{print_body(draft).text}"
        draft = _up_to(draft, result.step)
    for name, value in draft.values.items():
        tensor = result.names.get(name)
        if isinstance(tensor, torch.Tensor):
            assert layout_of(tensor) == value.layout, f"{name}\n{result.body.text}"
            assert str(tensor.dtype) == f"torch.{value.dtype}", f"{name}\n{result.body.text}"


def _up_to(draft: Draft, step: int) -> Draft:
    """The draft as it was before a step."""
    program = draft.program()
    return check(Program(program.leaves, program.steps[:step]))
