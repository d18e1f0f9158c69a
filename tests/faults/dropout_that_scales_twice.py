"""The gradient of F.dropout is scaled twice."""

from typing import Any

import torch
from torch.nn import functional as F


class Doubled(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, input: Any) -> Any:
        return input.clone()

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad * 2


_dropout = F.dropout


def dropout(input: Any, p: Any = 0.5, training: Any = True, inplace: Any = False) -> Any:
    return _dropout(Doubled.apply(input), p, training, inplace)


F.dropout = dropout
