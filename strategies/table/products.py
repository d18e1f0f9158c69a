"""Matrix products and their like."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from strategies import layout as lay
from strategies.layout import Layout, contiguous, elementwise
from strategies.table.einsum import (
    Shapes,
    contracted,
    kept_shape,
    known_sizes,
    shapes_of,
    terms_of,
)
from strategies.table.results import like_first, product, tensors
from strategies.table.row import (
    Layouts,
    Made,
    Param,
    Params,
    Refused,
    Row,
    methods,
    operands,
    saves,
)

# -- products alone


def _fits(*ranks: tuple[int, int]) -> Callable[[Layouts], bool]:
    def needs(layouts: Layouts) -> bool:
        one, two = tensors(layouts)
        return (one.ndim, two.ndim) in ranks and _multiplies(one, two)

    return needs


def _multiplies(one: Layout, two: Layout) -> bool:
    inner = two.shape[-2] if two.ndim > 1 else two.shape[0]
    return one.shape[-1] == inner and one.shape[:-2] == two.shape[:-2]


def _squeezed(layouts: Layouts, params: Params) -> int:
    """A vector times a matrix is a row matrix product, then squeezed in place."""
    one, two = tensors(layouts)
    return int((one.ndim, two.ndim) == (1, 2))


_BY_RANKS = {(1, 1): "dot", (2, 1): "mv", (1, 2): "mm", (2, 2): "mm", (3, 3): "bmm"}


def _dispatched(layouts: Layouts) -> str:
    one, two = tensors(layouts)
    return _BY_RANKS[one.ndim, two.ndim]


def _viewed(layouts: Layouts) -> tuple[int, ...]:
    """A vector becomes a row of a matrix, and batches are expanded (observed)."""
    one, two = tensors(layouts)
    viewed: dict[tuple[int, int], tuple[int, ...]] = {(1, 2): (0,), (3, 3): (0, 1)}
    return viewed.get((one.ndim, two.ndim), ())


def _matmul(m: Any, self: Any, other: Any) -> Any:
    return m.matmul(self, other)


def _product(
    name: str, other: str, *ranks: tuple[int, int], symbol: str = "", since: str = "1.2"
) -> Row:
    plain = methods(name, 2)
    if symbol:
        plain["operator"] = f"{{0}} {symbol} {{1}}"

    def wants(layouts: Layouts, params: Params) -> Shapes:
        (one,) = tensors(layouts)
        wanted = [two for first, two in ranks if first == one.ndim]
        return tuple(
            (*one.shape[:-2][: rank - 2], *one.shape[-1:], *columns)
            for rank in wanted
            for columns in (((2,), (1,), (3,)) if rank > 1 else ((),))
        )

    return Row(
        name,
        operands("self", other),
        product,
        _matmul,
        plain,
        saves=saves(f"{other} if self, self if {other}"),
        derivative=f"grad @ {other}.T; self.T @ grad",
        needs=_fits(*ranks),
        wants=wants,
        starts=lambda layout: layout.ndim in {first for first, _ in ranks},
        broadcasts=False,
        begins_at=_squeezed,
        acts_as=_dispatched if name == "matmul" else None,
        viewed=_viewed if name == "matmul" else lambda layouts: (),
        since=since,
    )


# -- products by the ranks of their operands


def _by_ranks(
    name: str,
    other: str,
    equations: tuple[str, ...],
    derivative: str,
    *,
    function: str = "",
    acts_as: Callable[[Layouts], str] | None = None,
    viewed: Callable[[Layouts], tuple[int, ...]] = lambda layouts: (),
    begins_at: Callable[[Layouts, Params], int] = lambda layouts, params: 0,
    behind_view: Callable[[Layouts, bool], bool] = lambda layouts, recorded: False,
    needs: Callable[[Layouts], bool] = lambda layouts: True,
    iterates: bool = False,
    since: str = "1.2",
) -> Row:
    """A row of products, of which the ranks of the operands say which; each may need a bias."""

    def chosen(layouts: Layouts) -> str:
        one, two = tensors(layouts)[:2]
        for equation in equations:
            left, right, _ = terms_of(equation)
            if (len(left), len(right)) == (one.ndim, two.ndim):
                return equation
        raise ValueError(f"shapes {one.shape} and {two.shape} are not multiplied")

    def wants(layouts: Layouts, params: Params) -> Shapes:
        one, *others = tensors(layouts)
        if others:
            return (others[0].shape[:1],)
        fitting = [terms_of(equation) for equation in equations]
        return tuple(
            shape
            for left, right, _ in fitting
            if len(left) == one.ndim
            for shape in shapes_of(right, known_sizes(left, one), {})
        )

    def fits(layouts: Layouts, params: Params) -> str:
        one, two, *bias = tensors(layouts)
        try:
            shape = kept_shape(chosen(layouts), one, two)
        except ValueError as misfit:
            return str(misfit)
        if bias and bias[0].shape != shape[-1:]:
            return f"a bias of {bias[0].shape} is not added to {shape}"
        return ""

    def result(layouts: Layouts, params: Params) -> tuple[Made, ...]:
        one, two = tensors(layouts)[:2]
        shape = kept_shape(chosen(layouts), one, two)
        if iterates:
            return (Made(elementwise(lay.unsqueezed(one, 1), two)),)
        return (Made(contiguous(shape)),)

    def meaning(m: Any, self: Any, other: Any, *bias: Any) -> Any:
        cells = tuple(contiguous(x.shape) for x in (self, other))
        products = contracted(m, chosen(cells), self, other)
        return m.apply("add", products, bias[0]) if bias else products

    names = ("input", other, "bias") if "{2}" in function else ("self", other)
    return Row(
        name,
        operands(*names),
        result,
        meaning,
        {"function": function} if function else methods(name, 2),
        saves=saves(f"{other} if {names[0]}, {names[0]} if {other}"),
        derivative=derivative,
        needs=needs,
        wants=wants,
        starts=lambda layout: (
            layout.ndim in {len(terms_of(each)[0]) for each in equations} and needs((layout,))
        ),
        fits=fits,
        broadcasts=False,
        begins_at=begins_at,
        acts_as=acts_as,
        viewed=viewed,
        behind_view=behind_view,
        since=since,
    )


def _weighed(layouts: Layouts) -> tuple[int, ...]:
    """The weight is transposed, and what is no matrix is seen as one (observed)."""
    return (1,) if tensors(layouts)[0].ndim == 2 else (0, 1)


def _not_of_one(layouts: Layouts) -> bool:
    """Whether more than one pair is added up: torch saves a sum, its own copy, of a single one."""
    first = tensors(layouts)[0]
    return first.ndim > 0 and first.shape[-1] != 1


def _as_rows(layouts: Layouts) -> bool:
    """Whether all but the last dimension can be seen as one, or the product saves a copy."""
    first = tensors(layouts)[0]
    rows = math.prod(first.shape[:-1])
    return first.ndim < 3 or lay.viewed(first, (rows, first.shape[-1])) is not None


# -- others


def _kron_result(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """The product of all pairs, which is seen as a matrix; refused where its strides forbid it."""
    one, two = tensors(layouts)
    if one.ndim != 2 or two.ndim != 2:
        raise ValueError(f"kron is drawn of matrices, not of {one.shape} and {two.shape}")
    shape = (one.shape[0] * two.shape[0], one.shape[1] * two.shape[1])
    # Torch makes views of both, which choose strides of their own for what has one element.
    apart = lay.viewed(one, (one.shape[0], 1, one.shape[1], 1))
    other = lay.viewed(two, (1, two.shape[0], 1, two.shape[1]))
    seen = lay.viewed(elementwise(apart, other), shape) if apart and other else None
    if seen is None:
        raise Refused("view stride", contiguous(shape))
    return (Made(seen),)


def _kron(m: Any, one: Any, two: Any) -> Any:
    products = m.apply("mul", one[:, None, :, None], two[None, :, None, :])
    return products.reshape(one.shape[0] * two.shape[0], one.shape[1] * two.shape[1])


def _cross_fits(layouts: Layouts, params: Params) -> str:
    one, two = tensors(layouts)
    if one.shape != two.shape or not one.shape or one.shape[params["dim"]] != 3:
        return f"there is no cross product of {one.shape} and {two.shape} along {params['dim']}"
    return ""


def _cross_wants(layouts: Layouts, params: Params) -> Shapes:
    (first,) = tensors(layouts)
    return (first.shape,) if first.shape and first.shape[params["dim"]] == 3 else ()


def _cross(m: Any, one: Any, two: Any, *, dim: int) -> Any:
    def turned(cells: Any, by: int) -> Any:
        return cells.take([(place + by) % 3 for place in range(3)], dim)

    # The negated factor keeps equal products apart: kernels round only one of them.
    forth = m.apply("mul", turned(one, 1), turned(two, 2))
    return m.apply("add", forth, m.apply("mul", m.apply("neg", turned(one, 2)), turned(two, 1)))


_INNER = ("i,i->", "ik,jk->ij", "ik,k->i", "k,jk->j")
_LINEAR = ("ik,jk->ij", "k,jk->j", "bik,jk->bij")

ROWS: tuple[Row, ...] = (
    _product("matmul", "other", (1, 1), (2, 1), (1, 2), (2, 2), (3, 3), symbol="@"),
    _product("mm", "mat2", (2, 2)),
    _product("mv", "vec", (2, 1)),
    _product("dot", "tensor", (1, 1)),
    _product("vdot", "other", (1, 1), since="1.7"),
    _product("bmm", "mat2", (3, 3)),
    _by_ranks(
        "outer",
        "vec2",
        ("i,j->ij",),
        "grad @ vec2; grad.T @ self",
        acts_as=lambda layouts: "mul",
        viewed=lambda layouts: (0,),
        iterates=True,
        since="1.7",
    ),
    _by_ranks(
        "inner",
        "other",
        _INNER,
        "grad @ other; grad.T @ self",
        acts_as=lambda layouts: (
            "dot" if all(layout.ndim == 1 for layout in tensors(layouts)) else "mm"
        ),
        viewed=lambda layouts: (0, 1),
        behind_view=lambda layouts, recorded: True,
        needs=_not_of_one,
        since="1.8",
    ),
    _by_ranks(
        "linear",
        "weight",
        _LINEAR,
        "grad @ weight; grad.T @ input",
        function="F.linear({0}, {1})",
        acts_as=lambda layouts: "mm",
        viewed=_weighed,
        begins_at=lambda layouts, params: int(tensors(layouts)[0].ndim == 1),
        needs=_as_rows,
    ),
    _by_ranks(
        "linear_bias",
        "weight",
        ("ik,jk->ij",),
        "grad @ weight; grad.T @ input; grad.sum(0)",
        function="F.linear({0}, {1}, {2})",
        viewed=_weighed,
    ),
    Row(
        "kron",
        operands("self", "other"),
        _kron_result,
        _kron,
        methods("kron", 2),
        saves=saves("other if self, self if other"),
        derivative="grad * other; grad * self, each summed over the blocks of the other",
        starts=lambda layout: layout.ndim == 2,
        wants=lambda layouts, params: (
            ((1, 2), (2, 1), (2, 2)) if tensors(layouts)[0].ndim == 2 else ()
        ),
        broadcasts=False,
        acts_as=lambda layouts: "mul",
        viewed=lambda layouts: (0, 1),
        unwatched=True,
        since="1.8",
    ),
    Row(
        "cross",
        operands("self", "other"),
        like_first,
        _cross,
        methods("cross", 2),
        params=(Param("dim", "dim of three", required=True),),
        saves=saves("other if self, self if other"),
        derivative="other.cross(grad, dim); grad.cross(self, dim)",
        wants=_cross_wants,
        starts=lambda layout: 3 in layout.shape,
        fits=_cross_fits,
        broadcasts=False,
    ),
)
