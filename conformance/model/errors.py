"""The kinds of errors that autograd raises, and the messages by which each is told apart.

Messages were collected from torch 1.2.0, 1.4.0, 1.5.1, 1.7.1, 1.8.1, 1.10.2, 1.13.1, 2.0.1, 2.4.1,
2.13.0 and 2.15.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from packaging.specifiers import SpecifierSet


class Kind(str, Enum):
    """Why a step or a backward call raises."""

    LEAF_INPLACE = "leaf in place"
    VIEW_OF_LEAF_INPLACE = "view of a leaf in place"
    MULTI_VIEW_INPLACE = "multi-output view in place"
    MULTI_VIEW_REBASED = "multi-output view whose base was written"
    NO_GRAD_VIEW_INPLACE = "view made in no_grad in place"
    NO_GRAD_VIEW_REBASED = "view made in no_grad whose base was written"
    OVERLAP_SELF = "target overlaps itself"
    OVERLAP_PARTIAL = "operands overlap partially"
    SAVED_MODIFIED = "saved tensor modified"
    FREED = "graph freed"
    LEAF_MOVED = "leaf moved into the graph"
    BACKWARD_OVERLAP = "overlap in backward"
    NOTHING_REQUIRES_GRAD = "nothing requires grad"
    FORBIDDEN_IN_PLACE = "parameter that forbids in place"
    BROADCAST_TARGET = "broadcast target"
    DTYPE_CAST = "dtype cast"
    OPERANDS_APART = "operands do not broadcast"
    FILL_DIMENSIONS = "fill with what is not 0-d"
    VALUE_SIZE = "value of another size"
    VALUE_DIMENSIONS = "value of more dimensions"
    INDEX_RANGE = "index out of range"
    INDEX_COUNT = "too many indices"
    INDEX_SCALAR = "index of a 0-d tensor"
    VIEW_STRIDE = "view stride"
    FLAG_NONLEAF = "requires_grad of a non-leaf"
    DETACH_VIEW = "detach of a view in place"
    SAVED_DETACHED = "saved tensor detached in place"
    NOT_DIFFERENTIABLE = "not differentiable"
    INFERENCE_WRITE = "inference tensor in place"
    INFERENCE_SAVED = "inference tensor saved for backward"
    INFERENCE_GRAD = "inference tensor to require grad"
    INFERENCE_VIEW_INPLACE = "view made in inference mode in place"
    INFERENCE_VIEW_REBASED = "view made in inference mode whose base was written"
    INPUT_UNGRADED = "input that does not require grad"
    OUT_GRAD = "out= where autograd records"
    VIEW_ASSERTED = "view that should have no node"
    PIECE_ASSERTED = "view that should be the first of several"
    LEAF_SAVED = "view from no_grad saved as a leaf"
    DETACHED_MOVED = "change of shape of a detached tensor"


PAST = frozenset({Kind.VIEW_ASSERTED, Kind.PIECE_ASSERTED, Kind.DETACHED_MOVED, Kind.LEAF_SAVED})
"""Those that older versions alone raise."""


@dataclass(frozen=True, slots=True)
class Message:
    """How some versions of torch word an error of a kind."""

    has: tuple[str, ...]
    """Fragments that a message must all contain."""
    lacks: tuple[str, ...] = ()
    """Fragments that it must not contain."""
    torch: str = ""
    """The versions that say so, as a packaging specifier; "" for all that were tried.

    A boundary lies between two versions that were tried, and bears the later one's number. A kind
    that says nothing at a version is not known to be raised there.
    """
    call: str = ""
    """The way of running backward that says so; "" for every way that has no words of its own."""

    def fits(self, message: str) -> bool:
        """Whether a message has what it must have, and lacks what it must lack."""
        return all(part in message for part in self.has) and not any(
            part in message for part in self.lacks
        )

    def holds(self, torch: str) -> bool:
        """Whether a version of torch, which may be a development version, says so."""
        return SpecifierSet(self.torch).contains(torch, prereleases=True)


NEWEST = "2.15.0"
"""The newest torch that was tried."""

_LEAF = "a leaf Variable that requires grad"
_IN_PLACE = "in-place operation"
_MULTI = ("returns multiple views",)
"""A multi-output view without a node says `no_grad mode` as well, wherever it was made."""
_REBASED = "its base or another view of its base has been modified"
_OVERLAP = "more than one element of the written-to tensor refers to a single memory location"

MESSAGES: tuple[tuple[Kind, Message], ...] = (
    (Kind.VIEW_OF_LEAF_INPLACE, Message(("a view of " + _LEAF, _IN_PLACE), torch=">=1.8")),
    (Kind.LEAF_INPLACE, Message((_LEAF, "has been used in an " + _IN_PLACE), torch="<1.5")),
    (
        Kind.LEAF_INPLACE,
        Message((_LEAF, _IN_PLACE), ("a view of a leaf", "has been used"), torch=">=1.5"),
    ),
    (Kind.MULTI_VIEW_REBASED, Message((_REBASED, *_MULTI), torch=">=1.5")),
    (Kind.MULTI_VIEW_INPLACE, Message(("is being modified inplace", *_MULTI), torch=">=1.5")),
    (Kind.NO_GRAD_VIEW_REBASED, Message(("no_grad mode", _REBASED), _MULTI, torch=">=1.10")),
    (
        Kind.NO_GRAD_VIEW_INPLACE,
        Message(("no_grad mode", "is being modified inplace"), _MULTI, torch=">=1.5"),
    ),
    (
        Kind.INFERENCE_VIEW_REBASED,
        Message(("created in inference mode", _REBASED), torch=">=1.10"),
    ),
    (
        Kind.INFERENCE_VIEW_INPLACE,
        Message(("created in inference mode and is being modified inplace",), torch=">=1.10"),
    ),
    (
        Kind.INFERENCE_WRITE,
        Message(("Inplace update to inference tensor outside InferenceMode",), torch=">=1.10"),
    ),
    (
        Kind.INFERENCE_SAVED,
        Message(("Inference tensors cannot be saved for backward",), torch=">=1.10"),
    ),
    (
        Kind.INFERENCE_GRAD,
        Message(("Setting requires_grad=True on inference tensor outside",), torch=">=1.10"),
    ),
    (
        Kind.OVERLAP_PARTIAL,
        Message(("some elements of the input tensor and the written-to",), torch=">=1.4"),
    ),
    (Kind.SAVED_MODIFIED, Message(("has been modified by an inplace operation",))),
    (Kind.FREED, Message(("backward through the graph a second time",))),
    (Kind.LEAF_MOVED, Message(("leaf variable has been moved into the graph interior",))),
    (Kind.NOTHING_REQUIRES_GRAD, Message(("does not require grad and does not have a grad_fn",))),
    (
        Kind.FORBIDDEN_IN_PLACE,
        Message(
            ("In-place", "backward calculation is triggered with a negative slope"), torch=">=1.5"
        ),
    ),
    (Kind.BROADCAST_TARGET, Message(("doesn't match the broadcast shape",))),
    (
        Kind.DTYPE_CAST,
        Message(("output with device", "doesn't match the desired device"), torch="<1.4"),
    ),
    (
        Kind.DTYPE_CAST,
        Message(("result type", "can't be cast to the desired output type"), torch=">=1.4"),
    ),
    (Kind.OPERANDS_APART, Message(("must match the size of tensor b",))),
    (Kind.FILL_DIMENSIONS, Message(("fill_ only supports 0-dimension value tensor",))),
    (Kind.VALUE_SIZE, Message(("The expanded size", "must match the existing size"))),
    (Kind.VALUE_DIMENSIONS, Message(("the number of sizes provided",))),
    (Kind.INDEX_RANGE, Message(("is out of bounds for dimension",))),
    (Kind.INDEX_COUNT, Message(("too many indices for tensor of dimension",))),
    (Kind.INDEX_SCALAR, Message(("0-dim tensor",))),
    (Kind.VIEW_STRIDE, Message(("view size is not compatible with input tensor's size",))),
    (
        Kind.FLAG_NONLEAF,
        Message(("you can only change requires_grad flags of leaf variables",)),
    ),
    (Kind.DETACH_VIEW, Message(("Can't detach views in-place",), torch="!=1.7.*")),
    (
        Kind.DETACH_VIEW,
        Message(
            ("detach_() cannot be called on these gradients",),
            ("Can't detach views in-place",),
            torch="==1.7.*",
        ),
    ),
    (
        Kind.SAVED_DETACHED,
        Message(("No grad_fn for non-leaf saved tensor",), torch=">=1.10,<2.0"),
    ),
    (
        Kind.SAVED_DETACHED,
        Message(("a saved tensor that has been detached in-place",), torch=">=2.0"),
    ),
    (Kind.NOT_DIFFERENTIABLE, Message(("erivative for ", " is not implemented"))),
    (
        Kind.INPUT_UNGRADED,
        Message(
            ("can't retain_grad on Tensor that has requires_grad=False",),
            torch=">=1.10",
            call="backward",
        ),
    ),
    (Kind.INPUT_UNGRADED, Message(("One of the differentiated Tensors does not require grad",))),
    (
        Kind.LEAF_SAVED,
        Message(("No grad accumulator for a saved leaf",), torch="<1.13"),
    ),
    (
        Kind.DETACHED_MOVED,
        Message(("is not allowed on a Tensor created from .data or .detach()",), torch="<1.13"),
    ),
    (Kind.VIEW_ASSERTED, Message(("!grad_fn INTERNAL ASSERT FAILED",), torch=">=1.8,<2.0")),
    (
        Kind.PIECE_ASSERTED,
        Message(("output_nr_ == 0 INTERNAL ASSERT FAILED",), ('at "',), torch="<1.5"),
    ),
    (
        Kind.PIECE_ASSERTED,
        Message(('output_nr_ == 0 INTERNAL ASSERT FAILED at "',), torch=">=1.8,<1.10"),
    ),
    (Kind.OUT_GRAD, Message(("functions with out=... arguments don't support automatic",))),
)
"""A message fits one of these at most."""

OVERLAPS: tuple[tuple[Kind, Message], ...] = (
    (Kind.OVERLAP_SELF, Message((_OVERLAP,))),
    (Kind.BACKWARD_OVERLAP, Message((_OVERLAP,), torch=">=1.4")),
)
"""Which of these a message belongs to depends on where it was raised: at a step, or by backward."""


def classify(message: str, *, in_backward: bool) -> Kind | None:
    """The kind of error that a message belongs to, or None if it is of no kind known here."""
    if _OVERLAP in message:
        return Kind.BACKWARD_OVERLAP if in_backward else Kind.OVERLAP_SELF
    return next((kind for kind, wording in MESSAGES if wording.fits(message)), None)


def fragments(kind: Kind, torch: str = "", *, call: str = "backward") -> tuple[str, ...]:
    """What a message of this kind contains in a version of torch, the newest by default.

    `call` is the way of running backward, "backward" or "grad". A version that is not known to
    raise this gets the newest one's words, or the only ones that there are. Raises
    packaging.version.InvalidVersion.
    """
    of_kind = [wording for known, wording in (*MESSAGES, *OVERLAPS) if known is kind]
    possible = [wording for wording in of_kind if wording.call in (call, "")]
    own_words_first = sorted(possible, key=lambda wording: not wording.call)
    said = (
        wording.has
        for version in (torch or NEWEST, NEWEST)
        for wording in own_words_first
        if wording.holds(version)
    )
    return next(said, own_words_first[0].has)
