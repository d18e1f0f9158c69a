"""A view made in no_grad does not require grad: what is documented, and torch does not do."""

from typing import Any

import torch

_view_as = torch.Tensor.view_as


def view_as(self: Any, other: Any) -> Any:
    view = _view_as(self, other)
    return view if torch.is_grad_enabled() else view.detach()


torch.Tensor.view_as = view_as
