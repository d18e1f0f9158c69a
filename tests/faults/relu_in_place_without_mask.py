"""The gradient of ReLU in place is one everywhere."""

from typing import Any

import torch
from torch.nn import functional as F

_relu, _relu_ = F.relu, torch.Tensor.relu_


def relu_(self: Any) -> Any:
    with torch.no_grad():
        return _relu_(self)


def relu(input: Any, inplace: Any = False) -> Any:
    return relu_(input) if inplace else _relu(input)


torch.Tensor.relu_ = relu_
F.relu = relu
