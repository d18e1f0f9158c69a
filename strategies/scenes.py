"""Programs drawn for one claim at a time: a scene is set, and what happens in it is random.

Each scene is a function of a source of choices, like `strategies.build.build`, and uses the same
growth; `drawn` makes a Hypothesis strategy of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from strategies.build import DEFAULT, PLAIN, VIEWS, WRITES, Growth, Recipe, finish
from strategies.choices import Choose, Drawn, among, chance, recent
from strategies.draft import Shaped, Value
from strategies.program import Apply, Backward, Mode, Program
from strategies.table import TABLE, Row

Scene = Callable[[Choose], Program]
_OFF: tuple[tuple[Mode, ...], ...] = (
    ("no_grad",),
    ("set_grad_enabled(False)",),
    ("@no_grad",),
    ("no_grad", "no_grad"),
    ("enable_grad", "no_grad"),
)
_ON: tuple[tuple[Mode, ...], ...] = (
    (),
    ("enable_grad",),
    ("no_grad", "enable_grad"),
    ("set_grad_enabled(False)", "set_grad_enabled(True)"),
)
_NONE: tuple[tuple[Mode, ...], ...] = ((),) * 4
ACTIVATIONS = tuple(
    TABLE[name]
    for name in (
        "relu relu6 hardtanh threshold leaky_relu rrelu elu celu selu hardsigmoid hardswish silu "
        "mish"
    ).split()
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
_QUIET = replace(DEFAULT, region=0, unsafe=0, backward=0, detach=0)


def drawn(scene: Scene) -> st.SearchStrategy[Program]:
    """A strategy of a scene's programs; examples shrink as the scene's choices do."""

    @st.composite
    def programs(draw: st.DrawFn) -> Program:
        return scene(Drawn(draw))

    return programs()


def _start(choose: Choose, recipe: Recipe = _QUIET) -> tuple[Growth, Value]:
    growth = Growth(choose, recipe)
    leaf = growth.leaf(requires_grad=True)
    for _ in range(choose.below(2)):
        growth.leaf()
    return growth, leaf


def _some(growth: Growth, most: int) -> None:
    for _ in range(growth.choose.below(most + 1)):
        growth.step()


def _apply(
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


def _live(growth: Growth, value: Value) -> Value:
    """A non-leaf with a history, made from a value by a few operations."""
    result = _apply(growth, value, PLAIN).results[0]
    return result if growth.grad(result) else _apply(growth, value, (TABLE["clone"],)).results[0]


def _alias(growth: Growth, value: Value) -> Value:
    """The value itself, a view of it, or a detached alias."""
    kind = growth.choose.below(3)
    if kind == 0:
        return value
    if kind == 1:
        views = tuple(row for row in VIEWS if row.kind == "view" and not row.multi)
        shaped = growth.operation(value, views, in_place=False)
        return shaped.results[0] if shaped is not None else value
    return _apply(growth, value, (TABLE["detach"],)).results[0]


def leaf_written(choose: Choose) -> Program:
    """A leaf that requires grad, or a view of it, is written in grad mode or outside it."""
    growth, leaf = _start(choose)
    _some(growth, 2)
    target = leaf
    for _ in range(choose.below(3)):
        growth.modes = among(choose, _ON)
        views = tuple(row for row in VIEWS if row.kind == "view")
        shaped = growth.operation(target, views, in_place=False)
        target = recent(choose, shaped.results) if shaped is not None else target
    growth.modes = among(choose, _ON)
    _apply(growth, target, WRITES, in_place=True)
    growth.modes = ()
    finish(growth)
    return growth.draft.program()


def leaf_written_in_no_grad(choose: Choose) -> Program:
    """The same, inside no_grad: outside the claim's scope."""
    growth, leaf = _start(choose)
    growth.modes = among(choose, _OFF)
    _apply(growth, _alias(growth, leaf), WRITES, in_place=True)
    growth.modes = ()
    _apply(growth, leaf, PLAIN)
    finish(growth)
    return growth.draft.program()


def saved_then_written(choose: Choose) -> Program:
    """A node saves a tensor (or does not), the tensor or an alias is written, backward runs."""
    growth, leaf = _start(choose)
    value = _live(growth, leaf)
    rows = among(choose, (SAVES_RESULT, SAVES_OPERAND, SAVES_NOTHING))
    saver = _apply(growth, value, rows)
    result = saver.results[0] if growth.grad(saver.results[0]) else value
    held = among(choose, (result, value))
    victim = _alias(growth, held)
    growth.modes = among(choose, ((), ("no_grad",)))
    _apply(growth, victim, WRITES, in_place=True)
    growth.modes = ()
    _some(growth, 1)
    growth.backward(result)
    return growth.draft.program()


