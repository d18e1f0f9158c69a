"""Tensor.mul_ of a view does not reach what it is a view of."""

from typing import Any

import torch

_mul_ = torch.Tensor.mul_


def mul_(self: Any, other: Any) -> Any:
    _mul_(self, other)
    if self._base is not None and isinstance(other, (int, float)) and other:
        written = self.data.clone()
        self.data.div_(other)
        self.data = written
    return self


torch.Tensor.mul_ = mul_
