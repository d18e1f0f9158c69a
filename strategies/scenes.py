"""Programs drawn for one claim at a time: a scene is set, and what happens in it is random.

Each scene is a function of a source of choices, like `strategies.build.build`, and uses the same
growth; `drawn` makes a Hypothesis strategy of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from strategies.build import PLAIN, VIEWS, WRITES, Growth, finish
from strategies.choices import Choose, among, chance, recent, weighted
from strategies.program import Apply, Backward, Leaf, Program
from strategies.staging import (
    FLAGGING,
    INERT,
    MOVES,
    NO_REGION,
    PURE_VIEWS,
    QUIET,
    RECORDED,
    SAVES_NOTHING,
    SAVES_OPERAND,
    SAVES_RESULT,
    UNRECORDED,
    alias,
    apply,
    live,
    some,
    start,
)
from strategies.table import TABLE


def leaf_written(choose: Choose) -> Program:
    """A leaf that requires grad, or a view of it, is written: in grad mode and in no_grad.

    What may stand in the place of the write changes no element: a dropout that does nothing, or a
    change of the flag or of history.
    """
    growth, leaf = start(choose)
    some(growth, 2)
    target = leaf
    for _ in range(choose.below(3)):
        growth.modes = among(choose, RECORDED)
        views = tuple(row for row in VIEWS if row.kind == "view")
        shaped = growth.operation(target, views, in_place=False)
        target = recent(choose, shaped.results) if shaped is not None else target
    growth.modes = among(choose, (*RECORDED, *UNRECORDED[:3]))
    rows = weighted(choose, ((WRITES, 64), (INERT, 18), (FLAGGING, 18)))
    apply(growth, target, rows, in_place=True)
    growth.modes = ()
    finish(growth)
    return growth.draft.program()


def saved_then_written(choose: Choose) -> Program:
    """A node saves a tensor (or does not), the tensor or an alias is written, backward runs.

    What is saved may be a view whose base is written, and the write a change of shape alone. The
    alias may be one of `.data`, and backward may run from where the node is not executed, or for
    some leaves only.
    """
    growth, leaf = start(choose, replace(QUIET, inputs=30))
    base = value = live(growth, leaf)
    if chance(choose, 30):
        value = apply(growth, base, PURE_VIEWS, fallback="view_as").results[0]
    results, operands = (40, 45) if value is base else (15, 70)
    rows = weighted(
        choose, ((SAVES_RESULT, results), (SAVES_OPERAND, operands), (SAVES_NOTHING, 15))
    )
    saver = apply(growth, value, rows)
    result = saver.results[0] if growth.grad(saver.results[0]) else value
    root = result
    if chance(choose, 35):
        root = apply(growth, value, (TABLE["clone"],)).results[0]
    held = result if rows is SAVES_RESULT else value
    victim = among(choose, (held, held, result, value))
    if value is not base and chance(choose, 60):
        victim = base
    if chance(choose, 35):
        victim = apply(growth, victim, (TABLE["data"],)).results[0]
    else:
        victim = alias(growth, victim)
    if chance(choose, 20):
        apply(growth, victim, MOVES, in_place=True)
    else:
        growth.modes = among(choose, ((), ("no_grad",)))
        apply(growth, victim, WRITES, in_place=True)
        growth.modes = ()
    some(growth, 1)
    growth.backward(growth.draft.values[root.name])
    return growth.draft.program()


def views_written(choose: Choose) -> Program:
    """Any in-place operation on a view of any layout: its base and its other views must see it."""
    growth, leaf = start(choose)
    base = live(growth, leaf)
    target = apply(growth, base, PURE_VIEWS, fallback="view_as").results[0]
    if chance(choose, 40):
        target = apply(growth, target, PURE_VIEWS, fallback="view_as").results[0]
    if chance(choose, 30):
        alias(growth, base)
    apply(growth, target, WRITES, in_place=True)
    growth.backward(among(choose, (base, target)))
    return growth.draft.program()


def large(choose: Choose) -> Program:
    """A few operations on one large tensor, plain, in place and through views, and its gradient.

    Kernels handle 64 elements and more otherwise than a few: by vectors and in blocks.
    """
    growth = Growth(choose, replace(QUIET, most_cells=72, most_leaves=1))
    leaf = growth.leaf(requires_grad=True, shape=among(choose, LARGE))
    value = apply(growth, leaf, ELEMENTWISE).results[0]
    for _ in range(choose.below(3)):
        in_place = chance(choose, 50)
        rows = WRITES if in_place else ELEMENTWISE
        shaped = apply(growth, value, rows, in_place=in_place)
        value = shaped.results[0] if shaped.results else value
    growth.backward(value)
    return growth.draft.program()


LARGE = ((66,), (6, 11), (3, 2, 11))
"""Shapes of more than 64 elements, and no whole number of vectors."""
ELEMENTWISE = tuple(row for row in PLAIN if row.in_place and row.kind == "fresh")


def plain_operations(choose: Choose) -> Program:
    """Operations that write no operand, views among them, on tensors with and without grad."""
    growth = Growth(choose, replace(QUIET, in_place=0, view=12))
    growth.leaf(requires_grad=not chance(choose, 50))
    growth.leaf()
    for _ in range(1 + choose.below(6)):
        growth.step()
    if not growth.draft.steps:
        growth.plain()
    return growth.draft.program()


def rebound(choose: Choose) -> Program:
    """`y = x + 1` beside aliases of x: the old tensor stays as it was."""
    growth, leaf = start(choose)
    value = live(growth, leaf)
    alias(growth, value)
    row = TABLE[among(choose, ("add", "sub", "mul", "div"))]
    step = Apply(row.name, (value.name, 2.0), {}, (growth.fresh_name(),), "operator")
    result = growth.take(step).results[0]
    growth.backward(result)
    return growth.draft.program()


def augmented(choose: Choose) -> Program:
    """`x += 1` beside aliases of x: every alias sees it."""
    growth, leaf = start(choose)
    value = apply(growth, leaf, (TABLE["clone"],)).results[0]
    alias(growth, value)
    name = among(choose, ("add_", "sub_", "mul_", "div_"))
    growth.take(Apply(name, (value.name, 2.0), {}, (), "operator"))
    growth.backward(value)
    return growth.draft.program()


def done_in_region(choose: Choose) -> Program:
    """Operations inside grad-mode regions of every kind, and outside: fresh results most often."""
    growth, leaf = start(choose)
    for _ in range(1 + choose.below(4)):
        # Most often outside every region: a region that does not end shows there alone.
        growth.modes = among(choose, (*UNRECORDED, *RECORDED, *NO_REGION))
        value = recent(choose, growth.floats())
        kind = weighted(choose, (("fresh", 60), ("view", 15), ("itself", 8), ("in place", 17)))
        if kind == "in place" and value is not leaf:
            apply(growth, value, WRITES, in_place=True)
        elif kind == "view":
            apply(growth, value, PURE_VIEWS, fallback="view_as")
        else:
            apply(growth, value, (TABLE["contiguous"],) if kind == "itself" else PLAIN)
    growth.modes = ()
    root = recent(choose, growth.floats())
    growth.backward(root)
    return growth.draft.program()


def each_region() -> Iterator[Program]:
    """For each grad-mode region, one operation inside of it and the same one after it."""
    leaf = Leaf("a", (2,), [1.0, 2.0], requires_grad=True)
    for modes in (*UNRECORDED, *RECORDED):
        inside = Apply("mul", ("a", 2.0), {}, ("x0",), modes=modes)
        yield Program((leaf,), (inside, Apply("mul", ("a", 2.0), {}, ("x1",))))


def truncated(choose: Choose) -> Program:
    """A leaf reaches the loss only through a result of no_grad; another leaf reaches it beside."""
    growth = Growth(choose, QUIET)
    leaf = growth.leaf(requires_grad=True)
    value = leaf
    for _ in range(choose.below(3)):
        value = apply(growth, value, PLAIN).results[0]
    growth.modes = among(choose, UNRECORDED)
    cut = apply(growth, value, PLAIN).results[0]
    growth.modes = ()
    other = growth.leaf(requires_grad=True, shape=cut.layout.shape)
    product = Apply("mul", (cut.name, other.name), {}, (growth.fresh_name(),))
    result = growth.take(product).results[0]
    growth.backward(result)
    return growth.draft.program()


def other_paths(choose: Choose) -> Program:
    """A leaf reaches the loss through a result of no_grad and around it, on one way or several."""
    growth = Growth(choose, QUIET)
    leaf = growth.leaf(requires_grad=True)
    values = [leaf]
    for _ in range(choose.below(3)):
        values.append(live(growth, recent(choose, values)))
    growth.modes = among(choose, UNRECORDED)
    source = recent(choose, values)
    cut = apply(growth, source, (TABLE["exp"], TABLE["mul"], TABLE["sin"], TABLE["add"])).results[0]
    growth.modes = ()
    total = cut
    for _ in range(1 + choose.below(2)):
        way = recent(choose, [v for v in values if v.layout.shape == leaf.layout.shape])
        if total.layout.shape == way.layout.shape:
            op = among(choose, ("add", "mul"))
            step = Apply(op, (total.name, way.name), {}, (growth.fresh_name(),))
            total = growth.take(step).results[0]
    if not growth.grad(total):
        total = live(growth, leaf)
    growth.backward(total)
    return growth.draft.program()


def written_in_no_grad(choose: Choose) -> Program:
    """A tensor with a history is written inside no_grad, directly or through an alias."""
    growth, leaf = start(choose)
    value = live(growth, leaf)
    if chance(choose, 30):
        apply(growth, value, (*SAVES_RESULT, *SAVES_NOTHING))
    growth.modes = among(choose, UNRECORDED)
    apply(growth, alias(growth, value), WRITES, in_place=True)
    growth.modes = ()
    following = apply(growth, value, PLAIN).results[0]
    growth.backward(following if growth.grad(following) else value)
    return growth.draft.program()


def detached(choose: Choose) -> Program:
    """A tensor and a detached alias of it, or one of `.data`, written through either side."""
    growth, leaf = start(choose)
    value = live(growth, leaf)
    how = TABLE["data"] if chance(choose, 25) else TABLE["detach"]
    other = apply(growth, value, (how,)).results[0]
    for _ in range(1 + choose.below(3)):
        target = among(choose, (other, value))
        growth.modes = among(choose, ((), ("no_grad",)))
        apply(growth, alias(growth, target), WRITES, in_place=True)
    growth.modes = ()
    growth.draft.add_backward(Backward((value.name,), (growth.cotangent(value.layout.shape),)))
    return growth.draft.program()
