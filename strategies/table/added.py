"""Matrices, vectors and batches to which a product is added: addmm and its kin."""

from __future__ import annotations

from typing import Any

from strategies import layout as lay
from strategies.layout import broadcast_shapes, contiguous, elementwise
from strategies.table.einsum import (
    Shapes,
    contracted,
    kept_shape,
    known_sizes,
    shapes_of,
    terms_of,
)
from strategies.table.results import tensors
from strategies.table.row import (
    Layouts,
    Made,
    Param,
    Params,
    Row,
    in_place_method,
    methods,
    operands,
    saves,
)

_BETA = Param("beta", "float", 1, (1, 2, 0, -0.5), keyword=True)
_ALPHA = Param("alpha", "float", 1, (1, 2, -0.5), keyword=True)


def _added(
    name: str,
    one: str,
    two: str,
    equation: str,
    derivative: str,
    *,
    iterates: bool = False,
    checks: bool = True,
) -> Row:
    """A row of `beta * self + alpha * product`; `iterates` says that the kernel is elementwise."""

    def wants(layouts: Layouts, params: Params) -> Shapes:
        first, *others = tensors(layouts)
        left, right, result = terms_of(equation)
        if first.ndim > len(result):
            return ()
        bounds = dict(zip(reversed(result), reversed(first.shape), strict=False))
        if not others:
            return shapes_of(left, {}, bounds)
        if others[0].ndim != len(left):
            return ()
        return shapes_of(right, known_sizes(left, others[0]), bounds)

    def fits(layouts: Layouts, params: Params) -> str:
        first, *others = tensors(layouts)
        try:
            shape = kept_shape(equation, *others)
            good = broadcast_shapes(first.shape, shape) == shape
        except ValueError as misfit:
            return str(misfit)
        return "" if good else f"a product of shape {shape} is not added to {first.shape}"

    def result(layouts: Layouts, params: Params) -> tuple[Made, ...]:
        first, *others = tensors(layouts)
        shape = kept_shape(equation, *others)
        if not iterates:
            return (Made(contiguous(shape)),)
        column = lay.unsqueezed(others[0], 1)
        return (Made(elementwise(lay.expanded(first, shape), column, others[1])),)

    def meaning(m: Any, self: Any, left: Any, right: Any, *, beta: float, alpha: float) -> Any:
        products = contracted(m, equation, left, right)
        scaled = products if alpha == 1 else m.apply("mul", products, alpha)
        if beta == 0:
            # "If beta is 0, then the content of input will be ignored", but not its gradient of 0.
            self = m.apply("carry", 0.0, self)
        result = m.apply("add", self if beta == 1 else m.apply("mul", self, beta), scaled)
        # Nothing is added elementwise, so that negative zeros stay.
        return m.apply("carry", scaled, result) if beta == 0 and iterates else result

    return Row(
        name,
        operands("self", one, two),
        result,
        meaning,
        methods(name, 3),
        in_place_method(name, 3),
        (_BETA, _ALPHA),
        saves=saves(f"{two} if {one}, {one} if {two}"),
        derivative=f"grad * beta; {derivative}",
        wants=wants,
        starts=lambda layout: layout.ndim <= len(terms_of(equation)[2]),
        fits=fits,
        broadcasts=False,
        unchecked_overlap=not checks,
        reads_as_it_writes=not iterates,
    )


ROWS: tuple[Row, ...] = (
    _added("addmm", "mat1", "mat2", "ik,kj->ij", "grad @ mat2.T * alpha; mat1.T @ grad * alpha"),
    _added(
        "addmv",
        "mat",
        "vec",
        "ik,k->i",
        "grad.ger(vec) * alpha; mat.T @ grad * alpha",
        checks=False,
    ),
    _added(
        "addr",
        "vec1",
        "vec2",
        "i,j->ij",
        "grad @ vec2 * alpha; grad.T @ vec1 * alpha",
        iterates=True,
    ),
    _added(
        "addbmm",
        "batch1",
        "batch2",
        "bik,bkj->ij",
        "grad.expand(batches) @ batch2.T * alpha; batch1.T @ grad.expand(batches) * alpha",
    ),
    _added(
        "baddbmm",
        "batch1",
        "batch2",
        "bik,bkj->bij",
        "grad @ batch2.T * alpha; batch1.T @ grad * alpha",
        checks=False,
    ),
)
