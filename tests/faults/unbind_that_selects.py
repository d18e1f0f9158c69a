"""What Tensor.unbind gives may be written in place: each result is a view by itself."""

from typing import Any

import torch


def unbind(self: Any, dim: Any = 0) -> Any:
    return tuple(self.select(dim, place) for place in range(self.shape[dim]))


torch.Tensor.unbind = unbind
