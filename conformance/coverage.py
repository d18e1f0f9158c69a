"""Which in-place forms a subject's torch has, and which of them the op table spells.

What there is is asked of the subject itself, so that a torch with a new in-place name shows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from conformance.abilities import Abilities
from conformance.subjects import JsonSeen, Subject
from conformance.subjects.errors import SubjectError
from strategies.table import OPERATIONS, TABLE
from strategies.table.exclusions import excluded
from strategies.table.spelled import AUGMENTED, spelled_in_place

_OPERATORS = (*AUGMENTED.values(), "__idiv__", "__setitem__")
INVENTORY = f"""\
import inspect


def takes_inplace(function):
    try:
        return "inplace" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def writes(space):
    return [n for n in dir(space) if n[-1] == "_" and n[0] != "_" and callable(getattr(space, n))]


def is_layer(name):
    layer = getattr(nn, name)
    a_layer = isinstance(layer, type) and issubclass(layer, nn.Module)
    return a_layer and takes_inplace(layer.__init__)


facts["Tensor"] = writes(torch.Tensor)
facts["Tensor"] += [n for n in {_OPERATORS!r} if hasattr(torch.Tensor, n)]
facts["torch"] = writes(torch)
facts["torch"] += [n for n in dir(torch) if n[:9] == "_foreach_" and n[-1] == "_"]
facts["nn"] = [n for n in dir(nn) if is_layer(n)]
facts["F"] = writes(F)
facts["F"] += [n for n in dir(F) if n[0] != "_" and takes_inplace(getattr(F, n))]
"""
"""Notes every name of torch that writes in place, by the space that it is in; Python 3.6."""

Status = Literal["row", "excluded", "missing"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Covered:
    """One in-place name: the operation that spells it, or why there is none."""

    name: str
    status: Status
    operation: str = ""
    reason: str = ""

    @property
    def space(self) -> str:
        """Where the name is: Tensor, torch, nn or F."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Every in-place name of one torch, in the order of its spaces."""

    torch: str
    names: tuple[Covered, ...] = field(default=())
    lacking: tuple[str, ...] = ()
    """Operations of the table that this torch has in no spelling: programs for it have none."""

    def of(self, status: Status) -> list[Covered]:
        """The names of one status."""
        return [covered for covered in self.names if covered.status == status]


def coverage_of(subject: Subject) -> Coverage:
    """What the table covers of a subject's torch; raises SubjectError if it cannot be asked."""
    seen = subject.run(INVENTORY, ["facts"])
    facts = seen.values.get("facts")
    if seen.error is not None or not isinstance(facts, JsonSeen):
        why = seen.error.message if seen.error is not None else "it shows nothing"
        raise SubjectError(f"{subject.name} cannot say which in-place forms it has: {why}.")
    spelt = spelled_in_place(TABLE)
    names = [f"{space}.{name}" for space, found in facts.json.items() for name in sorted(found)]
    lacking = Abilities(subject).lacking
    return Coverage(
        subject.torch,
        tuple(_covered(name, spelt) for name in names),
        tuple(op for op in OPERATIONS if op in lacking),
    )


def _covered(name: str, spelt: dict[str, str]) -> Covered:
    if name in spelt:
        return Covered(name, "row", spelt[name])
    reason = excluded(name)
    return Covered(name, "excluded" if reason else "missing", reason=reason)
