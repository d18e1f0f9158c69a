"""Sums of products in letters, "ik,kj->ij", and `torch.einsum`, which has them so."""

from __future__ import annotations

from itertools import product as every
from typing import Any

from strategies import layout as lay
from strategies.layout import Layout, contiguous, elementwise
from strategies.table.results import tensors
from strategies.table.row import Layouts, Made, Param, Params, Row, operands, saves

Shapes = tuple[tuple[int, ...], ...]


def terms_of(equation: str) -> tuple[str, str, str]:
    left, result = equation.split("->")
    one, two = left.split(",")
    return one, two, result


def contracted(m: Any, equation: str, one: Any, two: Any) -> Any:
    """The sum of products that an equation of two terms says, over letters it does not keep."""
    *terms, kept = terms_of(equation)
    gone = sorted(set("".join(terms)) - set(kept))
    letters = [*kept, *gone]
    spread = []
    for term, cells in zip(terms, (one, two), strict=True):
        there = [letter for letter in letters if letter in term]
        index = tuple(slice(None) if letter in term else None for letter in letters)
        spread.append(cells.transpose([term.index(letter) for letter in there])[index])
    products = m.apply("mul", *spread)
    axes = tuple(range(len(kept), len(letters)))
    return m.total(products, axes, False) if axes else products


def sizes_of(equation: str, one: Layout, two: Layout) -> dict[str, int] | None:
    """The size of each letter; None where the operands do not go together."""
    sizes: dict[str, int] = {}
    for term, layout in zip(terms_of(equation), (one, two), strict=False):
        if len(term) != layout.ndim:
            return None
        for letter, size in zip(term, layout.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                return None
    return sizes


def kept_shape(equation: str, one: Layout, two: Layout) -> tuple[int, ...]:
    sizes = sizes_of(equation, one, two)
    if sizes is None:
        raise ValueError(f"{equation} of shapes {one.shape} and {two.shape} is no product")
    return tuple(sizes[letter] for letter in terms_of(equation)[2])


def shapes_of(term: str, known: dict[str, int], bounds: dict[str, int]) -> Shapes:
    """Shapes for a term: sizes that are known, that a sum must fit to, or any small ones."""
    choices: list[tuple[int, ...]] = []
    for letter in term:
        if letter in known:
            choices.append((known[letter],))
        elif letter in bounds:
            choices.append((1, 2) if bounds[letter] == 1 else (bounds[letter],))
        else:
            choices.append((2, 1, 3))
    return tuple(every(*choices))


def known_sizes(term: str, layout: Layout) -> dict[str, int]:
    return dict(zip(term, layout.shape, strict=True))


# -- torch.einsum

EQUATIONS = ("ij,jk->ik", "ij,j->i", "i,j->ij", "bij,bjk->bik")
_EQUATION = Param("equation", "equation", choices=EQUATIONS, required=True)


def _einsum_wants(layouts: Layouts, params: Params) -> Shapes:
    (first,) = tensors(layouts)
    left, right, _ = terms_of(params["equation"])
    if len(left) != first.ndim or _contracts_one(params["equation"], first):
        return ()
    return shapes_of(right, known_sizes(left, first), {})


def _contracts_one(equation: str, one: Layout) -> bool:
    """Whether torch multiplies elementwise there, and lays the result out as the operands are."""
    left, right, kept = terms_of(equation)
    sizes = zip(left, one.shape, strict=True)
    return any(size == 1 and letter in right and letter not in kept for letter, size in sizes)


def _einsum_fits(layouts: Layouts, params: Params) -> str:
    if params["equation"] not in EQUATIONS:
        return f"{params['equation']} is none of {', '.join(EQUATIONS)}"
    one, two = tensors(layouts)
    if sizes_of(params["equation"], one, two) is None:
        return f"{params['equation']} does not suit shapes {one.shape} and {two.shape}"
    if _contracts_one(params["equation"], one):
        return f"{params['equation']} of {one.shape} contracts a single element"
    return ""


def _einsum_result(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    one, two = tensors(layouts)
    if params["equation"] == "i,j->ij":
        row = lay.transposed(lay.unsqueezed(two, 1), 0, 1)
        return (Made(elementwise(lay.unsqueezed(one, 1), row)),)
    return (Made(contiguous(kept_shape(params["equation"], one, two))),)


def _einsum(m: Any, one: Any, two: Any, *, equation: str) -> Any:
    return contracted(m, equation, one, two)


def _only_multiplies(layouts: Layouts) -> bool:
    return all(layout.ndim == 1 for layout in tensors(layouts))


_VIEWS = ("ij->ji", "ii->i")


def _seen(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """An equation of one term that sums nothing gives a view."""
    (first,) = tensors(layouts)
    if params["equation"] == "ij->ji":
        return (Made(lay.transposed(first, 0, 1), "view"),)
    return (Made(lay.diagonal(first, 0, 0, 1), "view"),)


def _seen_fits(layouts: Layouts, params: Params) -> str:
    (first,) = tensors(layouts)
    if params["equation"] not in _VIEWS:
        return f"{params['equation']} is none of {', '.join(_VIEWS)}"
    square = params["equation"] == "ij->ji" or first.shape[0] == first.shape[1]
    return "" if square else f"{first.shape} has no diagonal for torch.einsum"


ROWS: tuple[Row, ...] = (
    Row(
        "einsum",
        operands("self", "other"),
        _einsum_result,
        _einsum,
        {"function": "torch.einsum({equation}, {0}, {1})"},
        params=(_EQUATION,),
        saves=saves("other if self, self if other"),
        derivative="the product of grad with the other operand",
        wants=_einsum_wants,
        starts=lambda layout: 1 <= layout.ndim <= 3,
        fits=_einsum_fits,
        broadcasts=False,
        acts_as=lambda layouts: "mul" if _only_multiplies(layouts) else "bmm",
        viewed=lambda layouts: (0, 1),
        behind_view=lambda layouts, recorded: not _only_multiplies(layouts),
    ),
    Row(
        "einsum_view",
        operands("self"),
        _seen,
        None,
        {"function": "torch.einsum({equation}, {0})"},
        params=(Param("equation", "equation", choices=_VIEWS, required=True),),
        kind="view",
        fits=_seen_fits,
        derivative="the view's of grad",
        needs=lambda layouts: tensors(layouts)[0].ndim == 2,
    ),
)
