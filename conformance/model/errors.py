"""The kinds of errors that autograd raises, and the messages by which each is told apart."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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


@dataclass(frozen=True, slots=True)
class Message:
    """Fragments that a message of this kind must all contain, and fragments that it must not."""

    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()


_MULTI = ("returns multiple views",)
"""A multi-output view without a node says `no_grad mode` as well, wherever it was made."""

MESSAGES: tuple[tuple[Kind, Message], ...] = (
    (
        Kind.VIEW_OF_LEAF_INPLACE,
        Message(("a view of a leaf Variable that requires grad", "in-place operation")),
    ),
    (
        Kind.LEAF_INPLACE,
        Message(
            ("a leaf Variable that requires grad", "in-place operation"), ("a view of a leaf",)
        ),
    ),
    (
        Kind.MULTI_VIEW_REBASED,
        Message(
            ("its base or another view of its base has been modified", "returns multiple views")
        ),
    ),
    (Kind.MULTI_VIEW_INPLACE, Message(("is being modified inplace", "returns multiple views"))),
    (
        Kind.NO_GRAD_VIEW_REBASED,
        Message(("no_grad mode", "its base or another view of its base has been modified"), _MULTI),
    ),
    (Kind.NO_GRAD_VIEW_INPLACE, Message(("no_grad mode", "is being modified inplace"), _MULTI)),
    (
        Kind.INFERENCE_VIEW_REBASED,
        Message(("created in inference mode", "its base or another view of its base has been")),
    ),
    (
        Kind.INFERENCE_VIEW_INPLACE,
        Message(("created in inference mode and is being modified inplace",)),
    ),
    (Kind.INFERENCE_WRITE, Message(("Inplace update to inference tensor outside InferenceMode",))),
    (Kind.INFERENCE_SAVED, Message(("Inference tensors cannot be saved for backward",))),
    (Kind.INFERENCE_GRAD, Message(("Setting requires_grad=True on inference tensor outside",))),
    (Kind.OVERLAP_PARTIAL, Message(("some elements of the input tensor and the written-to",))),
    (Kind.SAVED_MODIFIED, Message(("has been modified by an inplace operation",))),
    (Kind.FREED, Message(("backward through the graph a second time",))),
    (Kind.LEAF_MOVED, Message(("leaf variable has been moved into the graph interior",))),
    (Kind.NOTHING_REQUIRES_GRAD, Message(("does not require grad and does not have a grad_fn",))),
    (
        Kind.FORBIDDEN_IN_PLACE,
        Message(("In-place", "backward calculation is triggered with a negative slope")),
    ),
    (Kind.BROADCAST_TARGET, Message(("doesn't match the broadcast shape",))),
    (Kind.DTYPE_CAST, Message(("result type", "can't be cast to the desired output type"))),
    (Kind.VIEW_STRIDE, Message(("view size is not compatible with input tensor's size",))),
    (
        Kind.FLAG_NONLEAF,
        Message(("you can only change requires_grad flags of leaf variables",)),
    ),
    (Kind.DETACH_VIEW, Message(("Can't detach views in-place",))),
    (Kind.SAVED_DETACHED, Message(("a saved tensor that has been detached in-place",))),
    (Kind.NOT_DIFFERENTIABLE, Message(("erivative for ", " is not implemented"))),
    (Kind.INPUT_UNGRADED, Message(("can't retain_grad on Tensor that has requires_grad=False",))),
    (Kind.INPUT_UNGRADED, Message(("One of the differentiated Tensors does not require grad",))),
)
"""A message fits one of these at most."""

_OVERLAP = "more than one element of the written-to tensor refers to a single memory location"
"""Which kind it is depends on where it was raised."""


def classify(message: str, *, in_backward: bool) -> Kind | None:
    """The kind of error that a message belongs to, or None if it is of no kind known here."""
    if _OVERLAP in message:
        return Kind.BACKWARD_OVERLAP if in_backward else Kind.OVERLAP_SELF
    for kind, fragments in MESSAGES:
        if all(part in message for part in fragments.has) and not any(
            part in message for part in fragments.lacks
        ):
            return kind
    return None


def fragments(kind: Kind) -> tuple[str, ...]:
    """What a message of this kind contains."""
    if kind in (Kind.OVERLAP_SELF, Kind.BACKWARD_OVERLAP):
        return (_OVERLAP,)
    return next(message.has for known, message in MESSAGES if known is kind)
