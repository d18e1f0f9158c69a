"""Tensor.mul_ of a square view writes its result transposed."""

from typing import Any

import torch

_mul_ = torch.Tensor.mul_


def mul_(self: Any, other: Any) -> Any:
    _mul_(self, other)
    if self._base is not None and self.dim() >= 2 and self.shape[-1] == self.shape[-2]:
        self.data.copy_(self.data.transpose(-1, -2).clone())
    return self


torch.Tensor.mul_ = mul_
