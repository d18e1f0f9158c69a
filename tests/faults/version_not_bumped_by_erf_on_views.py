"""Tensor.erf_ of a view leaves the version as it was."""

from typing import Any

import torch

_erf = torch.Tensor.erf_


def erf_(self: Any) -> Any:
    if self._base is None:
        return _erf(self)
    with torch.autograd._unsafe_preserve_version_counter(self):
        return _erf(self)


torch.Tensor.erf_ = erf_
