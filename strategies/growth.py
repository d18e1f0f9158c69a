"""A draft that grows by drawn steps, each of them legal where it stands.

The weights of a `Recipe` say how often what happens; nothing is ever drawn and thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from strategies import layout as lay
from strategies.choices import among, chance, recent, weighted
from strategies.draft import Shaped, Value, placed_in
from strategies.indices import draw_index
from strategies.knowledge import Known, Root
from strategies.layout import Layout
from strategies.oddities import odd
from strategies.outs import write_out
from strategies.parameters import KINDS, complete
from strategies.pools import COMPARISONS, MASKED, PLAIN, PRODUCTS, SPATIAL, SUMS, VIEWS, WRITES
from strategies.program import (
    Apply,
    Argument,
    Backward,
    Data,
    Generated,
    Leaf,
    ProgramError,
    inferring,
    recording,
)
from strategies.ranks import of_its_rank
from strategies.recipe import MODES, SHAPES
from strategies.table import TABLE, Indexing, Operand, Row
from strategies.table.row import Layouts
from strategies.values import materialise

MOST_CELLS = 24
"""Elements of the largest tensor that is drawn: small enough to read, large enough to broadcast."""

_NUMBERS = (2.0, -1.0, 0.5, 3.0, 1.0, 0.0, -0.25)


_BY_LAST = frozenset(
    "div addcdiv atan2 div_floor div_trunc foreach_div fmod remainder floor_divide xlogy".split()
)
"""Rows whose domain is that of their last operand."""

_STYLES = (("few", 41), ("dyadic", 33), ("positive", 14), ("kinked", 12))


# Programs are many and their shapes few.
@lru_cache(maxsize=4096)
def joined(one: tuple[int, ...], two: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape to which both broadcast, if they do."""
    try:
        return lay.broadcast_shapes(one, two)
    except ValueError:
        return None


