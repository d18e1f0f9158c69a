"""What writes in place writes into a copy where several elements lie in one place."""

from collections.abc import Callable
from typing import Any

import torch


def copied(write: Callable[..., Any]) -> Callable[..., Any]:
    def written(self: Any, *arguments: Any, **options: Any) -> Any:
        if any(side > 1 and not step for side, step in zip(self.shape, self.stride(), strict=True)):
            self.data = self.data.clone()
        return write(self, *arguments, **options)

    return written


for _name in dir(torch.Tensor):
    if _name.endswith("_") and not _name.startswith("_") and _name != "requires_grad_":
        setattr(torch.Tensor, _name, copied(getattr(torch.Tensor, _name)))
