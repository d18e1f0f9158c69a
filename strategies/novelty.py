"""What is worth compiling in a program: how its functions take, write and give tensors.

A compiled function costs a tenth of a second or more, and most drawn ones are alike. So of several
ways to cut functions out of a program the one is taken that has the most of what is told apart
here; names stand for memory, which is cheap and nearly right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from strategies.choices import Choose
from strategies.functions import Function, functions_of, with_functions
from strategies.program import Apply, Backward, Program, Step, recording
from strategies.table import OPERATIONS

CUTS = 4
"""So many ways are drawn."""


def novel(choose: Choose, program: Program) -> Program:
    """The program with functions, of several cuts that with the most features.

    Examples shrink towards short functions at the start.
    """
    cuts = [with_functions(choose, program) for _ in range(CUTS)]
    return max(cuts, key=lambda cut: len(features(cut)))


def features(program: Program) -> frozenset[str]:
    """What the functions of a program do to tensors, each thing in a word or two."""
    roots = _roots(program)
    return frozenset(
        feature
        for function in functions_of(program.steps)
        for feature in _of_function(program, function, roots)
    )


def _roots(program: Program) -> dict[str, str]:
    """Name -> the name of the tensor whose memory it may share."""
    roots = {leaf.name: leaf.name for leaf in program.leaves}
    for step in program.steps:
        if isinstance(step, Apply) and step.to:
            row = OPERATIONS[step.op][0]
            shares = row.kind in ("view", "maybe-self") or row.name in ("detach", "data")
            first = str(step.args[0])
            roots |= {name: roots[first] if shares else name for name in step.to}
    return roots


def _of_function(program: Program, function: Function, roots: dict[str, str]) -> Iterator[str]:
    leaves = {leaf.name: leaf for leaf in program.leaves}
    taken = [roots[name] for name in function.takes]
    for name in function.takes:
        if name in leaves:
            yield "takes a leaf" if leaves[name].requires_grad else "takes a buffer"
        else:
            yield "takes a result" if roots[name] == name else "takes a view"
    if len(set(taken)) < len(taken):
        yield "takes two that share memory"
    inside = program.steps[function.first : function.last + 1]
    yield from _writes(inside, roots, taken, "in it")
    yield from _writes(program.steps[: function.first], roots, taken, "before it")
    given = [roots[name] for name in function.gives]
    later = program.steps[function.last + 1 :]
    yield from _writes(later, roots, [*taken, *given], "after it")
    for name, root in zip(function.gives, given, strict=True):
        if root in taken:
            yield "gives a view of what it takes"
        elif root != name:
            yield "gives a view of what it made"
    yield "gives several" if len(given) > 1 else "gives one" if given else "gives nothing"
    losses = [step for step in later if isinstance(step, Backward)]
    if any(set(loss.of) & set(function.takes) for loss in losses):
        yield "what it takes is in a loss"
    if sum(bool(set(loss.of) & set(function.gives)) for loss in losses) > 1:
        yield "two losses of what it gives"
    if any(isinstance(step, Apply) and step.op == "detach" for step in inside):
        yield "detaches"


def _writes(
    steps: Sequence[Step], roots: dict[str, str], touched: Sequence[str], where: str
) -> Iterator[str]:
    """The writes in these steps to one of these memories, and, in the function, to its own."""
    for step in steps:
        if not isinstance(step, Apply) or step.to or not OPERATIONS[step.op][1]:
            continue
        name = str(step.args[0])
        how = "writes" if recording(step.modes) else "writes in no_grad"
        through = "through a view" if roots[name] != name else "itself"
        if roots[name] in touched:
            yield f"{where} {how} what it takes or gives, {through}"
        elif where == "in it":
            yield f"{where} {how} what it made, {through}"
        if step.via == "foreach" or step.op.startswith("foreach"):
            yield f"{where} {how} a list"
