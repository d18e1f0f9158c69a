"""The gradient of a product is twice what it should be."""

from collections.abc import Callable
from typing import Any

import torch


def doubled(mul: Callable[..., Any]) -> Callable[..., Any]:
    def product(self: Any, other: Any) -> Any:
        result = mul(self, other)
        if result.requires_grad:
            result.register_hook(lambda grad: 2 * grad)
        return result

    return product


torch.Tensor.mul = doubled(torch.Tensor.mul)
torch.Tensor.__mul__ = doubled(torch.Tensor.__mul__)
torch.mul = doubled(torch.mul)
