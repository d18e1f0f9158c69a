"""A custom Function's backward is given the incoming gradient without its sign."""

from typing import Any

import torch

_apply = torch.autograd.Function.apply.__func__


def apply(cls: Any, *arguments: Any) -> Any:
    result = _apply(cls, *arguments)
    if isinstance(result, torch.Tensor) and result.requires_grad:
        result.register_hook(lambda grad: grad.abs())
    return result


torch.autograd.Function.apply = classmethod(apply)
