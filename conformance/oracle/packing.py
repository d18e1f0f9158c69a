"""Packing an assembly into the two arrays that a compiled program takes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from conformance.oracle.assembly import FAR, FILLERS, LANES, RESULTS, Assembly
from conformance.oracle.primitives import PRIMITIVES
from conformance.oracle.program import Capacity


def located(slots: NDArray[np.intp], inputs: int) -> NDArray[np.intp]:
    """Where `slots` lie in a program whose results begin after `inputs` input slots."""
    if inputs == RESULTS:
        return slots
    shifted = np.where(slots >= RESULTS, slots - (RESULTS - inputs), slots)
    return np.where(slots >= FAR, slots - FAR, shifted)


def pack_integers(
    capacity: Capacity, assembly: Assembly, passes: int, cut: Collection[int], shift: int = 0
) -> NDArray[np.int32]:
    """Rows and passes used, the first row of noise, codes, stops and operands, int32
    [capacity.integers].

    The derivatives of the blocks numbered in `cut` are stopped, besides those that say so.
    """
    rows, used = capacity.rows, assembly.row_count
    blocks = assembly.blocks
    packed = np.zeros(capacity.integers, np.int32)
    packed[:3] = used, passes, shift
    body = packed[3:]
    codes: list[int] = []
    stops: list[bool] = []
    for number, block in enumerate(blocks):
        codes += [block.code] * block.rows
        stops += [block.stop or number in cut] * block.rows
    body[:used] = codes
    body[rows : rows + used] = stops
    operands = _operands(assembly)
    body[2 * rows :][: operands.size] = located(operands.ravel(), capacity.inputs)
    return packed


def _operands(assembly: Assembly) -> NDArray[np.intp]:
    """The slots that each row reads, [rows, 3, LANES]."""
    operands = np.empty((assembly.row_count, 3, LANES), np.intp)
    for block in assembly.blocks:
        rows = operands[block.start : block.start + block.rows]
        fill = FILLERS[block.code]
        whole, rest = divmod(block.lanes, LANES)
        for number, read in enumerate(block.reads):
            lanes = rows[:, number]
            if isinstance(read, int):
                lanes[:] = read
            elif whole:
                lanes[:whole] = read[: whole * LANES].reshape(whole, LANES)
            if rest:
                # Lanes that nobody uses keep what is harmless together with the other operands.
                lanes[whole, rest:] = fill[number]
                if not isinstance(read, int):
                    lanes[whole, :rest] = read[whole * LANES :]
        for number in range(len(block.reads), 3):
            rows[:, number] = fill[number]
    return operands


def pack_floats(
    capacity: Capacity, assembly: Assembly, passes: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """Inputs; then in each pass the cotangents of all slots, and the sizes that were added up.

    float64 [capacity.floats]. Sizes are zero where a pass has a single loss: nothing is added.
    """
    packed = np.zeros(capacity.floats)
    packed[: assembly.input_count] = assembly.inputs()
    seeds = packed[capacity.inputs :].reshape(capacity.passes, 2, capacity.slots)
    # Of two infinities NaN comes, in torch too.
    with np.errstate(invalid="ignore"):
        for number, losses in enumerate(passes):
            for seed in assembly.seeds:
                if seed.loss in losses:
                    places = located(seed.slots, capacity.inputs)
                    np.add.at(seeds[number, 0], places, seed.cotangents)
                    if len(losses) > 1:
                        np.add.at(seeds[number, 1], places, np.abs(seed.cotangents))
    return packed


def unreached(assembly: Assembly, losses: Sequence[int]) -> set[int]:
    """The numbers of the blocks whose results no loss depends on."""
    inputs = assembly.input_count
    reached = np.zeros(inputs + assembly.row_count * LANES, bool)
    for seed in assembly.seeds:
        if seed.loss in losses:
            reached[located(seed.slots, inputs)] = True
    apart = set()
    for number in range(len(assembly.blocks) - 1, -1, -1):
        block = assembly.blocks[number]
        first = inputs + block.start * LANES
        if not reached[first : first + block.lanes].any():
            apart.add(number)
        elif not block.stop:
            severed = PRIMITIVES[block.code].severed
            for operand, read in enumerate(block.reads):
                if operand not in severed:
                    reached[located(np.asarray(read), inputs)] = True
    return apart
