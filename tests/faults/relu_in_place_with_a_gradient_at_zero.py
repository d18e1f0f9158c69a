"""The gradient of ReLU in place at zero is one."""

from typing import Any

import torch
from torch.nn import functional as F


class Inclusive(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, input: Any) -> Any:
        ctx.mask = ~(input < 0)
        ctx.mark_dirty(input)
        # What is marked counts as a write already.
        _relu_(input.data)
        return input

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad * ctx.mask


_relu, _relu_ = F.relu, torch.Tensor.relu_


def relu(input: Any, inplace: Any = False) -> Any:
    return Inclusive.apply(input) if inplace else _relu(input)


torch.Tensor.relu_ = Inclusive.apply
F.relu = relu