@dataclass(slots=True)
class Growth(Known):
    """A draft with rough knowledge of it, and the moves by which it grows."""

    # -- leaves -------------------------------------------------------------------------------

    def leaf(
        self,
        *,
        requires_grad: bool | None = None,
        shape: tuple[int, ...] | None = None,
        style: str | None = None,
    ) -> Value:
        """Draw a leaf: its shape, its style of values and its flag, unless they are given."""
        if shape is None:
            shape = weighted(self.choose, SHAPES)
        count = math.prod(shape)
        grad = not chance(self.choose, 25) if requires_grad is None else requires_grad
        trait = 1
        data: Data
        if style is None:
            style = weighted(self.choose, _STYLES)
        if style == "few":
            data, trait = [float(i + 1) for i in range(count)], 2
            if chance(self.choose, 50):
                data, trait = [(i + 1) * (-0.5 if i % 2 else 1.0) for i in range(count)], 1
        else:
            data = Generated(style, self.choose.below(1000))
            trait = {"dyadic": 1, "positive": 2, "kinked": 0}[style]
        name = self.leaf_name()
        value = self.draft.add_leaf(Leaf(name, shape, data, requires_grad=grad))
        self.roots[name] = Root(grad, True)
        self.traits[value.memory] = trait
        return value

    def leaf_name(self) -> str:
        """The name of the next leaf."""
        count = len(self.draft.leaves)
        return "abcdefgh"[count] if count < 8 else f"leaf{count}"

    # -- steps --------------------------------------------------------------------------------

    def drift(self) -> None:
        """Maybe change the grad-mode region that the next step stands in."""
        if self.modes:
            if not chance(self.choose, self.recipe.stay):
                self.modes = ()
        elif chance(self.choose, self.recipe.region):
            self.modes = weighted(self.choose, MODES)

    def _in_domain(self, row: Row, operand: Value) -> bool:
        need = {"any": 0, "nonzero": 1, "unit": 2, "positive": 2}[row.domain]
        return self.traits.get(operand.memory, 0) >= need

    def operation(
        self,
        first: Value,
        rows: tuple[Row, ...],
        *,
        in_place: bool,
        allowed: Callable[[Row], bool] = lambda row: True,
        fitted: bool = False,
    ) -> Shaped | None:
        """Apply one of the rows to a value: a drawn one, or else the first of them that fits.

        If fitted, a view of the value may be made first, of the rank that the drawn row asks for.
        Returns None if no row of the list fits at all.
        """
        first_choice, second = self.choose.below(len(rows)), self.choose.below(len(rows))
        if fitted:
            first = of_its_rank(self, first, rows[first_choice])
        wild = chance(self.choose, self.recipe.wild)
        # Two are drawn, or a row that rarely fits would give its share to one other.
        for row in (rows[first_choice], rows[second], *rows):
            if (
                not (row.in_place if in_place else row.plain)
                or not allowed(row)
                or (self.recipe.rows is not None and row.name not in self.recipe.rows)
            ):
                continue
            leaves = len(self.draft.leaves)
            step = self.compose(row, first, in_place=in_place, wild=wild)
            if step is not None:
                return self._learn(self.draft.accept(step))
            self._forget_leaves(leaves)
        return None

    def _forget_leaves(self, kept: int) -> None:
        """Take back the leaves that were drawn for a step which could not be."""
        for leaf in self.draft.leaves[kept:]:
            del self.draft.values[leaf.name], self.roots[leaf.name]
        del self.draft.leaves[kept:]

    def compose(self, row: Row, first: Value, *, in_place: bool, wild: bool) -> Shaped | None:
        """The row's step on a value with drawn operands and parameters, or None if it cannot be."""
        last = first
        args: list[Argument] = []
        leading = row.operands[0].dtype == "bool"
        if leading:
            masks = self._partners("bool", first.layout.shape, exact=False)
            if not masks:
                return None
            args.append(recent(self.choose, masks).name)
        args.append(first.name)
        params = self._parameters(row, first.layout)
        target = first.layout
        if in_place and row.part is not None:
            target = row.part(target, complete(row.params, params, target, row.name))
        for operand in row.operands[2 if leading else 1 :]:
            if operand.number and not (operand.tensor and chance(self.choose, 65)):
                args.append(among(self.choose, _NUMBERS))
                continue
            if row.wants is not None:
                wanted = self._wanted(row, operand, args, params)
                if wanted is None:
                    return None
                args.append(wanted.name)
                continue
            if row.broadcasts:
                partners = self._partners(operand.dtype, target.shape, exact=in_place)
                if operand is row.operands[-1] and operand.number:
                    known = self._layouts(args)
                    partners = [p for p in partners if row.needs((*known, p.layout))]
            else:
                pairs = [(p, (first.layout, p.layout)) for p in self.floats()]
                partners = [p for p, both in pairs if row.needs(both) and row.drawn(both)]
            if not partners and operand.number:
                args.append(among(self.choose, _NUMBERS))
                continue
            if not partners:
                return None
            partner = recent(self.choose, partners)
            last = partner
            args.append(partner.name)
        if row.domain != "any" and not wild:
            watched = last if row.name in _BY_LAST else first
            if not self._in_domain(row, watched):
                return None
            if row.name in _BY_LAST and isinstance(args[-1], float) and args[-1] <= 0.0:
                args[-1] = 2.0
        layouts = self._layouts(args)
        if not (row.needs(layouts) and row.drawn(layouts)):
            return None
        templates = row.in_place if in_place else row.plain
        ways = tuple(
            way
            for way, text in templates.items()
            if "{p}" in text or not params.keys() - placed_in(text)
        )
        via = among(self.choose, ways) if len(ways) > 1 else ""
        op = row.in_place_name if in_place else row.name
        to = () if in_place else self._names(row, layouts, params)
        step = Apply(
            op, tuple(args), params, to, via if via != next(iter(templates)) else "", self.modes
        )
        try:
            shaped = self.draft.shape(step, f"step {len(self.draft.steps) + 1}")
        except ProgramError:
            # Three operands need not broadcast, though two of them do with the first.
            if len(layouts) < 3:
                raise
            return None
        if any(value.layout.numel > MOST_CELLS for value in shaped.results):
            return None
        return None if shaped.refused and not in_place else shaped

    def _layouts(self, args: list[Argument]) -> Layouts:
        return tuple(self.draft.values[a].layout if isinstance(a, str) else None for a in args)

    def _wanted(
        self, row: Row, operand: Operand, args: list[Argument], params: dict[str, Any]
    ) -> Value | None:
        """An operand of a shape that the row wants next: one that is there, or a new leaf."""
        assert row.wants is not None
        layouts = self._layouts(args)
        try:
            params = complete(row.params, params, self.draft.values[str(args[0])].layout, row.name)
        except ValueError:
            return None  # A first operand that the row does not allow may have no parameters.
        crowded = len(self.draft.leaves) > self.recipe.most_leaves + 2
        shapes = [s for s in row.wants(layouts, params) if math.prod(s) <= MOST_CELLS]
        if not shapes:
            return None
        if operand.dtype == "int64":
            assert row.indexing is not None
            known = [leaf for leaf in self.draft.leaves if leaf.dtype == "int64"]
            fitting = [i for i in known if self._indexes(i, row.indexing, shapes, layouts, params)]
            if fitting and chance(self.choose, 75):
                return self.draft.values[recent(self.choose, fitting).name]
            if crowded:
                return None
            shape = among(self.choose, shapes)
            data = draw_index(self.choose, row.indexing, shape, layouts, params)
            return self.whole_leaf(Leaf(self.leaf_name(), shape, data, "int64"))
        partners = [
            value
            for value in self.draft.values.values()
            if value.dtype == operand.dtype and value.layout.shape in shapes
        ]
        if row.unchecked_reads:
            # To read what is being written depends on the order of a loop.
            partners = [p for p in partners if p.memory != self.draft.values[str(args[0])].memory]
        if partners and not chance(self.choose, 10):
            return recent(self.choose, partners)
        if crowded:
            return None
        shape = among(self.choose, shapes)
        if operand.dtype == "bool":
            mask: Data = [float(self.choose.below(2)) for _ in range(math.prod(shape))]
            return self.whole_leaf(Leaf(self.leaf_name(), shape, mask, "bool"))
        return self.leaf(shape=shape)

    def _indexes(
        self,
        leaf: Leaf,
        indexing: Indexing,
        shapes: list[tuple[int, ...]],
        layouts: Layouts,
        params: dict[str, Any],
    ) -> bool:
        """Whether an index that is there has a wanted shape and names positions that there are."""
        if leaf.shape not in shapes:
            return False
        index = materialise(leaf.data, leaf.shape, leaf.dtype, leaf.name)
        within = indexing.covers(index, layouts, params)
        return within and not indexing.collides(index, layouts, params)

    def _parameters(self, row: Row, layout: Layout) -> dict[str, Any]:
        if not row.params:
            return {}
        values: dict[str, Any] = {}
        for param in row.params:
            values[param.name] = KINDS[param.kind].draw(self.choose, param, layout, values)
        given = {p.name: p for p in row.params}
        return {
            name: value
            for name, value in values.items()
            if given[name].required or value != given[name].default
        }

    def _names(
        self, row: Row, layouts: tuple[Layout | None, ...], params: dict[str, Any]
    ) -> tuple[str, ...]:
        """Names for what the plain form gives."""
        if not row.multi:
            return (self.fresh_name(),)
        defaults = {p.name: p.default for p in row.params}
        made = row.result(layouts, {**defaults, **params})
        count = len(self.draft.values) - len(self.draft.leaves)
        return tuple(f"x{count + i}" for i in range(len(made)))

    def _partners(self, dtype: str, shape: tuple[int, ...], *, exact: bool) -> list[Value]:
        """Values that broadcast with a shape (to it, if exact), the newest last."""
        found = []
        for value in self.draft.values.values():
            if value.dtype != dtype:
                continue
            both = joined(shape, value.layout.shape)
            if both == shape or (both is not None and not exact and math.prod(both) <= MOST_CELLS):
                found.append(value)
        return found

    def compare(self) -> Shaped | None:
        """A comparison of two values or a value and a number, to feed `where` and `masked_fill`."""
        return self.operation(recent(self.choose, self.floats()), COMPARISONS, in_place=False)

    def plain(self) -> Shaped | None:
        """An operation that writes no operand."""
        shares = ((PLAIN, 78), (SUMS, 11), (PRODUCTS, 6), (SPATIAL, 5))
        rows, values = weighted(self.choose, shares), self.floats()
        if rows is PRODUCTS or rows is SPATIAL:
            # Few values suit such a row: it is drawn first, and then one that does.
            row = among(self.choose, rows)
            suited = [value for value in values if row.starts(value.layout)]
            rows, values = ((row,), suited) if suited else (PLAIN, values)
        first = recent(self.choose, values)
        has_mask = any(v.dtype == "bool" for v in self.draft.values.values())
        return self.operation(
            first,
            rows,
            in_place=False,
            allowed=lambda row: has_mask or row.name not in MASKED,
            fitted=True,
        ) or self.operation(first, PLAIN, in_place=False)

    def view(self) -> Shaped | None:
        """A view of a value, or what may be one."""
        return self.operation(recent(self.choose, self.floats()), VIEWS, in_place=False)

    def alias(self, name: str) -> Shaped | None:
        """`detach()` or `.data` of a value."""
        return self.operation(recent(self.choose, self.floats()), (TABLE[name],), in_place=False)

    def write(self) -> Shaped | None:
        """An in-place operation; leaves that require grad are rarely its target while recording."""
        values = self.floats()
        if not chance(self.choose, self.recipe.unsafe):
            safe = self.writable(values)
            if not safe:
                return None
            values = safe
        # Drawn even where there is no view, so that choices keep their places when one goes.
        on_view = chance(self.choose, self.recipe.on_views)
        values = [v for v in values if on_view and v.name in self.views] or values
        target = recent(self.choose, values)
        has_mask = any(v.dtype == "bool" for v in self.draft.values.values())
        return self.operation(
            target,
            WRITES,
            in_place=True,
            allowed=lambda row: has_mask or row.name not in MASKED,
            fitted=True,
        )

    def writable(self, values: list[Value]) -> list[Value]:
        """Those that may be written here, as far as is known."""
        return [value for value in values if self._may_write(value)]

    def positive(self, values: list[Value]) -> list[Value]:
        """Those that are known to have positive elements only."""
        return [value for value in values if self.traits.get(value.memory) == 2]

    def _may_write(self, value: Value) -> bool:
        root = self.roots[value.name]
        if root.leaf and root.grad and recording(self.modes):
            return False
        stuck = value.memory in self.inference and not inferring(self.modes)
        return not (stuck or value.layout.overlaps_itself)

    def cotangent(self, shape: tuple[int, ...]) -> Data | None:
        """A cotangent for a root of this shape: ones, or small dyadic numbers of either sign."""
        count = math.prod(shape)
        if not chance(self.choose, 40):
            return None if count == 1 else [1.0] * count
        return Generated("dyadic", self.choose.below(1000))

    def backward(
        self, root: Value, *, retain: bool = False, others: tuple[Value, ...] = ()
    ) -> Backward:
        """A backward call from one root, or from others with it."""
        roots = (root, *others)
        data = tuple(self.cotangent(each.layout.shape) for each in roots)
        inputs, via = self._inputs()
        cotangents = data if any(each is not None for each in data) else ()
        names = tuple(each.name for each in roots)
        return self.draft.add_backward(Backward(names, cotangents, retain, (), inputs, via))

    def whole_leaf(self, leaf: Leaf) -> Value:
        """Add a leaf that is not drawn and does not require grad."""
        value = self.draft.add_leaf(leaf)
        self.roots[leaf.name] = Root(False, True)
        self.traits[value.memory] = 0
        return value

    def _inputs(self) -> tuple[tuple[str, ...], Literal["", "grad"]]:
        """The only leaves that a backward call is for, and how it is written; most often all."""
        if not chance(self.choose, self.recipe.inputs):
            return (), ""
        leaves = [
            leaf.name
            for leaf in self.draft.leaves
            if self.roots[leaf.name].grad and self.roots[leaf.name].leaf
        ]
        if not leaves:
            return (), ""
        some = tuple(name for name in leaves if chance(self.choose, 60)) or (leaves[0],)
        earlier = any(isinstance(step, Backward) for step in self.draft.steps)
        return some, "grad" if not earlier and chance(self.choose, 50) else ""

    def loss(self, *, several: bool = False) -> Backward | None:
        """A backward call from a value through which gradients flow, or from several, if there is
        one.
        """
        live = [v for v in self.floats() if self.grad(v) and v.name not in self._leaf_names()]
        if not live:
            return None
        root = recent(self.choose, live)
        retain = chance(self.choose, self.recipe.retain)
        count = 1 + self.choose.below(2) if several else 0
        others = tuple(recent(self.choose, live) for _ in range(count))
        return self.backward(root, retain=retain, others=others)

    def _leaf_names(self) -> set[str]:
        return {leaf.name for leaf in self.draft.leaves}

    def step(self) -> None:
        """One step of a drawn category; nothing if that category has nothing to act on.

        To do nothing is the simplest of all, so that a step that does not matter can go.
        """
        recipe = self.recipe
        kind = weighted(
            self.choose,
            (
                ("nothing", 1),
                ("plain", recipe.plain),
                ("in place", recipe.in_place),
                ("view", recipe.view),
                ("detach", recipe.detach),
                ("data", recipe.data),
                ("compare", 6),
                ("backward", recipe.backward),
                ("odd", recipe.odd),
                ("out", recipe.out),
                ("roots", recipe.roots),
            ),
        )
        if kind == "nothing":
            return
        if len(self.draft.leaves) < recipe.most_leaves and chance(self.choose, recipe.leaf):
            self.leaf()
        if kind not in ("backward", "roots"):
            self.drift()
        if kind == "in place":
            self.write()
        elif kind == "view":
            self.view()
        elif kind in ("detach", "data"):
            self.alias(kind)
        elif kind == "compare":
            self.compare()
        elif kind in ("backward", "roots"):
            self.loss(several=kind == "roots")
        elif kind == "odd":
            odd(self)
        elif kind == "out":
            write_out(self)
        else:
            self.plain()
