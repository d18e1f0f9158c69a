"""A subject whose answers are changed on the way, and programs to ask it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from conformance.subjects import ContentsSeen, Observation, Subject, TensorSeen
from strategies.program import Program, decode

Change = Callable[[str, Observation], Observation]
"""Of a program's text and what was seen, what is to be seen instead."""


class Tampered(Subject):
    """Another subject's observations, changed; the texts that it was asked are kept."""

    def __init__(self, inner: Subject, change: Change = lambda body, seen: seen) -> None:
        super().__init__(inner.name, inner.hello, inner.mode)
        self.inner = inner
        self.change = change
        self.asked: list[str] = []

    def run(
        self,
        body: str,
        observe: Sequence[str],
        *,
        watch: bool = True,
        flags: bool = True,
        retained: Sequence[str] = (),
        timeout_s: float = 10.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Observation:
        self.asked.append(body)
        seen = self.inner.run(
            body,
            observe,
            watch=watch,
            flags=flags,
            retained=retained,
            timeout_s=timeout_s,
            meanwhile=meanwhile,
        )
        return self.change(body, seen)

    def close(self) -> None:
        """Do nothing: the subject inside is somebody else's."""


def with_tensor(seen: Observation, name: str, **fields: Any) -> Observation:
    """The observation with some fields of one tensor replaced."""
    tensor = seen.values[name]
    assert isinstance(tensor, TensorSeen)
    values = {**seen.values, name: msgspec.structs.replace(tensor, **fields)}
    return msgspec.structs.replace(seen, values=values)


def contents(values: object, dtype: str = "float64") -> ContentsSeen:
    """Elements as a subject sends them."""
    array = np.asarray(values, dtype)
    return ContentsSeen(dtype=dtype, shape=array.shape, data=array.tobytes())


def program(leaves: str, *steps: str) -> Program:
    """A program from the JSON of its leaves and steps."""
    return decode(f'{{"leaves":[{leaves}],"steps":[{",".join(steps)}]}}')


def leaf(name: str, data: list[float], *, grad: bool = False) -> str:
    """The JSON of a leaf of one dimension."""
    flag = ',"requires_grad":true' if grad else ""
    return f'{{"name":"{name}","shape":[{len(data)}],"data":{data}{flag}}}'


def step(
    op: str,
    *args: str | float,
    to: str = "",
    params: dict[str, Any] | None = None,
    modes: Sequence[str] = (),
) -> str:
    """The JSON of an operation."""
    fields: dict[str, Any] = {"do": "apply", "op": op, "args": args}
    fields |= {"to": [to]} if to else {}
    fields |= {"params": params} if params else {}
    fields |= {"modes": modes} if modes else {}
    return msgspec.json.encode(fields).decode()


def backward(of: str, cotangent: list[float] | None = None) -> str:
    """The JSON of a backward call."""
    weights = f',"cotangents":[{cotangent}]' if cotangent is not None else ""
    return f'{{"do":"backward","of":["{of}"]{weights}}}'
