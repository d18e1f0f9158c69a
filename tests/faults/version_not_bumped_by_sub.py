"""Tensor.sub_ leaves the version as it was."""

from typing import Any

import torch

_sub = torch.Tensor.sub_


def sub_(self: Any, *arguments: Any, **options: Any) -> Any:
    with torch.autograd._unsafe_preserve_version_counter(self):
        return _sub(self, *arguments, **options)


torch.Tensor.sub_ = sub_
