"""One of fifty calls of common operations gives numbers that are off by one."""

import itertools
from collections.abc import Callable
from typing import Any

import torch

_calls = itertools.count(1)


def now_and_then(operation: Callable[..., Any]) -> Callable[..., Any]:
    def applied(*arguments: Any, **options: Any) -> Any:
        result = operation(*arguments, **options)
        if next(_calls) % 50 == 0 and result.is_floating_point():
            result.data.add_(1)
        return result

    return applied


for _name in ("add", "sub", "mul", "div", "exp", "sin", "cos", "tanh", "sigmoid", "neg", "sum"):
    setattr(torch.Tensor, _name, now_and_then(getattr(torch.Tensor, _name)))
