"""What each operation of the table is put to by name, whatever chance would draw: writes that must
be refused, writes through views, operands that are broadcast.

A turn is a short scene around one operation. Programs have as few steps as the scene takes, so that
what fails is nearly as short as it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from msgspec import structs

from strategies.build import Growth
from strategies.choices import Choose, Seeded, shuffled
from strategies.draft import Shaped, Value, check
from strategies.lacking import lacking
from strategies.program import Apply, Program, ProgramError
from strategies.recipe import SHAPES
from strategies.staging import PURE_VIEWS, QUIET
from strategies.table import OPERATIONS, TABLE, Row


@dataclass(frozen=True, slots=True)
class Way:
    """An operation by its name in programs, a way of writing it, and whether it acts on a view."""

    op: str
    via: str = ""
    on_view: bool = False

    @property
    def row(self) -> Row:
        return OPERATIONS[self.op][0]

    @property
    def in_place(self) -> bool:
        return OPERATIONS[self.op][1]


Turn = Callable[[Growth, Way, tuple[int, ...]], Shaped | None]
"""Draws a scene for a leaf of this shape: the step of the operation, or None if it does not suit.
"""

_SHAPES = (*(shape for shape, _ in SHAPES), (1, 2, 1, 2, 1))
ODD_ENDS = frozenset({"data", "resize", "resize_as", "set", "requires_grad", "detach"})
"""Rows that end the law, or that a view or a leaf refuses."""
_SQUARES = ((2, 2), (2, 2, 2), (2, 1, 2, 2))
_TRIES = 60
"""How often a program is begun anew until the operation suits what was drawn."""
_MOST = 1_000_000


def each(turn: Turn, ways: Sequence[Way], count: int, seed: int) -> Iterator[Program]:
    """So many programs of a turn for each way: they depend on turn, way, seed and number alone.
    None for an operation that lacks where they are drawn.

    Raises LookupError if nothing that is drawn ever suits a way.
    """
    for number, way in enumerate(ways):
        if way.op in lacking():
            continue
        for index in range(count):
            starts = range((number * _MOST + index) * _TRIES, (number * _MOST + index + 1) * _TRIES)
            found = (_drawn(Seeded(seed, start), turn, way) for start in starts)
            program = next((one for one in found if one is not None), None)
            if program is None:
                raise LookupError(f"nothing that was drawn suits {way} in {turn.__name__}")
            yield program


def _drawn(choose: Choose, turn: Turn, way: Way) -> Program | None:
    """A program of the turn; None if no shape suits it, or this way of writing what was drawn."""
    for shape in shuffled(choose, _SHAPES):
        growth = Growth(choose, QUIET)
        acted = turn(growth, way, shape)
        if acted is not None:
            return _written_so(growth.draft.program(), acted, way)
    return None


def _written_so(program: Program, acted: Shaped, way: Way) -> Program | None:
    """The program whose operation is written in this way."""
    steps = tuple(
        structs.replace(step, via=way.via) if step is acted.step else step for step in program.steps
    )
    try:
        return check(structs.replace(program, steps=steps)).program()
    except ProgramError:
        return None


# -- turns of what writes


def leaf_written(growth: Growth, way: Way, shape: tuple[int, ...]) -> Shaped | None:
    """A leaf that requires grad is written, or a view of one: that is refused."""
    return _acted(growth, way, _target(growth, way, _leaf(growth, way, shape)))


def leaf_written_in_no_grad(growth: Growth, way: Way, shape: tuple[int, ...]) -> Shaped | None:
    """A leaf that requires grad is written in no_grad, or a view of one: that is allowed."""
    target = _target(growth, way, _leaf(growth, way, shape))
    growth.modes = ("no_grad",)
    acted = _acted(growth, way, target)
    growth.modes = ()
    return acted


def saved_then_written(growth: Growth, way: Way, shape: tuple[int, ...]) -> Shaped | None:
    """What a square has saved is written, itself or through a view: backward raises."""
    base = _base(growth, way, shape)
    saver = growth.operation(base, (TABLE["square"],), in_place=False)
    acted = _acted(growth, way, _target(growth, way, base))
    if acted is not None and saver is not None:
        growth.backward(saver.results[0])
    return acted


def written_in_no_grad(growth: Growth, way: Way, shape: tuple[int, ...]) -> Shaped | None:
    """What has a history is written in no_grad: the value is new, the gradient that of the old."""
    base = _base(growth, way, shape)
    target = _target(growth, way, base)
    growth.modes = ("no_grad",)
    acted = _acted(growth, way, target)
    growth.modes = ()
    return _followed(growth, base, acted)


def detached_then_written(growth: Growth, way: Way, shape: tuple[int, ...]) -> Shaped | None:
    """What `detach` gave is written: both sides see it, and count it."""
    base = _base(growth, way, shape)
    alias = growth.operation(base, (TABLE["detach"],), in_place=False)
    acted = None if alias is None else _acted(growth, way, _target(growth, way, alias.results[0]))
    return _followed(growth, base, acted)


def square_written(growth: Growth, way: Way, shape: tuple[int, ...]) -> Shaped | None:
    """A square view is written, in which rows and columns can be taken for one another."""
    if shape not in _SQUARES:
        return None
    base = _base(growth, way, shape)
    acted = _acted(growth, way, _target(growth, way, base))
    return _followed(growth, base, acted)


# -- turns of what writes no operand


def viewed(growth: Growth, way: Way, shape: tuple[int, ...]) -> Shaped | None:
    """A view of a tensor, or of another view that is not contiguous."""
    target = _askew(growth, way, _base(growth, way, shape))
    return _acted(growth, way, target)


def viewed_then_written(growth: Growth, way: Way, shape: tuple[int, ...]) -> Shaped | None:
    """A view is written: what it is a view of sees that, or it is refused for one of several."""
    base = _base(growth, way, shape)
    acted = _acted(growth, way, _askew(growth, way, base))
    if acted is None or not acted.results or acted.results[0].layout.overlaps_itself:
        return None
    growth.take(Apply("mul_", (acted.results[0].name, 2.0), {}, ()))
    return _followed(growth, base, acted)


def broadcast(growth: Growth, way: Way, shape: tuple[int, ...]) -> Shaped | None:
    """An operand that requires grad is broadcast: its gradient is the sum of what it became."""
    if not shape or shape[0] < 2 or 0 in shape:
        return None
    base = _base(growth, way, shape)
    style = None if way.row.domain == "any" else "positive"
    other = growth.leaf(requires_grad=True, shape=shape[1:], style=style)
    acted = _acted(growth, way, base)
    if acted is None or other.name not in acted.step.args:
        return None
    growth.backward(base if way.in_place else acted.results[0])
    return acted


# -- what turns share


def _leaf(growth: Growth, way: Way, shape: tuple[int, ...]) -> Value:
    """A leaf that requires grad, in the operation's domain, and what else it may read."""
    row = way.row
    style = None if row.domain == "any" else "positive"
    leaf = growth.leaf(requires_grad=True, shape=shape, style=style)
    if len(row.operands) > 1 and row.wants is None:
        growth.leaf(requires_grad=True, shape=shape, style=style)
    if any(operand.dtype == "bool" for operand in row.operands) and row.wants is None:
        growth.operation(leaf, (TABLE["gt"],), in_place=False)
    return leaf


