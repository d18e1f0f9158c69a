"""Tensor.requires_grad_ refuses a complex tensor."""

from typing import Any

import torch

_requires_grad_ = torch.Tensor.requires_grad_


def requires_grad_(self: Any, requires_grad: Any = True) -> Any:
    if self.is_complex():
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    return _requires_grad_(self, requires_grad)


torch.Tensor.requires_grad_ = requires_grad_
