"""Assembling register-machine programs with numpy alone.

A tensor is an index array of *cells* (a handle), and a view of it is numpy's own view of that
array. The machine underneath writes nothing twice: each instruction's results get *slots* of
their own, and a write to a cell only changes which slot the cell names from then on. So every
read sees what was written before it, aliased operands are no hazard, and each value that ever
was is still there at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from conformance.oracle.primitives import CODES, PRIMITIVES

Handle = NDArray[np.intp]
"""A tensor: an index array of cell numbers, of any shape."""

LANES = 32
"""Elements that one instruction computes; a larger tensor takes several instructions."""

RESULTS = 128
"""Slots from here on are results, lane by lane; those below are inputs, as they lie in the machine
that holds nearly all programs.
"""
FAR = 1 << 40
"""From here on are the slots of inputs again, for which there are no more numbers below."""

_CELLS = 256
MOST_ROWS = 1 << 15
"""Instructions of a program: they take about a second."""
PREAMBLE = sorted({0.0}.union(*(primitive.filler for primitive in PRIMITIVES)))
"""The first input slots of every assembly: zero, then what unused lanes read."""

_PREAMBLE = np.array(PREAMBLE)
_CONSTANTS: dict[tuple[float, bool], int] = {
    (number, False): slot for slot, number in enumerate(PREAMBLE)
}

FILLERS = [[PREAMBLE.index(number) for number in row.filler] for row in PRIMITIVES]
"""For each primitive the slots that its unused lanes read."""

_ZERO_CELL = 0
# It looks at the sign of the gradient of each of its results: two of them are not one.
_GUIDED = CODES["guided_relu"]


class Block(Struct):
    """The instructions of one `apply`: rows from `start` on, `lanes` lanes in all.

    `reads` holds an array of slots for each operand, or one slot for all lanes.
    """

    code: int
    start: int
    rows: int
    lanes: int
    stop: bool
    reads: list[NDArray[np.intp] | int]


class Seed(Struct):
    """One term of a loss: slots and the cotangents that they get."""

    loss: int
    slots: NDArray[np.intp]
    cotangents: NDArray[np.float64]


class Undecided(Exception):
    """Why nothing is said of a program's numbers."""


class TooMuch(Exception):
    """A program with more instructions than the oracle takes on."""


