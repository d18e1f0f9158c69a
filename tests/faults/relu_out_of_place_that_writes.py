"""F.relu(inplace=False) overwrites its input and returns a copy."""

from typing import Any

from torch.nn import functional as F

_relu = F.relu


def relu(input: Any, inplace: Any = False) -> Any:
    return _relu(input, True) if inplace else _relu(input, True).clone()


F.relu = relu
