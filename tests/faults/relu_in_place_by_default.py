"""F.relu writes into its input unless told otherwise."""

from typing import Any

from torch.nn import functional as F

_relu = F.relu


def relu(input: Any, inplace: Any = True) -> Any:
    return _relu(input, inplace)


F.relu = relu
