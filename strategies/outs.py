"""Steps that write their result into a tensor that is there: `torch.add(a, b, out=c)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strategies.choices import among, chance, recent
from strategies.draft import Shaped, Value
from strategies.program import Apply, recording
from strategies.table import OUT, TABLE, Row
from strategies.table.out import SUFFIX, WITH_DIM

if TYPE_CHECKING:
    from strategies.growth import Growth

_PLAIN = tuple(TABLE[name.removesuffix(SUFFIX)] for name in OUT)


def write_out(growth: Growth, row: Row | None = None, *, into_view: bool = False) -> Shaped | None:
    """A plain step's result written into another tensor, most often where nothing is recorded;
    examples shrink towards the first row of the table, unless it is given, as an `out=` form.
    Into a view of a new leaf, if that is asked.
    """
    chosen = among(growth.choose, _PLAIN)
    row = TABLE[row.name.removesuffix(SUFFIX)] if row is not None else chosen
    first = recent(growth.choose, growth.floats())
    if growth.recipe.rows is not None and row.name not in growth.recipe.rows:
        return None
    if row.name + SUFFIX in growth.avoided:
        return None
    refused = chance(growth.choose, 12)
    plain = growth.compose(row, first, in_place=False, wild=False)
    if plain is None or (row.name in WITH_DIM and plain.params["dim"] is None):
        return None
    operands = [o for o in plain.operands if isinstance(o, Value)]
    grads = any(growth.grad(o) for o in operands if o.dtype == "float64")
    if into_view:
        out = _view(growth, plain.results[0].layout.shape)
    else:
        out = _place(growth, plain, operands, grads=refused or not recording(growth.modes))
    if into_view and not OUT[row.name + SUFFIX].drawn((out.layout,)):
        return None
    if recording(growth.modes) and not refused and (grads or growth.grad(out)):
        growth.modes = ("no_grad",)
    step = Apply(row.name + SUFFIX, (out.name, *plain.step.args), plain.step.params)
    return growth.take(Apply(step.op, step.args, step.params, modes=growth.modes))


def _view(growth: Growth, shape: tuple[int, ...]) -> Value:
    """A view of this shape, of a leaf that does not require grad and has elements beside it."""
    if 0 in shape:
        leaf = growth.leaf(shape=shape, requires_grad=False)
        return growth.take(Apply("view_as", (leaf.name,), {}, (growth.fresh_name(),))).results[0]
    turned = len(shape) > 1 and chance(growth.choose, 50)
    leaf = growth.leaf(shape=(2, *(shape[::-1] if turned else shape)), requires_grad=False)
    at = {"dim": 0, "index": growth.choose.below(2)}
    part = growth.take(Apply("select", (leaf.name,), at, (growth.fresh_name(),))).results[0]
    if not turned:
        return part
    dims = {"dims": list(range(len(shape)))[::-1]}
    return growth.take(Apply("permute", (part.name,), dims, (growth.fresh_name(),))).results[0]


def _place(growth: Growth, plain: Shaped, operands: list[Value], *, grads: bool) -> Value:
    """A tensor of the result's shape, apart from the operands or one of them, or a new leaf."""
    shape, memories = plain.results[0].layout.shape, {o.memory for o in operands}
    row = OUT[plain.row.name + SUFFIX]
    own = row.broadcasts and chance(growth.choose, 15)
    fitting = [
        value
        for value in growth.writable(growth.floats())
        if value.layout.shape == shape
        and row.drawn((value.layout,))
        and (grads or not growth.grad(value))
        and (value in operands if own else value.memory not in memories)
    ]
    return (
        recent(growth.choose, fitting) if fitting else growth.leaf(shape=shape, requires_grad=False)
    )
