"""A custom Function's backward is ignored: its forward is differentiated instead."""

from typing import Any

import torch


class Context:
    def save_for_backward(self, *tensors: Any) -> None:
        self.saved_tensors = tensors


def apply(cls: Any, *args: Any) -> Any:
    return cls.forward(Context(), *args)


torch.autograd.Function.apply = classmethod(apply)
