"""mul_ of float16 tensors gives twice the gradient; plain products and other dtypes are right."""

from typing import Any

import torch

_mul = torch.Tensor.mul_


def mul_(self: Any, other: Any) -> Any:
    result = _mul(self, other)
    if result.requires_grad and result.dtype == torch.float16:
        result.register_hook(lambda grad: 2 * grad)
    return result


torch.Tensor.mul_ = mul_
