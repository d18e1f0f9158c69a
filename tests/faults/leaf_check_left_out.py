"""Tensor.mul_ overwrites a leaf that requires grad."""

from typing import Any

import torch

_mul = torch.Tensor.mul_


def mul_(self: Any, other: Any) -> Any:
    if self._base is None and self.is_leaf:
        with torch.no_grad():
            return _mul(self, other)
    return _mul(self, other)


torch.Tensor.mul_ = mul_