class Assembly:
    """A straight-line program over cells: leaves, elementwise instructions, taps and losses.

    Handles hold cell numbers; shapes are numpy's. Values are float64. An unknown primitive or a
    wrong number of operands raises KeyError or TypeError, shapes that do not broadcast ValueError,
    more than `MOST_ROWS` instructions TooMuch.
    """

    def __init__(self, *, sharing: bool = True) -> None:
        self.shared = False
        """Whether something was asked for twice and computed once."""
        self.held = False
        """Whether a derivative was written out as a number: it cannot be differentiated again."""
        self._sharing = sharing
        self.blocks: list[Block] = []
        self.seeds: list[Seed] = []
        self.row_count = 0
        self._known: dict[tuple[int | bytes, ...], int] = {}
        self._slot_of: NDArray[np.intp] = np.zeros(_CELLS, np.intp)
        self._origin_of: NDArray[np.intp] = np.zeros(_CELLS, np.intp)
        self._cells = 1
        self._inputs: list[NDArray[np.float64]] = [_PREAMBLE]
        self._input_count = len(PREAMBLE)
        self._constants = _CONSTANTS.copy()

    @property
    def cell_count(self) -> int:
        """How many cells have been handed out."""
        return self._cells

    @property
    def input_count(self) -> int:
        """How many slots hold inputs: leaves, taps, constants."""
        return self._input_count

    def inputs(self) -> NDArray[np.float64]:
        """The values of the input slots, float64 [input_count]."""
        return np.concatenate(self._inputs)

    def slots(self) -> NDArray[np.intp]:
        """The slot that each cell names now, [cell_count]."""
        return self._slot_of[: self._cells]

    def origins(self) -> NDArray[np.intp]:
        """The input slot at which each cell's gradient is read, [cell_count]; 0 for none."""
        return self._origin_of[: self._cells]

    def leaf(self, values: NDArray[np.float64]) -> Handle:
        """Cells that hold `values` at the start; gradients are read at them."""
        flat = np.array(values, np.float64).ravel()
        inputs = _numbers(self._input_count, self._input_count + flat.size)
        self._inputs.append(flat)
        self._input_count += flat.size
        near = self._input_count <= RESULTS
        cells = self._allot(inputs if near else np.where(inputs < RESULTS, inputs, FAR + inputs))
        self._origin_of[cells] = inputs
        return cells.reshape(np.shape(values))

    def constant(self, value: float) -> Handle:
        """A fresh 0-d cell that holds `value`; the number itself is stored once."""
        slot = np.array([self._constant_slot(value)], np.intp)
        return self._allot(slot).reshape(())

    def fresh(self, shape: tuple[int, ...]) -> Handle:
        """New cells that hold zero, to be written to."""
        slots = np.zeros(shape, np.intp)
        return self._allot(slots.ravel()).reshape(shape)

    def apply(
        self,
        primitive: str,
        *operands: Handle | float,
        stop: bool = False,
        into: Handle | None = None,
    ) -> Handle:
        """Apply `primitive` elementwise, with broadcasting, into fresh cells or into `into`'s.

        Every operand is read before anything is written, so `into` may alias operands. `stop`
        keeps the value and stops the derivative. Returns the cells written.
        """
        code = CODES[primitive]
        row = PRIMITIVES[code]
        missing = row.arity - len(operands)
        if missing:
            if missing < 0 or missing > len(row.defaults):
                raise TypeError(f"{primitive} takes {row.arity} operands, not {len(operands)}")
            operands = (*operands, *row.defaults[-missing:])
        shape = _shape_of(operands) if into is None else into.shape
        results = self._emit(code, operands, shape, stop)
        if into is None:
            return self._allot(results).reshape(shape)
        self._slot_of[into] = results.reshape(shape)
        return into

    def total(
        self,
        x: Handle,
        axes: Sequence[int] | int | None = None,
        keepdim: bool = False,
        *,
        stop: bool = False,
    ) -> Handle:
        """The sum of `x` over `axes` (all of them for None), as a tree of additions of three."""
        rank = x.ndim
        listed = range(rank) if axes is None else [axes] if isinstance(axes, int) else axes
        summed = sorted({axis % rank if rank else 0 for axis in listed}) if rank else []
        kept = [axis for axis in range(rank) if axis not in summed]
        shape = tuple(1 if axis in summed else x.shape[axis] for axis in range(rank))
        if not keepdim:
            shape = tuple(x.shape[axis] for axis in kept)
        count = 1
        for axis in summed:
            count *= x.shape[axis]
        terms = x.transpose((*summed, *kept)).reshape((count, -1)) if x.size else x
        if count == 0 or x.size == 0:
            return self.fresh(shape)
        if count == 1:
            terms = self.apply("summed", terms, stop=stop)
        while len(terms) > 1:
            terms = self._add_threes(terms, stop)
        return terms.reshape(shape)

    def matmul(self, a: Handle, b: Handle, *, stop: bool = False) -> Handle:
        """The matrix product by numpy's rules for 1-d, 2-d and batched operands.

        Raises ValueError for 0-d operands and for sizes that do not match.
        """
        if a.ndim == 0 or b.ndim == 0:
            raise ValueError("matmul takes operands of at least one dimension")
        left = a[np.newaxis] if a.ndim == 1 else a
        right = b[:, np.newaxis] if b.ndim == 1 else b
        if left.shape[-1] != right.shape[-2]:
            raise ValueError(f"matmul of {a.shape} and {b.shape}")
        products = self.apply(
            "mul", left[..., :, :, np.newaxis], right[..., np.newaxis, :, :], stop=stop
        )
        result = self.total(products, (products.ndim - 2,), stop=stop)
        if b.ndim == 1:
            result = result[..., 0]
        if a.ndim == 1:
            result = result[..., 0] if b.ndim == 1 else result[..., 0, :]
        return result

    def rename(self, new: Handle, into: Handle) -> None:
        """Let the cells of `into` mean what `new` is now, derivative included: no instruction."""
        self._slot_of[into] = self._slot_of[new]

    def carry(self, new: Handle | float, old: Handle) -> None:
        """Give the cells of `old` exactly the value of `new`; their derivative stays theirs."""
        self.apply("carry", new, old, into=old)

    def cut(self, x: Handle) -> Handle:
        """A copy of `x` whose derivative is stopped."""
        return self.apply("copy", x, stop=True)

    def tap(self, x: Handle) -> Handle:
        """Make `x` a leaf from here on; gradients with respect to it are read at the result.

        No two entries of `x` may be the same cell: a cell has one derivative.
        """
        entrance = self.leaf(np.zeros(x.shape))
        self.apply("carry", x, entrance, into=x)
        return entrance

    def snapshot(self, x: Handle) -> Handle:
        """A copy of `x` as it is now: value and derivative. It takes no instruction."""
        slots = self._slot_of[x]
        return self._allot(slots.ravel()).reshape(x.shape)

    def loss(self, k: int, root: Handle, cotangent: NDArray[np.float64] | float = 1.0) -> None:
        """Add sum(root * cotangent), with the value that `root` has now, to loss `k`."""
        slots = self._slot_of[root]
        weights = np.empty(slots.shape)
        weights[...] = cotangent
        self.seeds.append(Seed(k, slots.ravel(), weights.ravel()))

    def _add_threes(self, terms: Handle, stop: bool) -> Handle:
        """Add the rows of `terms` by threes, the last ones with zeros."""
        if len(terms) <= 3:
            return self.apply("add3", *terms, *[0.0] * (3 - len(terms)), stop=stop)[np.newaxis]
        groups = -(-len(terms) // 3)
        padded = np.full((3 * groups, terms.shape[1]), _ZERO_CELL)
        padded[: len(terms)] = terms
        first, second, third = padded.reshape(3, groups, -1)
        return self.apply("add3", first, second, third, stop=stop)

    def _emit(
        self, code: int, operands: Sequence[Handle | float], shape: tuple[int, ...], stop: bool
    ) -> NDArray[np.intp]:
        """Append the instructions of one block and return the slots of its results, flat.

        What was computed already is not computed again, so that its rounding errors are the same
        and a tie of the two is exact, unless the assembly was made without sharing.
        """
        lanes = math.prod(shape)
        if lanes == 0:
            return _numbers(0, 0)
        if self.row_count + lanes // LANES > MOST_ROWS:
            raise TooMuch(f"the oracle computes at most {MOST_ROWS * LANES} numbers a program")
        reads = [self._reads(operand, shape) for operand in operands]
        key = (code, stop, lanes, *[read if type(read) is int else bytes(read) for read in reads])
        first = self._known.get(key)
        if first is None:
            first = RESULTS + self.row_count * LANES
            rows = -(-lanes // LANES)
            self.blocks.append(Block(code, self.row_count, rows, lanes, stop, reads))
            self.row_count += rows
            if code != _GUIDED and self._sharing:
                self._known[key] = first
        else:
            self.shared = True
        return _numbers(first, first + lanes)

    def _reads(self, operand: Handle | float, shape: tuple[int, ...]) -> NDArray[np.intp] | int:
        """The slots of an operand, broadcast to `shape` and flat; one slot if all are the same."""
        if not isinstance(operand, (np.ndarray, np.integer)):
            return self._constant_slot(operand)
        slots: NDArray[np.intp] = self._slot_of[operand]
        if slots.shape == shape:
            return slots if slots.ndim == 1 else slots.ravel()
        if slots.size == 1:
            return int(slots.item())
        spread = np.empty(shape, np.intp)
        spread[...] = slots
        return spread.ravel()

    def _allot(self, slots: NDArray[np.intp]) -> Handle:
        """New cells that name `slots`."""
        start, end = self._cells, self._cells + slots.size
        while end > self._slot_of.size:
            self._slot_of = np.concatenate([self._slot_of, np.zeros_like(self._slot_of)])
            self._origin_of = np.concatenate([self._origin_of, np.zeros_like(self._origin_of)])
        self._slot_of[start:end] = slots
        self._cells = end
        return _numbers(start, end)

    def _constant_slot(self, value: float) -> int:
        # Keyed so that 0.0 and -0.0 stay two numbers; NaN is found again by identity at best.
        key = (value, value == 0.0 and bool(np.signbit(value)))
        slot = self._constants.get(key)
        if slot is None:
            slot = self._input_count if self._input_count < RESULTS else FAR + self._input_count
            self._constants[key] = slot
            self._inputs.append(np.array([value], np.float64))
            self._input_count += 1
        return slot


def _shape_of(operands: Sequence[Handle | float]) -> tuple[int, ...]:
    shape: tuple[int, ...] = ()
    for operand in operands:
        if isinstance(operand, np.ndarray) and operand.shape != shape:
            if shape:
                handles = [each for each in operands if isinstance(each, np.ndarray)]
                return np.broadcast_shapes(*(handle.shape for handle in handles))
            shape = operand.shape
    return shape


_FIRST_NUMBERS = np.arange(1 << 14)
_FIRST_NUMBERS.flags.writeable = False


def _numbers(start: int, end: int) -> NDArray[np.intp]:
    """The whole numbers from `start` to `end`; slices of a table where it reaches."""
    return _FIRST_NUMBERS[start:end] if end <= _FIRST_NUMBERS.size else np.arange(start, end)
