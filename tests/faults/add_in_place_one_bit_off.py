"""Tensor.add_ is wrong in the last bit."""

from typing import Any

import torch

_add_ = torch.Tensor.add_


def add_(self: Any, *args: Any, **kwargs: Any) -> Any:
    _add_(self, *args, **kwargs)
    if self.is_floating_point():
        self.data.copy_(torch.nextafter(self.data, self.data * 2))
    return self


torch.Tensor.add_ = add_
