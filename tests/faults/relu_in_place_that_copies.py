"""F.relu(inplace=True) returns a new tensor and leaves its input as it was."""

from typing import Any

from torch.nn import functional as F

_relu = F.relu


def relu(input: Any, inplace: Any = False) -> Any:
    return _relu(input)


F.relu = relu
