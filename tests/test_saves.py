"""The table's `saves`: for every row, what a later write or a second backward makes torch raise."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from typing import Any

import pytest

from conformance.model import QUIRKS, Kind, classify, predict
from conformance.model.quirks import MEMORYLESS
from conformance.subjects import InProcessSubject
from strategies.choices import Seeded
from strategies.draft import Draft, Shaped, Value
from strategies.indices import draw_index
from strategies.layout import Layout, contiguous
from strategies.parameters import KINDS, complete
from strategies.printer import print_body
from strategies.program import Apply, Backward, Leaf, ProgramError
from strategies.table import OPERATIONS, Row

SHAPES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((2,), (2,), (2,)),
    ((2, 2), (2, 2), (2, 2)),
    ((), (), ()),
    ((2, 3), (), (3,)),
    ((2,), (2, 2), ()),
    ((2, 2), (2,), (1, 2)),
    ((2, 2, 2), (2, 2, 2), (2,)),
    ((1, 1, 2, 2, 2), (2,), ()),
    ((1, 2, 2, 2), (2,), ()),
)
"""Shapes of the operands; every row allows at least one of these."""

PARAMETERS = 3
"""Draws of the parameters that are tried for every row."""

ALIASES = ("same", "view_as", "detach", "data")
"""What stands in the place of a second operand when it shares the first one's memory."""

DIFFERENTIABLE = [
    op for op, (row, _) in OPERATIONS.items() if row.dtype == "float64" and not row.writes_out
]

Outcome = tuple[int | None, Kind | None] | None


@pytest.fixture(scope="module")
def eager() -> InProcessSubject:
    """The torch of this interpreter."""
    return InProcessSubject("in process")


def expected(draft: Draft) -> Outcome | str:
    """The step that raises and the kind of error, by the model; or why it does not say."""
    prediction = predict(draft, quirks=QUIRKS)
    if prediction.unspecified:
        return prediction.unspecified
    return (prediction.raises.step, prediction.raises.kind) if prediction.raises else None


def seen(draft: Draft, subject: InProcessSubject) -> Outcome:
    """The step that raised and the kind of error, on torch."""
    body = print_body(draft)
    error = subject.run(body.text, []).error
    if error is None:
        return None
    step = body.step_at(error.line)
    in_backward = step is not None and isinstance(draft.shaped[step], Backward)
    return step, classify(error.message, in_backward=in_backward)


