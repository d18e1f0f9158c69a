"""What scenes are set with: grad-mode regions, kinds of operations, and the moves they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from strategies.build import DEFAULT, PLAIN, VIEWS, Growth, Recipe
from strategies.choices import Choose
from strategies.draft import Shaped, Value
from strategies.drawn import Drawn
from strategies.lacking import suited
from strategies.pools import RELABELS
from strategies.program import Mode, Program
from strategies.table import TABLE, Row

Scene = Callable[[Choose], Program]
UNRECORDED: tuple[tuple[Mode, ...], ...] = (
    ("no_grad",),
    ("set_grad_enabled(False)",),
    ("@no_grad",),
    ("no_grad", "no_grad"),
    ("enable_grad", "no_grad"),
)
RECORDED: tuple[tuple[Mode, ...], ...] = (
    (),
    ("enable_grad",),
    ("no_grad", "enable_grad"),
    ("set_grad_enabled(False)", "set_grad_enabled(True)"),
)
NO_REGION: tuple[tuple[Mode, ...], ...] = ((),) * 4
ACTIVATIONS = tuple(
    TABLE[name]
    for name in (
        "relu relu6 hardtanh threshold leaky_relu rrelu elu celu selu hardsigmoid hardswish silu "
        "mish"
    ).split()
)
KINKED = (
    *ACTIVATIONS,
    *(
        TABLE[name]
        for name in (
            "abs sign clamp clamp_min clamp_max maximum minimum floor ceil round trunc square"
        ).split()
    ),
)
SAVES_RESULT = tuple(
    row
    for row in TABLE.values()
    if row.plain and any(s.what == "result" for s in row.saves) and row.name != "pow"
)
SAVES_OPERAND = tuple(
    row
    for row in TABLE.values()
    if row.plain
    and any(s.what in ("self", "other", "mat2", "exponent") for s in row.saves)
    and row.dtype == "float64"
)
SAVES_NOTHING = tuple(TABLE[n] for n in ("add", "sub", "neg", "clone", "mm", "matmul", "sum"))
PURE_VIEWS = tuple(row for row in VIEWS if row.kind == "view" and not row.multi)
INERT = tuple(row for row in TABLE.values() if row.inert)
MOVES = tuple(row for row in RELABELS if row.moves)
"""Rows whose in-place forms change a shape, which counts as a write."""
FLAGGING = (TABLE["detach"], TABLE["requires_grad"])
"""Rows whose in-place forms change what autograd knows of a tensor, and no element."""
QUIET = replace(
    DEFAULT, region=0, unsafe=0, backward=0, detach=0, second_loss=0, odd=0, inputs=0, roots=0
)


def drawn(scene: Scene) -> st.SearchStrategy[Program]:
    """A strategy of a scene's programs; examples shrink as the scene's choices do."""

    @st.composite
    def programs(draw: st.DrawFn) -> Program:
        return suited(Drawn(draw), scene)

    return programs()


def start(choose: Choose, recipe: Recipe = QUIET) -> tuple[Growth, Value]:
    growth = Growth(choose, recipe)
    leaf = growth.leaf(requires_grad=True)
    for _ in range(choose.below(2)):
        growth.leaf()
    return growth, leaf


def some(growth: Growth, most: int) -> None:
    for _ in range(growth.choose.below(most + 1)):
        growth.step()


def apply(
    growth: Growth,
    value: Value,
    rows: tuple[Row, ...],
    *,
    in_place: bool = False,
    fallback: str = "clone",
) -> Shaped:
    """One of the rows on a value; the fallback if none of them fits it."""
    shaped = growth.operation(value, rows, in_place=in_place)
    if shaped is None:
        name = "zero" if in_place else fallback
        shaped = growth.operation(value, (TABLE[name],), in_place=in_place)
    assert shaped is not None, "the fallback fits every float64 tensor"
    return shaped


def live(growth: Growth, value: Value) -> Value:
    """A non-leaf with a history, made from a value by a few operations."""
    result = apply(growth, value, PLAIN).results[0]
    return result if growth.grad(result) else apply(growth, value, (TABLE["clone"],)).results[0]


def alias(growth: Growth, value: Value) -> Value:
    """The value itself, a view of it, or a detached alias."""
    kind = growth.choose.below(3)
    if kind == 0:
        return value
    if kind == 1:
        shaped = growth.operation(value, PURE_VIEWS, in_place=False)
        return shaped.results[0] if shaped is not None else value
    return apply(growth, value, (TABLE["detach"],)).results[0]
