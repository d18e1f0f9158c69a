"""What the model says of a program, before any torch has run it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from conformance.model.backward import Flow
from conformance.model.errors import Kind
from conformance.model.state import Node
from strategies.layout import Layout


@dataclass(frozen=True, slots=True)
class Raises:
    """That a step (by its index) raises, with which kind of error, and why."""

    step: int
    kind: Kind
    why: str


Version = int | None | Literal["any"]


class Flags(Struct, frozen=True):
    """What a tensor says of itself; `unreadable` is the error that reading its node raises.

    Inference tensors have no version (None); "any" is what nothing documents.
    """

    requires_grad: bool
    version: Version
    is_leaf: bool | None
    grad_fn: bool | None
    unreadable: Kind | None = None


Place = tuple[int, int]
"""A memory and a history: tensors that share both share values and derivatives."""


class Acted(Struct):
    """What the oracle needs to know of a step that ran."""

    recorded: bool = False
    connected: tuple[bool, ...] = ()
    """For each tensor operand, whether a gradient flows back through it."""
    node: Node | None = None
    """What was recorded: the operation itself, where it wrote through a view."""
    flow: Flow | None = None
    places: dict[str, Place] = {}
    """Where tensors lie that the step made; all of them, if it gave one another history."""
    open: str = ""
    """Why the values that it wrote are unspecified."""


class Kept(Struct, frozen=True):
    """A tensor that a node saved, as it stands when the program ends."""

    operation: str
    tensor: str
    memory: int
    version: int
    modified: bool
    """Whether its version has risen since."""
    needed: bool
    """Whether a backward call executed the node, or raised there."""


@dataclass(slots=True)
class Prediction:
    """What a program does, before any torch has run it."""

    raises: Raises | None = None
    unspecified: str = ""
    """Why nothing is said of the step after those that `acted`, nor of what follows."""
    open: str = ""
    """Why its values are unspecified, though its errors and flags are not."""
    hidden: str = ""
    """Why its gradients are unspecified though nothing raises: a write that nobody counted, or a
    gradient that is written where cells repeat.
    """
    flags: dict[str, Flags] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)
    histories: dict[str, int] = field(default_factory=dict)
    graded: dict[str, bool] = field(default_factory=dict)
    """For each leaf of the program, what became one, and what is sought: whether its `.grad` is
    there.
    """
    sought: frozenset[str] = frozenset()
    """The tensors that a call was asked for by name, leaves or not."""
    grads: dict[str, Layout] = field(default_factory=dict)
    """Where in its memory each leaf with a `.grad` lay when it received that."""
    saved: list[Kept] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    """Where the leaves lie at the start."""
    acted: list[Acted] = field(default_factory=list)
    trace: list[dict[str, Flags]] = field(default_factory=list)
    """The flags after each step, when the program is watched."""

    @property
    def left_open(self) -> str:
        """Why anything at all of it is unspecified, or ""."""
        return self.unspecified or self.open or self.hidden


def happened(prediction: Prediction) -> Hashable:
    """Which steps run, what lies where, and where gradients pass: of two predictions that agree in
    it, values and gradients are the same but for where in memory each element lies, and for the
    gradients of what is no leaf.
    """
    return (
        prediction.unspecified or prediction.open,
        tuple(map(_acted, prediction.acted)),
        tuple(prediction.places.items()),
    )


def _acted(acted: Acted) -> Hashable:
    flow = acted.flow
    gone = flow and (
        flow.reaching,
        flow.raised is not None,
        flow.dropped,
        frozenset(leaf.name for leaf in flow.accumulated),
    )
    return acted.recorded, acted.connected, tuple(acted.places.items()), gone
