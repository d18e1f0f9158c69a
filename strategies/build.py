"""One function that draws programs, `build(choose, recipe)`, from whatever makes the choices."""

from __future__ import annotations

from strategies.choices import Choose, chance
from strategies.growth import Growth
from strategies.pools import PLAIN, VIEWS, WRITES
from strategies.program import Program
from strategies.recipe import DEFAULT, Recipe, with_rows


def build(choose: Choose, recipe: Recipe = DEFAULT) -> Program:
    """A program of 1 to `most_steps` steps and at least one backward call where gradients flow.

    Examples shrink towards one leaf and few steps.
    """
    growth = Growth(choose, recipe)
    growth.leaf(requires_grad=True)
    while len(growth.draft.steps) < recipe.most_steps - 1 and chance(choose, recipe.go_on):
        choose.apart(growth.step)
    growth.modes = ()
    choose.apart(lambda: finish(growth))
    return growth.draft.program()


def finish(growth: Growth) -> None:
    """End a program with a loss or two; where nothing requires grad one more step makes it so."""
    if growth.loss() is not None:
        if chance(growth.choose, growth.recipe.second_loss):
            growth.loss()
    else:
        grown = growth.plain()
        if growth.loss() is None and grown is not None:
            last = growth.draft.values[grown.results[0].name]
            growth.backward(last)


__all__ = [
    "DEFAULT",
    "PLAIN",
    "VIEWS",
    "WRITES",
    "Growth",
    "Recipe",
    "build",
    "finish",
    "with_rows",
]
