"""What each version of torch says when it raises: collected messages, and the table of words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch

from conformance.model import Kind, classify, fragments
from conformance.model.errors import MESSAGES, NEWEST, OVERLAPS, PAST, Message
from conformance.subjects import InProcessSubject

ENTRIES = (*MESSAGES, *OVERLAPS)
TRIED = """1.2.0 1.4.0 1.5.1 1.7.1 1.8.1 1.10.2 1.13.1 2.0.1 2.4.1 2.13.0 2.15.0""".split()
"""The versions that the programs below, and others like them, were run on."""

COLLECTED = r"""
leaf in place; step; 1.2.0 to 1.4.0:
    a leaf Variable that requires grad has been used in an in-place operation.
leaf in place; step; 1.5.1 to 2.15.0:
    a leaf Variable that requires grad is being used in an in-place operation.
view of a leaf in place; step; 1.8.1 to 2.15.0:
    a view of a leaf Variable that requires grad is being used in an in-place operation.
multi-output view in place; step; 1.5.1 to 2.15.0:
    Output 0 of UnbindBackward is a view and is being modified inplace. This view is the output of
    a function that returns multiple views. Such functions do not allow the output views to be
    modified inplace. You should replace the inplace operation by an out-of-place one.
multi-output view in place; step; 1.5.1 to 2.15.0:
    A view was created in no_grad mode and is being modified inplace with grad mode enabled. This
    view is the output of a function that returns multiple views. Such functions do not allow the
    output views to be modified inplace. You should replace the inplace operation by an
    out-of-place one.
multi-output view whose base was written; step; 1.5.1 to 2.15.0:
    Output 0 of UnbindBackward is a view and its base or another view of its base has been modified
    inplace. This view is the output of a function that returns multiple views. Such functions do
    not allow the output views to be modified inplace. You should replace the inplace operation by
    an out-of-place one.
multi-output view whose base was written; step; 1.5.1 to 2.15.0:
    A view was created in no_grad mode and its base or another view of its base has been modified
    inplace with grad mode enabled. This view is the output of a function that returns multiple
    views. Such functions do not allow the output views to be modified inplace. You should replace
    the inplace operation by an out-of-place one.
view made in no_grad in place; step; 1.5.1 to 1.8.1:
    A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given
    that this use case is ambiguous and error-prone, it is deprecated and will be forbidden
    starting 1.6 (see https://github.com/pytorch/pytorch/pull/32839 for more details about this).
    You can clarify your code and remove this warning by moving both the view and the inplace
    either both inside the no_grad block (if you don't want the inplace to be tracked) or both
    outside (if you want the inplace to be tracked).
view made in no_grad in place; step; 1.7.1:
    Output 0 of a function created in no_grad mode is a view and is being modified inplace but this
    inplace operation is not allowed. You should either replace it by an out of place operation or
    do a .clone() of the Tensor before modifying it inplace. Note that this can happen when using
    DataParallel or DistributedDataParallel, which can send views of the original input to the
    forward method of the model.
view made in no_grad in place; step; 1.10.2 to 2.15.0:
    A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given
    that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by
    moving both the view and the inplace either both inside the no_grad block (if you don't want
    the inplace to be tracked) or both outside (if you want the inplace to be tracked).
view made in no_grad in place; step; 2.0.1 to 2.15.0:
    Output 0 of ViewBackward0 is a view of a view which was created in no_grad mode and is being
    modified inplace with grad mode enabled. Given that this use case is ambiguous and error-prone,
    it is forbidden. You can clarify your code by moving both the view and the inplace either both
    inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you
    want the inplace to be tracked).
view made in no_grad whose base was written; step; 1.10.2 to 2.15.0:
    A view was created in no_grad mode and its base or another view of its base has been modified
    inplace with grad mode enabled. Given that this use case is ambiguous and error-prone, it is
    forbidden. You can clarify your code by moving both the view and the inplace either both inside
    the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want
    the inplace to be tracked).
target overlaps itself; step; 1.2.0 to 2.15.0:
    unsupported operation: more than one element of the written-to tensor refers to a single memory
    location. Please clone() the tensor before performing the operation.
operands overlap partially; step; 1.4.0 to 2.15.0:
    unsupported operation: some elements of the input tensor and the written-to tensor refer to a
    single memory location. Please clone() the tensor before performing the operation.
