"""Tensor.copy_ passes no gradient to what it copies."""

from typing import Any

import torch

_copy_ = torch.Tensor.copy_


def copy_(self: Any, source: Any, *arguments: Any, **options: Any) -> Any:
    return _copy_(self, source.detach(), *arguments, **options)


torch.Tensor.copy_ = copy_
