"""The rule behind each kind of error: a sentence of the torch documentation, or `observed`."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.model.errors import Kind

OBSERVED = "observed; no page of the documentation says it"
_MECHANICS = "Autograd mechanics, https://docs.pytorch.org/docs/stable/notes/autograd.html"
_EXPAND = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.expand.html"
_BACKWARD = "https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html"
_IS_LEAF = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.is_leaf.html"

_BROADCASTING = (
    "Broadcasting semantics, https://docs.pytorch.org/docs/stable/notes/broadcasting.html"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One sentence, where it stands, and what helps when nothing better is known."""

    sentence: str
    source: str
    advice: str


_OUT_OF_PLACE = "Use the form of the operation that makes a new tensor."
_COUNTED = Rule(
    '"Every tensor keeps a version counter, that is incremented every time it is marked dirty in '
    "any operation. When a Function saves any tensors for backward, a version counter of their "
    "containing Tensor is saved as well. Once you access self.saved_tensors it is checked, and if "
    'it is greater than the saved value an error is raised."',
    _MECHANICS,
    "Do not write in place what a recorded operation has saved, or write a clone of it.",
)
_LEAF = Rule(
    '"For Tensors that have requires_grad which is True, they will be leaf Tensors if they were '
    "created by the user. This means that they are not the result of an operation and so grad_fn "
    'is None." A recorded write would make the leaf the result of an operation; that it is refused '
    "is observed.",
    _IS_LEAF,
    "Write inside torch.no_grad() if you mean to update the leaf, or make a new tensor.",
)
_MANY = Rule(
    "An operation that returns several views gives each of them a node that they share, and "
    "autograd does not rewrite it.",
    OBSERVED,
    "Make each view by itself, by indexing, or write a clone.",
)
_UNTRACKED = Rule(
    "A view made inside no_grad has no node, so autograd does not know how it lies in its base.",
    OBSERVED,
    "Make the view outside no_grad, or write it inside no_grad only and make it anew.",
)
_INFERENCE = "the docstring of torch.inference_mode"
_INFERRED = Rule(
    '"tensors created in this mode cannot be used in computations recorded by autograd": they have '
    "no version counter, so nothing could tell that one was written after a node had saved it.",
    _INFERENCE,
    "Make the tensor inside torch.no_grad(), or use a clone of it that is made outside.",
)
_INFERRED_VIEW = Rule(
    '"Compared to no_grad, it removes additional overhead by disabling view tracking and version '
    'counter bumps." So autograd does not know how a view that was made there lies in its base.',
    _INFERENCE,
    "Make the view outside inference mode.",
)
_EXPANDED = Rule(
    '"More than one element of an expanded tensor may refer to a single memory location. As a '
    "result, in-place operations (especially ones that are vectorized) may result in incorrect "
    'behavior. If you need to write to the tensors, please clone them first."',
    _EXPAND,
    "Write a clone of the expanded tensor.",
)
_EXPANDED_TO = Rule(
    "In x[index] = value, the value is expanded to the part of x that the index names, after its "
    "leading dimensions of size 1 are left out.",
    OBSERVED,
    "Give the value the shape of x[index].",
)
_INDEXED = Rule(
    "An index has at most as many entries as its tensor has dimensions, and an integer in it lies "
    "from -size to size - 1.",
    OBSERVED,
    "Use an index that the tensor has; ... alone takes a 0-d tensor.",
)

