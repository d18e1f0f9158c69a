"""Each operation of the table where chance seldom leads: `python -m benchmarks.corners --help`."""

from __future__ import annotations

import math
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from random import Random

import click
from msgspec.structs import replace

from conformance.examine import Examiner, Judged
from conformance.oracle.machine import Machine
from conformance.subjects import open_subject
from strategies.choices import Seeded
from strategies.draft import Draft, check
from strategies.program import (
    Apply,
    Backward,
    Generated,
    Leaf,
    Mode,
    Program,
    ProgramError,
    Step,
)
from strategies.special_numbers import with_special_numbers
from strategies.table import OPERATIONS
from strategies.table.out import BY_MATRIX, SUFFIX
from tests.test_out import written
from tests.test_table import cases

MODES: tuple[tuple[Mode, ...], ...] = (
    (),
    ("no_grad",),
    ("inference_mode",),
    ("inference_mode", "enable_grad"),
)

_SQUARES = (0.0, 0.0, 0.25, 1.0, 2.25)

Corner = Callable[[Random, Draft, Apply], Program]


def special_values(random: Random, draft: Draft, step: Apply) -> Program:
    """Operands and a cotangent of which many or few are not ordinary numbers."""
    leaves = _leaves(draft, lambda leaf: random.random() < 0.8)
    target = str(step.args[0])
    first = Apply("mul", (target, 1.0), {}, ("x0",))
    steps, root = _acted([first], _renamed(step, {target: "x0"}))
    choose = Seeded(random.randrange(1 << 32), 0)
    return with_special_numbers(choose, Program(leaves, (*steps, _backward(root))))


def infinite_slope(random: Random, draft: Draft, step: Apply) -> Program:
    """Operands that come of sqrt, at zeros among other places, so that a gradient of 0 is NaN."""
    leaves = _leaves(draft, lambda leaf: random.random() < 0.8)
    given = {leaf.name: f"x{n}" for n, leaf in enumerate(leaves) if leaf.requires_grad}
    before = [Apply("sqrt", (leaf,), {}, (name,)) for leaf, name in given.items()]
    steps, root = _acted(before, _renamed(step, given))
    rooted = tuple(
        replace(leaf, data=[random.choice(_SQUARES) for _ in range(math.prod(leaf.shape))])
        if leaf.name in given
        else leaf
        for leaf in leaves
    )
    return Program(rooted, (*steps, _backward(root)))


def transposed_operand(random: Random, draft: Draft, step: Apply) -> Program:
    """An operand that lies transposed in its base, which is written before backward."""
    wide = [leaf for leaf in draft.leaves if leaf.dtype == "float64" and len(leaf.shape) > 1]
    if not wide:
        return stale_view(random, draft, step)
    chosen = random.choice(wide)
    one, two = random.sample(range(len(chosen.shape)), 2)
    shape = list(chosen.shape)
    shape[one], shape[two] = shape[two], shape[one]
    leaves = [
        replace(leaf, shape=tuple(shape) if leaf is chosen else leaf.shape, requires_grad=True)
        if leaf.dtype == "float64"
        else leaf
        for leaf in draft.leaves
    ]
    before = [
        Apply("mul", (chosen.name, 1.5), {}, ("x0",)),
        Apply("transpose", ("x0",), {"dim0": one, "dim1": two}, ("x1",)),
    ]
    steps, root = _acted(before, _renamed(step, {chosen.name: "x1"}))
    written = random.choice(("x0", root))
    return Program(
        tuple(leaves),
        (*steps, Apply("mul_", (written, 2.0), {}, (), modes=("no_grad",)), _backward(root)),
    )


def stale_view(random: Random, draft: Draft, step: Apply) -> Program:
    """An operand that is a view made in no_grad, of a base that may have been written since."""
    name = random.choice([leaf.name for leaf in draft.leaves if leaf.dtype == "float64"])
    leaves = _leaves(draft, lambda leaf: leaf.name == name or random.random() < 0.5)
    before = [Apply("view_as", (name,), {}, ("x0",), modes=("no_grad",))]
    if random.random() < 0.5:
        before.append(Apply("mul_", (name, 2.0), {}, (), modes=("no_grad",)))
    steps, root = _acted(before, _renamed(step, {name: "x0"}))
    return Program(leaves, (*steps, _backward(root)))


