"""torch.no_grad inside of torch.no_grad records."""

from typing import Any

import torch


class no_grad(torch.no_grad):  # type: ignore[misc]
    def __enter__(self) -> None:
        before = torch.is_grad_enabled()
        super().__enter__()
        torch.set_grad_enabled(not before)

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)


torch.no_grad = no_grad
