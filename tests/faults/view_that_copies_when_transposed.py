"""Views of a tensor that is not contiguous are copies."""

from collections.abc import Callable
from typing import Any

import torch


def copied(view: Callable[..., Any]) -> Callable[..., Any]:
    def copy(self: Any, *arguments: Any, **options: Any) -> Any:
        whole = self if self.is_contiguous() else self.contiguous()
        return view(whole, *arguments, **options)

    return copy


_VIEWS = ("view", "view_as", "expand_as", "t", "squeeze", "unsqueeze", "narrow", "select")
for _name in (*_VIEWS, "transpose", "permute", "flatten", "unbind", "diagonal", "expand"):
    setattr(torch.Tensor, _name, copied(getattr(torch.Tensor, _name)))
