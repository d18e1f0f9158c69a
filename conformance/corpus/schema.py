"""The lines of a corpus, as `docs/corpus-format.md` documents them, and their strict decoding."""

from __future__ import annotations

import math
from typing import TypeVar

import msgspec

from conformance.model.errors import Kind

FORMAT = 1
T = TypeVar("T")


class CorpusError(Exception):
    """What of a corpus cannot be read, in one sentence that names the file and the place."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line: which suite made the corpus, from which seed, and what it knew."""

    corpus: int
    """The number of the format."""
    suite: str
    seed: int
    programs: int
    """How many lines follow."""
    quirks: tuple[str, ...]
    """The registered ways to deviate that were asked of every program."""


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What no field may be added to, and where a default is left out."""


class Numbers(Strict, frozen=True):
    """Entries in C order, and how far each may be off: little-endian float64; no slack is zero."""

    shape: tuple[int, ...]
    values: bytes
    slack: bytes = b""

    def __post_init__(self) -> None:
        if any(size < 0 for size in self.shape):
            raise ValueError(f"shape {list(self.shape)} needs sizes from 0 up")
        size = 8 * math.prod(self.shape)
        for what, data in (("values", self.values), ("slack", self.slack)):
            if len(data) != size and (data or what == "values"):
                raise ValueError(
                    f"{len(data)} bytes of {what} are not the {size} of shape {list(self.shape)}"
                )


class Tensor(Strict, frozen=True):
    """A tensor at the end; `memory` is a number that those share which share memory.

    `version` is None for an inference tensor and "any" where nothing documents it; `unreadable` is
    the kind of error that reading its node raises.
    """

    memory: int
    version: int | str | None
    shape: tuple[int, ...]
    offset: int = 0
    requires_grad: bool = False
    is_leaf: bool | None = False
    grad_fn: bool | None = False
    unreadable: Kind | None = None
    numbers: Numbers | None = None
    """None where the oracle leaves the numbers open."""

    def __post_init__(self) -> None:
        if isinstance(self.version, str) and self.version != "any":
            raise ValueError(f"version {self.version!r} is neither a number nor 'any'")
        if self.numbers is not None and self.numbers.shape != self.shape:
            raise ValueError(
                f"numbers of shape {list(self.numbers.shape)} are those of no tensor of shape "
                f"{list(self.shape)}"
            )


class Raise(Strict, frozen=True):
    """That a step, counted from 0, raises, with which kind of error, and why."""

    step: int
    kind: Kind
    why: str


class Said(Strict, frozen=True):
    """What the model and the oracle say of a program."""

    tensors: dict[str, Tensor] = {}
    gradients: dict[str, Numbers | None] = {}
    """For each tensor that may have a `.grad`: its entries, or None where there must be none."""
    raises: Raise | None = None
    steps: int | None = None
    """How many steps are decided, where the next one is `open`; None if all are."""
    open: str = ""
    """Why no numbers are given."""
    hidden: str = ""
    """Why no gradients are given."""


class Under(Strict, frozen=True):
    """What the quirks of a set, which has one at least, make of the program together."""

    quirks: tuple[str, ...]
    said: Said


class Line(Strict, frozen=True):
    """One program, what must become of it, and what registered deviations make of it."""

    program: msgspec.Raw
    said: Said
    under: tuple[Under, ...] = ()
    """One for each set of the quirks that change anything; the others change nothing."""


def decoded(line: bytes, type_: type[T], what: str) -> T:
    """A line as what it should be; raises ValueError with what is wrong, in words."""
    try:
        return msgspec.json.decode(line, type=type_)
    except RecursionError:
        raise ValueError(f"This is not {what}: it is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"This is not {what}: {error}; docs/corpus-format.md shows the form."
        ) from None
