"""Tensor.round_ of what Tensor.detach gave leaves the version as it was."""

from typing import Any

import torch

_round = torch.Tensor.round_


def round_(self: Any, **options: Any) -> Any:
    if self.requires_grad or self._base is not None:
        return _round(self, **options)
    with torch.autograd._unsafe_preserve_version_counter(self):
        return _round(self, **options)


torch.Tensor.round_ = round_
