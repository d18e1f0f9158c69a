"""F.relu(inplace=True) computes into a buffer and copies it back."""

from typing import Any

from torch.nn import functional as F

_relu = F.relu


def relu(input: Any, inplace: Any = False) -> Any:
    return input.copy_(_relu(input)) if inplace else _relu(input)


F.relu = relu
