"""Whatever writes in place overwrites a leaf that requires grad."""

from collections.abc import Callable
from typing import Any

import torch

_WITHOUT_CHECK = ("requires_grad_", "detach_", "share_memory_")


def unchecked(write: Callable[..., Any]) -> Callable[..., Any]:
    def written(self: Any, *arguments: Any, **options: Any) -> Any:
        if self._base is None and self.requires_grad and self.is_leaf:
            with torch.no_grad():
                return write(self, *arguments, **options)
        return write(self, *arguments, **options)

    return written


for _name in dir(torch.Tensor):
    if _name.endswith("_") and not _name.startswith("_") and _name not in _WITHOUT_CHECK:
        setattr(torch.Tensor, _name, unchecked(getattr(torch.Tensor, _name)))
