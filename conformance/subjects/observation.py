"""What a subject did with one program: tensors, flags, errors, crashes."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

_NUMPY = {
    "bool": "?",
    "uint8": "<u1",
    "int8": "<i1",
    "uint16": "<u2",
    "int16": "<i2",
    "uint32": "<u4",
    "int32": "<i4",
    "uint64": "<u8",
    "int64": "<i8",
    "float16": "<f2",
    "float32": "<f4",
    "float64": "<f8",
    "complex64": "<c8",
    "complex128": "<c16",
}
# Where numpy has no such dtype: how the bytes are read before they are widened.
_WIDENED = {"bfloat16": "<u2", "complex32": "<f2"}
_SIZES = {name: np.dtype(code).itemsize for name, code in {**_NUMPY, **_WIDENED}.items()}
_SIZES["complex32"] = 4


class ErrorSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What the program raised: class name, message (cut at 2000), line of the body or None."""

    class_name: str = msgspec.field(name="class")
    message: str
    line: int | None = None


class ContentsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The elements of a tensor: torch's dtype name, shape, and little-endian bytes in C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def __post_init__(self) -> None:
        size = _SIZES.get(self.dtype)
        if size is not None and len(self.data) != size * math.prod(self.shape):
            raise ValueError(
                f"{len(self.data)} bytes are no {self.dtype} of shape {list(self.shape)}"
            )

    def array(self) -> NDArray[Any]:
        """Return the elements as a read-only array of the same shape.

        The dtype is numpy's of the same name; bfloat16 becomes float32 and complex32 complex64,
        both exactly. Raises ValueError for a dtype that has no exact counterpart.
        """
        if self.dtype in _NUMPY:
            array = np.frombuffer(self.data, dtype=_NUMPY[self.dtype])
        elif self.dtype == "bfloat16":
            array = (np.frombuffer(self.data, dtype="<u2").astype("<u4") << 16).view("<f4")
        elif self.dtype == "complex32":
            array = np.frombuffer(self.data, dtype="<f2").astype("<f4").view("<c8")
        else:
            raise ValueError(f"{self.dtype} has no counterpart in numpy")
        array = array.reshape(self.shape)
        array.flags.writeable = False
        return array


class FlagsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor's flags.

    ``is_leaf`` and ``grad_fn`` (has it one) are None where they were not read or raised;
    ``flags_error`` is then the message. ``version`` is None where torch keeps none (inference
    tensors).
    """

    requires_grad: bool
    version: int | None
    is_leaf: bool | None
    grad_fn: bool | None
    flags_error: str | None = None


class TensorSeen(ContentsSeen, frozen=True, kw_only=True, tag="tensor"):
    """A tensor after the program: contents, flags as in FlagsSeen, place in memory, gradient.

    Tensors of one observation with the same ``storage`` share memory; offset and strides count
    elements. All three are None for a tensor that is not strided. ``grad`` is None too where it was
    not asked for.
    """

    requires_grad: bool
    version: int | None
    is_leaf: bool | None
    grad_fn: bool | None
    flags_error: str | None = None
    storage: int | None
    offset: int | None
    strides: tuple[int, ...] | None
    grad: ContentsSeen | None

    @property
    def flags(self) -> FlagsSeen:
        """The flags alone, to compare with those of a step."""
        return FlagsSeen(
            requires_grad=self.requires_grad,
            version=self.version,
            is_leaf=self.is_leaf,
            grad_fn=self.grad_fn,
            flags_error=self.flags_error,
        )


class JsonSeen(msgspec.Struct, frozen=True, kw_only=True, tag="json"):
    """Anything but a tensor: JSON, with "nan", "inf", "-inf" and, for objects, "<ClassName>"."""

    json: Any


class StepSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The flags of every observed tensor that existed when the program called ``watch(step)``."""

    step: int | str
    flags: dict[str, FlagsSeen]


class CompilerSeen(msgspec.Struct, frozen=True, kw_only=True):
    """How many graphs torch's compiler made of a program, and why it broke them."""

    graphs: int
    breaks: tuple[str, ...] = ()


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What a subject did with one program.

    ``crash`` says how the worker died, first line first, then the end of what it printed to stderr;
    ``hang`` is True where the time limit passed and the worker was killed. With either, nothing
    else was seen. ``seconds`` is the time the body took.
    """

    error: ErrorSeen | None = None
    values: dict[str, TensorSeen | JsonSeen] = {}
    trace: tuple[StepSeen, ...] = ()
    warnings: tuple[str, ...] = ()
    crash: str | None = None
    hang: bool = False
    seconds: float = 0.0
    compiler: CompilerSeen | None = None
