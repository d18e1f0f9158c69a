"""What autograd remembers: version counters, tensors, views, nodes and what they saved.

Most rules stand in "Autograd mechanics" (https://docs.pytorch.org/docs/stable/notes/autograd.html),
sections "In-place operations with autograd", "Locally disabling gradient computation" and "Saved
tensors". Each rule quotes the sentence that it follows from, and says what was only observed.
"""

from __future__ import annotations

from collections import Counter as Counting
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from conformance.model.errors import Kind
from conformance.model.laws import QUIET_REFUSED
from conformance.model.quirks import PIECES_ASSERTED, UNCHECKED, VIEW_ASSERTED
from strategies.layout import Layout

if TYPE_CHECKING:
    from conformance.model.prediction import Acted

Creation = Literal["default", "no_grad", "multi", "inference", "stale"]


class Raised(Exception):
    """The model's prediction that a step raises."""

    def __init__(self, kind: Kind, why: str, done: Acted | None = None) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why
        self.done = done
        """What the step had done when it raised, if it raised after that."""


class Unspecified(Exception):
    """The documentation does not say what happens."""


class Counter(Struct, eq=False):
    """A version counter, shared by a tensor, its views and its detached aliases."""

    value: int = 0
    relative: bool = False
    """Whether only changes of its value mean anything: where it began is the kernel's affair."""


class Tensor(Struct, eq=False):
    """One tensor object; several names may mean the same one."""

    name: str
    memory: int
    counter: Counter
    layout: Layout
    dtype: str
    flag: bool = False
    """The requires_grad flag of its own, which only leaves carry."""
    node: Node | None = None
    base: Tensor | None = None
    creation: Creation = "default"
    made_at: int = 0
    """The version at which `node` was made, for a view."""
    accumulator: Node | None = None
    history: int = 0
    """Tensors that share memory but not history differ in this number."""
    silent: bool = False
    """Whether it was made in no_grad as a view of a tensor that requires grad."""
    inference: bool = False
    """Whether its memory was made in inference mode: it has no version, and no node may save it."""
    loose: bool = False
    """Whether it is one that has a version all the same, and may be written outside."""
    number: int = 0
    """Which of several outputs of its node it is."""
    fixed: bool = False
    """Whether it was made by `detach()` or `.data`."""


class Saved(Struct, eq=False):
    """A tensor that a node keeps, and the version that it had then."""

    what: str
    tensor: Tensor
    version: int
    is_result: bool
    writes: int
    """How often its memory had been written then, by whatever alias."""
    of_node: bool = False
    """Whether it had a node then: it must have one still."""
    rootless: bool = False
    """Whether it required grad then, and neither had a node nor was a leaf."""

    @property
    def stale(self) -> bool:
        """Whether the tensor was modified since."""
        return self.tensor.counter.value != self.version


class Node(Struct, eq=False):
    """A recorded operation: where gradients go next, and what it needs to compute them."""

    operation: str
    edges: list[Node | None]
    order: int
    read: tuple[Tensor, ...] = ()
    """The operands whose edges it has, where it was recorded for a step."""
    at: int = -1
    """The index of the step that recorded it."""
    several: bool = False
    """Whether it computed several results, of which a gradient may reach only some."""
    saved: list[Saved] = []
    keeps: bool = False
    """Whether it saved anything at all, so that it can run only once."""
    freed: bool = False
    leaf: Tensor | None = None
    """The leaf whose `.grad` it adds to, for an accumulating node."""
    layout: Layout | None = None
    """The layout that the graph knows, for an accumulating node, or for one that stands before a
    tensor that changed its shape where that is not recorded.
    """
    inner: Node | None = None
    """The operation that wrote through a view, for a node that writes a slice."""
    folds: bool = False
    """Whether the base of the written slice repeats cells."""
    overlaps: bool = False
    """Whether the written slice does."""
    beyond: bool = False
    """Whether the written slice has elements that are not, or no longer, in the base."""
    shares: bool = False
    """Whether elements of either share cells though no stride is 0, which torch does not see."""
    forbidden: str = ""
    underivable: str = ""
    """The operation that has no derivative, as the error names it."""
    underived: tuple[int, ...] | None = None
    """The operands in which it has none; None if nothing can be asked of it."""
    misfit: Callable[[Sequence[bool]], str] = lambda wanted: ""
    """What is wrong where the gradients of these operands are wanted."""
    ran: bool = False
    """Whether a backward call executed it, or raised there."""
    _alive: bool | None = None
    _height: int | None = None

    @property
    def astray(self) -> bool:
        """Whether gradients of another shape than the graph knows may come here."""
        if self.leaf is None:
            return self.layout is not None
        return self.leaf.flag and self.layout != self.leaf.layout

    @property
    def height(self) -> int:
        """The length of the longest way from here."""
        if self._height is None:
            self._height = max((e.height + 1 for e in self.edges if e is not None), default=0)
        return self._height

    @property
    def alive(self) -> bool:
        """Whether a gradient that enters here arrives at any leaf."""
        if self._alive is None:
            self._alive = self.leaf is not None or any(e.alive for e in self.edges if e is not None)
        return self._alive


