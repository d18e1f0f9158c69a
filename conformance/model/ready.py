"""The queue from which the engine takes the node that runs next."""

from __future__ import annotations

from conformance.model.state import Node


class Ready:
    """Nodes whose gradients are complete, the newest first.

    Nodes that add to leaves are all equally urgent; which of them goes first is what a binary heap
    (`std::priority_queue`) makes of the order in which they came (observed).
    """

    def __init__(self) -> None:
        self._heap: list[Node] = []

    def __bool__(self) -> bool:
        return bool(self._heap)

    def push(self, node: Node) -> None:
        self._heap.append(node)
        self._rise(len(self._heap) - 1, 0)

    def pop(self) -> Node:
        """Take the most urgent node."""
        first, last = self._heap[0], self._heap.pop()
        if self._heap:
            self._heap[0] = last
            self._rise(self._sink(), 0)
        return first

    def _sink(self) -> int:
        """Move the top to the bottom along the more urgent children; where it ends."""
        heap, at = self._heap, 0
        moved = heap[0]
        while 2 * at + 1 < len(heap):
            child = 2 * at + 2
            if child >= len(heap) or heap[child].order < heap[child - 1].order:
                child -= 1
            heap[at] = heap[child]
            at = child
        heap[at] = moved
        return at

    def _rise(self, at: int, top: int) -> None:
        """Move a node up while it is more urgent than its parent."""
        heap = self._heap
        moved = heap[at]
        while at > top and heap[(at - 1) // 2].order < moved.order:
            heap[at] = heap[(at - 1) // 2]
            at = (at - 1) // 2
        heap[at] = moved