def written_through_data(choose: Choose) -> Program:
    """The same, but the write goes through `.data`, which hides it from the version counter."""
    growth, leaf = _start(choose)
    value = _live(growth, leaf)
    saver = _apply(growth, value, among(choose, (SAVES_RESULT, SAVES_OPERAND)))
    held = among(choose, (saver.results[0], value))
    data = _apply(growth, held, (TABLE["data"],)).results[0]
    _apply(growth, data, WRITES, in_place=True)
    root = saver.results[0] if growth.grad(saver.results[0]) else value
    growth.backward(root)
    return growth.draft.program()


def saved_by_unexecuted(choose: Choose) -> Program:
    """What is overwritten was saved, but by a node that this backward does not execute."""
    growth, leaf = _start(choose)
    value = _live(growth, leaf)
    _apply(growth, value, SAVES_OPERAND)
    other = _apply(growth, value, (TABLE["clone"],)).results[0]
    _apply(growth, value, WRITES, in_place=True)
    growth.backward(other)
    return growth.draft.program()


def activation_in_place(choose: Choose) -> Program:
    """An activation overwrites what no executed node saved, and only its result is read."""
    growth, leaf = _start(choose)
    first = _apply(growth, leaf, SAVES_NOTHING).results[0]
    value = first if growth.grad(first) else _apply(growth, leaf, (TABLE["clone"],)).results[0]
    _activate(growth, value)
    chain = value
    for _ in range(choose.below(3)):
        following = _apply(growth, chain, PLAIN).results[0]
        chain = following if growth.grad(following) else chain
    growth.backward(chain)
    return growth.draft.program()


def activation_on_saved(choose: Choose) -> Program:
    """An activation overwrites what its producer saved: outside the claim's scope (b)."""
    growth, leaf = _start(choose)
    value = _apply(growth, leaf, SAVES_RESULT).results[0]
    shaped = growth.operation(value, ACTIVATIONS, in_place=True)
    assert shaped is not None
    growth.backward(value)
    return growth.draft.program()


def activation_read_again(choose: Choose) -> Program:
    """The overwritten tensor is read again beside the result: outside the claim's scope (a)."""
    growth, leaf = _start(choose)
    first = _apply(growth, leaf, SAVES_NOTHING).results[0]
    value = first if growth.grad(first) else _apply(growth, leaf, (TABLE["clone"],)).results[0]
    kept = _apply(growth, value, (TABLE["view_as"],)).results[0]
    _activate(growth, value)
    total = growth._learn(
        growth.draft.add(Apply("add", (value.name, kept.name), {}, (_name(growth),)))
    )
    growth.backward(total.results[0])
    return growth.draft.program()


def activation_on_leaf(choose: Choose) -> Program:
    """An activation overwrites a leaf: outside the claim's scope (c)."""
    growth, leaf = _start(choose)
    shaped = growth.operation(leaf, ACTIVATIONS, in_place=True)
    assert shaped is not None
    _apply(growth, leaf, PLAIN)
    finish(growth)
    return growth.draft.program()


def activation_negative(choose: Choose) -> Program:
    """An activation with a negative slope or alpha in place: outside the claim's scope (d)."""
    growth, leaf = _start(choose)
    value = _apply(growth, leaf, (TABLE["clone"],)).results[0]
    name, param = among(
        choose, (("leaky_relu", "negative_slope"), ("elu", "alpha"), ("celu", "alpha"))
    )
    growth._learn(growth.draft.add(Apply(name + "_", (value.name,), {param: -0.5})))
    growth.backward(value)
    return growth.draft.program()


def _name(growth: Growth) -> str:
    return f"x{len(growth.draft.values) - len(growth.draft.leaves)}"


def _activate(growth: Growth, value: Value) -> None:
    """An activation in place with no negative parameter."""
    row = among(growth.choose, ACTIVATIONS)
    params = {
        param.name: among(growth.choose, [c for c in param.choices if c >= 0] or param.choices)
        for param in row.params
        if param.name not in ("min_val", "max_val", "lower", "upper")
    }
    ways = tuple(row.in_place)
    step = Apply(row.name + "_", (value.name,), params, (), among(growth.choose, ways))
    growth._learn(growth.draft.add(step))


def plain_operations(choose: Choose) -> Program:
    """Operations that write no operand, on tensors with and without grad."""
    growth = Growth(choose, replace(_QUIET, in_place=0, view=15))
    growth.leaf(requires_grad=not chance(choose, 50))
    growth.leaf()
    for _ in range(1 + choose.below(6)):
        growth.step()
    if not growth.draft.steps:
        growth.plain()
    return growth.draft.program()