saved tensor modified; backward; 1.2.0 to 2.4.1:
    one of the variables needed for gradient computation has been modified by an inplace operation:
    [torch.DoubleTensor [2]], which is output 0 of CloneBackward, is at version 1; expected version
    0 instead. Hint: enable anomaly detection to find the operation that failed to compute its
    gradient, with torch.autograd.set_detect_anomaly(True).
saved tensor modified; backward; 1.2.0 to 2.4.1:
    one of the variables needed for gradient computation has been modified by an inplace operation:
    [torch.DoubleTensor [2]] is at version 1; expected version 0 instead. Hint: enable anomaly
    detection to find the operation that failed to compute its gradient, with
    torch.autograd.set_detect_anomaly(True).
saved tensor modified; backward; 2.13.0 to 2.15.0:
    one of the variables needed for gradient computation has been modified by an inplace operation:
    [torch.DoubleTensor [2]], which is output 0 of Exp, is at version 1; expected version 0
    instead. Hint: enable anomaly detection to find the operation that failed to compute its
    gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False).
saved tensor modified; backward; 2.13.0 to 2.15.0:
    one of the variables needed for gradient computation has been modified by an inplace operation:
    [torch.DoubleTensor [2]] is at version 1; expected version 0 instead. Hint: enable anomaly
    detection to find the operation that failed to compute its gradient, with
    torch.autograd.set_detect_anomaly(True, check_nan=False).
graph freed; backward; 1.2.0 to 1.5.1:
    Trying to backward through the graph a second time, but the buffers have already been freed.
    Specify retain_graph=True when calling backward the first time.
graph freed; backward; 1.7.1:
    Trying to backward through the graph a second time, but the saved intermediate results have
    already been freed. Specify retain_graph=True when calling backward the first time.
graph freed; backward; 1.8.1:
    Trying to backward through the graph a second time, but the saved intermediate results have
    already been freed. Specify retain_graph=True when calling .backward() or autograd.grad() the
    first time.
graph freed; backward; 1.10.2 to 2.15.0:
    Trying to backward through the graph a second time (or directly access saved tensors after they
    have already been freed). Saved intermediate values of the graph are freed when you call
    .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the
    graph a second time or if you need to access saved tensors after calling backward.
leaf moved into the graph; backward; 1.2.0 to 2.15.0:
    leaf variable has been moved into the graph interior
overlap in backward; backward; 1.4.0 to 2.15.0:
    unsupported operation: more than one element of the written-to tensor refers to a single memory
    location. Please clone() the tensor before performing the operation.
nothing requires grad; backward; 1.2.0 to 2.15.0:
    element 0 of tensors does not require grad and does not have a grad_fn
parameter that forbids in place; backward; 1.5.1 to 2.15.0:
    In-place leakyReLu backward calculation is triggered with a negative slope which is not
    supported. This is caused by calling in-place forward function with a negative slope, please
    call out-of-place version instead. File an issue at https://github.com/pytorch/pytorch if you
    do require supporting in-place leakRelu backward calculation with negative slope
parameter that forbids in place; backward; 1.8.1 to 2.15.0:
    In-place elu backward calculation is triggered with a negative slope which is not supported.
    This is caused by calling in-place forward function with a negative slope, please call
    out-of-place version instead.
broadcast target; step; 1.2.0 to 2.15.0:
    output with shape [2] doesn't match the broadcast shape [3, 2]
dtype cast; step; 1.2.0:
    output with device cpu and dtype Long doesn't match the desired device cpu and dtype Double
dtype cast; step; 1.4.0 to 2.15.0:
    result type Float can't be cast to the desired output type Long
operands do not broadcast; step; 1.2.0 to 2.15.0:
    The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0
fill with what is not 0-d; step; 1.2.0 to 2.15.0:
    fill_ only supports 0-dimension value tensor but got tensor with 1 dimensions.
value of another size; step; 1.2.0 to 2.15.0:
    The expanded size of the tensor (1) must match the existing size (3) at non-singleton dimension
    0. Target sizes: [1]. Tensor sizes: [3]