def two_stale_views(random: Random, draft: Draft, step: Apply) -> Program:
    """Two operands that cannot be read any more, for two reasons: the first one read says why."""
    named = {arg for arg in step.args if isinstance(arg, str)}
    wide = [leaf for leaf in draft.leaves if leaf.dtype == "float64" and leaf.name in named]
    one, two = random.sample(wide, 2) if len(wide) > 1 else (wide[0], wide[0])
    if one is two or not two.shape:
        return stale_view(random, draft, step)
    doubled = replace(
        two, shape=(2, *two.shape), data=[1.0, 2.0] * math.prod(two.shape), requires_grad=True
    )
    leaves = _leaves(draft, lambda leaf: True)
    before = [
        Apply("mul", (one.name, 2.0), {}, ("x0",)),
        Apply("view_as", ("x0",), {}, ("x1",), modes=("no_grad",)),
        Apply("mul_", ("x0", 2.0), {}, ()),
        Apply("mul", (two.name, 2.0), {}, ("x2",)),
        Apply("unbind", ("x2",), {}, ("x3", "x4")),
        Apply("mul_", ("x2", 2.0), {}, ()),
    ]
    steps, root = _acted(before, _renamed(step, {one.name: "x1", two.name: "x3"}))
    return Program(
        tuple(doubled if leaf.name == two.name else leaf for leaf in leaves),
        (*steps, _backward(root)),
    )


def inference_operands(random: Random, draft: Draft, step: Apply) -> Program:
    """Operands of which some are inference tensors, in a mode, and a write afterwards."""
    leaves = _leaves(draft, lambda leaf: random.random() < 0.6)
    before, names = [], {}
    for number, leaf in enumerate(leaf for leaf in leaves if leaf.dtype == "float64"):
        names[leaf.name] = f"x{number}"
        modes = random.choice(MODES)
        before.append(Apply("mul", (leaf.name, 1.5), {}, (f"x{number}",), modes=modes))
        if random.random() < 0.3:
            names[leaf.name] = f"y{number}"
            alias = Apply("detach", (f"x{number}",), {}, (f"y{number}",))
            before.append(replace(alias, modes=random.choice(MODES)))
    if random.random() < 0.2:
        target = random.choice(list(names.values()))
        before.append(Apply("requires_grad_", (target,), {}, (), modes=random.choice(MODES)))
    renamed = replace(_renamed(step, names), modes=random.choice(MODES))
    steps, root = _acted(before, renamed)
    target = random.choice([*names.values(), root])
    write = Apply("mul_", (target, 2.0), {}, (), modes=random.choice(MODES))
    return Program(leaves, (*steps, write, _backward(root)))


def lying_anyhow(random: Random, draft: Draft, step: Apply) -> Program:
    """Operands whose dimensions are permuted and that have gaps; where each result lies, its last
    elements tell.
    """
    leaves, before, names = list[Leaf](), list[Step](), dict[str, str]()
    for number, leaf in enumerate(draft.leaves):
        if leaf.dtype != "float64" or not leaf.shape or not isinstance(leaf.data, list):
            leaves.append(leaf)
            continue
        order = random.sample(range(len(leaf.shape)), len(leaf.shape))
        shape = [leaf.shape[order.index(axis)] for axis in range(len(order))]
        cut = random.randrange(len(shape))
        part = {"dim": cut, "start": random.randrange(2), "length": shape[cut]}
        shape[cut] += 1
        data = (leaf.data * 2 + [1.0] * math.prod(shape))[: math.prod(shape)]
        leaves.append(replace(leaf, shape=tuple(shape), data=data, requires_grad=False))
        before.append(Apply("narrow", (leaf.name,), part, (f"x{number}",)))
        before.append(Apply("permute", (f"x{number}",), {"dims": order}, (f"y{number}",)))
        names[leaf.name] = f"y{number}"
    acted = Program(tuple(leaves), (*before, _renamed(step, names)))
    results = [value for value in check(acted).values.values() if value.name.startswith("x5")]
    places = [(r.name, axis) for r in results for axis, n in enumerate(r.layout.shape) if n > 1]
    ends = (
        Apply("select", (name,), {"dim": axis, "index": -1}, (f"z{number}",))
        for number, (name, axis) in enumerate(places)
    )
    return replace(acted, steps=(*acted.steps, *ends))


def out_among_operands(random: Random, draft: Draft, step: Apply) -> Program:
    """An out= that is an operand, or a view of one."""
    wide = [arg for arg in step.args[1:] if isinstance(arg, str)]
    given = [name for name in wide if draft.values[name].dtype == "float64"]
    if not step.op.endswith(SUFFIX) or not given:
        raise IndexError
    chosen = random.choice(given)
    view = Apply("view_as", (chosen,), {}, ("x0",))
    itself = random.random() < 0.7
    written_to = replace(step, args=(chosen if itself else "x0", *step.args[1:]))
    return Program(_leaves(draft, lambda leaf: False), ((view, written_to)[itself:]))


