"""The abstract interpreter: what a program does to autograd's metadata, and which step raises.

One rule for each kind of step. A quirk is a place where torch does not do what its documentation
says; the documentation is followed unless a quirk is named.
"""

from __future__ import annotations

from collections.abc import Iterable

from conformance.model import former, indexing, relabel
from conformance.model.backward import run_backward
from conformance.model.errors import Kind
from conformance.model.indexing import collides
from conformance.model.laws import RESULTS_FIT, SAVED_BY_NAME, broken_in
from conformance.model.out import count_write, write_out
from conformance.model.overlap import check_overlap, floods
from conformance.model.prediction import Acted, Flags, Place, Version
from conformance.model.quirks import (
    BEHIND_VIEW,
    FOREACH_UNSEEN,
    INFERENCE_ALIAS,
    LDEXP_OUT,
    LOGIC_UNSEEN,
    MEMORYLESS,
    NO_GRAD_VIEW,
    NOTHING_SUMMED,
    PIECES_APART,
    STALE_LEAF,
    UNSEEN,
    UNWATCHED,
    VIEWS_INSIDE,
    WRITE_GRADIENTS,
)
from conformance.model.saving import (
    applies,
    asks_autograd,
    by_formulas,
    by_name,
    creation_of,
    lose_derivative,
    out_of_sight,
    read_in_order,
    recorded_row,
    sums_nothing,
    wraps_number,
)
from conformance.model.state import (
    Counter,
    Creation,
    Graph,
    Node,
    Raised,
    Saved,
    Tensor,
    Unspecified,
)
from strategies import layout as lay
from strategies.draft import Draft, Shaped, Value, way_of
from strategies.program import Backward, inferring, recording
from strategies.table.row import Row


