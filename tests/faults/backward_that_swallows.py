"""Tensor.backward keeps errors to itself."""

import contextlib
from typing import Any

import torch

_backward = torch.Tensor.backward


def backward(self: Any, *arguments: Any, **options: Any) -> None:
    with contextlib.suppress(RuntimeError):
        _backward(self, *arguments, **options)


torch.Tensor.backward = backward
