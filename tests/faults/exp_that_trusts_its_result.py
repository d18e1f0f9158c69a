"""The gradient of Tensor.exp reads its result as it is by then."""

from typing import Any

import torch


class Exponential(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, input: Any) -> Any:
        result = _exp(input)
        ctx.result = result.data
        return result

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad * ctx.result


_exp = torch.Tensor.exp


def exp(self: Any) -> Any:
    return Exponential.apply(self) if self.requires_grad else _exp(self)


torch.Tensor.exp = exp
