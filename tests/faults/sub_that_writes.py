"""`x - y` writes into x."""

from typing import Any

import torch


def sub(self: Any, other: Any) -> Any:
    return self.sub_(other)


torch.Tensor.__sub__ = sub
