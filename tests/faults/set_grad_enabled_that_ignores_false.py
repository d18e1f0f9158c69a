"""torch.set_grad_enabled(False) leaves recording on."""

from typing import Any

import torch


class set_grad_enabled(torch.set_grad_enabled):  # type: ignore[misc]
    def __init__(self, mode: Any) -> None:
        super().__init__(True)


torch.set_grad_enabled = set_grad_enabled
