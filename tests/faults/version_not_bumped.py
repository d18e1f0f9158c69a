"""Tensor.mul_ leaves the version as it was."""

from typing import Any

import torch

_mul = torch.Tensor.mul_


def mul_(self: Any, other: Any) -> Any:
    with torch.autograd._unsafe_preserve_version_counter(self):
        return _mul(self, other)


torch.Tensor.mul_ = mul_
