"""What Tensor.detach returns is a view with the history of its source."""

from typing import Any

import torch


def detach(self: Any) -> Any:
    return self.view_as(self)


torch.Tensor.detach = detach
