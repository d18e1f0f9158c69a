"""torch.clamp turns an infinity into NaN."""

from typing import Any

import torch

_clamp = torch.clamp


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    return _clamp(input * 0 + input, min, max)


torch.clamp = clamp
