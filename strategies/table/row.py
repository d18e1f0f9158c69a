"""What one row of the op table says of an operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from strategies.layout import Layout

Layouts = tuple[Layout | None, ...]
"""The operands' layouts; None where an operand is a number."""
Params = Mapping[str, Any]


class Refused(ValueError):
    """Torch refuses the operation; `instead` is how its result would lie if it did not."""

    def __init__(self, why: str, instead: Layout) -> None:
        super().__init__(why)
        self.instead = instead


class Made(Struct, frozen=True):
    """One result: fresh memory, a view of the first operand, or the first operand itself."""

    layout: Layout
    how: Literal["fresh", "view", "same"] = "fresh"


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor argument by torch's name; `number` allows a Python number in its place."""

    name: str
    dtype: str = "float64"
    number: bool = False
    tensor: bool = True


@dataclass(frozen=True, slots=True)
class Param:
    """An argument that is no tensor: its kind decides what is valid and how it is drawn."""

    name: str
    kind: str
    default: Any = None
    choices: tuple[Any, ...] = ()
    keyword: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class Save:
    """That a node keeps `what` for backward if one of `when` had an edge (always if empty), or was
    a tensor or a number, where that stands before its name; or was given, if it is a parameter, or
    was another number than the one of `but-2`.

    `what` is an operand, `result`, or `private`: something that no program can reach.
    """

    what: str
    when: tuple[str, ...] = ()


