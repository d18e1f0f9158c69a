"""Running assemblies: the right capacity, compiled when first needed, and what came out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from jax.stages import Compiled
from numpy.typing import NDArray

from conformance.oracle import cache, conditioning, packing, program, second
from conformance.oracle.assembly import RESULTS, Assembly, Undecided
from conformance.oracle.primitives import CORE
from conformance.oracle.program import NOISE_ROWS, Capacity

Floats = NDArray[np.float64]

_SHIFT = 7
"""By how many rows of noise two opinions are apart."""
OPINIONS = NOISE_ROWS // _SHIFT
"""How many there are that differ everywhere."""

# It holds all but the rarest drawn programs.
_FIRST = Capacity(rows=32, inputs=RESULTS, passes=2)


@dataclass(frozen=True, slots=True)
class Result:
    """What a program computes, by cell.

    `values` [cells] are the final values, `gradients` [passes, cells] the derivatives of the sum
    of a pass's losses at leaf and tap cells (zero elsewhere); the slacks, of the same shapes, say
    how far each may be off. `ill_conditioned` is the reason why nothing of it may be judged.
    `parted` says that NaN was kept from gradients by leaving out what no loss depends on.
    """

    values: Floats
    gradients: Floats
    value_slack: Floats
    gradient_slack: Floats
    ill_conditioned: str | None
    parted: bool = False


def capacity_for(assembly: Assembly, passes: int) -> Capacity:
    """The smallest capacity that holds a program: a first one, and four times as much each time.

    Rows and inputs grow together, passes by themselves; special functions only where used.
    """
    rows, inputs, most = _FIRST.rows, _FIRST.inputs, _FIRST.passes
    while assembly.row_count > rows or assembly.input_count > inputs:
        rows, inputs = 4 * rows, 4 * inputs
    while passes > most:
        most *= 4
    special = any(block.code >= CORE for block in assembly.blocks)
    return Capacity(rows, inputs, most, special)


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a compiled program: what it takes, and how many passes count."""

    capacity: Capacity
    floats: Floats
    integers: NDArray[np.int32]
    passes: int


Slots = tuple[Floats, Floats]
"""All slots [slots, 3] and the gradients at inputs [passes, inputs, 3]."""
T = TypeVar("T")
Calls = Generator[Call, Slots, T]
"""Work that asks for calls, and ends with what it found."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How a program moves along tangents, by cell: `tangents` and `second` [cells], the gradient of
    what the losses move by, zero but at leaf cells; the rest as in `Result`.
    """

    values: Floats
    tangents: Floats
    second: Floats
    value_slack: Floats
    tangent_slack: Floats
    second_slack: Floats
    ill_conditioned: str | None


class Machine:
    """Compiled programs by capacity.

    `on_compile` gets a line of text before each compilation, which takes seconds, or a fraction of
    one from the cache in `cache_folder` (by default the user's).
    """

    def __init__(
        self,
        on_compile: Callable[[str], None] | None = None,
        cache_folder: Path | None = None,
    ) -> None:
        self._on_compile = on_compile
        self._cache_folder = cache_folder
        self._executables: dict[tuple[str, Capacity], Compiled] = {}

    def run(
        self, assembly: Assembly, passes: Sequence[Sequence[int]], *, opinions: int = 1
    ) -> Result:
        """Values, and for each pass the gradient of the sum of its losses, as `running` has it."""
        return self.finish(running(assembly, passes, opinions=opinions))

    def finish(self, work: Calls[T]) -> T:
        """What comes of work that asks for calls, each answered at once."""
        return self.finish_all([work])[0]

    def finish_all(self, works: Sequence[Calls[T]]) -> list[T]:
        """What comes of several works, whose calls are answered together.

        A call's code and arrays push everything else out of the processor's caches: right after
        another one it takes a third of the time.
        """
        done: dict[int, T] = {}
        answers: dict[int, Slots | None] = dict.fromkeys(range(len(works)))
        while answers:
            calls: list[tuple[int, Call]] = []
            for number, answer in answers.items():
                try:
                    calls.append((number, works[number].send(answer)))  # type: ignore[arg-type]
                except StopIteration as end:
                    done[number] = end.value
            answers = {number: self._answer(call) for number, call in calls}
        return [done[number] for number in range(len(works))]

    def _answer(self, call: Call) -> Slots:
        executable = self._compiled("value and gradients", call.capacity)
        slots, gradients = executable(call.floats, call.integers)
        return np.asarray(slots), np.array(gradients)[: call.passes]

    def along(
        self, assembly: Assembly, tangents: Floats, *, twice: bool, opinions: int = 1
    ) -> Moved:
        """How everything moves along tangents of the inputs, [input_count]; and, if twice, the
        gradient of what the losses move by. More opinions find wider bounds, as in `running`.

        Raises Undecided where jax knows no second derivative.
        """
        found = self._along(assembly, tangents, twice, 0)
        for number in range(1, opinions):
            other = self._along(assembly, tangents, twice, _SHIFT * number)
            found = replace(
                found,
                value_slack=np.fmax(found.value_slack, other.value_slack),
                tangent_slack=np.fmax(found.tangent_slack, other.tangent_slack),
                second_slack=np.fmax(found.second_slack, other.second_slack),
                ill_conditioned=found.ill_conditioned or other.ill_conditioned,
            )
        return found

    def _along(self, assembly: Assembly, tangents: Floats, twice: bool, shift: int) -> Moved:
        capacity = capacity_for(assembly, 1)
        if twice and capacity.special:
            raise Undecided("a second derivative of a special function")
        integers = packing.pack_integers(capacity, assembly, 1, (), shift)
        floats = packing.pack_floats(capacity, assembly, [sorted({s.loss for s in assembly.seeds})])
        directions = np.zeros(capacity.inputs)
        directions[: tangents.size] = tangents
        given = (floats, directions, integers)
        slots, moved = map(np.asarray, self._compiled("tangents", capacity)(*given))
        gradient = np.zeros((capacity.inputs, program.RUNS))
        if twice:
            gradient = np.asarray(self._compiled("second gradients", capacity)(*given))
        found = _moved(assembly, capacity.inputs, slots, moved, gradient)
        if twice and conditioning.bends(assembly, slots, capacity.inputs):
            return replace(found, ill_conditioned="a second derivative where the first one jumps")
        return found

    def _compiled(self, what: str, capacity: Capacity) -> Compiled:
        found = self._executables.get((what, capacity))
        if found is None:
            found = self._executables[what, capacity] = self._compile(what, capacity)
        return found

    def _compile(self, what: str, capacity: Capacity) -> Compiled:
        if self._on_compile is not None:
            special = " with special functions" if capacity.special else ""
            more = "" if what == "value and gradients" else f", {what}"
            rows = capacity.rows
            self._on_compile(
                f"preparing the oracle for programs of up to {rows} instructions{special}{more}"
            )
        cache.prepare(self._cache_folder)
        with warnings.catch_warnings():
            # An entry of the cache that cannot be read is told of, and compiled anew.
            warnings.simplefilter("ignore")
            return _COMPILERS[what](capacity)


