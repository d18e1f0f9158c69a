"""How often what happens in a drawn program."""

from __future__ import annotations

from dataclasses import dataclass, replace

from strategies.program import Mode

SHAPES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((2,), 10),
    ((), 5),
    ((3,), 8),
    ((1,), 3),
    ((2, 2), 10),
    ((2, 3), 12),
    ((3, 1), 5),
    ((1, 3), 5),
    ((2, 1, 3), 4),
    ((2, 2, 2), 5),
    ((2, 1, 2, 2), 3),
    ((1, 2, 1, 2, 1), 3),
    ((0,), 1),
    ((2, 0), 1),
)
MODES: tuple[tuple[tuple[Mode, ...], int], ...] = (
    (("no_grad",), 50),
    (("set_grad_enabled(False)",), 15),
    (("@no_grad",), 8),
    (("enable_grad",), 5),
    (("no_grad", "enable_grad"), 8),
    (("no_grad", "set_grad_enabled(True)"), 5),
    (("no_grad", "no_grad"), 5),
    (("no_grad", "@enable_grad"), 4),
    (("inference_mode",), 10),
    (("inference_mode", "enable_grad"), 3),
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How often what happens in a drawn program; weights are relative, percentages are of 100."""

    most_steps: int = 20
    go_on: int = 88
    """Percent of steps that are followed by another one."""
    most_leaves: int = 3
    most_cells: int = 24
    """Elements of the largest tensor: small enough to read, large enough to broadcast."""
    leaf: int = 20
    """Percent of steps before which another leaf comes to be, up to `most_leaves`."""
    plain: int = 40
    in_place: int = 36
    view: int = 24
    detach: int = 3
    data: int = 0
    """`.data` of a value; what is written through it hides from the version counter."""
    backward: int = 4
    roots: int = 3
    """Backward calls that start from two or three roots."""
    odd: int = 4
    """Steps that write no element, that torch refuses, or that have no derivative."""
    out: int = 2
    """Steps that write into what `out=` names."""
    inputs: int = 12
    """Percent of backward calls that name the leaves that they are for."""
    region: int = 14
    """Percent of steps that open or change a grad-mode region."""
    on_views: int = 45
    """Percent of in-place steps whose target is a view, where there is one."""
    unsafe: int = 4
    """Percent of in-place steps whose target is drawn from all tensors, leaves included."""
    stay: int = 55
    """Percent of steps inside a region after which the region stays open."""
    wild: int = 4
    """Percent of operations drawn although an operand may lie outside their domain."""
    retain: int = 60
    """Percent of backward calls that retain the graph: half of the programs have several."""
    ending: int = 80
    """Percent of programs that end with a write that the loss depends on, where writes are drawn;
    so many of the others would not notice if it were ignored."""
    hidden: int = 1
    """Percent of programs that end with a write through `.data` of what backward needs."""
    around: int = 2
    """Percent of programs that end with `resize_` or `set_`: after one nothing is predicted."""
    rarity: int = 9
    """Percent of programs that end with an error that chance alone hardly brings about."""
    second_loss: int = 25
    """Percent of programs that end with two backward calls."""
    rows: frozenset[str] | None = None
    """Names of the rows that may be drawn, but for odd steps and rare ends; None for all."""


DEFAULT = Recipe()


def with_rows(recipe: Recipe, *names: str) -> Recipe:
    """The recipe restricted to some rows."""
    return replace(recipe, rows=frozenset(names))