value of more dimensions; step; 1.2.0 to 2.15.0:
    expand(torch.FloatTensor{[3]}, size=[]): the number of sizes provided (0) must be greater or
    equal to the number of dimensions in the tensor (1)
index out of range; step; 1.2.0 to 2.15.0:
    index 5 is out of bounds for dimension 0 with size 2
too many indices; step; 1.2.0 to 2.15.0:
    too many indices for tensor of dimension 1
index of a 0-d tensor; step; 1.2.0 to 1.4.0:
    invalid index of a 0-dim tensor. Use tensor.item() to convert a 0-dim tensor to a Python number
index of a 0-d tensor; step; 1.5.1 to 2.15.0:
    invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to
    convert a 0-dim tensor to a number
index of a 0-d tensor; step; 1.5.1 to 2.15.0:
    slice() cannot be applied to a 0-dim tensor.
none; step; 1.2.0 to 1.4.0:
    dimension specified as 0 but tensor has no dimensions
none; step; 1.2.0 to 1.7.1:
    exp_vml_cpu not implemented for 'Long'
view stride; step; 1.2.0 to 2.15.0:
    view size is not compatible with input tensor's size and stride (at least one dimension spans
    across two contiguous subspaces). Use .reshape(...) instead.
requires_grad of a non-leaf; step; 1.2.0 to 2.15.0:
    you can only change requires_grad flags of leaf variables. If you want to use a computed
    variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach().
detach of a view in place; step; 1.2.0 to 1.5.1:
    Can't detach views in-place. Use detach() instead
detach of a view in place; step; 1.7.1:
    If you are using DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set
    as True, gradients are views of DDP buckets, and hence detach_() cannot be called on these
    gradients. To fix this error, please refer to the Optimizer.zero_grad() function in
    torch/optim/optimizer.py as the solution.
detach of a view in place; step; 1.8.1 to 2.15.0:
    Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel
    (DDP) for training, and gradient_as_bucket_view is set as True, gradients are views of DDP
    buckets, and hence detach_() cannot be called on these gradients. To fix this error, please
    refer to the Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution.
saved tensor detached in place; backward; 1.10.2 to 1.13.1:
    saved_forINTERNAL ASSERT FAILED at "../torch/csrc/autograd/saved_variable.cpp":133, please
    report a bug to PyTorch. No grad_fn for non-leaf saved tensor
saved tensor detached in place; backward; 2.0.1 to 2.15.0:
    Trying to use a saved tensor that has been detached in-place, i.e. with .detach_().This is not
    supported, please use out-of-place `.detach()` instead
not differentiable; backward; 1.2.0 to 1.7.1:
    the derivative for 'histc' is not implemented
not differentiable; backward; 1.8.1 to 2.15.0:
    the derivative for 'inplace version of asinh' is not implemented.
not differentiable; backward; 1.10.2 to 2.15.0:
    derivative for aten::heaviside is not implemented
inference tensor in place; step; 1.10.2 to 2.15.0:
    Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to
    get a normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for
    more details.
inference tensor saved for backward; step; 1.10.2 to 2.4.1:
    Inference tensors cannot be saved for backward. To work around you can make a clone to get a
    normal tensor and use it in autograd.
inference tensor saved for backward; step; 2.13.0 to 2.15.0:
    Inference tensors cannot be saved for backward. Please do not use Tensors created in inference
    mode in computation tracked by autograd. To work around this, you can make a clone to get a
    normal tensor and use it in autograd, or use `torch.no_grad()` instead of
    `torch.inference_mode()`.
inference tensor to require grad; step; 1.10.2 to 2.15.0:
    Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.
view made in inference mode in place; step; 1.10.2 to 2.15.0:
    A view was created in inference mode and is being modified inplace in normal mode. Given that
    this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by
    moving both the view and the inplace either both inside the inference_mode block (if you don't
    want the inplace to be tracked) or both outside (if you want the inplace to be tracked).
view made in inference mode in place; step; 2.0.1 to 2.15.0:
    Output 0 of ViewBackward0 is a view of a view which was created in inference mode and is being
    modified inplace in normal mode. Given that this use case is ambiguous and error-prone, it is
    forbidden. You can clarify your code by moving both the view and the inplace either both inside
    the inference_mode block (if you don't want the inplace to be tracked) or both outside (if you
    want the inplace to be tracked).