class Sketch:
    """A program that applies one operation to clones of leaves, ready for what comes after."""

    def __init__(self, row: Row, op: str, shapes: Sequence[tuple[int, ...]], pick: int = 0) -> None:
        self.row, self.op, self.pick = row, op, pick
        self.draft = Draft()
        self.operands: list[str | float] = []
        self.shapes = shapes

    def operand(self, position: int, form: str, grad: bool) -> None:
        """Add an operand: a clone of a leaf of its own, a number, or what aliases the first one."""
        spec = self.row.operands[position]
        name = "abcdef"[position]
        if form == "number":
            self.operands.append(0.5)
        elif form == "same":
            self.operands.append(self.operands[self._first()])
        elif form in ALIASES:
            source = self.operands[self._first()]
            self.operands.append(self._make(form, (source,), "uvwxyz"[position]))
        elif spec.dtype == "bool":
            self._leaf(name, position, requires_grad=False)
            self.operands.append(self._make("gt", (name, 0.75), f"mask{position}"))
        elif spec.dtype == "int64":
            self._index_leaf(name)
            self.operands.append(name)
        else:
            self._leaf(name, position, requires_grad=grad)
            self.operands.append(self._make("clone", (name,), "uvwxyz"[position]))

    def _first(self) -> int:
        return int(self.row.operands[0].dtype == "bool")

    def _leaf(self, name: str, position: int, *, requires_grad: bool) -> None:
        shape = self.shapes[position] if self._given is None else self._wanted()
        count = Layout(shape, ()).numel
        data: list[Any] = [0.5 + 0.25 * i for i in range(count)]
        self.draft.add_leaf(Leaf(name, shape, data, requires_grad=requires_grad))

    def _index_leaf(self, name: str) -> None:
        """Positions for the row's index, drawn as in programs."""
        assert self.row.indexing is not None and self._given is not None
        shape, layouts = self._wanted(), self._layouts()
        data = draw_index(Seeded(1, self.pick), self.row.indexing, shape, layouts, self._given)
        self.draft.add_leaf(Leaf(name, shape, data, "int64"))

    def _layouts(self) -> tuple[Layout | None, ...]:
        return tuple(
            self.draft.values[o].layout if isinstance(o, str) else None for o in self.operands
        )

    def _wanted(self) -> tuple[int, ...]:
        """One of the shapes that the row wants next."""
        if not self.operands:
            return self.shapes[0]
        assert self.row.wants is not None and self._given is not None
        shapes = self.row.wants(self._layouts(), self._given)
        if not shapes:
            raise ProgramError("no operand would fit")
        return shapes[self.pick % len(shapes)]

    @property
    def _given(self) -> dict[str, Any] | None:
        """The parameters, of a row whose operands' shapes depend on them; None for others."""
        if self.row.wants is None:
            return None
        first = contiguous(self.shapes[0])
        return complete(self.row.params, self._parameters(first), first, self.op)

    def _parameters(self, first: Layout) -> dict[str, Any]:
        choose, params = Seeded(0, self.pick), dict[str, Any]()
        for param in self.row.params:
            params[param.name] = KINDS[param.kind].draw(choose, param, first, params)
        return params

    def _make(self, op: str, args: tuple[str | float, ...], to: str) -> str:
        self.draft.add(Apply(op, args, to=(to,)))
        return to

    def apply(self, via: str) -> Shaped:
        """Add the operation itself; raises ProgramError if these operands do not allow it."""
        params = self._parameters(self.draft.values[str(self.operands[0])].layout)
        layouts = self._layouts()
        if not self.row.needs(layouts):
            raise ProgramError("these operands do not fit")
        count = 0
        if self.op == self.row.name:
            try:
                count = len(self.row.result(layouts, params))
            except ValueError as misfit:
                raise ProgramError(str(misfit)) from None
        to = tuple(f"r{i}" for i in range(count))
        if via:
            # As in programs: some ways have no place for what is not the usual.
            usual = {p.name: p.default for p in self.row.params if not p.required}
            params = {n: v for n, v in params.items() if n not in usual or v != usual[n]}
        return self.draft.add(Apply(self.op, tuple(self.operands), params, to, via))

    def root(self, shaped: Shaped) -> str:
        """The tensor that backward starts from: the result, or what was written."""
        return shaped.results[0].name if shaped.results else str(self.operands[0])

    def backward(self, root: str) -> None:
        """Add a backward call from a root, with ones as its cotangent."""
        numel = self.draft.values[root].layout.numel
        self.draft.add_backward(Backward((root,), ([1.0] * numel,)))


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to write the operation down."""

    form: tuple[str, ...]
    flags: tuple[bool, ...]
    shapes: tuple[tuple[int, ...], ...]
    draw: int = 0
    via: str = ""


def forms(row: Row) -> Iterator[tuple[str, ...]]:
    """What stands in each operand's place: tensors of their own, numbers, or one alias."""
    first = int(row.operands[0].dtype == "bool")
    choices = []
    for position, spec in enumerate(row.operands):
        aliases = ALIASES if position > first and spec.dtype == "float64" else ()
        tensors = ("own", *aliases) if spec.tensor else ()
        choices.append((*tensors, "number") if spec.number else tensors)
    for form in itertools.product(*choices):
        if sum(part in ALIASES for part in form) <= 1:
            yield form


def variants(row: Row, ways: Mapping[str, str]) -> Iterator[Variant]:
    """Every form with all combinations of flags; parameters and spellings one at a time."""
    draws = range(1, PARAMETERS if row.params else 1)
    for form in forms(row):
        pairs = zip(row.operands, form, strict=True)
        own = [spec.dtype == "float64" and part == "own" for spec, part in pairs]
        shapes = SHAPES[:2] if set(form) & set(ALIASES) else SHAPES
        for flags in itertools.product(*((True, False) if free else (False,) for free in own)):
            yield from (Variant(form, flags, sizes) for sizes in shapes)
            if flags == tuple(own):
                yield from (Variant(form, flags, sizes, d) for sizes in shapes for d in draws)
                yield from (
                    Variant(form, flags, sizes, d, via=w)
                    for sizes in shapes[:2]
                    for w in ways
                    for d in range(PARAMETERS if row.params else 1)
                )


def sketches(op: str) -> Iterator[tuple[Sketch, Shaped]]:
    """Every program that ends with the operation, where its operands allow it."""
    row, in_place = OPERATIONS[op]
    for variant in variants(row, row.in_place if in_place else row.plain):
        sketch = Sketch(row, op, variant.shapes, variant.draw)
        try:
            for position, part in enumerate(variant.form):
                sketch.operand(position, part, variant.flags[position])
            shaped = sketch.apply(variant.via)
        except ProgramError:
            continue
        yield sketch, shaped


