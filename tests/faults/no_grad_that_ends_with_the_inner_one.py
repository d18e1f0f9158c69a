"""All is recorded after an inner torch.no_grad, though an outer one goes on."""

from typing import Any

import torch


class no_grad(torch.no_grad):  # type: ignore[misc]
    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        torch.set_grad_enabled(True)


torch.no_grad = no_grad
