"""Single statements of a torch script: leaves, operations, backward calls.

Only validated identifiers and numbers are interpolated.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.draft import Draft, Shaped, Value, placed_in, spelling
from strategies.layout import Layout
from strategies.program import Backward, Data, Leaf
from strategies.values import materialise


def number(value: float | int | bool | None) -> str:
    """A Python literal that means exactly this number."""
    if value is None or isinstance(value, (bool, int)):
        return repr(value)
    return repr(float(value)) if math.isfinite(value) else f'float("{value}")'


def literal(array: NDArray[Any], device: str = "cpu", extra: str = "") -> str:
    """A torch expression that builds a tensor of this dtype, shape and values, not a view."""
    place = "" if device == "cpu" else f', device="{device}"'
    dtype = f"dtype=torch.{_dtype_name(array.dtype)}"
    if array.size == 0 and array.shape:
        return f"torch.zeros({tuple(array.shape)}, {dtype}{place}{extra})"
    values = array.tolist()
    text = repr(values)
    # Python writes infinities and NaN as nothing that it reads; no other number has this letter.
    text = _nested(values) if "n" in text else text
    return f"torch.tensor({text}, {dtype}{place}{extra})"


@cache
def _dtype_name(dtype: np.dtype[Any]) -> str:
    return str(dtype.name)


def _nested(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_nested, value))}]"
    return number(value)


def leaf_line(leaf: Leaf, device: str) -> str:
    array = materialise(leaf.data, leaf.shape, leaf.dtype, leaf.name)
    extra = ", requires_grad=True" if leaf.requires_grad else ""
    return f"{leaf.name} = {literal(array, device, extra)}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        items = [_plain(item) for item in value]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    if isinstance(value, str):
        return 'float("inf")' if value == "inf" else f'"{value}"'
    return number(value)


def _subscript(item: Any) -> str:
    if item == "...":
        return "..."
    if item is None or isinstance(item, int):
        return repr(item)
    start, stop, step = ("" if part is None else repr(part) for part in item)
    return f"{start}:{stop}" + (f":{step}" if step else "")


def _parameters(shaped: Shaped, placed: frozenset[str]) -> str:
    """The parameters as they follow the operands; what equals its default is left out, and what is
    placed elsewhere.
    """
    texts: list[str] = []
    named = False
    for param in shaped.row.params:
        value = shaped.params[param.name]
        if param.name in placed:
            continue
        if param.kind in ("index", "written index"):
            inner = ", ".join(map(_subscript, value)) or "()"
            texts.append(inner)
        elif not param.required and value == param.default:
            named = True
        elif named or param.keyword:
            texts.append(f"{param.name}={_plain(value)}")
        else:
            texts.append(_plain(value))
    return "".join(f", {text}" for text in texts)


def expression(shaped: Shaped) -> str:
    """The step's right-hand side, or the whole statement of an in-place step."""
    template = spelling(shaped.row, shaped.in_place, shaped.step.via)
    names = [o.name if isinstance(o, Value) else number(o) for o in shaped.operands]
    placed = placed_in(template)
    values = {name: _plain(shaped.params[name]) for name in placed}
    text = template.format(*names, p=_parameters(shaped, placed), **values)
    return text.replace("(, ", "(").replace("[, ", "[")


def statement(shaped: Shaped) -> str:
    if shaped.in_place:
        return expression(shaped)
    names = shaped.step.to
    left = f"({names[0]},)" if len(names) == 1 and shaped.row.multi else ", ".join(names)
    return f"{left} = {expression(shaped)}"


def cotangent_line(name: str, root: Layout, data: Data | None, device: str) -> str:
    if data is None:
        return "None"
    return literal(materialise(data, root.shape, "float64", name), device)


def backward_line(draft: Draft, index: int, step: Backward, device: str) -> str:
    data = step.cotangents or (None,) * len(step.of)
    roots = zip(step.of, draft.roots[index], data, strict=True)
    cotangents = [cotangent_line(name, root, given, device) for name, root, given in roots]
    options = ", retain_graph=True" if step.retain_graph else ""
    start = f"[{', '.join(step.of)}]"
    inputs = f"[{', '.join(step.inputs)}]"
    if step.via == "grad":
        left = ", ".join(f"{name}.grad" for name in step.inputs)
        comma = "," if len(step.inputs) == 1 else ""
        call = f"torch.autograd.grad({start}, {inputs}, [{', '.join(cotangents)}]"
        # What sum() gives back repeats one cell, and nothing could be added to it in place.
        copied = f"g if g is None else g.clone() for g in {call}{options}, allow_unused=True)"
        return f"{left}{comma} = [{copied}]"
    if len(step.of) > 1 or step.inputs:
        only = f", inputs={inputs}" if step.inputs else ""
        return f"torch.autograd.backward({start}, [{', '.join(cotangents)}]{options}{only})"
    first = "" if cotangents[0] == "None" else cotangents[0]
    inner = f"{first}{options}" if first else options.removeprefix(", ")
    return f"{step.of[0]}.backward({inner})"
