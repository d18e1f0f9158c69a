"""Tensor.frac_ refuses a leaf that requires grad inside of no_grad as well."""

from typing import Any

import torch

_frac = torch.Tensor.frac_


def frac_(self: Any) -> Any:
    if self._base is None and self.is_leaf and self.requires_grad:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    return _frac(self)


torch.Tensor.frac_ = frac_
