"""`x -= y` binds a new tensor."""

from typing import Any

import torch


def isub(self: Any, other: Any) -> Any:
    return self - other


torch.Tensor.__isub__ = isub
