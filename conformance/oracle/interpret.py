"""A program's walk on to the register machine: which cells each step reads and what it writes.

The model says which steps autograd records and through which operands gradients flow. Tensors that
share memory but not history (`detach()`, `.data`) have cells of their own for each history: a write
through one gives the others its value and leaves them their derivative, and so does a write inside
`no_grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from conformance.model.backward import Flow
from conformance.model.prediction import Acted, Place, Prediction
from conformance.oracle.assembly import Assembly, Handle
from conformance.oracle.primitives import CODES
from strategies.draft import Draft, Shaped, Value
from strategies.layout import Layout
from strategies.program import Backward, Data
from strategies.table import fills
from strategies.values import materialise

_RELABELS = frozenset({"requires_grad", "detach"})
"""Rows whose in-place forms write no element and may change the history of their target."""
_OVERWRITES = frozenset(
    {"copy", "fill", "fill_diagonal", "setitem", "zero", *(row.name for row in fills.ROWS)}
)
"""Rows whose in-place forms compute nothing from what they overwrite."""
_SMALL = 256


_FOUND: dict[Layout, Handle] = {}
"""The indices of small layouts that were met: programs are many and their layouts few."""
_KEPT = 4096


def _index(layout: Layout) -> Handle:
    """The memory cell of each element; not to be written."""
    found = _FOUND.get(layout)
    if found is None:
        found = layout.cells().astype(np.intp)
        found.flags.writeable = False
        if found.size <= _SMALL:
            if len(_FOUND) >= _KEPT:
                _FOUND.clear()
            _FOUND[layout] = found
    return found


def within(cells: Handle, layout: Layout) -> Handle:
    """The cells of a memory that a tensor of this layout lies in."""
    return np.asarray(cells[_index(layout)])


def _lies_in_order(layout: Layout) -> bool:
    """Whether the elements are the cells of a memory, one after the other."""
    return layout.offset == 0 and layout.is_contiguous


def _spread(handle: Handle, shape: tuple[int, ...]) -> Handle:
    return handle if handle.shape == shape else np.broadcast_to(handle, shape)


class _Meaning:
    """The assembly as the table's meanings see it: every result cut where nothing is recorded."""

    def __init__(self, assembly: Assembly, stop: bool, replaced: Mapping[str, str]) -> None:
        self._assembly = assembly
        self._stop = stop
        self._replaced = replaced

    def apply(self, primitive: str, *operands: Handle | float) -> Handle:
        if primitive == "copy":
            (only,) = operands
            if not isinstance(only, np.ndarray):
                return self._assembly.constant(float(only))
            return self._assembly.cut(only) if self._stop else self._assembly.snapshot(only)
        primitive = self._replaced.get(primitive, primitive)
        return self._assembly.apply(primitive, *operands, stop=self._stop)

    def still(self, x: Handle) -> Handle:
        """The value of a part of a derivative, which has none of its own here."""
        self._assembly.held = self._assembly.held or not self._stop
        return self.apply("carry", x, 0.0)

    def deviates(self, what: str) -> bool:
        """Whether a quirk asks for what torch does instead of `what`."""
        return what in self._replaced

    def total(self, x: Handle, axes: tuple[int, ...] | None, keepdim: bool) -> Handle:
        return self._assembly.total(x, axes, keepdim, stop=self._stop)

    def matmul(self, one: Handle, two: Handle) -> Handle:
        return self._assembly.matmul(one, two, stop=self._stop)


