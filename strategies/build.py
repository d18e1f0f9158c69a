"""One function that draws programs, `build(choose, recipe)`, from whatever makes the choices."""

from __future__ import annotations

from strategies.choices import Choose, chance
from strategies.draft import Draft
from strategies.endings import (
    LONGEST,
    end_around_autograd,
    end_with_a_hidden_write,
    end_with_a_rarity,
    end_with_a_write,
    finish,
)
from strategies.growth import Growth
from strategies.pools import PLAIN, VIEWS, WRITES
from strategies.program import Program
from strategies.recipe import DEFAULT, Recipe, with_rows


def build(choose: Choose, recipe: Recipe = DEFAULT) -> Program:
    """A program of 1 to `most_steps` steps and at least one backward call where gradients flow.

    Examples shrink towards one leaf and few steps.
    """
    return grown(choose, recipe).program()


def grown(choose: Choose, recipe: Recipe = DEFAULT) -> Draft:
    """The draft of such a program, checked as it grew."""
    growth = Growth(choose, recipe)
    growth.leaf(requires_grad=True)
    while len(growth.draft.steps) < recipe.most_steps - 1 and chance(choose, recipe.go_on):
        choose.apart(growth.step)
    growth.modes = ()
    if not _ends_on_purpose(growth):
        choose.apart(lambda: finish(growth))
    return growth.draft


def _ends_on_purpose(growth: Growth) -> bool:
    """End with a rare error or with a write, if that is drawn and there is room and matter."""
    recipe, choose = growth.recipe, growth.choose
    room = len(growth.draft.steps) <= recipe.most_steps - LONGEST
    if chance(choose, recipe.rarity) and room:
        return choose.apart(lambda: end_with_a_rarity(growth))
    if chance(choose, recipe.hidden) and room and _draws(recipe, "data"):
        return choose.apart(lambda: end_with_a_hidden_write(growth))
    if chance(choose, recipe.around) and room and _draws(recipe, "resize", "set"):
        return choose.apart(lambda: end_around_autograd(growth))
    writes = chance(choose, recipe.ending if recipe.in_place else 0)
    return writes and room and choose.apart(lambda: end_with_a_write(growth))


def _draws(recipe: Recipe, *rows: str) -> bool:
    """Whether a recipe has writes, and these rows among what may be drawn."""
    return recipe.in_place > 0 and (recipe.rows is None or recipe.rows.issuperset(rows))


__all__ = [
    "DEFAULT",
    "PLAIN",
    "VIEWS",
    "WRITES",
    "Growth",
    "Recipe",
    "build",
    "finish",
    "grown",
    "with_rows",
]