class Interpreter:
    """The state of a program while it is interpreted."""

    def __init__(self, draft: Draft, quirks: frozenset[str]) -> None:
        self.draft = draft
        self.quirks = quirks
        self.memoryless = False
        """Whether a leaf's `.grad` may be zeros that nothing can be added to."""
        self.graph = Graph(broken_in(draft.torch), quirks)
        self.tensors: dict[str, Tensor] = {}
        self.recast: set[int] = set()
        """Memory of integers that were written by a number that had to be cast."""
        self.graded: set[Tensor] = set()
        """Tensors whose `.grad` is there."""
        self.sought: set[Tensor] = set()
        """Tensors whose gradients a call was asked for by name."""
        self._histories = 0
        for leaf in draft.leaves:
            memory, layout = draft.values[leaf.name].memory, lay.contiguous(leaf.shape)
            tensor = Tensor(leaf.name, memory, Counter(), layout, leaf.dtype)
            tensor.flag = leaf.requires_grad
            tensor.history = self.new_history()
            self.tensors[leaf.name] = tensor

    def new_history(self) -> int:
        self._histories += 1
        return self._histories

    def run_step(self, step: Shaped | Backward) -> Acted:
        """Interpret one step; raises Raised or Unspecified."""
        self.graph.at += 1
        if isinstance(step, Backward):
            return self._backward(step)
        if (
            self.recast
            and step.index is not None
            and any(t.dtype == "int64" and t.memory in self.recast for t in self.operands(step))
        ):
            raise Unspecified("an index that was written by a number of another dtype")
        acted = self._apply(step)
        if step.index is not None and collides(step):
            acted.open = f"{step.step.op} with an index that names a position twice"
        acted.open = step.row.astray(step.layouts, step.params) or acted.open
        return acted

    def _apply(self, step: Shaped) -> Acted:
        if step.in_place:
            rule = relabel.rule_of(step)
            return rule(self, step) if rule is not None else self._write(step)
        if step.row.name in ("detach", "data"):
            return self._alias(step)
        ways = [made.how for made in step.made]
        if "view" in ways:
            return self._view(step)
        if "same" in ways:
            self.tensors[step.step.to[0]] = self.operands(step)[0]
            return Acted(connected=(True,))
        return self._compute(step)

    def operands(self, step: Shaped) -> list[Tensor]:
        return [self.tensors[o.name] for o in step.operands if isinstance(o, Value)]

    # -- operations that make a tensor ----------------------------------------------------------

    def counts(self, tensor: Tensor) -> bool:
        """Whether an operand makes a result require grad.

        "In this mode, the result of every computation will have requires_grad=False, even when the
        inputs have requires_grad=True" (torch.no_grad): so a view made there does not count, unless
        torch's quirk is wanted.
        """
        if tensor.silent and tensor.node is None and NO_GRAD_VIEW not in self.quirks:
            return tensor.flag
        return self.graph.requires_grad(tensor)

    def _compute(self, step: Shaped) -> Acted:
        """It is recorded if recording is on, it has a derivative, and "at least one of its input
        tensors require grad" (Autograd mechanics); then its fresh result requires grad.
        """
        operands = self.operands(step)
        former.refuse_ungraded(self, step)
        former.refuse_composed(self, step)
        former.leave_open(self, step)
        if step.refused:
            if recording(step.step.modes) and any(map(self.counts, operands)):
                self.record(step, operands)
            raise Raised(Kind(step.refused), f"{step.step.op} cannot be done with these strides")
        result = self._fresh(step, operands)
        node, acted = None, Acted(connected=(False,) * len(operands))
        if (
            recording(step.step.modes)
            and step.row.differentiable
            and any(map(self.counts, operands))
            and self._is_seen(step, operands)
            and not (sums_nothing(step) and NOTHING_SUMMED in self.quirks)
        ):
            node, acted = self.record(step, operands)
            result.node = node
            lose_derivative(node, step, self.quirks, self.graph.broken)
            row = recorded_row(step, self.draft.torch)
            self._save(node, row, step, operands, result, written=None)
        if node is None:
            result.counter.value += step.row.begins_unrecorded(step.layouts)
        if step.row.behind_view(step.layouts, node is not None) and BEHIND_VIEW in self.quirks:
            seen = node and Node("view", [node], self.graph.number())
            result = self.viewed(result, step.results[0], seen, creation_of(step, self.graph))
        self.tensors[result.name] = result
        return acted

    @staticmethod
    def _is_seen(step: Shaped, operands: list[Tensor]) -> bool:
        """Whether autograd sees a plain operation; what it makes of an inference tensor that was
        asked to require grad is left open.
        """
        return asks_autograd(step, operands) or any(t.inference and t.flag for t in operands)

    def _fresh(self, step: Shaped, operands: list[Tensor]) -> Tensor:
        value = step.results[0]
        counter = Counter(step.row.begins_at(step.layouts, step.params))
        tensor = Tensor(value.name, value.memory, counter, value.layout, value.dtype)
        tensor.history = self.new_history()
        tensor.inference = inferring(step.step.modes)
        # Some kernels write what they make, which counts unless the operands carry autograd's keys.
        counter.relative = not tensor.inference and any(t.inference for t in operands)
        if (
            counter.relative
            and step.row.name in VIEWS_INSIDE
            and all(t.inference for t in operands)
        ):
            raise Unspecified(f"{step.step.op} of inference tensors outside of inference mode")
        return tensor

    def record(self, step: Shaped, operands: list[Tensor]) -> tuple[Node, Acted]:
        """A node of the graph of "all of the operations that created the data" (Autograd
        mechanics). That it reads its operands' nodes, which may raise, is observed.
        """
        for tensor in operands:
            if tensor.inference and tensor.flag:
                raise Unspecified(f"the inference tensor {tensor.name} is to be differentiated")
        node = Node(step.step.op, [], self.graph.number(), tuple(operands), self.graph.at)
        node.several = step.row.multi
        viewed = step.row.viewed(tuple(t.layout for t in operands))
        order = read_in_order(step.row.name, self.graph.broken)
        if order or viewed:
            order = order or (*viewed, *range(len(operands)))
            found = {place: self._edge_of(operands[place]) for place in dict.fromkeys(order)}
            node.edges = [found[place] for place in range(len(operands))]
        else:
            node.edges = [self._edge_of(operand) for operand in operands]
        for position in viewed:
            edge = node.edges[position]
            operand = operands[position]
            if edge is not None or self.counts(operand):
                node.edges[position] = Node("view", [edge], self.graph.number(), (operand,))
        self.graph.recorded.append(node)
        connected = tuple([edge is not None and edge.alive for edge in node.edges])
        acted = Acted(True, connected, node)
        if step.row.undifferentiable == "always":
            # A node without a derivative has edges only to what requires grad (observed).
            edges = zip(operands, node.edges, strict=True)
            kept = [(operand, edge) for operand, edge in edges if self.counts(operand)]
            node.read = tuple(operand for operand, _ in kept)
            node.edges = [edge for _, edge in kept]
        return node, acted

    def _edge_of(self, tensor: Tensor) -> Node | None:
        return self.graph.edge(tensor) if tensor.dtype == "float64" else None

    def _save(
        self,
        node: Node,
        row: Row,
        step: Shaped,
        operands: list[Tensor],
        result: Tensor | None,
        written: Tensor | None,
    ) -> None:
        """Keep what backward needs: operands as they are now, the result once it is there.

        "When a Function saves any tensors for backward, a version counter of their containing
        Tensor is saved as well" (Autograd mechanics). What is saved is in each row, after torch's
        derivatives.yaml; that an operation keeps a private copy of what it overwrites is observed.
        """
        if not row.saved(step.in_place):
            return
        named = by_name(row, step, operands)
        layouts = tuple(t.layout for t in operands)
        tensors = [name for name, tensor in named.items() if tensor is not None]
        viewed = {tensors[place] for place in step.row.viewed(layouts)}
        edges = dict(zip(tensors, node.edges, strict=True))
        kept = row.saved(step.in_place)
        for save in kept if SAVED_BY_NAME not in self.graph.broken else by_formulas(row, kept):
            late = step.in_place and save.what == "result"
            if not applies(save, named, edges, step.params) or late != (
                step.in_place and result is not None
            ):
                continue
            tensor = result if save.what == "result" else named.get(save.what)
            if save.what == "private" or (save.what in named and named[save.what] is None):
                node.keeps = (
                    node.keeps or save.what == "private" or wraps_number(step, self.graph.broken)
                )
            elif save.what == row.operands[0].name and (
                (written is not None and save.what == "self")
                or row.copies_first(layouts, step.params)
            ):
                node.keeps = True
            elif tensor is not None:
                node.keeps = True
                if step.row.unwatched and UNWATCHED in self.quirks:
                    tensor = out_of_sight(tensor)
                is_result = save.what == "result"
                writes = self.graph.writes[tensor.memory]
                if tensor.inference:
                    raise Raised(
                        Kind.INFERENCE_SAVED, f"{step.step.op} saves {tensor.name} for backward"
                    )
                # Of an operand that torch views first, the node keeps that view.
                itself = save.what not in viewed or save.what == row.saved_before
                of_node = tensor.node is not None and itself
                version = tensor.counter.value
                given = itself and not is_result
                rootless = given and tensor.silent and self._is_rootless(tensor)
                holder = edges[save.what] if save.what == row.saved_before else node
                assert holder is not None
                holder.operation, holder.keeps = node.operation, True
                holder.saved.append(
                    Saved(save.what, tensor, version, is_result, writes, of_node, rootless)
                )

    def _is_rootless(self, tensor: Tensor) -> bool:
        return self.counts(tensor) and tensor.node is None and not tensor.flag

    # -- views and aliases ----------------------------------------------------------------------

    def _view(self, step: Shaped) -> Acted:
        """ "View tensor shares the same underlying data with its base tensor" (Tensor Views), and
        the version; that it remembers how it was made is observed.
        """
        (parent,) = self.operands(step)
        if former.transposes_itself(self, step):
            raise Unspecified(f"{step.step.op} gives the inference tensor {parent.name} itself")
        records = recording(step.step.modes)
        acted = Acted(connected=(False,))
        node = None
        if records and self.counts(parent) and self._is_seen(step, [parent]):
            node, acted = self.record(step, [parent])
        if node is not None:
            self._save(node, step.row, step, [parent], None, written=None)
        if step.row.name in ("split", "chunk") and PIECES_APART in self.quirks:
            return former.split_apart(self, step, node, acted)
        creation = creation_of(step, self.graph)
        for number, value in enumerate(step.results):
            view = self.tensors[value.name] = self.viewed(parent, value, node, creation)
            view.number = 0 if node is None else number
            if view.creation == "stale":
                view.history = self.new_history()
            if view.creation in ("stale", "multi"):
                view.silent = view.silent or (not records and self.graph.requires_grad(parent))
        return acted

    def viewed(self, parent: Tensor, value: Value, node: Node | None, creation: Creation) -> Tensor:
        # The version that a loose alias shows is its own.
        counter = Counter() if parent.loose else parent.counter
        view = Tensor(value.name, parent.memory, counter, value.layout, parent.dtype)
        view.base = parent.base or parent
        inherits = creation == "default" or parent.creation == "inference"
        view.creation = parent.creation if inherits else creation
        view.made_at = view.counter.value
        view.node = node
        view.history = parent.history
        if parent.inference:
            # Autograd does not keep track of what it will never see.
            view.inference, view.base, view.creation = True, None, "default"
        hidden = creation == "no_grad" and self.graph.requires_grad(parent)
        view.silent = hidden or (parent.silent and node is None)
        return view

    def _alias(self, step: Shaped) -> Acted:
        """Of `detach()`, "In-place modifications on either of them will be seen, and may trigger
        errors in correctness checks" (torch.Tensor.detach): it shares memory and version. `.data`
        shares only memory (observed). Neither has a history.
        """
        (source,) = self.operands(step)
        value = step.results[0]
        loose = source.inference and not inferring(step.step.modes)
        shares = step.row.name == "detach" and not loose
        counter = source.counter if shares else Counter()
        tensor = Tensor(value.name, source.memory, counter, value.layout, source.dtype)
        tensor.history = self.new_history()
        tensor.inference, tensor.fixed = source.inference, True
        tensor.loose = loose and INFERENCE_ALIAS in self.quirks
        self.tensors[value.name] = tensor
        return Acted(connected=(False,))

    # -- in-place writes ------------------------------------------------------------------------

    def _write(self, step: Shaped) -> Acted:
        """Checks first, then edges and saves, then overlap, then the write and its bookkeeping: an
        order that is observed. The version "is incremented every time it is marked dirty in any
        operation" (Autograd mechanics).
        """
        if step.row.inert:
            return Acted(connected=(True,))
        if step.row.writes_out:
            return write_out(self, step)
        operands = self.operands(step)
        if step.row.part is not None or step.row.name in indexing.AT_POSITIONS:
            operands[0] = indexing.written_part(self, step, operands)
        former.refuse_composed(self, step)
        target = operands[0]
        wants = any(map(self.graph.requires_grad, operands))
        records = recording(step.step.modes) and wants and asks_autograd(step, operands)
        if step.row.name in UNSEEN and LOGIC_UNSEEN in self.quirks:
            records = False
        if way_of(step) == "foreach" and FOREACH_UNSEEN in self.quirks:
            records = False
        node, acted = None, Acted(connected=(False,) * len(operands))
        if records and step.row.name == "ldexp" and LDEXP_OUT in self.quirks:
            self.graph.edge(operands[1])
            raise Raised(Kind.OUT_GRAD, f"{step.step.op} is a product with out={target.name}")
        if records:
            stale = target.base is not None and target.made_at != target.counter.value
            self.graph.check_write(target, stale_is_leaf=stale and STALE_LEAF in self.quirks)
        former.refuse_ungraded(self, step)
        if records:
            node, acted = self.record(step, operands)
            former.reach_base(self, target, acted)
            self._save(node, step.row, step, operands, None, written=target)
            if step.row.forbids(step.params):
                node.forbidden = f"{step.step.op} cannot be undone for a negative parameter"
            lose_derivative(node, step, self.quirks, self.graph.broken)
        if step.refused == Kind.FILL_DIMENSIONS.value:
            raise Raised(Kind.FILL_DIMENSIONS, f"fill_ writes one value into {target.name}")
        acted.open = check_overlap(step, target, operands[1:], self.graph.broken)
        cast = step.refused == Kind.DTYPE_CAST and RESULTS_FIT in self.graph.broken
        # A tensor without dimensions counts as a number beside one that has some.
        numbers = all(target.layout.ndim and not t.layout.ndim for t in operands[1:])
        if cast and numbers and len(step.operands) > 1:
            acted.open = "a number was cast to the target's dtype"
            self.recast.add(target.memory)
        elif step.refused:
            raise Raised(Kind(step.refused), f"the result does not fit into {target.name}")
        self.graph.writes[target.memory] += 1
        count_write(self, step, target, acted, operands)
        if node is not None:
            # The gradient of a value that goes everywhere counts cells as often as they repeat.
            alike = floods(step, self.graph.broken) and not any(acted.connected[1:])
            self.graph.rebase(target, node, floods=alike)
            self._save(node, step.row, step, operands, target, written=target)
        return acted

    # -- backward -------------------------------------------------------------------------------

    def _backward(self, step: Backward) -> Acted:
        """Run it, and note whose `.grad` "becomes a Tensor the first time a call to backward
        computes gradients" (torch.Tensor.grad).
        """
        if self.memoryless:
            raise Unspecified("a gradient of sgn, which has no memory, is to be added to")
        roots = [self.tensors[name] for name in step.of]
        flow = run_backward(
            self.graph,
            roots,
            retain_graph=step.retain_graph,
            inputs=[self.tensors[name] for name in step.inputs] or None,
            capture=step.via == "grad",
            counts=self.counts,
        )
        self.graded.update(flow.accumulated)
        self.sought.update(self.tensors[name] for name in step.inputs)
        ran = {(node.inner or node).operation for node in flow.executed}
        memoryless = not ran.isdisjoint(MEMORYLESS)
        if memoryless and not ran.isdisjoint(WRITE_GRADIENTS):
            raise Unspecified("a gradient of sgn, which has no memory, is to be written to")
        self.memoryless = self.memoryless or memoryless
        return Acted(flow=flow)

    def places(self, names: Iterable[str]) -> dict[str, Place]:
        """Where tensors lie now; all of them, if one has got another history."""
        if self.graph.rehistoried:
            names, self.graph.rehistoried = self.tensors, False
        places = {}
        for name in names:
            tensor = self.tensors[name]
            places[name] = (tensor.memory, tensor.history)
        return places

    # -- what can be seen -----------------------------------------------------------------------

    def look(self) -> dict[str, Flags]:
        """Read every tensor's flags in the worker's order: reading a node may make it anew."""
        plain = {name: (self.counts(t), _version(t)) for name, t in self.tensors.items()}
        flags = {}
        for name, tensor in self.tensors.items():
            requires_grad, version = plain[name]
            try:
                node = self.graph.grad_fn(tensor)
                flags[name] = Flags(requires_grad, version, node is None, node is not None)
            except Raised as raised:
                flags[name] = Flags(requires_grad, version, None, None, raised.kind)
        return flags


def _version(tensor: Tensor) -> Version:
    """The version that a tensor shows, None for an inference tensor, which has none."""
    if tensor.inference and not tensor.loose:
        return None
    return "any" if tensor.counter.relative else tensor.counter.value
