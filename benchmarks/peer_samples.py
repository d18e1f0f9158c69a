"""Torch's gradient tests by its own OpInfo: gradcheck over samples, in place on a clone."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import torch
from torch.nn import functional as F

_BY_CHANCE = ("div_trunc_rounding", "div_floor_rounding")
"""With other random numbers a sample lies beside a step, where finite differences are wrong."""


@cache
def _database() -> list[Any]:
    return list(importlib.import_module("torch.testing._internal.common_methods_invocations").op_db)


def refreshed() -> None:
    """Bind the names of torch anew: OpInfo keeps what stood there when it was imported."""
    for op in _database():
        short = op.name.rpartition(".")[2]
        place = F if op.name.startswith("nn.functional.") else torch
        if getattr(op.op, "__name__", "") == short and hasattr(place, short):
            op.op = getattr(place, short)
        if op.method_variant is not None and hasattr(torch.Tensor, short):
            op.method_variant = getattr(torch.Tensor, short)
        if op.inplace_variant is not None and hasattr(torch.Tensor, f"{short}_"):
            op.inplace_variant = getattr(torch.Tensor, f"{short}_")


def gradchecks(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Check every sample of the operations of these names, in float64: (check, what failed)."""
    for op in _database():
        if op.name not in names and op.name.rpartition(".")[2] not in names:
            continue
        if op.formatted_name in _BY_CHANCE:
            continue
        if not op.supports_autograd or not op.supports_dtype(torch.float64, "cpu"):
            continue
        for kind, variant in _variants(op):
            check = f"{kind} {op.formatted_name}"
            # As torch's tests do before each: some samples lie beside a step, and fail by chance.
            torch.default_generator.manual_seed(1234)
            # Whatever a check raises is a failure that its user sees.
            try:
                for sample in op.sample_inputs("cpu", torch.float64, requires_grad=True):
                    if not (sample.broadcasts_input and kind == "in place"):
                        _gradcheck(op, variant, sample)
            except Exception as error:  # noqa: BLE001
                yield check, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            else:
                yield check, ""


def _variants(op: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The function and, as torch's tests do not, the method; the in-place method on a clone."""
    yield "function", op.op
    if op.method_variant is not None and "." not in op.name:
        yield "method", op.method_variant
    if op.inplace_variant is not None and op.supports_inplace_autograd:
        yield (
            "in place",
            lambda x, *rest, **options: op.inplace_variant(x.clone(), *rest, **options),
        )


def _gradcheck(op: Any, variant: Callable[..., Any], sample: Any) -> None:
    """As `_check_helper` of torch.testing._internal.common_utils, backward alone, in one call."""
    given = [sample.input, *sample.args, *sample.kwargs.values()]
    flat = [t for one in given for t in (one if isinstance(one, (list, tuple)) else [one])]
    leaves = [t for t in flat if isinstance(t, torch.Tensor) and t.requires_grad]

    def call(*inputs: Any) -> Any:
        new = {id(old): fresh for old, fresh in zip(leaves, inputs, strict=True)}

        def put(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)(map(put, value))
            return new.get(id(value), value)

        options = {key: put(value) for key, value in sample.kwargs.items()}
        result = op.gradcheck_wrapper(variant, put(sample.input), *map(put, sample.args), **options)
        return sample.output_process_fn_grad(result) if sample.output_process_fn_grad else result

    if leaves:
        torch.autograd.gradcheck(
            call,
            tuple(leaves),
            nondet_tol=op.gradcheck_nondet_tol,
            fast_mode=op.gradcheck_fast_mode,
            check_grad_dtypes=True,
        )