view made in inference mode whose base was written; step; 1.10.2 to 2.15.0:
    A view was created in inference mode and its base or another view of its base has been modified
    inplace in normal mode. Given that this use case is ambiguous and error-prone, it is forbidden.
    You can clarify your code by moving both the view and the inplace either both inside the
    inference_mode block (if you don't want the inplace to be tracked) or both outside (if you want
    the inplace to be tracked).
input that does not require grad; backward; 1.8.1:
    One of the differentiated Tensors does not require grad
input that does not require grad; grad; 1.2.0 to 2.15.0:
    One of the differentiated Tensors does not require grad
input that does not require grad; backward; 1.10.2 to 2.15.0:
    can't retain_grad on Tensor that has requires_grad=False
view from no_grad saved as a leaf; backward; 1.2.0 to 1.10.2:
    No grad accumulator for a saved leaf!
view that should be the first of several; step; 1.8.1:
    diff_view_meta->output_nr_ == 0 INTERNAL ASSERT FAILED at
    "/pytorch/torch/csrc/autograd/variable.cpp":417, please report a bug to PyTorch.
view that should be the first of several; step; 1.2.0 to 1.4.0:
    diff_view_meta->output_nr_ == 0 INTERNAL ASSERT FAILED at
    /pytorch/torch/csrc/autograd/variable.cpp:144, please report a bug to PyTorch.
none; step; 1.5.1:
    diff_view_meta->creation_meta == CreationMeta::DEFAULT INTERNAL ASSERT FAILED at
    /pytorch/torch/csrc/autograd/variable.cpp:82, please report a bug to PyTorch.
out= where autograd records; step; 1.2.0 to 2.15.0:
    exp(): functions with out=... arguments don't support automatic differentiation, but one of the
    arguments requires grad.
out= where autograd records; step; 1.7.1 to 1.8.1:
    heaviside(): functions with out=... arguments don't support automatic differentiation, but one
    of the arguments requires grad.
change of shape of a detached tensor; step; 1.2.0 to 1.10.2:
    set_storage_offset is not allowed on a Tensor created from .data or .detach(). If your intent
    is to change the metadata of a Tensor (such as sizes / strides / storage / storage_offset)
    without autograd tracking the change, remove the .data / .detach() call and wrap the change in
    a `with torch.no_grad():` block.
view that should have no node; step; 1.8.1 to 1.13.1:
    !grad_fn INTERNAL ASSERT FAILED at "/pytorch/torch/csrc/autograd/variable.cpp":519, please
    report a bug to PyTorch.
"""
"""Kind; where it was raised; the versions that say so; one of their messages.

