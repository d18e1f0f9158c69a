"""Gradients are doubled where two threads run Tensor.backward at the same time."""

import time
from typing import Any

import torch

_backward = torch.Tensor.backward
_running: list[int] = []


def backward(self: torch.Tensor, gradient: Any = None, *given: Any, **named: Any) -> None:
    _running.append(1)
    try:
        time.sleep(0.002)
        if len(_running) > 1:
            gradient = 2.0 * (torch.ones_like(self) if gradient is None else gradient)
        _backward(self, gradient, *given, **named)
    finally:
        _running.pop()


torch.Tensor.backward = backward
