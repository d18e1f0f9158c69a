"""The gradient of a sum or a product without dimensions is twice what it should be."""

from collections.abc import Callable
from typing import Any

import torch


def doubled(operation: Callable[..., Any]) -> Callable[..., Any]:
    def applied(self: Any, other: Any, **options: Any) -> Any:
        result = operation(self, other, **options)
        if result.requires_grad and not result.dim():
            result.register_hook(lambda grad: 2 * grad)
        return result

    return applied


for _name in ("add", "mul"):
    setattr(torch.Tensor, _name, doubled(getattr(torch.Tensor, _name)))