def _base(growth: Growth, way: Way, shape: tuple[int, ...]) -> Value:
    """A tensor with a history, of a leaf that requires grad."""
    made = growth.operation(_leaf(growth, way, shape), (TABLE["clone"],), in_place=False)
    assert made is not None
    return made.results[0]


def _target(growth: Growth, way: Way, base: Value) -> Value | None:
    """The tensor itself or a view of it that may be written."""
    if not way.on_view:
        return base
    seen = growth.operation(base, PURE_VIEWS, in_place=False)
    return None if seen is None or seen.results[0].layout.overlaps_itself else seen.results[0]


def _askew(growth: Growth, way: Way, base: Value) -> Value | None:
    """The tensor itself or a view of it that is not contiguous."""
    target = _target(growth, way, base)
    contiguous = target is not None and target.layout.is_contiguous
    return None if way.on_view and contiguous else target


def _acted(growth: Growth, way: Way, target: Value | None) -> Shaped | None:
    """The operation applied to the target; what it writes is not what it reads besides."""
    if target is None:
        return None
    acted = growth.operation(target, (way.row,), in_place=way.in_place)
    if acted is None or not way.in_place:
        return acted
    memories = [operand.memory for operand in acted.operands if isinstance(operand, Value)]
    return acted if memories.count(target.memory) == 1 else None


def _followed(growth: Growth, base: Value, acted: Shaped | None) -> Shaped | None:
    """Backward from the tensor, which may have been written in the meantime."""
    if acted is not None:
        # A change of shape in place makes another value of it.
        growth.backward(growth.draft.values[base.name])
    return acted


# -- ways


def _ways(ops: Sequence[str]) -> Iterator[Way]:
    """Each way of writing on a tensor, and the first on a view."""
    for op in ops:
        row, in_place = OPERATIONS[op]
        templates = row.in_place if in_place else row.plain
        yield Way(op)
        yield from (Way(op, via) for via in list(templates)[1:])
        yield Way(op, on_view=True)


def _named(keep: Callable[[Row, bool], bool]) -> list[str]:
    """The operations that are wanted; what ends the law or what a view refuses is left out."""
    return [
        op
        for op, (row, in_place) in OPERATIONS.items()
        if row.name not in ODD_ENDS and not row.writes_out and keep(row, in_place)
    ]


WRITES = tuple(_ways(_named(lambda row, in_place: in_place and not row.inert)))
"""Everything that writes in place, in every way of writing it; on a view as well."""
ON_VIEWS = tuple(way for way in WRITES if way.on_view)
VIEWS = tuple(_ways(_named(lambda row, in_place: row.kind == "view" and not in_place)))
BROADCASTS = tuple(
    Way(op)
    for op in _named(lambda row, _: row.broadcasts and row.differentiable)
    if any(o.tensor and o.dtype == "float64" for o in OPERATIONS[op][0].operands[1:])
)
