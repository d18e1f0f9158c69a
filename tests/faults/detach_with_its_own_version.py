"""What Tensor.detach returns counts its versions apart from its source."""

from typing import Any

import torch


def detach(self: Any) -> Any:
    return self.data


torch.Tensor.detach = detach
