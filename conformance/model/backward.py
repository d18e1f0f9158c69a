"""One backward call: which nodes run, in which order, what each unpacks, and what raises."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from msgspec import Struct

from conformance.model.errors import Kind
from conformance.model.laws import DERIVED_IF_ASKED, LEAVES_SAVED, SAVED_BY_NAME, SLICES_ASK
from conformance.model.quirks import (
    BY_FALLBACK,
    ROOT_RUNS,
    SLICES_WANT_ALL,
    SLOPE_UNSEEN,
    SOUGHT_NOWHERE,
)
from conformance.model.ready import Ready
from conformance.model.state import Graph, Node, Raised, Tensor, Unspecified
from strategies.layout import Layout


@dataclass(frozen=True, slots=True)
class Captured:
    """A tensor that is no leaf, whose gradient a call returned."""

    tensor: Tensor
    node: Node
    """The node that it had then: its gradient is of what this node computed."""
    layout: Layout


class Flow(Struct):
    """What a backward call did before it ended or raised."""

    accumulated: list[Tensor] = []
    """Tensors whose `.grad` it added to or made; each received its whole gradient."""
    taken: list[Tensor] = []
    """Those of them whose gradients the call returns."""
    captured: list[Captured] = []
    """Those of these that are no leaves."""
    roots: list[Tensor] = []
    starts: list[Node] = []
    """The node of each root."""
    raised: Raised | None = None
    dropped: bool = False
    """Whether a gradient arrived at a leaf that does not require grad any more."""
    hidden: str = ""
    """That a saved tensor was overwritten where its version counter could not see it."""
    shared: str = ""
    """That a gradient was written where elements share cells."""
    reaching: tuple[bool, ...] = ()
    """For each root, whether any leaf can be reached from it."""
    executed: list[Node] = []
    """The nodes in the order in which they ran, and those of leaves, where gradients end; the last
    one raised, if any did.
    """
    marked: set[Node] = set()
    """Those that torch wants since a written slice has run, though nobody asked for them."""


def run_backward(
    graph: Graph,
    roots: list[Tensor],
    *,
    retain_graph: bool,
    inputs: list[Tensor] | None = None,
    capture: bool = False,
    counts: Callable[[Tensor], bool] = Graph.requires_grad,
) -> Flow:
    """Run the nodes that the roots reach, newest ready first, until done or one raises.

    Inputs are those "w.r.t. which the gradient will be accumulated into .grad. All other Tensors
    will be ignored" (torch.autograd.backward): what leads to none of them is not run. With capture,
    their gradients are returned instead (torch.autograd.grad): a gradient is taken where it enters
    the node that its tensor has now, and that node runs only if it leads to another input.
    `counts` says whether a tensor requires grad.

    Source: "Autograd mechanics", how the engine runs; the order was observed.
    """
    flow = Flow(roots=roots)
    try:
        flow.starts = starts = [_start(graph, root) for root in roots]
        unread = [t for t in inputs or () if t.node is None and t.accumulator is None]
        sought = {} if inputs is None else _edges(graph, inputs, counts, capture=capture)
        wanted = None if inputs is None else _wanted(starts, sought)
        known = set(sought) if sought and SLICES_WANT_ALL in graph.quirks else None
        at_first = frozenset(wanted or ())
        alone = wanted is not None and len(starts) == 1 and ROOT_RUNS in graph.quirks
        if alone and wanted is not None:
            if starts[0] not in wanted:
                _refuse_composed(starts[0])
            wanted.add(starts[0])
        read = wanted is None or not unread or {*starts, *_dependencies(starts)} <= wanted
        if not read and ROOT_RUNS in graph.quirks:
            raise Unspecified("which nodes run for an input that no node has read")
        flow.reaching = tuple(start.alive for start in starts)
        waiting = _dependencies(starts)
        ready, passed_over, unready = Ready(), set[Node](), set[Node]()
        for node in dict.fromkeys(starts):
            if not waiting.get(node):
                ready.push(node)
        while ready:
            node = ready.pop()
            if wanted is not None and node not in wanted:
                continue
            if capture and node in sought:
                _take(flow, node, sought[node])
                if node.leaf is not None:
                    flow.executed.append(node)
                leads = node in flow.marked or not at_first.isdisjoint(node.edges)
                if not leads and not (alone and node in starts):
                    continue
                if not leads:
                    _refuse_composed(node)
            if node in passed_over:
                flow.shared = f"a part of the gradient of {node.operation} is left out"
            flow.executed.append(node)
            if known is not None and _beneath(node, known):
                raise Unspecified("a node that was not asked for, and that torch did not count")
            _run(graph, node, flow, wanted, retain_graph=retain_graph)
            for follower in _followers(node):
                if follower is None:
                    continue
                if wanted is not None and follower not in wanted:
                    passed_over.add(follower)
                if follower.astray and (wanted is None or follower in wanted):
                    raise Unspecified(_ASTRAY)
                waiting[follower] -= 1
                if not waiting[follower]:
                    ready.push(follower)
                elif known is not None and wanted is not None and follower in wanted:
                    unready.add(follower)
        if any(waiting[node] for node in unready):
            raise Unspecified("a node that was not asked for, and whose gradient is not complete")
    except Raised as raised:
        # Its traceback holds this frame, which holds the flow, and all frames that called it: what
        # they hold would stay until the next search for cycles.
        flow.raised = raised.with_traceback(None)
        if capture:
            # What was returned to nobody; a leaf may have been added to besides.
            for tensor in flow.taken:
                flow.accumulated.remove(tensor)
            flow.captured.clear()
    return flow


_COMPOSED = frozenset({"matmul", "linear", "linear_bias", "einsum"})
"""Operations that are recorded as several nodes, where their operands call for it."""


def _refuse_composed(node: Node) -> None:
    """Raise Unspecified where a node runs that leads nowhere, and may be several."""
    if node.operation in _COMPOSED:
        raise Unspecified(f"which of the nodes of {node.operation} run")


_IN_ORDER = {"linear_bias": (2, 0, 1)}
"""Operations whose node has its edges in another order than they have operands (observed)."""
_COPY_FIRST = frozenset(
    """
    index_add index_copy index_fill index_put index_put_rows index_put_twice masked_fill
    masked_scatter scatter scatter_add
    """.split()
)
"""Plain operations that write into a copy of their first operand, whose node runs in between: other
operands get their gradients before (observed, where that a leaf has been moved may come first).
"""


def _followers(node: Node) -> list[Node | None]:
    """Where gradients go next, in the order in which what is ready is put into the queue."""
    if node.operation in _COPY_FIRST:
        return [*node.edges[1:], *node.edges[:1]]
    order = _IN_ORDER.get(node.operation)
    return [node.edges[place] for place in order] if order else node.edges


_SHARED_LEAF = "elements of the leaf {} share cells"
_ASTRAY = "a gradient for a tensor that changed its shape where that is not recorded"


def _beneath(node: Node, sought: Collection[Node]) -> bool:
    """Whether a node that leads on is nearer to its end than all whose gradients are sought."""
    leads_on = any(edge is not None for edge in node.edges)
    return leads_on and node.height < min(one.height for one in sought)


def _start(graph: Graph, root: Tensor) -> Node:
    """The node at which backward begins; that a root without one raises is observed."""
    node = graph.edge(root)
    if node is None:
        if graph.warned == graph.at:
            raise Unspecified("what becomes of an error after a warning in the same call")
        raise Raised(
            Kind.NOTHING_REQUIRES_GRAD, f"{root.name} does not require grad and has no grad_fn"
        )
    if node.astray:
        raise Unspecified(_ASTRAY)
    return node


def _edges(
    graph: Graph, inputs: list[Tensor], counts: Callable[[Tensor], bool], *, capture: bool
) -> dict[Node, list[Tensor]]:
    """Where the gradients of the inputs arrive: at the nodes that they have now.

    That an input's node is read first, which may raise, and that an input which does not require
    grad then raises, is observed.
    """
    sought: dict[Node, list[Tensor]] = {}
    for tensor in inputs:
        reached = tensor.node is not None or tensor.accumulator is not None
        nowhere = SOUGHT_NOWHERE in graph.quirks and not reached
        if nowhere and graph.grad_fn(tensor) is None:
            raise Unspecified("nodes with an operand that requires no grad run, and are freed")
        edge = graph.edge(tensor)
        if not counts(tensor):
            raise Raised(Kind.INPUT_UNGRADED, f"{tensor.name} does not require grad")
        if not capture and tensor.node is not None:
            raise Unspecified(f"{tensor.name} is an input of backward and no leaf any more")
        if edge is not None and edge.leaf is None and edge.astray:
            raise Unspecified(_ASTRAY)
        if edge is not None:
            sought.setdefault(edge, []).append(tensor)
    return sought


def _wanted(starts: list[Node], sought: Collection[Node]) -> set[Node]:
    """The nodes at which a gradient is sought, and those that lead to one.

    "All other Tensors will be ignored" (torch.autograd.backward).
    """
    leads: dict[Node, bool] = {}

    def lead(node: Node) -> bool:
        if node not in leads:
            followers = [lead(edge) for edge in node.edges if edge is not None]
            leads[node] = any(followers) or node in sought
        return leads[node]

    for start in starts:
        lead(start)
    return {node for node, does in leads.items() if does}


def _take(flow: Flow, node: Node, sought: list[Tensor]) -> None:
    """Take the gradients that enter a node; one of several outputs may receive none."""
    for tensor in sought:
        if node.leaf is None:
            if node.several and not _received(flow, node, tensor):
                continue
            flow.captured.append(Captured(tensor, node, tensor.layout))
        elif tensor.layout.overlaps_itself:
            flow.shared = _SHARED_LEAF.format(tensor.name)
        flow.accumulated.append(tensor)
        flow.taken.append(tensor)


def _received(flow: Flow, node: Node, tensor: Tensor) -> bool:
    """Whether a node that ran, or a call, read this very output of a node."""
    if any(
        start is node and root is tensor
        for start, root in zip(flow.starts, flow.roots, strict=True)
    ):
        return True
    return any(
        edge is node and read is tensor
        for user in flow.executed
        for edge, read in zip(user.edges, (user.inner or user).read, strict=False)
    )


def _dependencies(starts: list[Node]) -> dict[Node, int]:
    """How many edges of reachable nodes lead to each node."""
    waiting: dict[Node, int] = {}
    seen = set(starts)
    stack = list(seen)
    while stack:
        for follower in stack.pop().edges:
            if follower is None:
                continue
            waiting[follower] = waiting.get(follower, 0) + 1
            if follower not in seen:
                seen.add(follower)
                stack.append(follower)
    return waiting


def _run(
    graph: Graph, node: Node, flow: Flow, wanted: set[Node] | None, *, retain_graph: bool
) -> None:
    """Run one node, which gives up what it saved unless the graph is retained.

    "If False, the graph used to compute the grad will be freed" (torch.autograd.backward). That a
    node which saved nothing may run again, that cells which repeat raise before anything is
    unpacked, and that a missing derivative raises after, is observed.
    """
    if node.leaf is not None:
        _accumulate(graph, node.leaf, flow)
        return
    (node.inner or node).ran = True
    if node.keeps and node.freed and graph.checks:
        raise Raised(Kind.FREED, f"the node of {node.operation} has given up what it saved")
    work = node.inner or node
    if node.beyond:
        raise Unspecified(f"the gradient of {work.operation} is written beyond its base")
    asks = SLICES_ASK not in graph.broken
    if work.operation in BY_FALLBACK and node.inner is not None and asks and wanted is not None:
        raise Unspecified(f"{work.operation} has no edge for what it wrote, where torch looks")
    # The gradient is laid out as the base is, then the slice's part of it is computed and written.
    if node.folds:
        _refuse_overlap(graph, work, flow)
    _unpack(graph, work, flow)
    asked = wanted if DERIVED_IF_ASKED not in graph.broken else None
    if node.inner is not None and SLICES_WANT_ALL in graph.quirks:
        asked = None
    if work.underivable and _is_asked(work.underived, node, asked):
        raise Raised(Kind.NOT_DIFFERENTIABLE, f"{work.underivable} has no derivative")
    misfit = work.misfit([e is not None and (asked is None or e in asked) for e in work.edges])
    if misfit:
        raise Raised(Kind.BROADCAST_TARGET, misfit)
    if work.forbidden and SLOPE_UNSEEN not in graph.quirks:
        raise Raised(Kind.FORBIDDEN_IN_PLACE, work.forbidden)
    flow.hidden = work.forbidden or flow.hidden
    follower = node.edges[0] if node.overlaps else None
    if follower is not None and (wanted is None or not asks or follower in wanted):
        _refuse_overlap(graph, work, flow)
    if node.shares:
        flow.shared = f"the gradient of {work.operation} is written where elements share cells"
    if not retain_graph:
        node.freed = True
    if node.inner is not None and wanted is not None and SLICES_WANT_ALL in graph.quirks:
        flow.marked.update(edge for edge in node.inner.edges if edge is not None)
        wanted |= flow.marked


def _is_asked(places: tuple[int, ...] | None, node: Node, wanted: set[Node] | None) -> bool:
    """Whether the gradient of an operand in one of these places is wanted; always, if None."""
    if places is None:
        return True
    edges = [node.edges[place] for place in places]
    return any(e is not None and (wanted is None or e in wanted) for e in edges)


def _refuse_overlap(graph: Graph, work: Node, flow: Flow) -> None:
    """Raise Raised where torch looks for that; what comes of it elsewhere nobody says."""
    why = f"the gradient of {work.operation} is written where cells repeat"
    if Kind.BACKWARD_OVERLAP not in graph.broken:
        raise Raised(Kind.BACKWARD_OVERLAP, why)
    flow.shared = why


def _unpack(graph: Graph, node: Node, flow: Flow) -> None:
    """Look at every saved tensor: inputs by their names, or as they were saved, then results
    (observed).

    "Once you access self.saved_tensors it is checked, and if it is greater than the saved value an
    error is raised" (Autograd mechanics). That an operand must have its node still is observed.
    """
    by_name = SAVED_BY_NAME not in graph.broken
    for saved in sorted(node.saved, key=lambda s: (s.is_result, s.what if by_name else "")):
        if not graph.checks and saved.stale:
            continue
        if graph.checks and not saved.is_result and Kind.SAVED_DETACHED not in graph.broken:
            node_now = graph.grad_fn(saved.tensor)
            if saved.of_node and node_now is None:
                raise Raised(
                    Kind.SAVED_DETACHED,
                    f"{node.operation} saved {saved.tensor.name}, which has been detached since",
                )
        if saved.stale:
            raise Raised(
                Kind.SAVED_MODIFIED,
                f"{node.operation} saved {saved.tensor.name} at version {saved.version}, and it is "
                f"at version {saved.tensor.counter.value}",
            )
        if saved.rootless and LEAVES_SAVED in graph.broken:
            if any(other.stale for other in node.saved):
                raise Unspecified("which of two tensors is looked at first")
            raise Raised(
                Kind.LEAF_SAVED,
                f"{node.operation} saved {saved.tensor.name}, a view from no_grad without a node",
            )
        if graph.writes[saved.tensor.memory] != saved.writes:
            flow.hidden = (
                f"{saved.tensor.name}, which {node.operation} saved, was overwritten through "
                f".data, where its version counter does not see it"
            )


def _accumulate(graph: Graph, leaf: Tensor, flow: Flow) -> None:
    """Add to a leaf's `.grad`; what is no leaf any more raises (observed).

    "During the backward pass (.backward()), only leaf tensors with requires_grad=True will have
    gradients accumulated into their .grad fields" (Autograd mechanics).
    """
    if graph.grad_fn(leaf) is not None:
        raise Raised(Kind.LEAF_MOVED, f"{leaf.name} has become part of the graph")
    if leaf.flag:
        flow.accumulated.append(leaf)
        if leaf.layout.overlaps_itself:
            flow.shared = _SHARED_LEAF.format(leaf.name)
    else:
        flow.dropped = True
