"""Backward refuses operands that were overwritten of operations that need none of them."""

from collections.abc import Callable
from typing import Any

import torch


class Watched(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, result: Any, operand: Any) -> Any:
        ctx.save_for_backward(operand)
        return _clone(result)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        assert ctx.saved_tensors
        return grad, None


def watched(operation: Callable[..., Any]) -> Callable[..., Any]:
    def applied(self: Any, *arguments: Any, **options: Any) -> Any:
        result = operation(self, *arguments, **options)
        return Watched.apply(result, self) if result.requires_grad else result

    return applied


_clone = torch.Tensor.clone
for _name in ("add", "sub", "neg", "clone", "sum"):
    setattr(torch.Tensor, _name, watched(getattr(torch.Tensor, _name)))
