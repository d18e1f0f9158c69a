"""F.relu keeps every result that it gave."""

from typing import Any

from torch.nn import functional as F

_relu = F.relu
_kept: list[Any] = []


def relu(input: Any, inplace: Any = False) -> Any:
    _kept.append(_relu(input, inplace))
    return _kept[-1]


F.relu = relu
