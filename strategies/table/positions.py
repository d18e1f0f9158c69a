"""Which positions an index names, in which shapes it comes, and what is written there.

A meaning reads `self` by a numpy index, and learns where it writes from the same index into the
numbers of its elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.table.composed import still
from strategies.table.results import tensors
from strategies.table.row import Layouts, Params

Shapes = tuple[tuple[int, ...], ...]
Wants = Callable[[Layouts, Params], Shapes]
Read = Callable[..., Any]
REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def by_dimension(name: str, rest: str) -> tuple[dict[str, str], dict[str, str]]:
    """The plain and in-place spellings of an operation whose dimension stands before its index."""
    plain = {
        "method": f"{{0}}.{name}({{dim}}, {rest}{{p}})",
        "function": f"torch.{name}({{0}}, {{dim}}, {rest}{{p}})",
    }
    return plain, {"method": f"{{0}}.{name}_({{dim}}, {rest}{{p}})"}


def as_wanted(wants: Wants) -> Callable[[Layouts, Params], str]:
    """A `Row.fits`: every further tensor must have one of the shapes that are wanted."""

    def fits(layouts: Layouts, params: Params) -> str:
        for place in range(1, len(layouts)):
            one = layouts[place]
            if one is not None and one.shape not in wants(layouts[:place], params):
                before = ", ".join(str(each.shape) for each in tensors(layouts[:place]))
                return f"an operand of shape {one.shape} does not go with {before}"
        return ""

    return fits


# -- slices along a dimension ---------------------------------------------------------------------


def length(layouts: Layouts, params: Params) -> int:
    """The size of the dimension that is indexed."""
    shape = tensors(layouts)[0].shape
    return shape[params["dim"]] if shape else 1


def slices(layouts: Layouts, params: Params) -> Shapes:
    """A vector of positions, then as many slices of the first operand as it has."""
    first, *others = tensors(layouts)
    if not others:
        return tuple((count,) for count in range(1, length(layouts, params) + 1)) or ((0,),)
    shape = list(first.shape)
    if shape:
        shape[params["dim"]] = others[0].shape[0]
    return (tuple(shape),)


def filling(layouts: Layouts, params: Params) -> Shapes:
    """A vector of positions, then the one value that goes there."""
    return slices(layouts, params) if len(layouts) == 1 else ((),)


def leading(x: Any, dim: int) -> Any:
    """The array with a dimension in front; a 0-d array has one of size 1."""
    return (x.reshape(1) if x.ndim == 0 else x).swapaxes(0, dim)


def sliced_at(x: Any, index: Any, dim: int) -> Any:
    """The slices at some positions, in front."""
    return leading(x, dim)[index]


# -- one position for each element of the index ---------------------------------------------------


def along(layouts: Layouts, params: Params) -> Shapes:
    """An index of as many dimensions as the first operand, no longer than it but along `dim`; then
    a source of its shape.

    "The backward pass is implemented only for src.shape == index.shape" (torch.Tensor.scatter_).
    """
    first, *others = tensors(layouts)
    shape, dim = first.shape, params["dim"] % max(first.ndim, 1)
    if others:
        return (others[0].shape,)
    if not shape or not first.numel:
        return (shape,)
    options = [shape, _with(shape, dim, 1), _with(shape, dim, shape[dim] + 1)]
    options += [_with(shape, d, n - 1) for d, n in enumerate(shape) if d != dim and n > 1]
    return tuple(dict.fromkeys(options))


def along_apart(layouts: Layouts, params: Params) -> Shapes:
    """As `along`, where no more positions are named than there are."""
    limit = length(layouts, params)
    dim = params["dim"]
    return tuple(s for s in along(layouts, params) if len(layouts) > 1 or not s or s[dim] <= limit)


def broadcast_along(layouts: Layouts, params: Params) -> Shapes:
    """An index that broadcasts with the first operand but along `dim`."""
    (first,) = tensors(layouts)
    dim = params["dim"] % max(first.ndim, 1)
    if not first.numel:
        return (first.shape,)
    line = tuple(first.shape[dim] if d == dim else 1 for d in range(first.ndim))
    return tuple(dict.fromkeys((first.shape, line, _with(first.shape, dim, 1))))


def _with(shape: tuple[int, ...], dim: int, size: int) -> tuple[int, ...]:
    return (*shape[:dim], size, *shape[dim + 1 :])


def elements_along(x: Any, index: Any, dim: int) -> Any:
    """The element that each entry of an index names along a dimension."""
    if not x.ndim:
        return x.reshape(1)[index]
    axis = dim % x.ndim
    part = tuple(slice(None if d == axis else n) for d, n in enumerate(index.shape))
    return np.take_along_axis(x[part], index, axis)


# -- flat positions -------------------------------------------------------------------------------


def numel(layouts: Layouts, params: Params) -> int:
    return tensors(layouts)[0].numel


def anywhere(layouts: Layouts, params: Params) -> Shapes:
    """An index of any shape, then a source of as many elements."""
    first, *others = tensors(layouts)
    if others:
        return (others[0].shape,)
    return ((1,), (2,), (2, 2), ()) if first.numel else ((0,),)


def anywhere_apart(layouts: Layouts, params: Params) -> Shapes:
    """As `anywhere`, where no more positions are named than there are."""
    options = anywhere(layouts, params)
    if len(tensors(layouts)) > 1:
        return options
    return tuple(s for s in options if int(np.prod(s)) <= numel(layouts, params))


def flat_at(x: Any, index: Any) -> Any:
    return x.reshape(-1)[index]


# -- writing --------------------------------------------------------------------------------------


def fresh(m: Any, x: Any) -> Any:
    """New cells with the elements of `x`, to be rearranged and returned."""
    return m.apply("copy", x).copy()


def gathered(m: Any, x: Any, read: Read, *args: Any) -> Any:
    """What an index reads. All of `x` takes part: gradients of zero go where nothing is read."""
    return m.apply("copy", np.asarray(read(m.apply("copy", x), *args)))


def written(m: Any, x: Any, source: Any, how: str, read: Read, *args: Any) -> Any:
    """The cells of `x` after values are written, added or multiplied where an index points."""
    cells = fresh(m, x)
    flat, places = cells.reshape(-1), np.asarray(read(_numbers(x), *args))
    if not isinstance(source, np.ndarray):
        flat[places] = m.apply(how, *_ordered(how, flat[places], source))
        return cells
    sources = np.broadcast_to(source, places.shape).ravel()
    places = places.ravel()
    for chosen in rounds(places):
        at = places[chosen]
        flat[at] = m.apply(how, *_ordered(how, flat[at], sources[chosen]))
    return cells


def _ordered(how: str, old: Any, new: Any) -> tuple[Any, Any]:
    return (new, old) if how == "overwrite" else (old, new)


def _numbers(x: Any) -> Any:
    return np.arange(x.size).reshape(x.shape)


def rounds(places: NDArray[Any]) -> Iterator[NDArray[np.intp]]:
    """The entries in groups that name no place twice: the first ones, the second ones, ..."""
    left = np.arange(places.size)
    while left.size:
        _, first = np.unique(places[left], return_index=True)
        yield left[np.sort(first)]
        left = np.delete(left, first)


def reduced_at(
    m: Any, x: Any, source: Any, how: str, include_self: bool, read: Read, *args: Any
) -> Any:
    """The cells of `x` after `how` has joined each with the sources that an index sends there."""
    cells = fresh(m, x)
    flat, places = cells.reshape(-1), np.ravel(read(_numbers(x), *args))
    touched, counts = np.unique(places, return_counts=True)
    if not touched.size:
        return cells
    old, sources = flat[touched], source.ravel()
    slots = np.searchsorted(touched, places)
    parts = [(slots[chosen], sources[chosen]) for chosen in rounds(places)]
    rest = np.setdiff1d(np.arange(flat.size), touched)
    if how in ("amax", "amin"):
        flat[rest] = _alone(m, flat[rest])
        flat[touched] = _extreme(m, old, parts, how, include_self)
        return cells
    joined = old.copy()
    for number, (at, values) in enumerate(parts):
        if number == 0 and not include_self:
            # A sum begins with 0, which has a sign of its own.
            values = values if how == "prod" else m.apply("add", values, 0.0)
            joined[at] = m.apply("overwrite", values, joined[at])
        else:
            joined[at] = m.apply("mul" if how == "prod" else "add", joined[at], values)
    if how == "prod" and m.deviates("product"):
        slopes = _by_quotient(m, old, joined, parts, include_self)
        joined = m.apply("carry", joined, slopes)
        alone = _by_quotient(m, flat[rest], flat[rest], [], True)
        flat[rest] = m.apply("carry", flat[rest], alone)
    if how == "mean":
        terms = counts + include_self
        for count in np.unique(terms[terms > 1]):
            at = np.flatnonzero(terms == count)
            joined[at] = m.apply("div", joined[at], float(count))
    flat[touched] = joined
    return cells


def _by_quotient(
    m: Any, old: Any, joined: Any, parts: list[tuple[Any, Any]], include_self: bool
) -> Any:
    """What has torch's derivative: the product divided by each factor, with 1 for what is zero.

    A source that is the only zero of its place has the product of the others.
    """
    own = m.apply("where", m.apply("eq", old, 0.0), 1.0, old)
    without_own, without_zero = own.copy(), old.copy() if include_self else _ones(m, old)
    count = _zeros(m, old)
    for at, values in parts:
        count[at] = m.apply("add", count[at], m.apply("eq", values, 0.0))
    single = m.apply("eq", count, 1.0)
    for at, values in parts:
        zero = m.apply("eq", values, 0.0)
        kept = m.apply("where", m.apply("logical_and", zero, single[at]), 1.0, values)
        without_own[at] = m.apply("mul", without_own[at], values)
        without_zero[at] = m.apply("mul", without_zero[at], kept)
    if include_self:
        found = m.apply("mul", old, still(m, m.apply("div", without_own, own))).copy()
    else:
        found = m.apply("overwrite", 0.0, old).copy()
    for at, values in parts:
        zero = m.apply("eq", values, 0.0)
        quotient = m.apply("div", joined[at], m.apply("where", zero, 1.0, values))
        lone = m.apply("logical_and", zero, single[at])
        slope = m.apply("where", lone, without_zero[at], quotient)
        found[at] = m.apply("add", found[at], m.apply("mul", values, still(m, slope)))
    return found


def _zeros(m: Any, x: Any) -> Any:
    return np.full(x.shape, int(m.apply("copy", 0.0)))


def _ones(m: Any, x: Any) -> Any:
    return np.full(x.shape, int(m.apply("copy", 1.0)))


def _alone(m: Any, old: Any) -> Any:
    """What no source is sent to; where torch deviates, NaN does not even tie with itself.

    Both take the same instructions, so that they have the same rounding errors.
    """
    like = old if m.deviates("untouched") else _zeros(m, old)
    tie = m.apply("eq", like, like)
    return m.apply("carry", old, m.apply("div", m.apply("mul", tie, old), tie))


def _extreme(m: Any, old: Any, parts: list[tuple[Any, Any]], how: str, include_self: bool) -> Any:
    """The largest or smallest; all that are as large share the gradient evenly."""
    best = old.copy()
    for number, (at, values) in enumerate(parts):
        larger = "maximum" if how == "amax" else "minimum"
        first = number == 0 and not include_self
        best[at] = m.apply("copy", values) if first else m.apply(larger, best[at], values)
    # Where the old element does not take part, it is no tie even if it is equal by chance.
    tie = m.apply("eq" if include_self else "no_tie", old, best)
    ties = tie.copy()
    share = m.apply("mul", tie, old) if include_self else m.apply("overwrite", 0.0, old)
    shared = share.copy()
    for at, values in parts:
        tie = m.apply("eq", values, best[at])
        ties[at] = m.apply("add", ties[at], tie)
        shared[at] = m.apply("add", shared[at], m.apply("mul", tie, values))
    return m.apply("carry", best, m.apply("div", shared, ties))
