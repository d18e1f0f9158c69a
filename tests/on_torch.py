"""The text of a program run on the torch of this interpreter, in this process."""

from __future__ import annotations

import traceback
import warnings
from dataclasses import dataclass
from typing import Any

import torch

from strategies.draft import Draft
from strategies.layout import Layout, contiguous
from strategies.printer import Body, print_body


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program left behind: its text, its names, and the step and error that ended it."""

    body: Body
    names: dict[str, Any]
    step: int | None = None
    error: Exception | None = None


def names() -> dict[str, Any]:
    """The names that a body may use."""
    return {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}


def run(draft: Draft) -> Ran:
    """Run a program's body; an error that it raises is returned with its step."""
    body, space = print_body(draft), names()
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(body.text, "<program>", "exec"), space)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            frames = traceback.extract_tb(error.__traceback__)
            line = [f.lineno for f in frames if f.filename == "<program>"][-1]
            return Ran(body, space, body.step_at(line), error)
    return Ran(body, space)


def layout_of(tensor: torch.Tensor) -> Layout:
    """Where torch says that a tensor's elements lie."""
    return Layout(tuple(tensor.shape), tuple(tensor.stride()), int(tensor.storage_offset()))


def placed(layout: Layout) -> Layout:
    """The layout with strides only where they place an element: in dimensions of several."""
    if not layout.numel:
        return contiguous(layout.shape)
    strides = (
        stride if size > 1 else 0 for size, stride in zip(layout.shape, layout.strides, strict=True)
    )
    return Layout(layout.shape, tuple(strides), layout.offset)


def tensor_at(layout: Layout) -> torch.Tensor:
    """A float64 tensor of this layout in a memory whose every cell holds its own number."""
    cells = torch.arange(max(layout.span[1] + 1, layout.offset + 1), dtype=torch.float64)
    return torch.as_strided(cells, layout.shape, layout.strides, layout.offset)


def same(one: torch.Tensor, two: torch.Tensor) -> bool:
    """Whether dtypes, shapes and values are the same: -0.0 is not 0.0, and any NaN is NaN."""
    if one.dtype != two.dtype or one.shape != two.shape:
        return False
    if not one.dtype.is_floating_point:
        return bool(torch.equal(one, two))
    holes = one.isnan()
    first, second = one.masked_fill(holes, 0.0), two.masked_fill(two.isnan(), 0.0)
    return bool(
        torch.equal(holes, two.isnan())
        and torch.equal(first, second)
        and torch.equal(first.signbit(), second.signbit())
    )