class Walk:
    """The cells of a program while it is assembled step by step.

    `conformance.oracle.variants` overrides `place`, `step`, `operands` and `mean`.
    """

    def __init__(
        self,
        draft: Draft,
        prediction: Prediction,
        replaced: Mapping[str, str],
        *,
        sharing: bool = True,
    ) -> None:
        self.draft = draft
        self.replaced = replaced
        self.prediction = prediction
        self.assembly = Assembly(sharing=sharing)
        self.at = -1
        self.cells: dict[Place, Handle] = {}
        self.live: set[Place] = set()
        self.places = dict(prediction.places)
        self.leaves: dict[str, list[Handle]] = {}
        """Name -> the cells of its memory where its gradient is read: anew each time that it starts
        to require grad.
        """
        self.losses: list[frozenset[str] | None] = []
        """For each backward call, the only leaves to whose `.grad` it adds, or None for all."""
        for leaf in draft.leaves:
            array = materialise(leaf.data, leaf.shape, leaf.dtype, leaf.name)
            handle = self.assembly.leaf(array.astype(np.float64, copy=False))
            place = self.place(leaf.name)
            self.cells[place] = handle.reshape(-1)
            if leaf.requires_grad:
                self.leaves[leaf.name] = [self.cells[place]]
                self.live.add(place)

    def place(self, name: str) -> Place:
        return self.places[name]

    def handle(self, name: str, layout: Layout) -> Handle:
        return within(self.cells[self.place(name)], layout)

    def read_at(self) -> dict[str, list[Handle]]:
        """Name -> the cells of each element at which its gradient is read, once or several times.

        A leaf's is laid out as the leaf was when it received it.
        """
        layouts = {**self.prediction.layouts, **self.prediction.grads}
        return {
            name: [within(cells, layouts[name]) for cells in memories]
            for name, memories in self.leaves.items()
        }

    # -- steps ----------------------------------------------------------------------------------

    def arrive(self, step: Shaped | Backward, acted: Acted) -> None:
        """Take note of where tensors lie in the next step.

        What gets another history in place keeps its values, and starts a derivative of its own.
        """
        self.at += 1
        if isinstance(step, Backward) or step.row.name not in _RELABELS or not step.in_place:
            self.places.update(acted.places)
            return
        old = {name: self.place(name) for name in acted.places if name in self.places}
        self.places.update(acted.places)
        for name, place in old.items():
            new = self.place(name)
            if new in self.cells:
                continue
            take = self.assembly.cut if place in self.live else self.assembly.snapshot
            self.cells[new] = take(self.cells[place])
            if step.row.name == "requires_grad":
                self.live.add(new)
                self.leaves.setdefault(name, []).append(self.assembly.tap(self.cells[new]))

    def step(self, step: Shaped | Backward, acted: Acted) -> None:
        if isinstance(step, Backward):
            self._backward(step, acted)
        elif step.in_place:
            if step.row.name not in _RELABELS and step.moved is None:
                self._write(step, acted)
        elif step.row.name in ("detach", "data"):
            self._alias(step)
        elif all(made.how == "fresh" for made in step.made):
            self._compute(step, acted)
        else:
            self._part(step, acted)

    def connected(self, acted: Acted) -> tuple[bool, ...]:
        """For each tensor operand of a step, whether a gradient flows back through it."""
        return acted.connected

    def reaching(self, acted: Acted) -> tuple[bool, ...]:
        """For each root of a call, whether a gradient flows back from it."""
        assert acted.flow is not None
        return acted.flow.reaching

    def operands(self, step: Shaped, acted: Acted) -> list[Handle | float]:
        """The operands' cells as they are read: cut where no gradient flows back."""
        connected = iter(self.connected(acted))
        operands: list[Handle | float] = []
        for position, given in enumerate(step.operands):
            if not isinstance(given, Value):
                operands.append(given)
                continue
            if given.dtype == "int64" and step.index is not None:
                next(connected)
                operands.append(step.index)
                continue
            target = step.target if position == 0 else None
            handle = self.handle(given.name, target or given.layout)
            flows = next(connected)
            if acted.recorded and not flows and self.place(given.name) in self.live:
                handle = self.assembly.cut(handle)
            operands.append(handle)
        return operands

    def mean(self, step: Shaped, acted: Acted) -> Handle:
        """What the step computes, by its row's meaning."""
        meaning = _Meaning(self.assembly, not acted.recorded, self.replaced)
        operands = self.operands(step, acted)
        row = step.row
        if isinstance(row.meaning, str):
            numbers = [] if row.meaning == "copy" else list(step.params.values())
            by_result = f"{row.meaning}_by_result"
            primitive = by_result if step.in_place and by_result in CODES else row.meaning
            return meaning.apply(primitive, *operands, *numbers)
        compute: Callable[..., Handle] = row.meaning  # type: ignore[assignment]
        params = {} if row.part is not None else step.params
        if row.name == "setitem" and isinstance(operands[1], np.ndarray):
            ndim = step.target.ndim if step.target else 0
            extra = max(operands[1].ndim - ndim, 0)
            operands[1] = operands[1].reshape(operands[1].shape[extra:])
        return compute(meaning, *operands, **params)

    def _compute(self, step: Shaped, acted: Acted) -> None:
        result = step.results[0]
        handle = self.mean(step, acted)
        if step.row.name == "reshape":
            handle = handle.reshape(result.layout.shape)
        layout = result.layout
        if handle.shape == layout.shape and handle.size and _lies_in_order(layout):
            cells = handle.reshape(-1)
        else:
            cells = np.zeros(layout.span[1] + 1, np.intp)
            cells[_index(layout)] = _spread(handle, layout.shape)
        place = self.place(result.name)
        self.cells[place] = cells
        if acted.recorded:
            self.live.add(place)

    def _alias(self, step: Shaped) -> None:
        source, result = step.operands[0], step.results[0]
        assert isinstance(source, Value)
        old = self.place(source.name)
        take = self.assembly.cut if old in self.live else self.assembly.snapshot
        self.cells[self.place(result.name)] = take(self.cells[old])

    def _part(self, step: Shaped, acted: Acted) -> None:
        """A view has cells of its own only where it has a history of its own."""
        source = step.operands[0]
        assert isinstance(source, Value)
        old = self.place(source.name)
        for result in step.results:
            place = self.place(result.name)
            if place not in self.cells:
                flows = acted.recorded or old not in self.live
                take = self.assembly.snapshot if flows else self.assembly.cut
                self.cells[place] = take(self.cells[old])
                if acted.recorded:
                    self.live.add(place)

    def _write(self, step: Shaped, acted: Acted) -> None:
        if step.row.inert:
            return
        first = step.operands[0]
        assert isinstance(first, Value) and step.target is not None
        index = _index(step.target)
        writer = self.place(first.name)
        new = _spread(self.mean(step, acted), step.target.shape)
        for place, cells in self.cells.items():
            if place[0] != writer[0]:
                continue
            target = cells[index]
            if place == writer and acted.recorded:
                if step.row.name in _OVERWRITES and place in self.live:
                    self.assembly.apply("overwrite", new, target, into=target)
                else:
                    self.assembly.rename(new, target)
            elif place in self.live:
                self.assembly.carry(new, target)
            else:
                self.assembly.rename(self.assembly.cut(new) if acted.recorded else new, target)
        if acted.recorded:
            self.live.add(writer)

    def _backward(self, step: Backward, acted: Acted) -> None:
        assert acted.flow is not None
        number = len(self.losses)
        flow = acted.flow
        limited = flow.raised is not None or flow.dropped or step.inputs
        self.losses.append(self.received(flow) if limited else None)
        self.loss(number, step, acted)

    def received(self, flow: Flow) -> frozenset[str]:
        """The leaves that a call adds to; what is none any more has a walk of its own, and gets
        nothing as the leaf that it was.
        """
        captured = {one.tensor.name for one in flow.captured}
        return frozenset(leaf.name for leaf in flow.accumulated) - captured

    def loss(self, number: int, step: Backward, acted: Acted) -> None:
        """What the roots of a call add up to, weighted by their cotangents."""
        data: tuple[Data | None, ...] = step.cotangents or (None,) * len(step.of)
        reaching = self.reaching(acted) or (False,) * len(step.of)
        roots = self.draft.roots[self.at]
        for position, (root, given) in enumerate(zip(roots, data, strict=True)):
            if not reaching[position]:
                continue
            name, shape = step.of[position], root.shape
            cotangent = (
                np.ones(shape)
                if given is None
                else materialise(given, shape, "float64", name).astype(np.float64)
            )
            self.assembly.loss(number, self.root(position, name, root, acted), cotangent)

    def root(self, position: int, name: str, layout: Layout, acted: Acted) -> Handle:
        """The cells of a root, as the call reads them."""
        return self.handle(name, layout)

    def passes(self) -> list[list[int]]:
        """The backward calls that add to the same leaves, together."""
        groups: dict[frozenset[str] | None, list[int]] = {}
        for number, only in enumerate(self.losses):
            groups.setdefault(only, []).append(number)
        return list(groups.values()) or [[]]
