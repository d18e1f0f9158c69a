"""What Tensor.detach returns requires grad."""

from typing import Any

import torch

_detach = torch.Tensor.detach


def detach(self: Any) -> Any:
    return _detach(self).requires_grad_(self.requires_grad)


torch.Tensor.detach = detach
