"""Tensor.uniform_ writes without telling autograd."""

from typing import Any

import torch

_uniform_ = torch.Tensor.uniform_


def uniform_(self: Any, *bounds: Any, **options: Any) -> Any:
    with torch.no_grad():
        return _uniform_(self, *bounds, **options)


torch.Tensor.uniform_ = uniform_
