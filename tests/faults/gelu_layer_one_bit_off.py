"""nn.GELU differs from F.gelu in the last bit."""

from typing import Any

from torch import nn
from torch.nn import functional as F


def forward(self: Any, input: Any) -> Any:
    return F.gelu(input) * (1 + 2**-52)


nn.GELU.forward = forward