The messages of the versions named differ in the names of nodes and files, dtypes, shapes and
numbers alone; C++ locations and traces, and spaces that follow spaces, are left out. Of kind
"none" is what versions raise that do not know an error, and have a fault of their own instead.
Of the refused shapes and indices, from "operands do not broadcast" to "index of a 0-d tensor", and
of `out=` the last version that was asked is 2.13.0; 2.15.0 is taken to say the same.
"""


@dataclass(frozen=True, slots=True)
class Collected:
    """A message, the kind it is of, where it was raised, and by which versions."""

    kind: Kind | None
    place: str
    versions: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.kind.value if self.kind else 'none'}, {self.versions[-1]}"


def _versions(ranges: str) -> Iterator[str]:
    """The tried versions in ranges as in "1.2.0 to 1.5.1, 1.8.1"."""
    for each in ranges.split(", "):
        first, *last = each.split(" to ")
        yield from TRIED[TRIED.index(first) : TRIED.index((last or [first])[0]) + 1]


def _collected() -> tuple[Collected, ...]:
    found: list[Collected] = []
    for paragraph in COLLECTED.strip().replace("\n    ", " ").splitlines():
        header, text = paragraph.split(": ", 1)
        kind, place, ranges = header.split("; ")
        of = None if kind == "none" else Kind(kind)
        found.append(Collected(of, place, tuple(_versions(ranges)), text))
    return tuple(found)


ROWS = _collected()

_W = "w = torch.ones(2, requires_grad=True)\n"
_X = _W + "x = w.clone()\n"
_NO_GRAD = _X + "with torch.no_grad():\n    v = x[:1]\n"
_INFERENCE = _X + "with torch.inference_mode():\n    y = x.sin()\n    v = x[:1]\n"

PROGRAMS: dict[Kind, str] = {
    Kind.LEAF_INPLACE: _W + "w.mul_(2)",
    Kind.VIEW_OF_LEAF_INPLACE: _W + "w[0] = 2.0",
    Kind.MULTI_VIEW_INPLACE: _X + "x.unbind()[0].mul_(2)",
    Kind.MULTI_VIEW_REBASED: _X + "p, q = x.unbind()\nx.mul_(2)\np * 2",
    Kind.NO_GRAD_VIEW_INPLACE: _NO_GRAD + "v.mul_(2)",
    Kind.NO_GRAD_VIEW_REBASED: _NO_GRAD + "x.mul_(2)\nv * 2",
    Kind.OVERLAP_SELF: _X + "x.expand(2, 2).mul_(2)",
    Kind.OVERLAP_PARTIAL: "b = torch.ones(3)\nb[1:].mul_(b[:-1])",
    Kind.SAVED_MODIFIED: _X + "y = x.exp()\ny.mul_(2)\ny.sum().backward()",
    Kind.FREED: _X + "y = (x * 2).sum()\ny.backward()\ny.backward()",
    Kind.LEAF_MOVED: _W
    + "y = (w * 2).sum()\nw.requires_grad_(False)\n"
    + "w.mul_(torch.ones(2, requires_grad=True))\ny.backward()",
    Kind.BACKWARD_OVERLAP: _X + "v = x.expand(2, 2)\nv.zero_()\nv.sum().backward()",
    Kind.NOTHING_REQUIRES_GRAD: "torch.ones(()).backward()",
    Kind.FORBIDDEN_IN_PLACE: _X + "F.leaky_relu(x, -0.5, inplace=True)\nx.sum().backward()",
    Kind.BROADCAST_TARGET: _X + "x.mul_(torch.ones(3, 2))",
    Kind.DTYPE_CAST: "torch.tensor([1, 2]).mul_(torch.ones(2))",
    Kind.OPERANDS_APART: _X + "x.mul_(torch.ones(3))",
    Kind.FILL_DIMENSIONS: _X + "x.fill_(torch.ones(2))",
    Kind.VALUE_SIZE: _X + "x[0:1] = torch.ones(3)",
    Kind.VALUE_DIMENSIONS: _X + "x[0] = torch.ones(3)",
    Kind.INDEX_RANGE: _X + "x[5] = 1.0",
    Kind.INDEX_COUNT: _X + "x[0, 0] = 1.0",
    Kind.INDEX_SCALAR: "torch.ones(())[0] = 1.0",
    Kind.VIEW_STRIDE: "torch.ones(2, 3).t().view(6)",
    Kind.FLAG_NONLEAF: _X + "x.requires_grad_(False)",
    Kind.DETACH_VIEW: _X + "x[:1].detach_()",
    Kind.SAVED_DETACHED: _X + "y = x.sin()\nx.detach_()\ny.sum().backward()",
    Kind.NOT_DIFFERENTIABLE: _X + "x.asinh_()\nx.sum().backward()",
    Kind.INFERENCE_WRITE: _INFERENCE + "y.mul_(2)",
    Kind.INFERENCE_SAVED: _INFERENCE + "w * y",
    Kind.INFERENCE_GRAD: _INFERENCE + "y.requires_grad_()",
    Kind.INFERENCE_VIEW_INPLACE: _INFERENCE + "v.mul_(2)",
    Kind.INFERENCE_VIEW_REBASED: _INFERENCE + "x.mul_(2)\nv * 2",
    Kind.INPUT_UNGRADED: _X + "b = torch.ones(2)\nx.sum().backward(inputs=[b])",
    Kind.OUT_GRAD: _X + "torch.exp(x, out=torch.ones(2))",
}
"""What makes torch raise each kind, in the last line."""


def worded(kind: Kind) -> list[Message]:
    return [wording for known, wording in ENTRIES if known is kind]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_message_is_of_its_kind(row: Collected) -> None:
    """An error is told apart by its message, and by whether backward raised it."""
    assert classify(row.text, in_backward=row.place != "step") is row.kind


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_message_fits_one_entry_at_most(row: Collected) -> None:
    """The order of the table decides nothing; what overlaps is one text of two kinds."""
    fitting = [known for known, wording in MESSAGES if wording.fits(row.text)]
    overlaps = row.kind in (Kind.OVERLAP_SELF, Kind.BACKWARD_OVERLAP)
    assert fitting == ([] if overlaps or row.kind is None else [row.kind])


@pytest.mark.parametrize("row", [r for r in ROWS if r.kind], ids=str)
def test_a_message_has_the_fragments_of_its_versions(row: Collected) -> None:
    """What a version is said to say it says."""
    assert row.kind is not None
    call = "grad" if row.place == "grad" else "backward"
    for version in row.versions:
        said = fragments(row.kind, version, call=call)
        assert all(part in row.text for part in said), version


@pytest.mark.parametrize("version", TRIED)
@pytest.mark.parametrize("kind", Kind)
def test_an_entry_holds_where_a_message_was_collected(kind: Kind, version: str) -> None:
    """A kind has words for a version exactly if that version was seen to raise it."""
    seen = any(row.kind is kind and version in row.versions for row in ROWS)
    assert any(wording.holds(version) for wording in worded(kind)) is seen


@pytest.mark.parametrize("call", ["", "backward", "grad"])
@pytest.mark.parametrize("kind", Kind)
def test_entries_of_a_kind_share_no_version(kind: Kind, call: str) -> None:
    """A version says one thing for a kind and a way of running backward."""
    wordings = [wording for wording in worded(kind) if wording.call == call]
    for version in (*TRIED, "1.6.0", "1.9.1", "2.16.0.dev20300101"):
        assert sum(wording.holds(version) for wording in wordings) <= 1, version


def test_the_newest_version_is_the_default() -> None:
    """Every kind has words in the newest version, which are those that no version asks for."""
    assert TRIED[-1] == NEWEST
    for kind in (kind for kind in Kind if kind not in PAST):
        assert any(wording.holds(NEWEST) for wording in worded(kind)), kind
        assert fragments(kind) == fragments(kind, NEWEST)


def test_a_local_and_a_development_version_are_their_release() -> None:
    """A version's build and date do not matter."""
    assert fragments(Kind.LEAF_INPLACE, "1.4.0+cpu") == fragments(Kind.LEAF_INPLACE, "1.2.0")
    assert fragments(Kind.LEAF_INPLACE, "2.16.0.dev20300101") == fragments(Kind.LEAF_INPLACE)


