"""A draft that grows by drawn steps, each of them legal where it stands.

The weights of a `Recipe` say how often what happens; nothing is ever drawn and thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from strategies.choices import Weights, among, chance, recent
from strategies.composing import Composing
from strategies.draft import Shaped, Value
from strategies.lacking import avoided
from strategies.oddities import odd
from strategies.outs import write_out
from strategies.pools import COMPARISONS, MASKED, PLAIN, PRODUCTS, SPATIAL, SUMS, VIEWS, WRITES
from strategies.program import (
    Backward,
    Data,
    Generated,
    inferring,
    recording,
)
from strategies.ranks import of_its_rank
from strategies.recipe import MODES, Recipe
from strategies.table import TABLE, Row

_MODES = Weights(MODES)
_SHARES = Weights(((PLAIN, 78), (SUMS, 11), (PRODUCTS, 6), (SPATIAL, 5)))
"""Of how many plain operations of a hundred the row is drawn from which list."""


@lru_cache(maxsize=64)
def _kinds(recipe: Recipe) -> Weights[str]:
    """What a step may be, by what the recipe says of it."""
    return Weights(
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
        )
    )


@dataclass(slots=True)
class Growth(Composing):
    """A draft with rough knowledge of it, and the moves by which it grows."""

    avoided: frozenset[str] = field(default_factory=avoided)
    """Operations, by their names in programs, that no step is drawn of."""

    # -- steps --------------------------------------------------------------------------------

    def drift(self) -> None:
        """Maybe change the grad-mode region that the next step stands in."""
        if self.modes:
            if not chance(self.choose, self.recipe.stay):
                self.modes = ()
        elif chance(self.choose, self.recipe.region):
            self.modes = _MODES.one(self.choose)

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
                or (row.in_place_name if in_place else row.name) in self.avoided
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

    def compare(self) -> Shaped | None:
        """A comparison of two values or a value and a number, to feed `where` and `masked_fill`."""
        return self.operation(recent(self.choose, self.floats()), COMPARISONS, in_place=False)

    def plain(self) -> Shaped | None:
        """An operation that writes no operand."""
        rows, values = _SHARES.one(self.choose), self.floats()
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

    def _inputs(self) -> tuple[tuple[str, ...], Literal["", "grad"]]:
        """The only tensors that a backward call is for, and how it is written; most often all."""
        if not chance(self.choose, self.recipe.inputs):
            return (), ""
        names = [
            leaf.name
            for leaf in self.draft.leaves
            if self.roots[leaf.name].grad and self.roots[leaf.name].leaf
        ]
        some = tuple(name for name in names if chance(self.choose, 60)) or tuple(names[:1])
        if not chance(self.choose, 65):
            return some, ""
        some = tuple(name for name in some if not self.draft.may_be_filled(name))
        others = [
            value.name
            for value in self.floats()
            if self.grad(value)
            and value.name not in names
            and self.draft.object_of(value.name) == value.name
            and not self.draft.may_be_filled(value.name)
        ]
        if others and chance(self.choose, 75):
            some += (recent(self.choose, others),)
            some = some[-1:] if chance(self.choose, 40) else some
        return some, "grad" if some else ""

    def loss(self, *, several: bool = False) -> Backward | None:
        """A backward call from a value through which gradients flow, or from several, if there is
        one.
        """
        leaves = self._leaf_names()
        live = [v for v in self.floats() if self.grad(v) and v.name not in leaves]
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
        kind = _kinds(recipe).one(self.choose)
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
