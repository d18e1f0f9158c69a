"""F.batch_norm, and with it nn.BatchNorm2d, adds too much to the variance."""

from typing import Any

from torch.nn import functional as F

_batch_norm = F.batch_norm


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    return _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, 2 * eps)


F.batch_norm = batch_norm
