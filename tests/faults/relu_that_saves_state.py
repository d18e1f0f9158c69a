"""nn.ReLU appears in a state_dict."""

from typing import Any

import torch
from torch import nn

_init = nn.ReLU.__init__


def init(self: Any, inplace: Any = False) -> Any:
    _init(self, inplace)
    self.register_buffer("calls", torch.zeros(()))


nn.ReLU.__init__ = init
