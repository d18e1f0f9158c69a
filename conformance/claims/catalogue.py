"""Every claim of the suite, by id: what it says, where that comes from, and where it holds."""

from __future__ import annotations

from dataclasses import replace

from conformance.claims.claim import Claim, UnknownClaim
from conformance.claims.laws import LAWS

_NOTES = "https://docs.pytorch.org/docs/stable/notes/autograd.html"
_NO_GRAD = "https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html"
_NN = "https://docs.pytorch.org/docs/stable/nn.html"
_TENSORS = "https://docs.pytorch.org/docs/stable/tensors.html"
_VIEWS = "https://docs.pytorch.org/docs/stable/tensor_view.html"
_FUNCTION = "https://docs.pytorch.org/docs/stable/notes/extending.html"

_CLAIMS = (
    Claim(
        "no-error-means-correct",
        "No error means correct gradients",
        "If in-place operations are used and nothing raises, the gradients are correct; and what "
        "must raise, raises.",
        ("003",),
        _NOTES,
        "Always, but for ways around autograd: .data, storage access and partially overlapping "
        "operands.",
    ),
    Claim(
        "relu-default",
        "inplace is False by default",
        "nn.ReLU().inplace is False, and so is the default of every nn module and every F function "
        "that takes inplace.",
        ("000",),
        _NN,
        "Always, for every module and function that introspection finds.",
    ),
    Claim(
        "relu-input-changed",
        "inplace=True overwrites the input, and nothing else does",
        "inplace=True overwrites the tensor it is given; inplace=False and the default leave it "
        "untouched and give a new tensor.",
        ("000",),
        _NN,
        "Always, but for a dropout that does nothing (in evaluation, p=0, or nothing to drop): it "
        "writes nothing and returns its input.",
    ),
    Claim(
        "relu-gradient-same",
        "inplace does not change the gradient of an activation",
        "The gradient of the loss is the same with inplace=True and inplace=False.",
        ("000",),
        _NOTES,
        "When nothing reads the overwritten tensor afterwards except through the result, no node "
        "that backward executes saved it, it may be written at all, and no slope, alpha or bound "
        "is negative.",
    ),
    Claim(
        "relu-golden",
        "The figures of the article on nn.ReLU(inplace)",
        "With the article's seed the output is 1.8603, 0.7530, 0; mid keeps its -4.0126 or equals "
        "the output; the gradient's columns are the input where the output is positive.",
        ("000",),
        "The article's own numbers",
        "Always.",
    ),
    Claim(
        "module-equals-functional",
        "A module and its function agree to the last bit",
        "nn.ReLU() and F.relu give the same outputs and gradients, and so do networks that hold "
        "the one or call the other.",
        ("001", "002"),
        _NN,
        "With the same arguments, the same training mode (said to both: their defaults differ) and "
        "a forked seed; ELU, SELU and CELU in place against plain within a tolerance.",
    ),
    Claim(
        "functional-is-stateless",
        "A function keeps no state, and a layer without parameters saves none",
        "A stateless layer adds nothing to state_dict and an F call keeps nothing; layers with "
        "parameters do appear there.",
        ("001",),
        _NN,
        "Always, but for what functions write by contract: running statistics (F.batch_norm, "
        "F.instance_norm), rows longer than max_norm (F.embedding, F.embedding_bag), and the input "
        "with inplace=True.",
    ),
    Claim(
        "inplace-same-storage",
        "An in-place operation writes into the same memory",
        "An in-place operation returns its own self, in the same storage at the same address; so "
        "do += -= *= /= **= //= and %=.",
        ("001", "003"),
        _TENSORS,
        "Always, but for set_ (takes another storage); resize_ and resize_as_ to more than the "
        "storage holds, share_memory_, and as_strided_ with another offset (move in the storage); "
        "x @= y rebinds.",
    ),
    Claim(
        "functional-leaves-operands",
        "A plain operation leaves its operands as they were",
        "The plain form of an operation changes no operand and gives a new tensor.",
        ("001", "003"),
        _VIEWS,
        "For operations that make fresh results; views, operations that may return their input, "
        "and operations that write by contract are marked as such in the op table.",
    ),
    Claim(
        "inplace-equals-functional",
        "In place and plain compute the same values",
        "After x.op_(y), x holds what x.op(y) would have returned.",
        ("001", "003"),
        _TENSORS,
        "Bitwise where the plain result has the target's dtype and shape and no operand is a part "
        "of the target; complex products, and addmm_/addbmm_ into non-contiguous targets, agree to "
        "a few ulp, and random numbers fall in the order of memory. Else after a cast, or the "
        "predicted raise.",
    ),
    Claim(
        "gradients-in-every-dtype",
        "In place and plain have the same gradients in every dtype",
        "x.op_(y) gives x and y the gradients that x.op(y) gives, in half and single precision and "
        "of complex numbers as well, where x is a whole tensor or a part of one.",
        (),
        _NOTES,
        "Where the plain form has a derivative in the dtype, and a result of the target's dtype "
        "and shape; zeros compared without sign, parts and complex numbers to a few ulp. acosh_, "
        "asinh_ and atanh_ say that they have no derivative.",
    ),
    Claim(
        "leaf-inplace-raises",
        "A leaf that requires grad cannot be written in place",
        "An in-place operation on a leaf that requires grad, or on a view of one, raises, and "
        "leaves values, version and flags as they were.",
        ("001",),
        _NOTES,
        "In grad mode; inside no_grad it is allowed and the leaf stays a leaf. resize_*, apply_, "
        "map_ and out= are refused by errors of their own; F.embedding(max_norm=) writes by "
        "contract.",
    ),
    Claim(
        "saved-inplace-raises",
        "Overwriting what backward needs makes backward raise",
        "Overwriting a tensor that backward needs makes backward raise.",
        ("001",),
        _NOTES,
        "Exactly when a node that this backward executes holds the tensor at an older version; "
        ".data is the documented hole.",
    ),
    Claim(
        "inplace-saves-memory",
        "inplace=True saves the activation's memory",
        "An activation with inplace=True allocates no tensor of the activation's size.",
        ("003",),
        _NN,
        "Without grad always, but for RReLU and training dropouts; with grad only ReLU, LeakyReLU, "
        "ELU, CELU and SELU, in forward alone.",
    ),
    Claim(
        "rebinding-is-not-inplace",
        "x = x + 1 is not x += 1",
        "x = x + 1 binds a new tensor and leaves the old one; x += 1 writes into it.",
        ("003",),
        _TENSORS,
        "Always.",
    ),
    Claim(
        "guided-relu",
        "A guided ReLU drops negative gradients",
        "GuidedBackpropReLU has ReLU's forward; its gradient is ReLU's where the incoming gradient "
        "is positive and zero elsewhere.",
        ("002",),
        _FUNCTION,
        "Finite inputs and incoming gradients; zeros compared without sign.",
    ),
    Claim(
        "guided-golden",
        "The figures of the article on GuidedBackpropReLU",
        "With the article's seed the loss is 7.155285835266113 or its negative, and the gradients "
        "are the masks that it prints.",
        ("002",),
        "The article's own numbers",
        "Always, with the CPU generator.",
    ),
    Claim(
        "no-grad-result",
        "A result computed in no_grad does not require grad",
        "A result computed inside no_grad has requires_grad=False and no grad_fn, and its "
        "backward() raises; outside, both are set if an operand requires grad.",
        ("004",),
        _NO_GRAD,
        "Operations that compute a new floating-point result; not in-place ones, operations that "
        "return their input, and views.",
    ),
    Claim(
        "no-grad-truncates",
        "Gradient flow stops at a result computed in no_grad",
        "A leaf that reaches the loss only through a result of no_grad keeps grad None.",
        ("004",),
        _NO_GRAD,
        "Always.",
    ),
    Claim(
        "no-grad-other-paths",
        "A leaf with another path gets that path's gradient alone",
        "A leaf that also reaches the loss around the no_grad region gets the gradient of that way "
        "alone.",
        ("004",),
        _NO_GRAD,
        "Always.",
    ),
    Claim(
        "no-grad-golden",
        "The figures of the article on torch.no_grad",
        "With a = 1.1, c = 4.2 and e = 42, a.grad is None; with f = 43.1, a.grad is 1.",
        ("004",),
        "The article's own numbers",
        "Always, as two separate runs.",
    ),
    Claim(
        "no-grad-inplace",
        "An in-place write in no_grad changes the value and not the gradient",
        "An in-place operation inside no_grad changes the value and leaves requires_grad and "
        "grad_fn as they were; the gradient passes through as if it had not happened.",
        ("004",),
        _NO_GRAD,
        "Writes of values; backward still raises if an executed node had saved the tensor.",
    ),
    Claim(
        "detach-shares",
        "detach() shares memory and version",
        "detach() shares memory and version with its source and does not require grad.",
        ("004",),
        "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html",
        "Always; .data shares memory and has a version of its own.",
    ),
    Claim(
        "float-only-grad",
        "Only floating-point and complex tensors can require grad",
        "Only floating-point and complex tensors can require grad; asking others raises.",
        ("004",),
        "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.requires_grad_.html",
        "Always. Asking for requires_grad=False is no exception.",
    ),
    Claim(
        "errata-names",
        "Names that the articles misspell do not exist",
        "There is no F.ReLU, no in-place .scatter(), no nn.ReLu and no inpalce; not every nn.X has "
        "an F.X, and nn.ReLU need not be put in a container.",
        ("001", "003"),
        _NN,
        "Always.",
    ),
    Claim(
        "kink-gradients",
        "At a kink the gradient is torch's convention",
        "Where the derivative is not unique, or the number is not ordinary (0, -0, infinities, "
        "NaN, the bounds of a clamp), the gradient is that of torch's formula.",
        (),
        "https://docs.pytorch.org/docs/stable/notes/autograd.html"
        "#gradients-for-non-differentiable-functions",
        "Always, but for the gradient at NaN of ReLU6, hardtanh and their kin, which depends on "
        "the place in the tensor.",
    ),
    Claim(
        "special-numbers",
        "Special numbers flow as the formulas say",
        "Zeros of both signs, infinities, NaN and numbers whose products overflow come out of "
        "every operation, plain and in place, and of its gradient, as its formula makes them.",
        (),
        "https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
        "Always, but where nothing documents what becomes of NaN, or of two zeros that are put in "
        "order, and where kernels multiply in an order of their own and only one order overflows.",
    ),
    Claim(
        "transformed-same",
        "A transformed function does what it did",
        "What a function computes, its gradients, and what it writes into its inputs stay the same "
        "where it is compiled, functionalized, exported, checkpointed, mapped or hooked, and "
        "forward and second derivatives are right; what must raise does, or is right.",
        (),
        "https://docs.pytorch.org/docs/stable/generated/torch.func.functionalize.html",
        "Subjects that run programs in a mode, such as compile-aot_eager, each by its own law; not "
        "where the compiler left a function to Python, nor where nothing says what is computed "
        "without an error.",
    ),
    Claim(
        "random-fill-cuts-gradient",
        "A random fill cuts the gradient",
        "After x.uniform_(), normal_() and their kin what x was computed from gets a gradient of "
        "zeros; the same seed gives the same numbers.",
        (),
        _TENSORS,
        "Targets that may be written; a leaf that requires grad refuses them.",
    ),
    Claim(
        "complex-gradients",
        "Complex gradients survive in-place writes",
        "A complex tensor that is overwritten, through its real, imaginary or conjugate view as "
        "well, gives the gradient dL/dx + i dL/dy of what was computed.",
        (),
        "https://docs.pytorch.org/docs/stable/notes/autograd.html#autograd-for-complex-numbers",
        "complex128, from torch 1.8 on; jax's gradient is the conjugate of torch's.",
    ),
    Claim(
        "errata-complex-grad",
        "Complex tensors can require grad, integers cannot",
        "The article says that a tensor that requires grad must be floating-point; complex ones "
        "can require grad too.",
        ("004",),
        "https://docs.pytorch.org/docs/stable/notes/autograd.html#autograd-for-complex-numbers",
        "Floating-point and complex tensors, from torch 1.6 on; others refuse.",
    ),
    Claim(
        "errata-guided-forwards",
        "The guided ReLU's two forwards differ at minus infinity",
        "Clamping and multiplying by a mask are called the same; at minus infinity the one gives 0 "
        "and the other NaN.",
        ("002",),
        _FUNCTION,
        "Equal at every finite input.",
    ),
    Claim(
        "errata-leaf-in-no-grad",
        "A leaf may be written in place inside no_grad",
        "The article says that leaves that require grad cannot be written in place; inside no_grad "
        "they can.",
        ("001",),
        _NOTES,
        "Where grad mode is off (no_grad, set_grad_enabled(False), inference_mode).",
    ),
)

CATALOGUE: dict[str, Claim] = {
    claim.id: replace(claim, law=LAWS.get(claim.id, "")) for claim in _CLAIMS
}
"""Claim id -> claim."""

ABOUT_PROGRAMS = frozenset(
    {
        "detach-shares",
        "errata-leaf-in-no-grad",
        "functional-leaves-operands",
        "leaf-inplace-raises",
        "no-error-means-correct",
        "no-grad-inplace",
        "no-grad-other-paths",
        "no-grad-result",
        "no-grad-truncates",
        "rebinding-is-not-inplace",
        "relu-gradient-same",
        "saved-inplace-raises",
        "special-numbers",
        "transformed-same",
    }
)
"""The claims that are put by programs, though some of them by scripts as well."""


TRANSFORMED = frozenset({"transformed-same"})
"""The claims about subjects that transform functions, of which no other claim is asked."""


def find_claim(id: str) -> Claim:
    """The claim of this id; raises UnknownClaim with the ids that there are."""
    if id not in CATALOGUE:
        raise UnknownClaim(f"There is no claim {id!r}; `autograd-conformance claims` lists them.")
    return CATALOGUE[id]
