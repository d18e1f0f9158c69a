"""The schema of a trace in the records: a program's steps, each with a drawing of memory in words.

A trace says what happens by the documented rules. Where a subject deviates, it is what should have
been seen.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Relation = Literal["leaf", "new memory", "view", "same object", "detached alias", ".data alias"]
Held = Literal["as saved", "overwritten", "freed"]


class Name(Struct, frozen=True, omit_defaults=True):
    """A name of a tensor; `of` is the name whose memory it shares, empty for new memory."""

    name: str
    how: Relation
    of: str = ""
    requires_grad: bool = False


class Counter(Struct, frozen=True, omit_defaults=True):
    """A version counter before and after a step, and the names that it counts for.

    `before` is null where the step made it; `after` is null for inference tensors, which have no
    version.
    """

    names: tuple[str, ...]
    before: int | None = None
    after: int | None = None


class Kept(Struct, frozen=True, omit_defaults=True):
    """What a node saved of a memory: which tensor, at which version, and what has become of it."""

    node: str
    tensor: str
    version: int
    state: Held = "as saved"


class Storage(Struct, frozen=True, omit_defaults=True):
    """A memory after a step; `title` is the first name that it had.

    Without names nobody holds it any longer, or nothing more can be said of it.
    """

    id: int
    title: str
    names: tuple[Name, ...]
    counters: tuple[Counter, ...]
    kept: tuple[Kept, ...] = ()


class Visit(Struct, frozen=True, omit_defaults=True):
    """A node on the path of the gradient, in the order in which backward ran them.

    `found` is what it found of the tensors that it had saved; `adds_to` is the leaf whose `.grad`
    it adds to.
    """

    node: str
    found: tuple[str, ...] = ()
    adds_to: str = ""
    raises: bool = False


class TraceStep(Struct, frozen=True, omit_defaults=True):
    """One step: its number (from 1), its line in the script, and what it changed.

    `opening` are lines of the script that stand before it. `storages` are those that it changed or
    made; the others are as they were after the step before.
    """

    number: int
    code: str
    opening: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reached: bool = True
    raises: bool = False
    storages: tuple[Storage, ...] = ()
    path: tuple[Visit, ...] = ()


class Trace(Struct, frozen=True, omit_defaults=True):
    """A program step by step: the lines that make its leaves, and the memory that they have.

    Of a whole script the steps are its statements as far as they can be read; there are no leaves
    apart from them, and what nodes save is not told. What is not read has a note that says so.

    `outcome` is how it must end, `why` says why, by which `rule` of which `source`.
    """

    leaves: tuple[str, ...]
    storages: tuple[Storage, ...]
    steps: tuple[TraceStep, ...]
    closing: tuple[str, ...] = ()
    outcome: Literal["raises", "runs", "unspecified"] = "runs"
    kind: str = ""
    why: tuple[str, ...] = ()
    rule: str = ""
    source: str = ""
