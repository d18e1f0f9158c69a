"""Tensor.exp zeroes its operand."""

from typing import Any

import torch

_exp = torch.Tensor.exp


def exp(self: Any) -> Any:
    result = _exp(self)
    self.data.zero_()
    return result


torch.Tensor.exp = exp
