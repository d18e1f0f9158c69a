"""A program in the making: it knows the shape, dtype and memory of every value, and stays legal.

`check` replays a finished program on a draft, so that what is drawn and what is read from a file
obey the same rules.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from strategies import layout as lay
from strategies.functions import check_functions
from strategies.layout import Layout
from strategies.limits import LARGEST, MOST_MODES, MOST_STEPS, too_large
from strategies.parameters import complete
from strategies.program import (
    Apply,
    Argument,
    Backward,
    Leaf,
    Program,
    ProgramError,
    Step,
    check_name,
    inferring,
)
from strategies.refusals import casts_to, written
from strategies.table import OPERATIONS, Made, Refused, Row
from strategies.table.changes import TABLES, changes_in, row_in
from strategies.table.row import Layouts
from strategies.values import materialise


class Value(Struct, frozen=True):
    """A tensor by name: dtype, layout, and the number of the memory that it lies in."""

    name: str
    dtype: str
    layout: Layout
    memory: int


class Shaped(Struct, frozen=True):
    """A step with what was inferred: row, operands, parameters with defaults, and results."""

    step: Apply
    row: Row
    in_place: bool
    operands: tuple[Value | float, ...]
    params: dict[str, Any]
    made: tuple[Made, ...]
    results: tuple[Value, ...]
    target: Layout | None = None
    """Where an in-place step writes: the first operand's layout, or the part that is indexed."""
    moved: Layout | None = None
    """How the target lies after an in-place change of shape."""
    refused: str = ""
    """Why torch refuses the step for its shapes or dtypes, unless it refuses it for more."""
    index: NDArray[np.int64] | None = None
    """The entries of its int64 operand."""
    layouts: Layouts = ()
    """How each operand lies as it is read; None for a number."""


