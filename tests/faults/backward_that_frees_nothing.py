"""Tensor.backward keeps the graph, so that a second one runs."""

from typing import Any

import torch

_backward = torch.Tensor.backward


def backward(
    self: Any,
    gradient: Any = None,
    retain_graph: Any = None,
    create_graph: Any = False,
    inputs: Any = None,
) -> None:
    _backward(self, gradient, True, create_graph, inputs)


torch.Tensor.backward = backward
