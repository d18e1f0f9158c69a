"""The gradient of F.relu at zero is one."""

from typing import Any

import torch
from torch.nn import functional as F


class Inclusive(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, input: Any) -> Any:
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (input,) = ctx.saved_tensors
        return grad * (~(input < 0))


_relu = F.relu


def relu(input: Any, inplace: Any = False) -> Any:
    return _relu(input, True) if inplace else Inclusive.apply(input)


F.relu = relu
