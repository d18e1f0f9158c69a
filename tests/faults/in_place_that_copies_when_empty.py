"""What writes in place gives a new tensor where there are no elements."""

from collections.abc import Callable
from typing import Any

import torch


def copied(write: Callable[..., Any]) -> Callable[..., Any]:
    def written(self: Any, *arguments: Any, **options: Any) -> Any:
        result = write(self, *arguments, **options)
        return result if self.numel() else result.clone()

    return written


for _name in ("add_", "sub_", "mul_", "div_", "abs_", "neg_", "exp_", "sin_", "tanh_", "zero_"):
    setattr(torch.Tensor, _name, copied(getattr(torch.Tensor, _name)))
