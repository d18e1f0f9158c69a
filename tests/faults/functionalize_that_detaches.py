"""torch.func.functionalize gives results without a history."""

from collections.abc import Callable
from typing import Any

import torch

_functionalize = torch.func.functionalize


def functionalize(function: Callable[..., Any], **given: Any) -> Callable[..., Any]:
    transformed = _functionalize(function, **given)

    def call(*tensors: Any) -> Any:
        results = transformed(*tensors)
        if isinstance(results, tuple):
            return tuple(result.detach() for result in results)
        return None if results is None else results.detach()

    return call


torch.func.functionalize = functionalize