REBASED: dict[Creation, Kind] = {
    "multi": Kind.MULTI_VIEW_REBASED,
    "no_grad": Kind.NO_GRAD_VIEW_REBASED,
    "inference": Kind.INFERENCE_VIEW_REBASED,
}
WRITTEN: dict[Creation, Kind] = {
    "multi": Kind.MULTI_VIEW_INPLACE,
    "no_grad": Kind.NO_GRAD_VIEW_INPLACE,
    "inference": Kind.INFERENCE_VIEW_INPLACE,
}


AT_ONCE = 1 << 60
"""The number of nodes that run as soon as they are ready: those of leaves, and those that stand for
a derivative that torch does not have (observed).
"""


class Graph:
    """The rules of reading and writing autograd's metadata."""

    def __init__(
        self, broken: frozenset[str] = frozenset(), quirks: frozenset[str] = frozenset()
    ) -> None:
        self.broken = broken
        """The rules that this version of torch does not follow."""
        self.quirks = quirks
        self.checks = UNCHECKED not in quirks
        """Whether backward looks at versions, and gives up what was saved."""
        self._order = 0
        self.at = -1
        """The index of the step that is interpreted."""
        self.warned = -2
        """The index of the last step that gave a warning where it raises since."""
        self.recorded: list[Node] = []
        """The nodes of the operations that were recorded, oldest first."""
        self.rehistoried = False
        """Whether a tensor got another history since somebody asked."""
        self.writes: Counting[int] = Counting()
        """Memory -> how often it was written, by whatever alias."""

    def number(self) -> int:
        """The creation number of a new node: backward runs the newest ready node first."""
        self._order += 1
        return self._order

    @staticmethod
    def requires_grad(tensor: Tensor) -> bool:
        """A view requires grad if its base does (observed; views made in no_grad included)."""
        if tensor.flag or tensor.node is not None:
            return True
        return tensor.base is not None and Graph.requires_grad(tensor.base)

    def grad_fn(self, tensor: Tensor) -> Node | None:
        """The node of a tensor; a view whose memory was written since gets a new one on its base.

        Raises Raised if the view was made where that is forbidden: as one of several outputs, or in
        no_grad (torch.Tensor.grad_fn regenerates lazily; observed).
        """
        base = tensor.base
        if base is None or (tensor.node is None and not self.requires_grad(base)):
            return tensor.node
        if tensor.made_at != tensor.counter.value and tensor.creation != "stale":
            self._assert_no_node(tensor)
            refused = REBASED.get(tensor.creation)
            if refused is not None and refused not in self.broken:
                raise Raised(
                    refused,
                    f"{tensor.name} is a {_WORDS[tensor.creation]} and its memory was written",
                )
            if tensor.creation == "no_grad":
                # Of what is not refused there is a warning, and only the first time (observed).
                tensor.creation = "default"
                self.warned = self.at
            if tensor.number and PIECES_ASSERTED in self.quirks:
                raise Raised(
                    Kind.PIECE_ASSERTED, f"{tensor.name} is not the first of {_WORDS['multi']}s"
                )
            tensor.node = Node("as_strided", [self.edge(base)], self.number())
            tensor.made_at = tensor.counter.value
            self.rehistoried = self.rehistoried or tensor.history != base.history
            tensor.history = base.history
        return tensor.node

    def _assert_no_node(self, tensor: Tensor) -> None:
        """Raise Raised as torch did where it took views from no_grad for such without a node
        (observed).
        """
        kept_from = tensor.creation in ("no_grad", "inference")
        if kept_from and tensor.node is not None and VIEW_ASSERTED in self.quirks:
            raise Raised(Kind.VIEW_ASSERTED, f"{tensor.name} is a {_WORDS[tensor.creation]}")

    def edge(self, tensor: Tensor) -> Node | None:
        """Where a gradient with respect to this tensor goes; None if it goes nowhere.

        "Only leaf Tensors will have their grad populated during a call to backward"
        (torch.Tensor.is_leaf).
        """
        node = self.grad_fn(tensor)
        if node is not None:
            return node
        if not tensor.flag:
            return None
        if tensor.accumulator is None:
            tensor.accumulator = Node("accumulate", [], AT_ONCE, leaf=tensor, layout=tensor.layout)
        return tensor.accumulator

    def move(self, tensor: Tensor, layout: Layout) -> None:
        """Change a tensor's shape where that is not recorded: its own node does not know of it.

        A view's next node is made anew from its base, for the shape that it has then.
        """
        node = tensor.node
        if node is not None and tensor.base is None:
            if node.layout is None:
                tensor.node = Node("moved", [node], node.order, layout=tensor.layout)
            elif node.layout == layout:
                tensor.node = node.edges[0]
        tensor.layout = layout

    def check_write(self, tensor: Tensor, *, stale_is_leaf: bool) -> None:
        """Raise Raised where an in-place write that would be recorded is forbidden.

        A leaf is one because "they are not the result of an operation and so grad_fn is None"
        (torch.Tensor.is_leaf), which a recorded write would end. That it is refused, that views of
        leaves are, and that views made in certain ways are, is observed; so is the order.
        """
        if tensor.base is not None:
            self._assert_no_node(tensor)
            refused = WRITTEN.get(tensor.creation)
            if refused == Kind.NO_GRAD_VIEW_INPLACE and QUIET_REFUSED in self.broken:
                refused = refused if self.requires_grad(tensor) else None
            if tensor.creation == "stale" and tensor.node is None and self.requires_grad(tensor):
                refused = Kind.MULTI_VIEW_INPLACE
            if refused is not None and refused not in self.broken:
                raise Raised(refused, f"{tensor.name} is a {_WORDS[tensor.creation]}")
            self._accept(tensor, tensor.base)
            in_leaf = self.requires_grad(tensor) and tensor.base.node is None
            if in_leaf and Kind.VIEW_OF_LEAF_INPLACE not in self.broken:
                raise Raised(
                    Kind.VIEW_OF_LEAF_INPLACE,
                    f"{tensor.name} is a view of the leaf {tensor.base.name}, which requires grad",
                )
        node = tensor.node if stale_is_leaf else self.grad_fn(tensor)
        if self.requires_grad(tensor) and node is None:
            raise Raised(Kind.LEAF_INPLACE, f"{tensor.name} is a leaf that requires grad")

    def _accept(self, tensor: Tensor, base: Tensor) -> None:
        """A piece of a split, or a view from no_grad, that is written in spite of a warning is a
        view as any other from then on (observed).
        """
        if tensor.creation == "stale":
            self.rehistoried = self.rehistoried or tensor.history != base.history
            tensor.history = base.history
        quiet = tensor.creation == "no_grad" and QUIET_REFUSED in self.broken
        if tensor.creation == "stale" or quiet:
            tensor.creation = "default"

    @staticmethod
    def count_write(
        tensor: Tensor,
        done: Acted,
        *,
        inferring: bool,
        operands: Sequence[Tensor] = (),
        times: int = 1,
    ) -> None:
        """Raise the version; an inference tensor has none, which outside inference mode is an
        error, although the memory is written by then; one that has a version all the same keeps it
        in inference mode, unless an operand is no inference tensor (observed).
        """
        if tensor.inference and not tensor.loose and not inferring:
            done.open = done.open or ("only the first of several writes is done" * (times > 1))
            raise Raised(
                Kind.INFERENCE_WRITE, f"{tensor.name} is an inference tensor, written outside", done
            )
        if not (tensor.loose and inferring and all(each.inference for each in operands)):
            tensor.counter.value += times

    def rebase(self, tensor: Tensor, node: Node, *, floods: bool) -> None:
        """Give a written tensor its new node; through a view, the base gets a slice-writing one.

        An in-place operation "requires the implementation to rewrite the computational graph"
        (Autograd mechanics). How it is rewritten for views is observed. Its backward writes
        gradients where values were written. If elements share cells "the behavior of inplace
        operations on this view is undefined (and might not throw runtime errors)"
        (torch.as_strided), but for the zeros of what was flooded with one number.
        """
        base = tensor.base
        if base is None:
            tensor.node = node
            return
        slices = Node(
            "copy_slices",
            [self.edge(base), *node.edges[1:]],
            self.number(),
            at=self.at,
            keeps=True,
            inner=node,
            folds=_repeats(base.layout),
            overlaps=_repeats(tensor.layout),
            beyond=_lies_beyond(tensor.layout, base.layout),
            shares=base.layout.overlaps_itself
            or ((tensor.layout.overlaps_itself or _repeats(tensor.layout)) and not floods),
        )
        base.node = slices
        tensor.number = 0
        self.grad_fn(tensor)


def _lies_beyond(part: Layout, whole: Layout) -> bool:
    """Whether an element of a part lies where the whole, which has changed its shape, has none."""
    first, last = whole.span
    if whole.is_dense and first <= part.span[0] and part.span[1] <= last:
        return False
    return not set(part.cells().ravel().tolist()) <= set(whole.cells().ravel().tolist())


def _repeats(layout: Layout) -> bool:
    """Whether there is a cell that more than one element lies in."""
    return layout.repeats_a_cell and layout.numel > 0


_WORDS: dict[Creation, str] = {
    "multi": "view that came with others from one operation",
    "no_grad": "view made in no_grad",
    "inference": "view made in inference mode",
    "stale": "piece of a split",
}