@dataclass(slots=True)
class Draft:
    """Leaves and steps so far, each checked as it is added."""

    values: dict[str, Value] = field(default_factory=dict)
    leaves: list[Leaf] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    shaped: list[Shaped | Backward] = field(default_factory=list)
    roots: dict[int, tuple[Layout, ...]] = field(default_factory=dict)
    """Index of a backward call -> how its roots lie there."""
    memories: int = 0
    torch: str = TABLES
    """The version of torch that the rows are of."""
    _objects: dict[str, str] = field(default_factory=dict)
    """Name -> the first name of the same tensor object."""

    def program(self) -> Program:
        return Program(tuple(self.leaves), tuple(self.steps))

    def as_in(self, torch: str) -> Draft:
        """The same program by the rows of a version of torch; itself if it has those.

        Raises ProgramError if it cannot be there.
        """
        if torch == self.torch:
            return self
        if not changes_in(torch):
            return replace(self, torch=torch)
        return check(self.program(), torch)

    def _declare(self, name: str, where: str) -> None:
        check_name(name, where)
        if name in self.values:
            raise ProgramError(f"{where}: {name!r} is already the name of a tensor.")

    def _fresh_memory(self) -> int:
        self.memories += 1
        return self.memories - 1

    def add_leaf(self, leaf: Leaf) -> Value:
        """Add a leaf; raises ProgramError if its name, shape, data or flag cannot be."""
        where = f"leaf {leaf.name!r}"
        self._declare(leaf.name, where)
        if any(size < 0 for size in leaf.shape):
            raise ProgramError(f"{where}: shape {list(leaf.shape)} needs sizes from 0 up.")
        _check_size(leaf.name, leaf.shape, where)
        if leaf.requires_grad and leaf.dtype != "float64":
            raise ProgramError(f"{where}: only a float64 leaf can require grad, not {leaf.dtype}.")
        materialise(leaf.data, leaf.shape, leaf.dtype, where)
        value = Value(leaf.name, leaf.dtype, lay.contiguous(leaf.shape), self._fresh_memory())
        self.values[leaf.name] = value
        self.leaves.append(leaf)
        return value

    def _operand(
        self, where: str, row: Row, position: int, given: Argument, casts: bool
    ) -> Value | float:
        operand = row.operands[position]
        if isinstance(given, str):
            if given not in self.values:
                raise ProgramError(f"{where} uses {given!r}, which no leaf or earlier step makes.")
            value = self.values[given]
            if not operand.tensor:
                raise ProgramError(f"{where}: {operand.name} must be a number, not a tensor.")
            if value.dtype != operand.dtype and not (position == 0 and casts):
                raise ProgramError(
                    f"{where}: {operand.name} is {value.dtype} and must be {operand.dtype}."
                )
            return value
        if not operand.number or isinstance(given, bool) or not abs(given) <= LARGEST:
            raise ProgramError(
                f"{where}: {operand.name} is {given!r} and must be "
                f"{'a finite number' if operand.number else 'the name of a tensor'}."
            )
        return float(given)

    def shape(self, step: Apply, where: str) -> Shaped:
        """Infer everything about a step without adding it; raises ProgramError if it cannot be."""
        if step.op not in OPERATIONS:
            raise ProgramError(
                f"{where}: unknown operation {step.op!r}; `autograd-conformance ops` lists them."
            )
        row, in_place = OPERATIONS[step.op]
        row = row_in(row, step.via or _first_way(row, in_place), self.torch, in_place=in_place)
        where = f"{where} ({step.op})"
        _check_modes(step, where)
        ways = row.in_place if in_place else row.plain
        if step.via and step.via not in ways:
            raise ProgramError(
                f"{where} cannot be written via {step.via!r}; use one of {', '.join(ways)}."
            )
        template = spelling(row, in_place, step.via)
        if "{p}" not in template and set(step.params) - placed_in(template):
            raise ProgramError(
                f"{where} takes no parameters when written via {step.via or next(iter(ways))!r}."
            )
        if len(step.args) != len(row.operands):
            names = ", ".join(operand.name for operand in row.operands)
            raise ProgramError(
                f"{where} takes {len(row.operands)} operands ({names}), not {len(step.args)}."
            )
        target = self.values.get(str(step.args[0]))
        casts = in_place and target is not None and casts_to(row, target.dtype, step.params)
        operands = tuple(self._operand(where, row, i, a, casts) for i, a in enumerate(step.args))
        first = operands[0]
        if not isinstance(first, Value):
            raise ProgramError(f"{where}: its first operand must be a tensor.")
        layouts = tuple(o.layout if isinstance(o, Value) else None for o in operands)
        if not row.needs(layouts):
            shapes = ", ".join(str(o.shape) for o in layouts if o is not None)
            raise ProgramError(f"{where} is not defined for operands of shape {shapes}.")
        return self._inferred(step, row, in_place, operands, layouts, where)

    def composed(self, step: Apply, row: Row, in_place: bool, layouts: Layouts) -> Shaped:
        """What `shape` infers of a step that is spelled as its row has it, whose operands are there
        and lie as the row needs; raises ProgramError if it cannot be all the same.
        """
        where = f"step {len(self.steps) + 1} ({step.op})"
        row = row_in(row, step.via or _first_way(row, in_place), self.torch, in_place=in_place)
        values = self.values
        operands = tuple([values[a] if isinstance(a, str) else float(a) for a in step.args])
        return self._inferred(step, row, in_place, operands, layouts, where)

    def _inferred(
        self,
        step: Apply,
        row: Row,
        in_place: bool,
        operands: tuple[Value | float, ...],
        layouts: Layouts,
        where: str,
    ) -> Shaped:
        first = operands[0]
        assert isinstance(first, Value)
        try:
            params = complete(row.params, step.params, _described(row, layouts), where)
        except ValueError as error:
            raise ProgramError(str(error)) from None
        misfit = row.fits(layouts, params)
        if misfit:
            raise ProgramError(f"{where}: {misfit}.")
        index = self._index(where, row, operands, layouts, params)
        refused, part, moved = "", None, None
        made: tuple[Made, ...] = ()
        try:
            if in_place:
                part, refused = written(row, layouts, params)
                moved = row.moves(part, params) if row.moves else None
            else:
                made = row.result(layouts, params)
        except Refused as reason:
            made, refused = (Made(reason.instead),), str(reason)
        except ValueError as error:
            raise ProgramError(f"{where}: {error}.") from None
        if in_place and first.dtype != row.operands[0].dtype:
            refused = refused or "dtype cast"
        if len(step.to) != len(made):
            raise ProgramError(
                f"{where} gives {len(made)} results and names {len(step.to)} in `to`."
            )
        results = tuple(
            [
                Value(name, row.dtype, one.layout, -1)
                if one.how == "fresh"
                else Value(name, first.dtype, one.layout, first.memory)
                for name, one in zip(step.to, made, strict=True)
            ]
        )
        for value in results:
            _check_size(value.name, value.layout.shape, where)
        if moved is not None:
            _check_size(first.name, moved.shape, where)
        return Shaped(
            step,
            row,
            in_place,
            operands,
            params,
            made,
            results,
            part,
            moved,
            refused,
            index,
            layouts,
        )

    def _index(
        self,
        where: str,
        row: Row,
        operands: tuple[Value | float, ...],
        layouts: Layouts,
        params: dict[str, Any],
    ) -> NDArray[np.int64] | None:
        """The entries of the index operand; raises ProgramError if one names no position."""
        if row.indexing is None:
            return None
        (name,) = (o.name for o in operands if isinstance(o, Value) and o.dtype == "int64")
        (leaf,) = (leaf for leaf in self.leaves if leaf.name == name)
        entries = materialise(leaf.data, leaf.shape, leaf.dtype, name).astype(np.int64)
        if not row.indexing.covers(entries, layouts, params):
            bound = row.indexing.bound(layouts, params)
            least = -bound if row.indexing.from_end else 0
            raise ProgramError(f"{where}: {name} must hold positions from {least} to {bound - 1}.")
        return entries

    def add(self, step: Apply, where: str = "") -> Shaped:
        """Add an operation; raises ProgramError if it cannot be."""
        where = where or f"step {len(self.steps) + 1}"
        return self.accept(self.shape(step, where), where)

    def accept(self, shaped: Shaped, where: str = "") -> Shaped:
        """Add a step that `shape` has inferred."""
        results = []
        for value in shaped.results:
            self._declare(value.name, where or f"step {len(self.steps) + 1}")
            if value.memory == -1:
                value = Value(value.name, value.dtype, value.layout, self._fresh_memory())
            self.values[value.name] = value
            results.append(value)
        if "same" in [made.how for made in shaped.made]:
            first = str(shaped.step.args[0])
            self._objects[results[0].name] = self._objects.get(first, first)
        if shaped.moved is not None and not shaped.refused:
            self._move(str(shaped.step.args[0]), shaped.moved)
        done = shaped
        if results:
            done = structs.replace(shaped, results=tuple(results))
        self.steps.append(shaped.step)
        self.shaped.append(done)
        return done

    def _move(self, name: str, layout: Layout) -> None:
        """Let a tensor, by all its names, lie in another way."""
        mover = self.object_of(name)
        for other, value in self.values.items():
            if self.object_of(other) == mover:
                self.values[other] = structs.replace(value, layout=layout)

    def add_backward(self, step: Backward, where: str = "") -> Backward:
        """Add a backward call; raises ProgramError if a root or a cotangent cannot be."""
        where = where or f"step {len(self.steps) + 1}"
        where = f"{where} (backward)"
        if not step.of:
            raise ProgramError(f"{where} names no tensor to start from.")
        if step.cotangents and len(step.cotangents) != len(step.of):
            raise ProgramError(
                f"{where} has {len(step.of)} roots and {len(step.cotangents)} cotangents."
            )
        for name in step.of:
            if name not in self.values:
                raise ProgramError(f"{where} uses {name!r}, which no leaf or earlier step makes.")
            if self.values[name].dtype != "float64":
                raise ProgramError(f"{where}: {name!r} is not float64 and has no gradient.")
        _check_modes(step, where)
        if inferring(step.modes):
            raise ProgramError(f"{where} cannot stand in inference_mode.")
        self._check_inputs(step, where)
        self.roots[len(self.steps)] = tuple(self.values[name].layout for name in step.of)
        for name, data in zip(step.of, step.cotangents or (None,) * len(step.of), strict=True):
            shape = self.values[name].layout.shape
            if data is not None:
                materialise(data, shape, "float64", f"{where}, cotangent of {name!r}")
            elif math.prod(shape) != 1:
                raise ProgramError(
                    f"{where}: {name!r} has shape {list(shape)} and needs a cotangent."
                )
        self.steps.append(step)
        self.shaped.append(step)
        return step

    def object_of(self, name: str) -> str:
        """The first name of the tensor object that a name means."""
        return self._objects.get(name, name)

    @property
    def sought(self) -> set[str]:
        """The first names of the tensors whose gradients calls are asked for by name."""
        calls = [step for step in self.steps if isinstance(step, Backward)]
        return {self.object_of(name) for step in calls for name in step.inputs}

    def may_be_filled(self, name: str) -> bool:
        """Whether an earlier call may have filled a tensor's `.grad`: all do that of leaves, and of
        what has become one, unless they name their inputs.
        """
        asked = self.object_of(name)
        if asked in self.sought:
            return True
        if all(step.inputs for step in self.steps if isinstance(step, Backward)):
            return False
        started = {
            self.object_of(str(step.args[0]))
            for step in self.steps
            if isinstance(step, Apply) and step.op == "requires_grad_"
        }
        return asked in started.union(leaf.name for leaf in self.leaves)

    def _check_inputs(self, step: Backward, where: str) -> None:
        leaves = {leaf.name for leaf in self.leaves if leaf.dtype == "float64"}
        for name in step.inputs:
            if name not in leaves and step.via != "grad":
                raise ProgramError(
                    f"{where}: its input {name!r} is no float64 leaf; via grad takes others too."
                )
            if name not in self.values or self.values[name].dtype != "float64":
                raise ProgramError(f"{where}: its input {name!r} is no float64 tensor by then.")
        if len({self.object_of(name) for name in step.inputs}) != len(step.inputs):
            raise ProgramError(f"{where} names an input twice.")
        if step.via == "grad":
            if not step.inputs:
                raise ProgramError(f"{where} via grad needs inputs.")
            for name in step.inputs:
                if self.may_be_filled(name):
                    raise ProgramError(
                        f"{where} via grad sets {name}.grad, which an earlier call may have filled."
                    )


