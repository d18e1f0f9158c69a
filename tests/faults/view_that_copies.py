"""Views are copies."""

from collections.abc import Callable
from typing import Any

import torch


def copied(view: Callable[..., Any]) -> Callable[..., Any]:
    def copy(self: Any, *arguments: Any, **options: Any) -> Any:
        return view(self.clone(), *arguments, **options)

    return copy


for _name in ("view", "view_as", "expand_as", "t", "squeeze", "unsqueeze", "narrow", "select"):
    setattr(torch.Tensor, _name, copied(getattr(torch.Tensor, _name)))
