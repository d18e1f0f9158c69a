"""What is written in place is wrong in the last element of more than 64."""

from collections.abc import Callable
from typing import Any

import torch


def cut_off(write: Callable[..., Any]) -> Callable[..., Any]:
    def written(self: Any, *arguments: Any, **options: Any) -> Any:
        write(self, *arguments, **options)
        if self.numel() > 64:
            self.data[(-1,) * self.dim()] = 0
        return self

    return written


_NAMES = ("add_", "sub_", "mul_", "div_", "exp_", "sin_", "tanh_", "sigmoid_", "abs_", "neg_")
for _name in (*_NAMES, "square_", "clamp_", "pow_", "cos_", "sqrt_", "floor_", "lerp_", "fill_"):
    setattr(torch.Tensor, _name, cut_off(getattr(torch.Tensor, _name)))