_COMPILERS: dict[str, Callable[[Capacity], Compiled]] = {
    "value and gradients": program.compile_program,
    "tangents": second.compile_moves,
    "second gradients": second.compile_second,
}


def running(
    assembly: Assembly, passes: Sequence[Sequence[int]], *, opinions: int = 1
) -> Calls[Result]:
    """Values, and for each pass the gradient of the sum of its losses.

    As in torch, what no loss of a pass depends on contributes nothing to its gradient, even
    where 0 times infinity would be NaN. The signs of two moved runs may agree by chance where
    terms cancel: more opinions, up to `OPINIONS`, move everything by other signs.
    """
    result = yield from _opinion(assembly, passes, 0)
    for number in range(1, opinions):
        result = _widened(result, (yield from _opinion(assembly, passes, _SHIFT * number)))
    return result


def _opinion(assembly: Assembly, passes: Sequence[Sequence[int]], shift: int) -> Calls[Result]:
    capacity = capacity_for(assembly, len(passes))
    slots, gradients = yield _call(capacity, assembly, passes, shift)
    origins = assembly.origins()
    suspects = np.isnan(gradients[:, origins[origins > 0]])
    parted = False
    if suspects.any():
        for number in np.flatnonzero(suspects.any((1, 2))).tolist():
            apart = packing.unreached(assembly, passes[number])
            if apart:
                cut = yield _call(capacity, assembly, [passes[number]], shift, apart)
                gradients[number] = cut[1][0]
                parted = True
    return _result(assembly, slots, gradients, capacity.inputs, parted=parted)


def _call(
    capacity: Capacity,
    assembly: Assembly,
    passes: Sequence[Sequence[int]],
    shift: int,
    cut: Collection[int] = (),
) -> Call:
    integers = packing.pack_integers(capacity, assembly, len(passes), cut, shift)
    floats = packing.pack_floats(capacity, assembly, passes)
    return Call(capacity, floats, integers, len(passes))


def _widened(one: Result, other: Result) -> Result:
    """The first result with the wider of both bounds."""
    return replace(
        one,
        value_slack=np.fmax(one.value_slack, other.value_slack),
        gradient_slack=np.fmax(one.gradient_slack, other.gradient_slack),
        ill_conditioned=one.ill_conditioned or other.ill_conditioned,
        parted=one.parted or other.parted,
    )


def _result(
    assembly: Assembly, slots: Floats, gradients: Floats, inputs: int, *, parted: bool
) -> Result:
    origins = assembly.origins()
    count, passes = origins.size, len(gradients)
    # Values first, then the gradients of each pass: what is asked of both is asked once.
    runs = np.zeros((1 + passes, count, program.RUNS))
    runs[0] = slots[packing.located(assembly.slots(), inputs)]
    at = origins.nonzero()[0]
    runs[1:, at] = gradients[:, origins[at]]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        bounds, agree = conditioning.slack(runs)
        reason = conditioning.undecided(assembly, slots, inputs)
        if reason is None and not agree:
            what = "gradient" if conditioning.slack(runs[0])[1] else "value"
            reason = f"within its error, a {what} may be finite or not"
    return Result(runs[0, :, 0], runs[1:, :, 0], bounds[0], bounds[1:], reason, parted)


def _moved(
    assembly: Assembly, inputs: int, slots: Floats, moved: Floats, gradient: Floats
) -> Moved:
    cells, origins = packing.located(assembly.slots(), inputs), assembly.origins()
    by_cell, tangents = slots[cells], moved[cells]
    at_cell = np.where(origins[:, np.newaxis] > 0, gradient[origins], 0.0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        one, two, three = (conditioning.slack(runs)[0] for runs in (by_cell, tangents, at_cell))
        reason = conditioning.undecided(assembly, slots, inputs)
    if not all(np.isfinite(runs).all() for runs in (by_cell, tangents, at_cell)):
        reason = reason or "a derivative that is not finite"
    return Moved(by_cell[:, 0], tangents[:, 0], at_cell[:, 0], one, two, three, reason)
