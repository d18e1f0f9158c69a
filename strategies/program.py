"""The immutable program, leaves and steps that apply operations or run backward, and its JSON.

`docs/program-format.md` documents the JSON form. Decoding is strict (unknown or missing fields and
wrong types are refused); `strategies.draft.check` then checks what a decoder cannot see.
"""

from __future__ import annotations

import hashlib
import keyword
import re
from functools import lru_cache
from typing import Any, Literal

import msgspec

FORMAT = 1
Number = float | Literal["nan", "inf", "-inf"]
Argument = str | bool | int | float
Mode = Literal[
    "no_grad",
    "enable_grad",
    "set_grad_enabled(False)",
    "set_grad_enabled(True)",
    "@no_grad",
    "@enable_grad",
    "inference_mode",
]
RECORDS: dict[str, bool] = {
    "no_grad": False,
    "@no_grad": False,
    "set_grad_enabled(False)": False,
    "inference_mode": False,
    "enable_grad": True,
    "@enable_grad": True,
    "set_grad_enabled(True)": True,
}
"""Whether operations directly inside a mode are recorded (torch.autograd.grad_mode)."""

# A program's text defines functions that are called decorated_1, function_1, ...
_NAME = re.compile(r"(?!(decorated|function)_\d+\Z)[a-z][a-z0-9_]{0,23}")
_RESERVED = frozenset({"torch", "nn", "watch", "facts", "math", "random", "program", "expected"})
_CALLED = frozenset({"float", "print", "globals", "transformed", "checkpoint"})
"""Python's own functions that a program's text or its script calls."""


class ProgramError(ValueError):
    """A program that cannot be; the message is one sentence that says where and what to do."""


class Generated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Data made by a generator of `strategies.values` from a seed."""

    generator: str
    seed: int


Data = list[Number] | Generated


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tensor that the program starts with, in row-major order."""

    name: str
    shape: tuple[int, ...]
    data: Data
    dtype: Literal["float64", "bool", "int64"] = "float64"
    requires_grad: bool = False


class Apply(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="do",
    tag="apply",
):
    """One operation: `args` are names of tensors or numbers, `to` names what it returns.

    An in-place operation names no result: its first argument is the tensor that it writes. `modes`
    are the grad-mode regions around the step, outermost first; neighbours share their common ones.
    Neighbours of the same `function`, but 0, are one function to a subject that transforms some.
    """

    op: str
    args: tuple[Argument, ...]
    params: dict[str, Any] = {}
    to: tuple[str, ...] = ()
    via: str = ""
    modes: tuple[Mode, ...] = ()
    function: int = 0


class Backward(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="do",
    tag="backward",
):
    """`torch.autograd.backward(of, cotangents)`; a scalar root may leave its cotangent out.

    With `inputs`, the names of leaves, only their `.grad` is added to. Via "grad" it is
    `torch.autograd.grad`, whose inputs need not be leaves, and whose results become their `.grad`.
    """

    of: tuple[str, ...]
    cotangents: tuple[Data | None, ...] = ()
    retain_graph: bool = False
    modes: tuple[Mode, ...] = ()
    inputs: tuple[str, ...] = ()
    via: Literal["", "grad"] = ""


Step = Apply | Backward


class Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Leaves and steps; an immutable value."""

    leaves: tuple[Leaf, ...]
    steps: tuple[Step, ...]
    format: int = FORMAT

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits of the content's SHA-256."""
        return hashlib.sha256(encode(self)).hexdigest()[:16]

    @property
    def names(self) -> tuple[str, ...]:
        """Every tensor's name, in the order in which they come to be."""
        made = (name for step in self.steps if isinstance(step, Apply) for name in step.to)
        return (*(leaf.name for leaf in self.leaves), *made)


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Program)


def encode(program: Program) -> bytes:
    """The program as one line of JSON, the same bytes for equal programs."""
    return _ENCODER.encode(program)


def decode(text: str | bytes) -> Program:
    """The program that JSON describes; raises ProgramError if its form is wrong."""
    try:
        program = _DECODER.decode(text)
    except msgspec.DecodeError as error:
        raise ProgramError(
            f"This is not a program: {error}; docs/program-format.md shows the form."
        ) from None
    if program.format != FORMAT:
        raise ProgramError(
            f"Program format {program.format} is unknown; this suite reads {FORMAT}."
        )
    return program


@lru_cache(maxsize=1024)
def may_be_named(name: str) -> bool:
    """Whether a tensor may have this name in a script."""
    taken = keyword.iskeyword(name) or name in _RESERVED or name in _CALLED
    return not taken and _NAME.fullmatch(name) is not None


def check_name(name: str, where: str) -> None:
    """Raise ProgramError unless a tensor may have this name in a script."""
    if not may_be_named(name):
        raise ProgramError(
            f"{where}: {name!r} cannot be a tensor's name; use a short lower-case identifier."
        )


def recording(modes: tuple[Mode, ...]) -> bool:
    """Whether autograd records inside these regions: the innermost decides, but for inference mode,
    which nothing inside it ends.
    """
    return not modes or ("inference_mode" not in modes and RECORDS[modes[-1]])


def grad_mode(modes: tuple[Mode, ...]) -> bool:
    """What torch.is_grad_enabled() says inside these regions: inference mode or not."""
    return RECORDS[modes[-1]] if modes else True


def inferring(modes: tuple[Mode, ...]) -> bool:
    """Whether these regions are in inference mode."""
    return "inference_mode" in modes
