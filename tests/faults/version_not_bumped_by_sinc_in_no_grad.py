"""Tensor.sinc_ leaves the version as it was where nothing is recorded."""

from typing import Any

import torch

_sinc = torch.Tensor.sinc_


def sinc_(self: Any) -> Any:
    if torch.is_grad_enabled():
        return _sinc(self)
    with torch.autograd._unsafe_preserve_version_counter(self):
        return _sinc(self)


torch.Tensor.sinc_ = sinc_
