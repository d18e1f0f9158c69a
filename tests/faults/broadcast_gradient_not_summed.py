"""The gradient of what was broadcast is that of one element, and not the sum of all."""

from collections.abc import Callable
from typing import Any

import torch


class Spread(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, input: Any, shape: Any) -> Any:
        ctx.shape = input.shape
        return input.expand(shape).clone()

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        for _ in range(grad.dim() - len(ctx.shape)):
            grad = grad[0]
        return grad[tuple(slice(side) for side in ctx.shape)], None


def spread(operation: Callable[..., Any]) -> Callable[..., Any]:
    def applied(self: Any, other: Any, **options: Any) -> Any:
        narrower = isinstance(other, torch.Tensor) and other.numel() < self.numel()
        if narrower and other.requires_grad and other.dim() <= self.dim():
            other = Spread.apply(other, self.shape)
        return operation(self, other, **options)

    return applied


for _name in ("add", "sub", "mul", "div"):
    setattr(torch.Tensor, _name, spread(getattr(torch.Tensor, _name)))
    setattr(torch, _name, spread(getattr(torch, _name)))