def rebound(choose: Choose) -> Program:
    """`y = x + 1` beside aliases of x: the old tensor stays as it was."""
    growth, leaf = _start(choose)
    value = _live(growth, leaf)
    _alias(growth, value)
    row = TABLE[among(choose, ("add", "sub", "mul", "div"))]
    step = Apply(row.name, (value.name, 2.0), {}, (_name(growth),), "operator")
    result = growth._learn(growth.draft.add(step)).results[0]
    growth.backward(result)
    return growth.draft.program()


def augmented(choose: Choose) -> Program:
    """`x += 1` beside aliases of x: every alias sees it."""
    growth, leaf = _start(choose)
    value = _apply(growth, leaf, (TABLE["clone"],)).results[0]
    _alias(growth, value)
    name = among(choose, ("add_", "sub_", "mul_", "div_"))
    growth._learn(growth.draft.add(Apply(name, (value.name, 2.0), {}, (), "operator")))
    growth.backward(value)
    return growth.draft.program()


def computed_in_region(choose: Choose) -> Program:
    """Fresh results inside grad-mode regions of every kind, and outside."""
    growth, _ = _start(choose)
    for _ in range(1 + choose.below(4)):
        # Most often outside every region: a region that does not end shows there alone.
        growth.modes = among(choose, (*_OFF, *_ON, *_NONE))
        _apply(growth, recent(choose, growth.floats()), PLAIN)
    growth.modes = ()
    root = recent(choose, growth.floats())
    growth.backward(root)
    return growth.draft.program()


def viewed_in_region(choose: Choose) -> Program:
    """Views made inside no_grad: outside the claim's scope."""
    growth, leaf = _start(choose)
    growth.modes = among(choose, _OFF)
    views = tuple(row for row in VIEWS if row.kind == "view" and not row.multi)
    _apply(growth, leaf, views, fallback="view_as")
    growth.modes = ()
    return growth.draft.program()


def truncated(choose: Choose) -> Program:
    """A leaf reaches the loss only through a result of no_grad; another leaf reaches it beside."""
    growth = Growth(choose, _QUIET)
    leaf = growth.leaf(requires_grad=True)
    value = leaf
    for _ in range(choose.below(3)):
        value = _apply(growth, value, PLAIN).results[0]
    growth.modes = among(choose, _OFF)
    cut = _apply(growth, value, PLAIN).results[0]
    growth.modes = ()
    other = growth.leaf(requires_grad=True, shape=cut.layout.shape)
    product = growth.draft.add(Apply("mul", (cut.name, other.name), {}, (_name(growth),)))
    result = growth._learn(product).results[0]
    growth.backward(result)
    return growth.draft.program()


def other_paths(choose: Choose) -> Program:
    """A leaf reaches the loss through a result of no_grad and around it, on one way or several."""
    growth = Growth(choose, _QUIET)
    leaf = growth.leaf(requires_grad=True)
    values = [leaf]
    for _ in range(choose.below(3)):
        values.append(_live(growth, recent(choose, values)))
    growth.modes = among(choose, _OFF)
    source = recent(choose, values)
    cut = _apply(growth, source, (TABLE["exp"], TABLE["mul"], TABLE["sin"], TABLE["add"])).results[
        0
    ]
    growth.modes = ()
    total = cut
    for _ in range(1 + choose.below(2)):
        way = recent(choose, [v for v in values if v.layout.shape == leaf.layout.shape])
        if total.layout.shape == way.layout.shape:
            op = among(choose, ("add", "mul"))
            step = Apply(op, (total.name, way.name), {}, (_name(growth),))
            total = growth._learn(growth.draft.add(step)).results[0]
    if not growth.grad(total):
        total = _live(growth, leaf)
    growth.backward(total)
    return growth.draft.program()


def written_in_no_grad(choose: Choose) -> Program:
    """A tensor with a history is written inside no_grad, directly or through an alias."""
    growth, leaf = _start(choose)
    value = _live(growth, leaf)
    if chance(choose, 30):
        _apply(growth, value, (*SAVES_RESULT, *SAVES_NOTHING))
    growth.modes = among(choose, _OFF)
    _apply(growth, _alias(growth, value), WRITES, in_place=True)
    growth.modes = ()
    following = _apply(growth, value, PLAIN).results[0]
    growth.backward(following if growth.grad(following) else value)
    return growth.draft.program()


def detached(choose: Choose) -> Program:
    """A tensor and a detached alias of it, written through either side."""
    growth, leaf = _start(choose)
    value = _live(growth, leaf)
    alias = _apply(growth, value, (TABLE["detach"],)).results[0]
    for _ in range(1 + choose.below(3)):
        target = among(choose, (alias, value))
        growth.modes = among(choose, ((), ("no_grad",)))
        _apply(growth, _alias(growth, target), WRITES, in_place=True)
    growth.modes = ()
    growth.draft.add_backward(Backward((value.name,), (growth.cotangent(value.layout.shape),)))
    return growth.draft.program()