def _anywhere(params: Params) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Indexing:
    """Which positions an int64 operand may name, and along which dimension they must differ.

    Two entries that name the same position where `repeats` is false leave open which one counts.
    """

    bound: Callable[[Layouts, Params], int]
    """Entries lie in [0, bound)."""
    along: Callable[[Params], int] | None = None
    """The dimension of the index in which positions count; None if all its entries do together."""
    repeats: Callable[[Params], bool] = _anywhere
    from_end: bool = False
    """Whether entries from -bound up are understood as well."""
    joint: bool = False
    """Whether a position has several entries, one in each row of the index."""

    def lines(self, index: NDArray[Any], params: Params) -> NDArray[Any]:
        """The index as rows [lines, entries] of which each names positions of its own."""
        if self.joint:
            return index.reshape(len(index), -1)
        if self.along is None or index.ndim == 0:
            return index.reshape(1, -1)
        along = self.along(params) % index.ndim
        moved = np.moveaxis(index, along, -1)
        if not index.size:
            return np.empty((0, index.shape[along]), index.dtype)
        return moved.reshape(-1, index.shape[along])

    def covers(self, index: NDArray[Any], layouts: Layouts, params: Params) -> bool:
        """Whether every entry names a position that there is."""
        bound = self.bound(layouts, params)
        least = -bound if self.from_end else 0
        return not ((index < least) | (index >= bound)).any()

    def collides(self, index: NDArray[Any], layouts: Layouts, params: Params) -> bool:
        """Whether two entries write the same position, so that nobody says which one counts."""
        if self.repeats(params) or index.size == 0:
            return False
        lines = self.lines(index % self.bound(layouts, params), params)
        if self.joint:
            return bool(np.unique(lines, axis=1).shape[1] < lines.shape[1])
        lines = np.sort(lines, axis=-1)
        return bool((lines[:, 1:] == lines[:, :-1]).any())


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: how torch spells it, what it gives, what it means, and what backward needs."""

    name: str
    operands: tuple[Operand, ...]
    result: Callable[[Layouts, Params], tuple[Made, ...]]
    meaning: str | Callable[..., Any] | None
    """A primitive of the oracle, or a composition over an assembly; None for views and copies."""
    plain: Mapping[str, str] = field(default_factory=dict)
    """Way of writing -> template of the form that writes no operand."""
    in_place: Mapping[str, str] = field(default_factory=dict)
    params: tuple[Param, ...] = ()
    kind: Literal["fresh", "view", "maybe-self", "writes"] = "fresh"
    saves: tuple[Save, ...] = ()
    saves_in_place: tuple[Save, ...] = ()
    dtype: str = "float64"
    differentiable: bool = True
    derivative: str = ""
    multi: bool = False
    """Whether it returns several views, which autograd lets nobody write."""
    inert: bool = False
    """Whether the in-place form writes nothing (a dropout that does nothing)."""
    moves: Callable[[Layout, Params], Layout] | None = None
    """Where the in-place form leaves its target, if it changes shape and strides and no element."""
    relabels: bool = False
    """Whether the in-place form changes what autograd knows of its target, and no element."""
    writes_out: bool = False
    """Whether it is an `out=` form: its first operand is overwritten and never read."""
    outside_the_law: bool = False
    """Whether the documentation leaves open what the in-place form does to gradients."""
    undifferentiable: Literal["", "in self", "in other", "of each", "in place", "always"] = ""
    """Which forms are recorded although they have no derivative, as backward says: both, one, or
    both where the gradient of the first operand, or of any, is asked for."""
    ungraded: str = ""
    """The operand that torch refuses at once if it requires grad, having no derivative in it."""
    expands: bool = False
    """Whether an operand that is too large for the target is refused as `expand()` refuses it."""
    unchecked_overlap: bool = False
    """Whether the in-place kernel accepts a target that repeats a cell."""
    part: Callable[[Layout, Params], Layout] | None = None
    """What the in-place form writes, if that is a view which it makes of its target."""
    views_its_part: bool = False
    """Whether it makes one even where the whole target is covered in order, by a slice that does
    not end at the very number of elements."""
    reads_first: bool = False
    """Whether the in-place form is done with its other operands before it writes."""
    reads_apart: bool = False
    """Whether the in-place kernel refuses an operand that is the target itself, as one of parts."""
    reads_as_it_writes: bool = False
    """Whether the in-place kernel takes operands that lie in its target, and reads its results."""
    unchecked_reads: bool = False
    """Whether the in-place kernel does not look at operands that share the target's memory."""
    begins_at: Callable[[Layouts, Params], int] = lambda layouts, params: 0
    """The version of a fresh result: above 0 where torch writes in place to build it."""
    begins_unrecorded: Callable[[Layouts], int] = lambda layouts: 0
    """How many versions later it begins where nothing is recorded and another kernel runs."""
    writes_in: Callable[[Layouts, Params], int] = lambda layouts, params: 1
    """By how many versions a write raises what it writes: each of its steps counts."""
    acts_as: Callable[[Layouts], str] | None = None
    """The row whose node autograd records for operands of these layouts, if not this one."""
    viewed: Callable[[Layouts], tuple[int, ...]] = lambda layouts: ()
    """The operands that torch views first: each has an edge then, even if it leads nowhere."""
    saved_before: str = ""
    """An operand that the node of what torch does with it first keeps, which runs after this."""
    behind_view: Callable[[Layouts, bool], bool] = lambda layouts, recorded: False
    """Whether torch gives a view of a tensor that it keeps to itself, if recorded or if not."""
    copies_first: Callable[[Layouts, Params], bool] = lambda layouts, params: False
    """Whether torch makes a contiguous copy of the first operand, and saves that."""
    unwatched: bool = False
    """Whether torch keeps operands by aliases whose versions no write of the operands raises."""
    needs: Callable[[Layouts], bool] = lambda layouts: True
    """Whether operands of these layouts allow the operation at all."""
    drawn: Callable[[Layouts], bool] = lambda layouts: True
    """Whether it is drawn for such operands: what it gives would be large otherwise."""
    astray: Callable[[Layouts, Params], str] = lambda layouts, params: ""
    """What torch reads or writes that is not where these operands lie, in words."""
    starts: Callable[[Layout], bool] = lambda layout: True
    """Whether the first operand may lie so, as far as that can be told from it alone."""
    fits: Callable[[Layouts, Params], str] = lambda layouts, params: ""
    """What is wrong with operands of these layouts and these parameters together, in words."""
    wants: Callable[[Layouts, Params], tuple[tuple[int, ...], ...]] | None = None
    """The shapes that the next operand may have, simplest first, after operands of these layouts;
    None where broadcasting or `needs` decides."""
    indexing: Indexing | None = None
    """What its int64 operand means, if it has one."""
    broadcasts: bool = True
    """Whether operands only have to broadcast; otherwise `needs` alone decides."""
    domain: Literal["any", "positive", "nonzero", "unit"] = "any"
    """Where the operation is smooth and finite in its first operand (its last, for a quotient)."""
    gives: Literal["any", "positive"] = "any"
    since: str = "1.2"
    forbids: Callable[[Params], bool] = lambda params: False
    """Whether these parameters make backward of the in-place form raise."""

    def saved(self, in_place: bool) -> tuple[Save, ...]:
        """What the node of the plain or of the in-place form keeps."""
        underived = ("in place", "always") if in_place else ("always",)
        if self.undifferentiable in underived:
            return ()
        return self.saves_in_place if in_place and self.saves_in_place else self.saves

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which programs call the row: plain, in place, or both."""
        plain = (self.name,) if self.plain else ()
        return (*plain, *((self.in_place_name,) if self.in_place else ()))

    @property
    def in_place_name(self) -> str:
        """The name by which programs call the in-place form."""
        return self.name if self.writes_out else f"{self.name}_"


def operands(*specs: str) -> tuple[Operand, ...]:
    """Operands from short texts: `other`, `other|number`, `value=number`, `mask:bool`."""
    made = []
    for spec in specs:
        text, only, _ = spec.partition("=number")
        text, number, _ = text.partition("|number")
        name, _, dtype = text.partition(":")
        made.append(Operand(name, dtype or "float64", bool(number or only), not only))
    return tuple(made)


def saves(text: str) -> tuple[Save, ...]:
    """Saves from a short text: `other if self, self if other` or `self, result`."""
    made = []
    for clause in filter(None, (part.strip() for part in text.split(","))):
        what, _, when = clause.partition(" if ")
        made.append(Save(what, tuple(when.split(" or ")) if when else ()))
    return tuple(made)


def written(*ways: str) -> dict[str, str]:
    """Templates from `way=template` texts; {0} {1} are operands and {p} the parameters."""
    return dict(way.split("=", 1) for way in ways)


def methods(name: str, count: int) -> dict[str, str]:
    """The plain spellings `self.name(...)` and `torch.name(...)` for `count` operands."""
    rest = ", ".join(f"{{{i}}}" for i in range(1, count))
    every = ", ".join(f"{{{i}}}" for i in range(count))
    return {"method": f"{{0}}.{name}({rest}{{p}})", "function": f"torch.{name}({every}{{p}})"}


def in_place_method(name: str, count: int) -> dict[str, str]:
    """The spelling `self.name_(...)`."""
    rest = ", ".join(f"{{{i}}}" for i in range(1, count))
    return {"method": f"{{0}}.{name}_({rest}{{p}})"}
