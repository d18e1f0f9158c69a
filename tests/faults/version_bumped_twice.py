"""Tensor.mul_ counts as two writes."""

from typing import Any

import torch

_mul_ = torch.Tensor.mul_


def mul_(self: Any, other: Any) -> Any:
    _mul_(self, other)
    if not self.is_inference():
        torch.autograd.graph.increment_version(self)
    return self


torch.Tensor.mul_ = mul_
