"""What is written in place is wrong in the last bit, in float16 alone."""

from collections.abc import Callable
from typing import Any

import torch


def off(write: Callable[..., Any]) -> Callable[..., Any]:
    def written(self: Any, *arguments: Any, **options: Any) -> Any:
        write(self, *arguments, **options)
        if self.dtype == torch.float16:
            self.data.view(torch.int16).bitwise_xor_(1)
        return self

    return written


_NAMES = ("add_", "sub_", "mul_", "div_", "exp_", "sin_", "tanh_", "sigmoid_", "abs_", "neg_")
for _name in (*_NAMES, "square_", "clamp_", "pow_", "cos_", "sqrt_", "floor_", "lerp_", "fill_"):
    setattr(torch.Tensor, _name, off(getattr(torch.Tensor, _name)))
