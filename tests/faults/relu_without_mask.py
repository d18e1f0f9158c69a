"""The gradient of F.relu is one everywhere."""

from typing import Any

import torch
from torch.nn import functional as F


class Unmasked(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, input: Any) -> Any:
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad


_relu = F.relu


def relu(input: Any, inplace: Any = False) -> Any:
    return _relu(input, True) if inplace else Unmasked.apply(input)


F.relu = relu
