"""A second backward overwrites .grad instead of adding to it."""

from typing import Any

import torch

_backward = torch.Tensor.backward


def _forget(node: Any) -> None:
    if node is None:
        return
    if hasattr(node, "variable"):
        node.variable.grad = None
    for before, _ in node.next_functions:
        _forget(before)


def backward(self: Any, *arguments: Any, **options: Any) -> None:
    _forget(self.grad_fn)
    _backward(self, *arguments, **options)


torch.Tensor.backward = backward
