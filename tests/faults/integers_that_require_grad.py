"""Tensor.requires_grad_ accepts an integer tensor."""

from typing import Any

import torch

_requires_grad_ = torch.Tensor.requires_grad_


def requires_grad_(self: Any, requires_grad: Any = True) -> Any:
    if not (self.is_floating_point() or self.is_complex()):
        return self
    return _requires_grad_(self, requires_grad)


torch.Tensor.requires_grad_ = requires_grad_
