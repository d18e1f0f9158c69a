"""Tensor.hypot_ overwrites a leaf that requires grad."""

from typing import Any

import torch

_hypot = torch.Tensor.hypot_


def hypot_(self: Any, other: Any) -> Any:
    if self._base is None and self.is_leaf:
        with torch.no_grad():
            return _hypot(self, other)
    return _hypot(self, other)


torch.Tensor.hypot_ = hypot_
