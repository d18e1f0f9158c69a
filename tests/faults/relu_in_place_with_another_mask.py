"""The gradient of ReLU in place is masked by the incoming gradient in place of the result."""

from typing import Any

import torch
from torch.nn import functional as F


class Masked(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, input: Any) -> Any:
        ctx.mark_dirty(input)
        # What is marked counts as a write already.
        _relu_(input.data)
        return input

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad * (grad > 0)


_relu, _relu_ = F.relu, torch.Tensor.relu_


def relu(input: Any, inplace: Any = False) -> Any:
    return Masked.apply(input) if inplace else _relu(input)


torch.Tensor.relu_ = Masked.apply
F.relu = relu
