"""Programs with one thing left out or simplified: what the reducer tries next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from strategies.draft import check
from strategies.program import Apply, Argument, Backward, Leaf, Mode, Program, Step
from strategies.table import OPERATIONS

SIMPLE: tuple[tuple[str, tuple[Argument, ...]], ...] = (
    ("mul", (2.0,)),
    ("exp", ()),
    ("sigmoid", ()),
    ("square", ()),
    ("sum", ()),
    ("view_as", ()),
    ("t", ()),
    ("gt", (2.0,)),
    ("mul_", (2.0,)),
    ("zero_", ()),
    ("exp_", ()),
    ("t_", ()),
)
"""Operations that are tried in the place of others, by what follows their first operand."""
VALUES: tuple[Any, ...] = (["..."], [0], [-1], [2], 0, 1, -1, -0.5)
"""Parameters that are tried in the place of others; the last ones suit most kinds of number."""
RANK = {op: rank for rank, (op, _) in enumerate(SIMPLE)}
PLAIN_MODES: tuple[Mode, ...] = ("no_grad", "enable_grad")
"""The grad-mode regions that are tried in the place of others."""


def neighbours(program: Program) -> Iterator[Program]:
    """Programs with one thing left out or simplified, the largest cuts first."""
    for index in reversed(range(len(program.steps))):
        yield from _without_step(program, index)
    for leaf in program.leaves:
        yield from _without_leaf(program, leaf)
    for index, step in enumerate(program.steps):
        simpler = _simpler(program, step, index)
        yield from (_with_step(program, index, other) for other in simpler)
    yield from _with_other_leaves(program)
    for index in range(len(program.steps)):
        yield from _writing_a_leaf(program, index)
    yield from _with_more_leaves(program)


# -- leaving out ----------------------------------------------------------------------------------


def _without_step(program: Program, index: int) -> Iterator[Program]:
    """The step left out: an earlier tensor stands for its result, or all that uses it goes too."""
    step = program.steps[index]
    without = replace(program, steps=program.steps[:index] + program.steps[index + 1 :])
    if isinstance(step, Backward) or not step.to:
        yield without
        if isinstance(step, Apply) and step.op in ("requires_grad_", "detach_"):
            yield _with_flag(without, step)
        return
    operands = [argument for argument in step.args if isinstance(argument, str)]
    for name in dict.fromkeys((*operands, *(leaf.name for leaf in program.leaves))):
        renamed = called(without, dict.fromkeys(step.to, name))
        yield renamed
        # A leaf that requires grad could not be written in the place of the result.
        yield _with_flag(renamed, Apply("detach_", (name,)))
    yield from _in_its_place(program, index)
    yield _without_names(without, set(step.to))


def _writing_a_leaf(program: Program, index: int) -> Iterator[Program]:
    """The step left out, and the leaf that it is of written in its place."""
    step = program.steps[index]
    if isinstance(step, Apply) and step.to and step.args[0] in {n.name for n in program.leaves}:
        without = replace(program, steps=program.steps[:index] + program.steps[index + 1 :])
        renamed = called(without, dict.fromkeys(step.to, str(step.args[0])))
        leaves = (
            replace(leaf, requires_grad=leaf.requires_grad and leaf.name != step.args[0])
            for leaf in program.leaves
        )
        yield replace(renamed, leaves=tuple(leaves))


def _in_its_place(program: Program, index: int) -> Iterator[Program]:
    """The step left out whose result is written next, by what makes the same of its operand."""
    step, *later = program.steps[index:]
    if not isinstance(step, Apply) or len(step.to) != 1:
        return
    number = next((n for n, each in enumerate(later) if step.to[0] in used(each)), None)
    if number is None:
        return
    write = later[number]
    if isinstance(write, Apply) and write.op.endswith("_") and write.args[0] == step.to[0]:
        args = (step.args[0], *write.args[1:])
        plain = replace(write, op=write.op[:-1], args=args, to=step.to, via="")
        steps = (*program.steps[:index], *later[:number], plain, *later[number + 1 :])
        yield replace(program, steps=steps)


def _with_more_leaves(program: Program) -> Iterator[Program]:
    """A step left out whose part a leaf of its own can take, or leaves of another shape."""
    values = check(program).values
    for index, step in enumerate(program.steps):
        if not isinstance(step, Apply) or len(step.to) != 1:
            continue
        shape = values[step.to[0]].layout.shape
        without = replace(program, steps=program.steps[:index] + program.steps[index + 1 :])
        yield from _with_a_leaf_for(without, step.to[0], shape)
        operand = _target(step)
        if isinstance(operand, str):
            passed = called(without, {step.to[0]: operand})
            yield from _reading_another_leaf(passed)
            yield _with_shapes(passed, values[operand].layout.shape, shape)


def _with_a_leaf_for(program: Program, name: str, shape: tuple[int, ...]) -> Iterator[Program]:
    """A leaf under this name: with a gradient, or without one and multiplied by what has one."""
    leaf = _leaf(Leaf(name, (), []), shape)
    with_leaf = replace(program, leaves=(*program.leaves, leaf))
    yield replace(program, leaves=(*program.leaves, replace(leaf, requires_grad=True)))
    yield with_leaf
    for place, step in enumerate(program.steps):
        if isinstance(step, Apply) and step.to and name in step.args:
            for other in program.leaves:
                product = Apply("mul", (name, other.name), {}, step.to[:1], modes=step.modes)
                if other.requires_grad:
                    yield _with_step(with_leaf, place, product)


def _reading_another_leaf(program: Program) -> Iterator[Program]:
    """One step reads a copy of a leaf that requires no grad; the others read the leaf itself."""
    for leaf in program.leaves:
        copy = replace(leaf, name=f"{leaf.name}_copy", requires_grad=False)
        with_copy = replace(program, leaves=(*program.leaves, copy))
        for place, step in enumerate(program.steps):
            if isinstance(step, Apply) and leaf.name in step.args:
                args = tuple(copy.name if a == leaf.name else a for a in step.args)
                yield _with_step(with_copy, place, replace(step, args=args))


def _with_shapes(program: Program, before: tuple[int, ...], after: tuple[int, ...]) -> Program:
    """The leaves that had one shape have another."""
    leaves = (_leaf(leaf, after) if leaf.shape == before else leaf for leaf in program.leaves)
    return replace(program, leaves=tuple(leaves))


def _with_flag(program: Program, step: Apply) -> Program:
    """The program whose leaf has from the start the flag that a step gave it."""
    wants = step.op == "requires_grad_" and bool(step.params.get("requires_grad", True))
    leaves = (
        replace(leaf, requires_grad=wants) if leaf.name == step.args[0] else leaf
        for leaf in program.leaves
    )
    return replace(program, leaves=tuple(leaves))


def _without_leaf(program: Program, leaf: Leaf) -> Iterator[Program]:
    without = replace(program, leaves=tuple(one for one in program.leaves if one is not leaf))
    for name in program.names:
        if name != leaf.name:
            yield called(without, {leaf.name: name})
    yield _without_names(without, {leaf.name})


def used(step: Step) -> tuple[str, ...]:
    """The tensors that a step refers to."""
    if isinstance(step, Backward):
        return (*step.of, *step.inputs)
    return tuple(argument for argument in step.args if isinstance(argument, str))


def called(program: Program, names: dict[str, str]) -> Program:
    """The program with tensors called otherwise, where they come to be and where they are used."""

    def call(name: str) -> str:
        return names.get(name, name)

    steps: list[Step] = []
    for step in program.steps:
        if isinstance(step, Backward):
            inputs = tuple(dict.fromkeys(map(call, step.inputs)))
            steps.append(replace(step, of=tuple(map(call, step.of)), inputs=inputs))
        else:
            args = tuple(call(a) if isinstance(a, str) else a for a in step.args)
            steps.append(replace(step, args=args, to=tuple(map(call, step.to))))
    leaves = tuple(replace(leaf, name=call(leaf.name)) for leaf in program.leaves)
    return replace(program, leaves=leaves, steps=tuple(steps))


def _without_names(program: Program, gone: set[str]) -> Program:
    """The program without the steps that refer to these tensors or to what those steps made."""
    steps = []
    for step in program.steps:
        if gone.isdisjoint(used(step)):
            steps.append(step)
        elif isinstance(step, Apply):
            gone = gone | set(step.to)
    return replace(program, steps=tuple(steps))


# -- simplifying ----------------------------------------------------------------------------------


def _with_step(program: Program, index: int, step: Step) -> Program:
    return replace(program, steps=(*program.steps[:index], step, *program.steps[index + 1 :]))


def _simpler(program: Program, step: Step, index: int) -> Iterator[Step]:
    """Steps that say less than this one."""
    for start in range(len(step.modes)):
        yield replace(step, modes=step.modes[:start] + step.modes[start + 1 :])
    for mode in PLAIN_MODES:
        if step.modes:
            yield replace(step, modes=(mode,))
    earlier = (*(n.name for n in program.leaves), *made(program.steps[:index]))
    if isinstance(step, Backward):
        yield from _simpler_backward(step, earlier)
        return
    if step.via:
        yield replace(step, via="")
    for name in step.params:
        yield replace(step, params={k: v for k, v in step.params.items() if k != name})
        for value in VALUES:
            yield replace(step, params={**step.params, name: value})
    for op, rest in (*SIMPLE, *_products(step)):
        if _may_replace(step.op, op):
            yield replace(
                step, op=op, args=(_target(step), *rest), params={}, via="", to=step.to[:1]
            )
    for place, argument in enumerate(step.args):
        options: tuple[Argument, ...] = (2.0, *earlier) if isinstance(argument, str) else (2.0,)
        for other in options:
            args: tuple[Any, ...] = (*step.args[:place], other, *step.args[place + 1 :])
            if other != argument:
                yield replace(step, args=args)


def _products(step: Apply) -> Iterator[tuple[str, tuple[Argument, ...]]]:
    """Products of the first operand and another tensor that the step reads."""
    for op in ("mul", "mul_"):
        yield from ((op, (other,)) for other in step.args[1:] if isinstance(other, str))


def made(steps: tuple[Step, ...]) -> tuple[str, ...]:
    return tuple(name for step in steps if isinstance(step, Apply) for name in step.to)


def _may_replace(op: str, other: str) -> bool:
    """Whether another operation is simpler than this one and of its form."""
    if op not in OPERATIONS or RANK[other] >= RANK.get(op, len(RANK)):
        return False
    return OPERATIONS[op][1] == OPERATIONS[other][1]


def _target(step: Apply) -> Argument:
    """The operand that is written, or that a view is of."""
    leading = OPERATIONS[step.op][0].operands[0].dtype == "bool"
    return step.args[1 if leading else 0]


def _simpler_backward(step: Backward, earlier: tuple[str, ...]) -> Iterator[Backward]:
    if step.retain_graph:
        yield replace(step, retain_graph=False)
    yield replace(step, inputs=(), via="")
    yield replace(step, via="")
    for name in step.inputs if len(step.inputs) > 1 else ():
        yield replace(step, inputs=(name,))
    if len(step.of) > 1:
        for root in range(len(step.of)):
            kept = step.cotangents[root : root + 1]
            yield replace(step, of=step.of[root : root + 1], cotangents=kept)
    else:
        for name in earlier:
            yield replace(step, of=(name,), cotangents=())
    yield replace(step, cotangents=())


def _with_other_leaves(program: Program) -> Iterator[Program]:
    """All leaves of one small shape, then each leaf smaller, with plainer data, requiring grad."""
    for shape in ((), (2,), (1,), (2, 2), (2, 3)):
        yield replace(program, leaves=tuple(_leaf(leaf, shape) for leaf in program.leaves))
    for place, leaf in enumerate(program.leaves):
        for other in _simpler_leaf(leaf):
            leaves = (*program.leaves[:place], other, *program.leaves[place + 1 :])
            yield replace(program, leaves=leaves)


def _leaf(leaf: Leaf, shape: tuple[int, ...]) -> Leaf:
    """The leaf with another shape and data that count up: from 0 if it may be an index."""
    count = math.prod(shape)
    if leaf.dtype == "int64":
        return replace(leaf, shape=shape, data=[float(i) for i in range(count)])
    if leaf.dtype == "bool":
        return replace(leaf, shape=shape, data=[float((i + 1) % 2) for i in range(count)])
    return replace(leaf, shape=shape, data=[float(i + 1) for i in range(count)])


def _simpler_leaf(leaf: Leaf) -> Iterator[Leaf]:
    for axis, length in enumerate(leaf.shape):
        yield _leaf(leaf, leaf.shape[:axis] + leaf.shape[axis + 1 :])
        if length != 1:
            yield _leaf(leaf, (*leaf.shape[:axis], abs(length - 1), *leaf.shape[axis + 1 :]))
    yield _leaf(leaf, leaf.shape)
    yield replace(leaf, data=[1.0] * math.prod(leaf.shape))
    if not leaf.requires_grad:
        number = (
            replace(leaf, data=[1.0] * math.prod(leaf.shape)) if leaf.dtype == "int64" else leaf
        )
        yield replace(number, dtype="float64", requires_grad=True)
        yield replace(number, dtype="float64")