RULES: dict[Kind, Rule] = {
    Kind.SAVED_MODIFIED: _COUNTED,
    Kind.LEAF_INPLACE: _LEAF,
    Kind.VIEW_OF_LEAF_INPLACE: _LEAF,
    Kind.MULTI_VIEW_INPLACE: _MANY,
    Kind.MULTI_VIEW_REBASED: _MANY,
    Kind.NO_GRAD_VIEW_INPLACE: _UNTRACKED,
    Kind.NO_GRAD_VIEW_REBASED: _UNTRACKED,
    Kind.INFERENCE_WRITE: _INFERRED,
    Kind.INFERENCE_SAVED: _INFERRED,
    Kind.INFERENCE_GRAD: _INFERRED,
    Kind.INFERENCE_VIEW_INPLACE: _INFERRED_VIEW,
    Kind.INFERENCE_VIEW_REBASED: _INFERRED_VIEW,
    Kind.OVERLAP_SELF: _EXPANDED,
    Kind.BACKWARD_OVERLAP: _EXPANDED,
    Kind.OVERLAP_PARTIAL: Rule(
        "A kernel reads and writes element by element, so operands that share cells with the "
        "target without being the target would be read half written.",
        OBSERVED,
        "Give the operation a clone of the operand.",
    ),
    Kind.FREED: Rule(
        'retain_graph: "If False, the graph used to compute the grad will be freed." A node that '
        "had saved nothing has nothing to free, and may run again (observed).",
        _BACKWARD,
        "Pass retain_graph=True to every backward but the last.",
    ),
    Kind.LEAF_MOVED: Rule(
        "A gradient is added to a leaf's .grad only while that tensor is a leaf.",
        OBSERVED,
        "Do not write a tensor that requires grad into a leaf that a graph already holds.",
    ),
    Kind.NOTHING_REQUIRES_GRAD: Rule(
        '"During the forward pass, an operation is only recorded in the backward graph if at least '
        'one of its input tensors require grad." Backward starts at the node of its root, and '
        "there is none.",
        _MECHANICS,
        "Compute the root outside no_grad, from a tensor that requires grad.",
    ),
    Kind.DETACH_VIEW: Rule(
        '"Views cannot be detached in-place."',
        "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach_.html",
        "Use detach(), which makes a new tensor in the same memory.",
    ),
    Kind.FLAG_NONLEAF: Rule(
        '"even though every tensor has this flag, setting it only makes sense for leaf tensors '
        "(tensors that do not have a grad_fn, e.g., a nn.Module's parameters).\"",
        _MECHANICS,
        "Use detach() to get a tensor that does not require grad.",
    ),
    Kind.BROADCAST_TARGET: Rule(
        '"One complication is that in-place operations do not allow the in-place tensor to change '
        'shape as a result of the broadcast."',
        _BROADCASTING,
        _OUT_OF_PLACE,
    ),
    Kind.OPERANDS_APART: Rule(
        '"When iterating over the dimension sizes, starting at the trailing dimension, the '
        'dimension sizes must either be equal, one of them is 1, or one of them does not exist."',
        _BROADCASTING,
        "Give the operand the target's shape, by reshape, unsqueeze or indexing.",
    ),
    Kind.FILL_DIMENSIONS: Rule(
        '"Fills self tensor with the specified value": one value, a number or a 0-d tensor. That '
        "another tensor is refused is observed.",
        "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.fill_.html",
        "Use copy_(), which takes a tensor that broadcasts to the target.",
    ),
    Kind.VALUE_SIZE: _EXPANDED_TO,
    Kind.VALUE_DIMENSIONS: _EXPANDED_TO,
    Kind.INDEX_RANGE: _INDEXED,
    Kind.INDEX_COUNT: _INDEXED,
    Kind.INDEX_SCALAR: _INDEXED,
    Kind.DTYPE_CAST: Rule(
        '"An integral output tensor cannot accept a floating point tensor." "A boolean output '
        'tensor cannot accept a non-boolean tensor."',
        "Tensor Attributes, https://docs.pytorch.org/docs/stable/tensor_attributes.html",
        "Convert the target first, with to(), or use the form that makes a new tensor.",
    ),
    Kind.INPUT_UNGRADED: Rule(
        '"Inputs w.r.t. which the gradient will be accumulated into .grad." A tensor that does not '
        "require grad receives none; that backward refuses it is observed.",
        _BACKWARD,
        "Name only leaves that require grad when backward runs, or leave inputs out.",
    ),
    Kind.OUT_GRAD: Rule(
        "A function with out= writes its result into a tensor that is there, which cannot have the "
        "result's history as well; torch's message says that such functions do not support "
        "automatic differentiation.",
        OBSERVED,
        "Leave out= out, or write inside no_grad.",
    ),
    Kind.VIEW_STRIDE: Rule(
        '"For a tensor to be viewed, the new view size must be compatible with its original size '
        'and stride."',
        "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.view.html",
        "Use reshape(), which copies where no view can be.",
    ),
    Kind.SAVED_DETACHED: Rule(
        "A tensor that was saved with a node must have one still when backward unpacks it.",
        OBSERVED,
        "Use detach() in place of detach_().",
    ),
    Kind.NOT_DIFFERENTIABLE: Rule(
        "An operation without a derivative is recorded all the same, and raises when backward "
        "runs its node.",
        OBSERVED,
        "Apply it to a detached tensor.",
    ),
    Kind.FORBIDDEN_IN_PLACE: Rule(
        "Backward of an activation in place has only the result, and for a negative parameter the "
        "result does not tell on which side the input was.",
        OBSERVED,
        _OUT_OF_PLACE,
    ),
}
UNKNOWN = Rule("The model knows the rule by observation.", OBSERVED, _OUT_OF_PLACE)
"""For a kind that has no rule of its own here."""
