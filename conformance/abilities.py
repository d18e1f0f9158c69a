"""What a subject's torch can be asked, by the names in its hello and the versions in the table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from conformance.subjects import Subject
from strategies.draft import Draft, placed_in, spelling
from strategies.program import Apply, Backward, Program, Step, inferring
from strategies.table import OPERATIONS
from strategies.table.changes import missing_form
from strategies.table.row import Row

_NAMES = re.compile(r"\b(special|torch|nn|F)\.(?!special\b)(\w+)|\{\d\}\.(\w+)")
_INPUTS_SINCE = (1, 8)
"""The first torch whose `backward` takes `inputs`."""


def missing(template: str, names: Mapping[str, frozenset[str]]) -> str:
    """The first name of a spelling that is not among a subject's, or ""."""
    for module, name, method in _NAMES.findall(template):
        if method and method not in names.get("Tensor", {method}):
            return f"Tensor.{method}"
        if name and name not in names.get(module, {name}):
            return f"{module}.{name}"
    return ""


def release(version: str) -> tuple[int, int] | None:
    """The first two numbers of a version; None where it has none, as of what is no torch."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return (int(numbers[1]), int(numbers[2])) if numbers else None


class LeftOut(Counter[str]):
    """What a subject's torch does not have -> how many of the programs drawn use it."""

    def note(self, torch: str, undrawn: int = 0) -> str:
        """What a reader must know of it, the commonest first, and of so many operations that were
        not drawn at all; "" where nothing was left out.
        """
        notes = []
        if undrawn:
            notes.append(f"not drawn: {undrawn} operations that torch {torch} lacks (see ops)")
        if self:
            names = ", ".join(name for name, _ in self.most_common())
            notes.append(f"left out ({self.total()} programs; not in torch {torch}): {names}")
        return "; ".join(notes)


@dataclass(slots=True)
class Abilities:
    """What programs can use of a subject; a subject without a version is as able as any."""

    subject: Subject
    _lacking: dict[tuple[str, str], str] = field(default_factory=dict)
    _lacking_ops: frozenset[str] | None = None
    _respelled: dict[tuple[str, str, frozenset[str]], str] = field(default_factory=dict)

    def lacks(self, draft: Draft) -> str:
        """The first thing that a program uses and this subject's torch does not have, or ""."""
        for step in draft.shaped:
            if isinstance(step, Backward):
                if step.inputs and not step.via and self._before(_INPUTS_SINCE):
                    return "inputs= of backward"
                continue
            if inferring(step.step.modes) and missing("torch.inference_mode", self.subject.names):
                return "torch.inference_mode"
            lacking = self._lacks(step.row, step.in_place, step.step.op, step.step.via)
            lacking = lacking or missing_form(step, self.subject.torch)
            if lacking:
                return lacking
        return ""

    @property
    def lacking(self) -> frozenset[str]:
        """The operations, by their names in programs, that this torch has in no spelling."""
        if self._lacking_ops is None:
            self._lacking_ops = self._found_lacking()
        return self._lacking_ops

    def _found_lacking(self) -> frozenset[str]:
        return frozenset(
            op
            for op, (row, in_place) in OPERATIONS.items()
            if all(
                self._lacks(row, in_place, op, via)
                for via in (row.in_place if in_place else row.plain)
            )
        )

    def _lacks(self, row: Row, in_place: bool, op: str, via: str) -> str:
        if (op, via) not in self._lacking:
            lacking = missing(spelling(row, in_place, via), self.subject.names)
            # A name may be older than the call: clamp() took numbers before it took tensors.
            if not lacking and self._before(release(row.since)):
                lacking = op
            self._lacking[op, via] = lacking
        return self._lacking[op, via]

    def _before(self, since: tuple[int, int] | None) -> bool:
        """Whether the subject's torch is older than that."""
        here = release(self.subject.torch)
        return here is not None and since is not None and here < since

    def respelled(self, program: Program) -> Program:
        """The same program with every operation that is written by a name which the subject lacks
        written in the first way of the table that it has, where there is one.
        """
        steps = tuple(map(self._respelled_step, program.steps))
        return program if steps == program.steps else replace(program, steps=steps)

    def _respelled_step(self, step: Step) -> Step:
        if isinstance(step, Backward):
            return step
        key = (step.op, step.via, frozenset(step.params))
        if key not in self._respelled:
            self._respelled[key] = self._way(step)
        via = self._respelled[key]
        return step if via == step.via else replace(step, via=via)

    def _way(self, step: Apply) -> str:
        """How a step is best written here: as it is, unless only another way is known here."""
        row, in_place = OPERATIONS[step.op]
        if not missing(spelling(row, in_place, step.via), self.subject.names):
            return step.via
        ways = row.in_place if in_place else row.plain
        first = next(iter(ways))
        for way in ways:
            takes = "{p}" in ways[way] or not step.params.keys() - placed_in(ways[way])
            if takes and not missing(ways[way], self.subject.names):
                return "" if way == first else way
        return step.via
