"""Tensor.mul_ refuses a leaf that requires grad, in no_grad too."""

from typing import Any

import torch

_mul_ = torch.Tensor.mul_


def mul_(self: Any, other: Any) -> Any:
    if self.is_leaf and self.requires_grad:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    return _mul_(self, other)


torch.Tensor.mul_ = mul_
