"""The gradient of a tensor that is no leaf, which `torch.autograd.grad` returns.

It is of what the tensor's node computed: a walk of its own makes this result a leaf. Where the node
is that of a base, the base's cells are what it computed. The node of a view is passed by those
alone that read the view, or a view of it, and a write through the view goes round it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from conformance.model.backward import Captured, Flow
from conformance.model.prediction import Acted, Prediction
from conformance.model.state import Node, Tensor
from conformance.oracle.assembly import Handle, Undecided
from conformance.oracle.interpret import Walk, within
from strategies.draft import Draft, Shaped, Value
from strategies.layout import Layout
from strategies.program import Backward


@dataclass(frozen=True, slots=True)
class Capture:
    """A tensor whose gradient the backward call of this index returned."""

    call: int
    captured: Captured


def captures(prediction: Prediction) -> list[Capture]:
    """Everything that is no leaf and whose gradient some call returned."""
    return [
        Capture(call, captured)
        for call, acted in enumerate(prediction.acted)
        if acted.flow is not None
        for captured in acted.flow.captured
    ]


class CaptureWalk(Walk):
    """A walk that stops derivatives at one tensor, of which they are read."""

    def __init__(
        self,
        draft: Draft,
        prediction: Prediction,
        replaced: Mapping[str, str],
        capture: Capture,
        *,
        sharing: bool = True,
    ) -> None:
        super().__init__(draft, prediction, replaced, sharing=sharing)
        self.call = capture.call
        self.tensor = capture.captured.tensor
        self.node = capture.captured.node
        self.layout = capture.captured.layout
        self.entrance: Handle = np.zeros(self.layout.shape, np.intp)
        """The cells, element by element, of which the gradient is read."""
        if self.tensor.base is not None:
            self.entrance = self.assembly.leaf(np.zeros(self.layout.shape))

    def connected(self, acted: Acted) -> tuple[bool, ...]:
        """A gradient may end at the tensor that is sought, and reach no leaf."""
        node = acted.node
        if node is None or len(node.edges) != len(acted.connected):
            return acted.connected
        return tuple(edge is not None for edge in node.edges)

    def reaching(self, acted: Acted) -> tuple[bool, ...]:
        assert acted.flow is not None
        return (True,) * len(acted.flow.starts)

    def received(self, flow: Flow) -> frozenset[str]:
        return frozenset({self.tensor.name})

    def read_at(self) -> dict[str, list[Handle]]:
        return {self.tensor.name: [self.entrance]}

    def step(self, step: Shaped | Backward, acted: Acted) -> None:
        super().step(step, acted)
        if self.at == self.node.at and self.tensor.base is None:
            self._check_cells()
            cells = within(self.cells[self.place(self.tensor.name)], self.layout)
            self.entrance = self.assembly.tap(cells)

    def operands(self, step: Shaped, acted: Acted) -> list[Handle | float]:
        operands = super().operands(step, acted)
        node = acted.node
        if node is None or self.tensor.base is None or len(node.read) != len(acted.connected):
            return operands
        reads = iter(zip(node.read, node.edges, strict=True))
        for position, given in enumerate(step.operands):
            if not isinstance(given, Value):
                continue
            read, edge = next(reads)
            now = operands[position]
            if (position == 0 and step.in_place) or not isinstance(now, np.ndarray):
                continue
            if edge is not None and edge.operation == "view" and edge.at < 0 and edge.read:
                # The operation views its operand first.
                edge = edge.edges[0]
            operands[position] = self._entered(now, read, edge, given.layout)
        return operands

    def _check_cells(self) -> None:
        if self.layout.overlaps_itself:
            raise Undecided(f"the gradient of {self.tensor.name}, whose elements share cells")

    def loss(self, number: int, step: Backward, acted: Acted) -> None:
        if self.at == self.call:
            super().loss(number, step, acted)

    def root(self, position: int, name: str, layout: Layout, acted: Acted) -> Handle:
        handle = super().root(position, name, layout, acted)
        if self.tensor.base is None or acted.flow is None:
            return handle
        return self._entered(
            handle, acted.flow.roots[position], acted.flow.starts[position], layout
        )

    def _entered(self, handle: Handle, read: Tensor, edge: Node | None, layout: Layout) -> Handle:
        """An operand's cells, which derive from the entrance where the view's node is passed."""
        straight = edge is self.node
        while edge is not self.node:
            if edge is None or not edge.edges or read.memory != self.tensor.memory:
                return handle
            read, edge = edge.read[0] if edge.read else read, edge.edges[0]
        if self.node.several and read is not self.tensor:
            # Another one of the node's outputs.
            return handle
        if straight:
            return self.assembly.apply("carry", handle, self.entrance)
        self._check_cells()
        own, theirs = self.layout.cells(), layout.cells()
        last = max(self.layout.span[1], layout.span[1])
        where = np.full(last + 1, -1)
        where[own] = np.arange(own.size).reshape(own.shape)
        found = where[theirs]
        inside = found >= 0
        entered = np.array(handle)
        entered[inside] = self.assembly.apply(
            "carry", handle[inside], self.entrance.ravel()[found[inside]]
        )
        return entered
