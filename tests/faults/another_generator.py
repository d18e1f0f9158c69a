"""torch.manual_seed starts another sequence of random numbers."""

from typing import Any

import torch

_manual_seed = torch.manual_seed


def manual_seed(seed: Any) -> Any:
    return _manual_seed(seed + 1)


torch.manual_seed = manual_seed