def compare(draft: Draft, subject: InProcessSubject) -> Kind | None:
    """Assert that model and torch agree on what raises; return the kind, None if nothing does."""
    model = expected(draft)
    if isinstance(model, str):
        return None
    torch = seen(draft, subject)
    assert torch == model, f"torch {torch}, model {model}, program:\n{print_body(draft).text}"
    return model[1] if model else None


def written_after(sketch: Sketch, shaped: Shaped) -> Iterator[str]:
    """The tensors that a write after the operation can reach: operands and results."""
    operands = [o.name for o in shaped.operands if isinstance(o, Value) and o.dtype == "float64"]
    yield from dict.fromkeys((*operands, *(value.name for value in shaped.results)))


def underived(row: Row, in_place: bool) -> bool:
    """Whether the form is recorded and raises in every backward: such a node saves nothing."""
    forms = ("in self", "always", "in place") if in_place else ("in self", "always")
    return row.undifferentiable in forms


def copied(draft: Draft) -> Draft:
    """A draft of its own with the same leaves and steps."""
    own = {part.name: copy(getattr(draft, part.name)) for part in fields(draft) if part.init}
    return Draft(**own)


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_write_after(op: str, eager: InProcessSubject) -> None:
    """A write between an operation and backward raises exactly if the row says that it is saved.

    "If you modify in-place any of the saved tensors, an error will be raised in the backward pass"
    (Autograd mechanics, "In-place correctness checks"); what is saved is in derivatives.yaml.
    """
    row, in_place = OPERATIONS[op]
    kinds = set()
    for sketch, shaped in sketches(op):
        done = sketch.draft
        for name in written_after(sketch, shaped):
            sketch.draft = copied(done)
            sketch.draft.add(Apply("add_", (name, 1.0), modes=("no_grad",)))
            sketch.backward(sketch.root(shaped))
            kinds.add(compare(sketch.draft, eager))
    reachable = {save.what for save in row.saved(in_place)} & {
        "result",
        *(spec.name for spec in row.operands[int(in_place) :] if spec.dtype == "float64"),
    }
    assert (Kind.SAVED_MODIFIED in kinds) >= bool(reachable and not row.unwatched)
    assert (Kind.NOT_DIFFERENTIABLE in kinds) == underived(row, in_place)


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_second_backward(op: str, eager: InProcessSubject) -> None:
    """A second backward raises exactly if the row says that anything is saved.

    "Saved intermediate values of the graph are freed when you call .backward()" is what torch says
    then; a node that saved nothing can run again (observed). What follows sgn is open.
    """
    row, in_place = OPERATIONS[op]
    kinds = set()
    for sketch, shaped in sketches(op):
        sketch.backward(sketch.root(shaped))
        sketch.backward(sketch.root(shaped))
        kinds.add(compare(sketch.draft, eager))
    freed = row.saved(in_place) and not underived(row, in_place) and op not in MEMORYLESS
    assert (Kind.FREED in kinds) >= bool(freed)


MASKING = [
    "where",
    *("masked_fill", "masked_fill_", "masked_scatter", "masked_scatter_", "setitem_where_"),
]
INDEXING = [
    op
    for op, (row, _) in OPERATIONS.items()
    if row.indexing is not None and op != "take_along_dim" and not row.writes_out
    if row.undifferentiable != "always"
]


@pytest.mark.parametrize("op", [*MASKING, *INDEXING])
def test_write_into_the_mask_or_index(op: str, eager: InProcessSubject) -> None:
    """It is saved; no operation of the table writes one, so the program's text is completed."""
    row, in_place = OPERATIONS[op]
    dtype = "bool" if op in MASKING else "int64"
    (given,) = (spec.name for spec in row.operands if spec.dtype == dtype)
    assert given in {save.what for save in row.saved(in_place)}
    sketch, shaped = next(sketches(op))
    sketch.backward(sketch.root(shaped))
    *before, backward = print_body(sketch.draft).text.splitlines()
    name = next(o.name for o in shaped.operands if isinstance(o, Value) and o.dtype == dtype)
    error = eager.run("\n".join([*before, f"{name}.zero_()", backward]), []).error
    assert error is not None
    assert classify(error.message, in_backward=True) is Kind.SAVED_MODIFIED