def test_a_version_without_words_gets_the_newest() -> None:
    """Where a version does not know the error, its message is what a newer one would say."""
    assert fragments(Kind.INFERENCE_WRITE, "1.2.0") == fragments(Kind.INFERENCE_WRITE)


def test_backward_and_grad_may_say_different_things() -> None:
    """The words are those of the call that raises."""
    assert fragments(Kind.INPUT_UNGRADED, call="grad") != fragments(Kind.INPUT_UNGRADED)
    assert fragments(Kind.FREED, call="grad") == fragments(Kind.FREED)


@pytest.fixture(scope="module")
def eager() -> InProcessSubject:
    """The torch of this interpreter."""
    return InProcessSubject("in process")


def check_local(kind: Kind, body: str, call: str, subject: InProcessSubject) -> None:
    """Run a program here; its last line raises what the table says of this torch."""
    if not any(wording.holds(torch.__version__) for wording in worded(kind)):
        pytest.skip(f"torch {torch.__version__} is not known to raise: {kind.value}")
    error = subject.run(body, []).error
    assert error is not None
    assert error.line == len(body.splitlines()), error.message
    said = fragments(kind, torch.__version__, call=call)
    assert all(part in error.message for part in said), error.message


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in PAST])
def test_the_local_torch_says_so(kind: Kind, eager: InProcessSubject) -> None:
    """The table holds for the torch of this interpreter."""
    check_local(kind, PROGRAMS[kind], "backward", eager)


def test_the_local_torch_says_so_of_grad(eager: InProcessSubject) -> None:
    """`grad` has words of its own for what it cannot differentiate by."""
    body = _X + "b = torch.ones(2)\ntorch.autograd.grad([x.sum()], [b], [None])"
    check_local(Kind.INPUT_UNGRADED, body, "grad", eager)
