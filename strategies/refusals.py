"""Why torch refuses an in-place step for its shapes, its dtype or its index, and where it writes.

The reasons are those of `docs/program-format.md`, in the order in which torch sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategies import layout as lay
from strategies.layout import Layout
from strategies.table import Row
from strategies.table.row import Layouts
from strategies.table.views import fault, indexed

CASTING = frozenset(
    (
        "mul add div atan2 pow addcmul addcdiv exp exp2 expm1 log log1p sqrt rsqrt reciprocal "
        "sin cos tan sinh cosh tanh atan sigmoid erf"
    ).split()
)
"""Rows whose in-place forms may have integer and bool targets too, which torch refuses."""


def casts_to(row: Row, dtype: str, params: Mapping[str, Any]) -> bool:
    """Whether an in-place form may have a target of this dtype: torch says that it cannot be cast.

    A bool tensor has no subtraction at all, and a parameter may be refused before the dtype is.
    """
    return (row.name in CASTING or (row.name, dtype) == ("sub", "int64")) and not params


def written(row: Row, layouts: Layouts, params: dict[str, Any]) -> tuple[Layout, str]:
    """Where an in-place step writes, and why torch refuses it for the shapes of its operands.

    Raises ValueError if the step cannot be, and torch's reason is none that is known.
    """
    target = layouts[0]
    if target is None:
        raise ValueError("the target of an in-place operation must be a tensor")
    if row.outside_the_law:
        return target, ""
    if row.name == "setitem":
        return _assigned(target, layouts[1], params["index"])
    if row.part is not None:
        target = row.part(target, params)
    if row.wants is not None or row.writes_out:
        shape = row.result(layouts, params)[0].layout.shape
        if shape != target.shape:
            raise ValueError(f"the result has shape {shape} and the target {target.shape}")
        return target, ""
    others = [o for o in layouts[1:] if o is not None]
    if row.name == "fill":
        return target, "fill with what is not 0-d" if any(o.ndim for o in others) else ""
    try:
        shape = lay.broadcast_shapes(target.shape, *(o.shape for o in others))
    except ValueError:
        if not row.broadcasts:
            raise
        return target, "operands do not broadcast"
    if shape == target.shape:
        return target, ""
    if not row.expands:
        return target, "broadcast target"
    more = any(o.ndim > target.ndim for o in others)
    return target, "value of more dimensions" if more else "value of another size"


def _assigned(target: Layout, value: Layout | None, index: list[Any]) -> tuple[Layout, str]:
    """Which part of the target `x[index] = value` writes, and why torch refuses it.

    Raises ValueError if the index has two ellipses.
    """
    if index.count("...") < 2:
        wrong = fault(target, index)
        if wrong is not None:
            return target, wrong.why
    part = indexed(target, index)
    if value is None:
        return part, ""
    shape = lay.without_leading_ones(value).shape
    if len(shape) > part.ndim:
        return part, "value of more dimensions"
    held = part.shape[part.ndim - len(shape) :]
    fits = all(size in (1, room) for size, room in zip(shape, held, strict=True))
    return part, "" if fits else "value of another size"