def _check_size(name: str, shape: tuple[int, ...], where: str) -> None:
    beyond = too_large(shape)
    if beyond:
        raise ProgramError(f"{where}: {name!r} has {beyond}.")


def _check_modes(step: Step, where: str) -> None:
    if len(step.modes) > MOST_MODES:
        raise ProgramError(
            f"{where} stands in {len(step.modes)} modes and may stand in {MOST_MODES} at most."
        )


def spelling(row: Row, in_place: bool, via: str) -> str:
    """The template by which a step is written: the row's first one unless another is named."""
    ways = row.in_place if in_place else row.plain
    return ways[via] if via else next(iter(ways.values()))


def way_of(step: Shaped) -> str:
    """The name of the spelling by which a step is written."""
    return step.step.via or _first_way(step.row, step.in_place)


def _first_way(row: Row, in_place: bool) -> str:
    return next(iter(row.in_place if in_place else row.plain), "")


def _described(row: Row, layouts: Layouts) -> Layout:
    """The operand that parameters are about: the first one that is read."""
    return next(o for o in layouts[int(row.writes_out) :] if o is not None)


_PLACED = re.compile(r"{(?!p})([a-z]\w*)}")


@cache
def placed_in(template: str) -> frozenset[str]:
    """The parameters that a template has a place of their own for; `{p}` stands for the others."""
    return frozenset(_PLACED.findall(template))


def check(program: Program, torch: str = TABLES) -> Draft:
    """Replay a program by the rows of a version of torch; raises ProgramError, one sentence that
    names the place, if it cannot be.
    """
    if not program.leaves:
        raise ProgramError("A program needs at least one leaf.")
    if len(program.steps) > MOST_STEPS:
        raise ProgramError(f"A program has at most {MOST_STEPS} steps, not {len(program.steps)}.")
    draft = Draft(torch=torch)
    for leaf in program.leaves:
        draft.add_leaf(leaf)
    for number, step in enumerate(program.steps, start=1):
        if isinstance(step, Apply):
            draft.add(step, f"step {number}")
        else:
            draft.add_backward(step, f"step {number}")
    check_functions(program.steps)
    return draft
