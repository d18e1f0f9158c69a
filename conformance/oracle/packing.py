"""Packing an assembly into the two arrays that a compiled program takes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from conformance.oracle.assembly import FILLERS, LANES, RESULTS, Assembly
from conformance.oracle.primitives import PRIMITIVES
from conformance.oracle.program import Capacity


def located(slots: NDArray[np.intp], inputs: int) -> NDArray[np.intp]:
    """Where `slots` lie in a program whose results begin after `inputs` input slots."""
    return np.where(slots >= RESULTS, slots - (RESULTS - inputs), slots)


def pack_integers(
    capacity: Capacity, assembly: Assembly, passes: int, cut: Collection[int], shift: int = 0
) -> NDArray[np.int32]:
    """Rows and passes used, the first row of noise, codes, stops and operands, int32
    [capacity.integers].

    The derivatives of the blocks numbered in `cut` are stopped, besides those that say so.
    """
    rows, used = capacity.rows, assembly.row_count
    blocks = assembly.blocks
    counts = [block.rows for block in blocks]
    packed = np.zeros(capacity.integers, np.int32)
    packed[:3] = used, passes, shift
    body = packed[3:]
    body[:used] = np.repeat([block.code for block in blocks], counts)
    stops = [block.stop or number in cut for number, block in enumerate(blocks)]
    body[rows : rows + used] = np.repeat(stops, counts)
    operands = _operands(assembly, counts)
    body[2 * rows :][: operands.size] = located(operands, capacity.inputs)
    return packed


def _operands(assembly: Assembly, counts: list[int]) -> NDArray[np.intp]:
    """The slots that each row reads, flat from [rows, 3, LANES]."""
    fills, pieces, places = [], [], []
    for block in assembly.blocks:
        fill = FILLERS[block.code].copy()
        for number, read in enumerate(block.reads):
            if isinstance(read, int) and block.lanes % LANES == 0:
                fill[number] = read
                continue
            # Lanes that nobody uses keep what is harmless together with the other operands.
            pieces.append(np.full(block.lanes, read) if isinstance(read, int) else read)
            places.append((block.start * 3 + number) * LANES)
        fills.append(fill)
    lanes = np.repeat(np.array(fills, np.intp).reshape(-1, 3), counts, 0)
    operands = np.repeat(lanes.ravel(), LANES)
    if pieces:
        sizes = [piece.size for piece in pieces]
        starts = [0, *accumulate(sizes[:-1])]
        lane = np.arange(starts[-1] + sizes[-1]) - np.repeat(starts, sizes)
        # A block's rows lie three operands apart.
        target = np.repeat(places, sizes) + lane + lane // LANES * (2 * LANES)
        operands[target] = np.concatenate(pieces)
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
    for number, losses in enumerate(passes):
        for seed in assembly.seeds:
            if seed.loss in losses:
                places = located(seed.slots, capacity.inputs)
                # Of two infinities NaN comes, in torch too.
                with np.errstate(invalid="ignore"):
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
