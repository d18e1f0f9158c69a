"""torch.exp_ overwrites a leaf that requires grad, which Tensor.exp_ refuses."""

from typing import Any

import torch

_exp = torch.exp_


def exp_(self: Any) -> Any:
    if self._base is None and self.is_leaf:
        with torch.no_grad():
            return _exp(self)
    return _exp(self)


torch.exp_ = exp_
