"""Whether the numbers that were recorded by the rules of one torch hold by those of another."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from conformance.model.prediction import Prediction, happened
from strategies.draft import Draft, Shaped, Value
from strategies.layout import Layout
from strategies.program import Backward

_Elements = tuple[int, ...]


def computes_otherwise(one: Draft, other: Draft) -> str:
    """The first operation that means something else in the other draft of the same program, or
    reads or writes other elements there; "" if there is none.

    Where a tensor's elements lie may differ, as long as no step can tell.
    """
    ours, theirs = _ElementsOf(), _ElementsOf()
    for step, again in zip(one.shaped, other.shaped, strict=True):
        if isinstance(step, Backward) or isinstance(again, Backward):
            continue
        rows = step.row, again.row
        if any(getattr(rows[0], what) != getattr(rows[1], what) for what in ("meaning", "part")):
            return step.step.op
        if list(ours.touched(step)) != list(theirs.touched(again)):
            return step.step.op
    return ""


def same_course(one: Prediction, other: Prediction) -> bool:
    """Whether the same steps run, share memory and pass gradients by both predictions.

    Where the gradient of what is no leaf is returned, that is not compared, and the answer is no.
    """
    flows = [acted.flow for said in (one, other) for acted in said.acted]
    if any(flow is not None and flow.captured for flow in flows):
        return False
    return (happened(one), one.hidden, one.grads.keys()) == (
        happened(other),
        other.hidden,
        other.grads.keys(),
    )


class _ElementsOf:
    """Elements by their places in the tensor that was first seen to lie in the same memory."""

    def __init__(self) -> None:
        self._first: dict[int, Layout] = {}

    def touched(self, step: Shaped) -> Iterator[tuple[tuple[int, ...], int, _Elements]]:
        """The shape, memory and elements of all that a step reads, writes or gives."""
        tensors = [o for o in step.operands if isinstance(o, Value)]
        for value in (*tensors, *step.results):
            yield self._of(value.layout, value.memory)
        for layout in (step.target, step.moved):
            if layout is not None:
                yield self._of(layout, tensors[0].memory)

    def _of(self, layout: Layout, memory: int) -> tuple[tuple[int, ...], int, _Elements]:
        first = self._first.setdefault(memory, layout)
        return layout.shape, memory, _places(first, layout)


@lru_cache(maxsize=4096)
def _places(first: Layout, layout: Layout) -> _Elements:
    """Each element's place in `first`, row by row; those that it has not count from -1 down."""
    cells = first.cells().ravel().tolist()
    places = dict(zip(reversed(cells), reversed(range(len(cells))), strict=True))
    return tuple(places.get(cell, ~cell) for cell in layout.cells().ravel().tolist())
