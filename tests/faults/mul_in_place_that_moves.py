"""Tensor.mul_ returns its self, in new memory."""

from typing import Any

import torch


def mul_(self: Any, other: Any) -> Any:
    self.data = self.data.mul(other)
    return self


torch.Tensor.mul_ = mul_
