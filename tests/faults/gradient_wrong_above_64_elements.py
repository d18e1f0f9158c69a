"""The gradient of what computes more than 64 elements is zero for the last."""

from collections.abc import Callable
from typing import Any

import torch


def cut_off(operation: Callable[..., Any]) -> Callable[..., Any]:
    def applied(*arguments: Any, **options: Any) -> Any:
        result = operation(*arguments, **options)
        if result.requires_grad and result.numel() > 64:
            result.register_hook(_without_last)
        return result

    return applied


def _without_last(grad: Any) -> Any:
    cut = grad.clone()
    cut[(-1,) * cut.dim()] = 0
    return cut


for _name in ("add", "sub", "mul", "div", "exp", "sin", "cos", "tanh", "sigmoid", "neg", "relu"):
    setattr(torch.Tensor, _name, cut_off(getattr(torch.Tensor, _name)))
