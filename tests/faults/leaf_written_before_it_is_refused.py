"""Tensor.mul_ refuses a leaf that requires grad, after it has written it."""

from typing import Any

import torch

_mul_ = torch.Tensor.mul_


def mul_(self: Any, other: Any) -> Any:
    if torch.is_grad_enabled() and self._base is None and self.requires_grad and self.is_leaf:
        self.data.neg_()
    return _mul_(self, other)


torch.Tensor.mul_ = mul_
