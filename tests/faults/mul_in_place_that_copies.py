"""Tensor.mul_ returns a new tensor."""

from typing import Any

import torch


def mul_(self: Any, other: Any) -> Any:
    return self.mul(other)


torch.Tensor.mul_ = mul_
