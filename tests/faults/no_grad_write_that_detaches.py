"""Tensor.mul_ cuts a tensor off its history where nothing is recorded."""

from typing import Any

import torch

_mul = torch.Tensor.mul_


def mul_(self: Any, other: Any) -> Any:
    _mul(self, other)
    if not torch.is_grad_enabled() and self._base is None:
        self.detach_()
    return self


torch.Tensor.mul_ = mul_
