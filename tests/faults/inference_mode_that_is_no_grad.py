"""What is made in torch.inference_mode can be used by autograd afterwards."""

from typing import Any

import torch


class inference_mode(torch.no_grad):  # type: ignore[misc]
    def __init__(self, mode: Any = True) -> None:
        super().__init__()


torch.inference_mode = inference_mode
