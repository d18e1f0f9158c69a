"""The cells that a drawn step falls into: operation x how, on what, and in which grad mode.

| column | a step falls into it if |
| --- | --- |
| plain | it is the form of its row that writes no operand |
| in place | it is the in-place form |
| on a view | its first float64 operand is a view, and not an alias by `detach()` or `.data` |
| in no_grad | nothing is recorded where it stands |
| of a saved tensor | it is the in-place form, and a node holds its target's memory as it is |

In `on a view` and `in no_grad` an in-place form counts for rows that have one, and the plain form
for those that have none. A node counts if some tensor's history reaches it and no backward freed
it. Steps count up to the one that raises, and that one with them.
"""

from __future__ import annotations

from collections import Counter as Counting
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from conformance.model import predict
from conformance.model.interpreter import Interpreter
from conformance.model.state import Counter, Node
from conformance.records import Cells, Forms
from strategies.draft import Draft, Shaped, Value
from strategies.program import recording
from strategies.table import OUT, TABLE, Row

PLAIN = "plain"
IN_PLACE = "in place"
ON_VIEW = "on a view"
IN_NO_GRAD = "in no_grad"
OF_SAVED = "of a saved tensor"
COLUMNS = (PLAIN, IN_PLACE, ON_VIEW, IN_NO_GRAD, OF_SAVED)


def operations() -> tuple[Row, ...]:
    """The rows of the table, in its order."""
    return tuple(TABLE.values())


def forms(row: Row) -> Forms:
    """How an operation can be written."""
    if row.plain and row.in_place:
        return "both"
    return "plain" if row.plain else "in place"


def every_form() -> dict[str, Forms]:
    """Every operation that programs can hold, `out=` forms among them -> how it can be written."""
    return {row.name: forms(row) for row in (*operations(), *OUT.values())}


def why_never(row: Row, column: str) -> str:
    """Why no drawn step of this row can fall into the column; "" if one can."""
    if column == PLAIN and not row.plain:
        return "the row has no plain form"
    if column in (IN_PLACE, OF_SAVED) and not row.in_place:
        return "the row has no in-place form"
    return ""


def cells_of(draft: Draft) -> Iterator[tuple[str, str]]:
    """The cells, (row, column), that each step of a program falls into."""
    tally = Tally()
    predict(draft, visit=tally.visit)
    yield from tally.met


@dataclass(slots=True)
class Tally:
    """How many steps fell into each cell."""

    _steps: Counting[tuple[str, str]] = field(default_factory=Counting)

    def add(self, draft: Draft) -> None:
        """Count the steps of one more program."""
        predict(draft, visit=self.visit)

    def visit(self, interpreter: Interpreter, step: Shaped) -> None:
        """Count a step that is about to be interpreted, by the model's rules alone."""
        self._steps.update(cells_at(interpreter, step))

    def count(self, cells: Iterable[tuple[str, str]]) -> None:
        """Count steps by their cells."""
        self._steps.update(cells)

    def __iadd__(self, counted: Mapping[str, Cells]) -> Tally:
        """Count what was counted elsewhere."""
        for name, row in counted.items():
            for column, steps in zip(COLUMNS, row, strict=True):
                if steps:
                    self._steps[name, column] += steps
        return self

    @property
    def covered(self) -> Set[tuple[str, str]]:
        """The cells that any step fell into."""
        return self._steps.keys()

    @property
    def met(self) -> Iterator[tuple[str, str]]:
        """Each cell as often as a step fell into it."""
        return self._steps.elements()

    @property
    def counted(self) -> dict[str, Cells]:
        """Operation -> steps in each column, for operations that have any."""
        met = sorted({name for name, _ in self._steps})
        return {name: self._row(name) for name in met}

    def _row(self, name: str) -> Cells:
        plain, in_place, on_view, in_no_grad, of_saved = (self._steps[name, c] for c in COLUMNS)
        return plain, in_place, on_view, in_no_grad, of_saved


def cells_at(interpreter: Interpreter, step: Shaped) -> Iterator[tuple[str, str]]:
    """The cells of a step that is about to be interpreted."""
    name = step.row.name
    yield name, IN_PLACE if step.in_place else PLAIN
    first = interpreter.tensors[_looked_at(step).name]
    if step.in_place or not step.row.in_place:
        if first.base is not None:
            yield name, ON_VIEW
        if not recording(step.step.modes):
            yield name, IN_NO_GRAD
    if step.in_place and _held(interpreter, first.counter):
        yield name, OF_SAVED


def _looked_at(step: Shaped) -> Value:
    """The first operand of numbers, or else the first tensor."""
    first: Value | None = None
    for operand in step.operands:
        if isinstance(operand, Value):
            if operand.dtype == "float64":
                return operand
            first = first or operand
    assert first is not None
    return first


def _held(interpreter: Interpreter, counter: Counter) -> bool:
    """Whether a node keeps a tensor with this counter as it is now."""
    if not any(
        saved.tensor.counter is counter and saved.version == counter.value
        for node in interpreter.graph.recorded
        for saved in node.saved
    ):
        return False
    seen: set[int] = set()
    stack: list[Node | None] = [tensor.node for tensor in interpreter.tensors.values()]
    while stack:
        node = stack.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if not node.freed and any(
            saved.tensor.counter is counter and saved.version == counter.value
            for saved in node.saved
        ):
            return True
        stack += [node.inner, *node.edges]
    return False
