"""What is written in place through a view of a leaf that requires grad overwrites the leaf."""

from collections.abc import Callable
from typing import Any

import torch


def unchecked(write: Callable[..., Any]) -> Callable[..., Any]:
    def written(self: Any, *arguments: Any, **options: Any) -> Any:
        base = self._base
        if base is not None and base.requires_grad and base.is_leaf:
            with torch.no_grad():
                return write(self, *arguments, **options)
        return write(self, *arguments, **options)

    return written


for _name in ("add_", "sub_", "mul_", "div_", "abs_", "neg_", "exp_", "sin_", "tanh_", "zero_"):
    setattr(torch.Tensor, _name, unchecked(getattr(torch.Tensor, _name)))
