"""What operations compute in functional torch where the table's plain spelling is not it.

They have no plain form, or torch's own value or gradient is a wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F


def _hardsigmoid(x: torch.Tensor) -> torch.Tensor:
    """As it is documented: torch's own slope on the CPU is a float32 quotient."""
    # Unlike hardtanh it lets no gradient pass at NaN.
    inside = (x > -3.0) & (x < 3.0)
    return torch.where(inside, x, F.hardtanh(x, -3.0, 3.0).detach()) / 6 + 0.5


def _as_tensor(value: torch.Tensor | float, like: torch.Tensor) -> torch.Tensor:
    """A value without its leading dimensions of size 1, as `x[...] = value` takes it."""
    given = value if isinstance(value, torch.Tensor) else torch.full((), value, dtype=like.dtype)
    while given.ndim and given.shape[0] == 1:
        given = given[0]
    return given


def _filled(x: torch.Tensor, value: torch.Tensor | float) -> torch.Tensor:
    return _as_tensor(value, x).expand(x.shape)


def _put_at(x: torch.Tensor, index: torch.Tensor, value: torch.Tensor | float) -> torch.Tensor:
    return x.index_put((index,), _as_tensor(value, x))


def _put_second(x: torch.Tensor, index: torch.Tensor, value: torch.Tensor | float) -> torch.Tensor:
    every = torch.arange(x.shape[0]).reshape(-1, *[1] * index.ndim)
    return x.index_put((every, index), _as_tensor(value, x))


def _put_twice(x: torch.Tensor, index: torch.Tensor, value: torch.Tensor | float) -> torch.Tensor:
    return x.index_put((index, index), _as_tensor(value, x))


def _put_rows(x: torch.Tensor, index: torch.Tensor, value: torch.Tensor | float) -> torch.Tensor:
    return x.index_put(tuple(index), _as_tensor(value, x))


def _put_where(x: torch.Tensor, mask: torch.Tensor, value: torch.Tensor | float) -> torch.Tensor:
    return torch.where(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), value, x)


OWN: dict[str, Callable[..., torch.Tensor]] = {
    "hardsigmoid": _hardsigmoid,
    "copy": lambda x, src: src.expand(x.shape),
    "foreach_copy": lambda x, src: src.expand(x.shape),
    "fill": _filled,
    "fill_diagonal": _filled,
    "zero": torch.zeros_like,
    "setitem": _filled,
    "setitem_at": _put_at,
    "setitem_second": _put_second,
    "setitem_twice": _put_twice,
    "setitem_rows": _put_rows,
    "setitem_where": _put_where,
}
"""Row -> what it computes, for rows that have no plain form, or a wrong one."""


def diagonal_of(x: torch.Tensor, *, wrap: bool = False) -> torch.Tensor:
    """The elements whose positions are the same in all dimensions; wrapped, as numpy fills them."""
    if wrap and x.ndim == 2:
        mask = np.zeros(x.shape, bool)
        np.fill_diagonal(mask, val=True, wrap=True)
        return x[torch.from_numpy(mask)]
    square = x[tuple(slice(min(x.shape)) for _ in x.shape)]
    return torch.einsum(f"{'i' * x.ndim}->i", square)


def without_excluded(
    name: str, operands: list[Any], params: Mapping[str, Any]
) -> tuple[list[Any], Mapping[str, Any]]:
    """Operands and parameters that mean the same with `include_self`.

    Torch's gradient of amax and amin counts elements of self as ties that take no part.
    """
    if params.get("include_self", True) or params["reduce"] not in ("amax", "amin"):
        return operands, params
    x, index, *rest = operands
    least = -math.inf if params["reduce"] == "amax" else math.inf
    put = torch.scatter if name == "scatter_reduce" else torch.index_fill
    return [put(x, params["dim"], index, least), index, *rest], {**params, "include_self": True}
