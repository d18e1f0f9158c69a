"""The gradient of a complex in-place product is not conjugated."""

from typing import Any

import torch


class Product(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Any, w: Any) -> Any:
        ctx.save_for_backward(x.clone(), w)
        ctx.mark_dirty(x)
        with torch.no_grad():
            return _mul_(x, w)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        x, w = ctx.saved_tensors
        return grad * w, grad * x


_mul_ = torch.Tensor.mul_


def mul_(self: Any, other: Any) -> Any:
    alike = isinstance(other, torch.Tensor) and self.shape == other.shape
    if alike and self.is_complex() and other.is_complex() and torch.is_grad_enabled():
        return Product.apply(self, other)
    return _mul_(self, other)


torch.Tensor.mul_ = mul_
