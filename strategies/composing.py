"""How a row becomes a step: which operands it gets, and which parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from strategies import layout as lay
from strategies.choices import Weights, among, chance, recent
from strategies.draft import Shaped, Value, placed_in
from strategies.indices import draw_index
from strategies.knowledge import Known, Root
from strategies.layout import Layout
from strategies.parameters import KINDS, complete
from strategies.program import Apply, Argument, Data, Generated, Leaf, ProgramError
from strategies.recipe import SHAPES
from strategies.table import Indexing, Operand, Row
from strategies.table.row import Layouts
from strategies.values import materialise

_NUMBERS = (2.0, -1.0, 0.5, 3.0, 1.0, 0.0, -0.25)


_BY_LAST = frozenset(
    "div addcdiv atan2 div_floor div_trunc foreach_div fmod remainder floor_divide xlogy".split()
)
"""Rows whose domain is that of their last operand."""

_STYLES = Weights((("few", 41), ("dyadic", 33), ("positive", 14), ("kinked", 12)))
_SHAPES = Weights(SHAPES)
_NEEDED = {"any": 0, "nonzero": 1, "unit": 2, "positive": 2}
"""What must be known of a value in each domain, as `Known.traits` says it."""


# Programs are many and their shapes few.
@lru_cache(maxsize=4096)
def joined(one: tuple[int, ...], two: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape to which both broadcast, if they do."""
    try:
        return lay.broadcast_shapes(one, two)
    except ValueError:
        return None


@dataclass(slots=True)
class Composing(Known):
    """A draft with rough knowledge of it, and what a step in it can be made of."""

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
            shape = _SHAPES.one(self.choose)
        count = math.prod(shape)
        grad = not chance(self.choose, 25) if requires_grad is None else requires_grad
        trait = 1
        data: Data
        if style is None:
            style = _STYLES.one(self.choose)
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

    def whole_leaf(self, leaf: Leaf) -> Value:
        """Add a leaf that is not drawn and does not require grad."""
        value = self.draft.add_leaf(leaf)
        self.roots[leaf.name] = Root(False, True)
        self.traits[value.memory] = 0
        return value

    # -- steps --------------------------------------------------------------------------------

    def _in_domain(self, row: Row, operand: Value) -> bool:
        return self.traits.get(operand.memory, 0) >= _NEEDED[row.domain]

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
        ways = [
            way
            for way, text in templates.items()
            if not params or "{p}" in text or not params.keys() - placed_in(text)
        ]
        via = among(self.choose, ways) if len(ways) > 1 else ""
        op = row.in_place_name if in_place else row.name
        to = () if in_place else self._names(row, layouts, params)
        step = Apply(
            op, tuple(args), params, to, via if via != next(iter(templates)) else "", self.modes
        )
        try:
            shaped = self.draft.composed(step, row, in_place, layouts)
        except ProgramError:
            # Three operands need not broadcast, though two of them do with the first.
            if len(layouts) < 3:
                raise
            return None
        if any(value.layout.numel > self.recipe.most_cells for value in shaped.results):
            return None
        return None if shaped.refused and not in_place else shaped

    def _layouts(self, args: list[Argument]) -> Layouts:
        values = self.draft.values
        return tuple([values[a].layout if isinstance(a, str) else None for a in args])

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
        shapes = [s for s in row.wants(layouts, params) if math.prod(s) <= self.recipe.most_cells]
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
        return {
            param.name: values[param.name]
            for param in row.params
            if param.required or values[param.name] != param.default
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
            other = value.layout.shape
            both = shape if other == shape else joined(shape, other)
            if both == shape or (
                both is not None and not exact and math.prod(both) <= self.recipe.most_cells
            ):
                found.append(value)
        return found
