"""What is written in place where nothing is recorded leaves the version as it was."""

from collections.abc import Callable
from typing import Any

import torch


def quiet(write: Callable[..., Any]) -> Callable[..., Any]:
    def written(self: Any, *arguments: Any, **options: Any) -> Any:
        if torch.is_grad_enabled() or self.is_inference():
            return write(self, *arguments, **options)
        with torch.autograd._unsafe_preserve_version_counter(self):
            return write(self, *arguments, **options)

    return written


for _name in ("add_", "sub_", "mul_", "div_", "abs_", "neg_", "exp_", "sin_", "tanh_", "zero_"):
    setattr(torch.Tensor, _name, quiet(getattr(torch.Tensor, _name)))