def moved_leaf(random: Random, draft: Draft, step: Apply) -> Program:
    """Leaves that require grad, of which one is written through a view before backward."""
    target = str(step.args[0])
    wide = [leaf.name for leaf in draft.leaves if leaf.dtype == "float64"]
    chosen = random.choice(wide)
    if step.to:
        steps, root = _acted([], _renamed(step, {}))
    else:
        first = Apply("mul", (target, 1.5), {}, ("x1",))
        steps, root = _acted([first], _renamed(step, {target: "x1"}))
    moved = (Apply("view_as", (chosen,), {}, ("x0",)), Apply("mul_", ("x0", 2.0), {}, ()))
    return Program(_leaves(draft, lambda leaf: True), (*steps, *moved, _backward(root)))


def sought_through_slice(random: Random, draft: Draft, step: Apply) -> Program:
    """A write through a view, and a backward call that asks for some leaves alone."""
    if step.to or step.op.endswith(SUFFIX):
        raise IndexError
    target = str(step.args[0])
    leaves = _leaves(draft, lambda leaf: random.random() < 0.8)
    given = tuple(leaf.name for leaf in leaves if leaf.requires_grad)
    before = [
        Apply("mul", (target, 1.5), {}, ("x0",)),
        Apply("view_as", ("x0",), {}, ("x1",)),
    ]
    steps, root = _acted(before, _renamed(step, {target: "x1"}))
    asked = tuple(leaf for leaf in given if random.random() < 0.6) or given[:1]
    backward = replace(_backward(random.choice(("x0", root))), inputs=asked)
    return Program(leaves, (*steps, backward))


CORNERS: dict[str, Corner] = {
    "moved leaf": moved_leaf,
    "sought through slice": sought_through_slice,
    "special values": special_values,
    "infinite slope": infinite_slope,
    "transposed operand": transposed_operand,
    "stale view": stale_view,
    "two stale views": two_stale_views,
    "inference operands": inference_operands,
    "lying anyhow": lying_anyhow,
    "out= among operands": out_among_operands,
}


def _leaves(draft: Draft, grad: Callable[[Leaf], bool]) -> tuple[Leaf, ...]:
    return tuple(
        replace(leaf, requires_grad=leaf.dtype == "float64" and grad(leaf)) for leaf in draft.leaves
    )


def _renamed(step: Apply, names: Mapping[str, str]) -> Apply:
    args = tuple(names.get(arg, arg) if isinstance(arg, str) else arg for arg in step.args)
    return replace(step, args=args, to=tuple(f"x{50 + n}" for n, _ in enumerate(step.to)))


def _acted(before: list[Apply], step: Apply) -> tuple[list[Apply], str]:
    """The steps, and the tensor that the last one makes or writes."""
    return [*before, step], step.to[0] if step.to else str(step.args[0])


def _backward(root: str) -> Backward:
    return Backward((root,), (Generated("dyadic", 7),))


def programs(
    each: int, seed: int, lacking: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str, Program]]:
    """So many programs of each corner for each case of each operation: corner, operation, program.

    What a corner makes of a case may be no program; that one is left out, and so are the forms that
    may write outside of all memory, and operations that are lacking.
    """
    for op, (row, _) in OPERATIONS.items():
        if op in lacking:
            continue
        if row.name.removesuffix(SUFFIX) in BY_MATRIX and row.writes_out:
            continue
        for place, (draft, step) in enumerate(written(op) if row.writes_out else cases(op)):
            for name, corner in CORNERS.items():
                random = Random(f"{seed}:{op}:{place}:{name}")
                for _ in range(each):
                    try:
                        program = corner(random, draft, step)
                        check(program)
                    except (ProgramError, IndexError):
                        continue
                    yield name, op, program


def show(op: str, judged: Judged) -> None:
    click.echo(f"\n{op}: {judged.gravest.message}\n{judged.body.text}")


@click.command()
@click.option("--each", default=4, show_default=True, help="Programs of a corner for each case.")
@click.option("--seed", type=int, help="Draw the same programs again.")
@click.option("--subject", "name", help="Whom to ask.  [default: the local torch, in process]")
def main(each: int, seed: int | None, name: str | None) -> None:
    """Judge each operation of the table where chance seldom leads."""
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    click.echo(f"seed {seed}")
    counts: dict[str, Counter[str]] = {name: Counter() for name in CORNERS}
    with open_subject(name or "eager-cpu", in_process=name is None) as subject:
        examiner = Examiner(subject, Machine())
        for corner, op, program in programs(each, seed, examiner.abilities.lacking):
            judged = examiner.examine(examiner.abilities.respelled(program))
            counts[corner][judged.verdict] += 1
            if judged.verdict == "deviates":
                show(op, judged)
    for corner, words in counts.items():
        click.echo(f"{corner:21}" + ", ".join(f"{n} {word}" for word, n in words.most_common()))
    sys.exit(1 if any(words["deviates"] for words in counts.values()) else 0)


if __name__ == "__main__":
    main()
