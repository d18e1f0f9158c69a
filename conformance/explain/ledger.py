"""What has to be remembered from step to step, so that an error can be traced to its cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from conformance.model.interpreter import Interpreter
from conformance.model.state import Counter, Node, Saved, Tensor
from strategies.draft import Draft
from strategies.layout import Layout


class Watched(Interpreter):
    """An interpreter whose tensors can be looked at without changing what the program does."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, frozenset())

    def says_requires_grad(self, tensor: Tensor) -> bool:
        """The flag by the documentation."""
        return self.counts(tensor)

    def outdated(self, tensor: Tensor) -> bool:
        """Whether reading the node of a view would make it anew, or raise."""
        base = tensor.base
        return (
            base is not None
            and (tensor.node is not None or self.graph.requires_grad(base))
            and tensor.made_at != tensor.counter.value
        )


@dataclass(frozen=True, slots=True)
class State:
    """One name at one moment."""

    tensor: Tensor
    version: int
    node: Node | None
    base: Tensor | None
    layout: Layout
    requires_grad: bool
    banned: bool
    """Whether its node can neither be read nor made anew, so that no recorded step may use it."""


Looked = dict[str, State]
BANS: dict[str, str] = {
    "multi": "that came with others from one operation",
    "no_grad": "made inside no_grad",
    "inference": "made inside inference_mode",
}
"""How a view was made that autograd lets nobody write."""


@dataclass(frozen=True, slots=True)
class Bump:
    """One rise of a version counter."""

    step: int
    counter: Counter
    memory: int
    before: int
    after: int
    target: Tensor
    recorded: bool


@dataclass(slots=True)
class Ledger:
    """Where everything comes from; steps are numbered from 1, leaves are born at 0."""

    draft: Draft
    interpreter: Watched
    texts: tuple[str, ...]
    born: dict[Tensor, int] = field(default_factory=dict)
    made_by: dict[Node, int] = field(default_factory=dict)
    renewed: dict[Node, Tensor] = field(default_factory=dict)
    touched: dict[Node, frozenset[int]] = field(default_factory=dict)
    bumps: list[Bump] = field(default_factory=list)
    executed_at: dict[Node, list[int]] = field(default_factory=dict)
    freed_at: dict[Node, int] = field(default_factory=dict)
    unrecorded: dict[int, str] = field(default_factory=dict)
    read: dict[int, tuple[State, ...]] = field(default_factory=dict)
    """A step that was not recorded -> its operands as they were, the target of a write first."""
    lost: list[tuple[int, Tensor]] = field(default_factory=list)
    """The steps after which a tensor that had required grad did not any more."""

    def look(self) -> dict[str, State]:
        """Every name as it stands, nothing changed by looking."""
        watched = self.interpreter
        return {
            name: State(
                tensor,
                tensor.counter.value,
                tensor.node,
                tensor.base,
                tensor.layout,
                watched.says_requires_grad(tensor),
                tensor.creation != "default" and watched.outdated(tensor),
            )
            for name, tensor in watched.tensors.items()
        }

    def text(self, step: int) -> str:
        """A step's statement, without the cotangents and lists that would hide it."""
        return self.texts[step - 1]

    def label(self, node: Node) -> str:
        """A node in words: its operation and the step that recorded it."""
        if node.leaf is not None:
            return f"{node.leaf.name}.grad"
        name = node.operation
        if node in self.renewed:
            return f"AsStrided of {self.renewed[node].name} (renewed at step {self.made_by[node]})"
        if node.inner is not None:
            name = f"CopySlices around {node.inner.operation}"
        step = self.made_by.get(node) or (node.inner and self.made_by.get(node.inner))
        return f"{name} (step {step})" if step else name

    def step_of(self, node: Node) -> int | None:
        return self.made_by.get(node.inner or node)

    def modified_by(self, saved: Saved) -> tuple[Bump, ...]:
        """The writes that a saved tensor's counter has seen since it was saved."""
        return tuple(
            bump
            for bump in self.bumps
            if bump.counter is saved.tensor.counter and bump.after > saved.version
        )

    def adopt(self, step: int) -> None:
        """Note which step made the nodes that are new, those made on the way included."""
        recorded = dict.fromkeys(self.interpreter.graph.recorded)
        tensors = {id(t): t for t in self.interpreter.tensors.values()}.values()
        for tensor in tensors:
            self.born.setdefault(tensor, step)
            node = tensor.node
            # The operation of that name is recorded; a node that is made anew is not.
            if node is not None and node.operation == "as_strided" and node not in recorded:
                self.renewed.setdefault(node, tensor)
        self._adopt_from([*recorded, *(t.node for t in tensors if t.node)], step)

    def _adopt_from(self, nodes: Iterable[Node], step: int) -> None:
        stack = [node for node in nodes if node not in self.made_by]
        while stack:
            node = stack.pop()
            if node in self.made_by or node.leaf is not None:
                continue
            self.made_by[node] = step
            stack.extend(edge for edge in node.edges if edge is not None)


def names_of(tensors: dict[str, Tensor], wanted: Tensor) -> tuple[str, ...]:
    """All names of one object."""
    return tuple(name for name, tensor in tensors.items() if tensor is wanted)
