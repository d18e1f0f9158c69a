"""Small changes that may mend a program, each tried on the model before it is recommended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import msgspec

from conformance.explain.facts import Advice
from conformance.explain.ledger import Ledger
from conformance.explain.origins import alias_at, origins, passed
from conformance.explain.trace import Traced, in_order, region
from conformance.model import QUIRKS, Kind, predict
from conformance.model.state import Tensor
from strategies.draft import Shaped, Value
from strategies.draft import check as check_program
from strategies.program import Apply, Backward, Mode, Program, ProgramError, Step, recording
from strategies.statements import statement

_MOST = 2
"""How many ways to mend a program are told."""
_OF_LEAVES = (Kind.LEAF_INPLACE, Kind.VIEW_OF_LEAF_INPLACE)


@dataclass(frozen=True, slots=True)
class Repair:
    """Advice in one sentence, and the program that follows it."""

    advice: str
    program: Program


def repairs(traced: Traced, kind: Kind, failing: int) -> tuple[Advice, ...]:
    """The first ways after which the step no longer raises, those that mend everything first."""
    found: dict[str, list[Advice]] = {"runs": [], "raises later": []}
    for repair in _candidates(traced, kind, failing):
        then = _outcome(repair.program, failing + len(repair.program.steps) - len(traced.steps))
        if then is not None:
            found[then].append(Advice(text=repair.advice, then=then, program=repair.program))
        if len(found["runs"]) == _MOST:
            break
    return tuple([*found["runs"], *found["raises later"]][:_MOST])


def _outcome(program: Program, failing: int) -> Literal["runs", "raises later"] | None:
    """What a changed program does by the documentation, and in torch where that is known to differ.

    None if the step raises still, or the program cannot be.
    """
    try:
        draft = check_program(program)
    except ProgramError:
        return None
    later = False
    for quirks in (frozenset[str](), QUIRKS):
        prediction = predict(draft, quirks=quirks)
        raises = prediction.raises
        if prediction.left_open or (raises and raises.step < failing):
            return None
        later = later or raises is not None
    return "raises later" if later else "runs"


def _candidates(traced: Traced, kind: Kind, failing: int) -> Iterator[Repair]:
    ledger = traced.ledger
    step = ledger.draft.shaped[failing - 1]
    if isinstance(step, Backward):
        yield from _for_saved(traced)
        yield from _for_freed(ledger, traced)
        if kind is Kind.NOTHING_REQUIRES_GRAD:
            yield from _recorded_root(ledger, step, failing)
        return
    yield from _views_recorded(ledger, step)
    yield from _in_no_grad(ledger, step)
    if kind in _OF_LEAVES:
        yield from _no_grad(ledger, failing)
    if kind is Kind.OVERLAP_PARTIAL:
        yield from _operands_cloned(ledger, failing)
    yield from _out_of_place(ledger, failing)
    yield from _clone_written(ledger, failing)
    yield from _base_left_alone(ledger, step)


def _for_saved(traced: Traced) -> Iterator[Repair]:
    """Keep the saved tensor from being written: a copy for the node, or a copy for the writer."""
    ledger, failed = traced.ledger, traced.failed
    if failed is None:
        return
    work = failed.inner or failed
    saver = ledger.made_by.get(work)
    for saved in in_order(work.saved):
        if not saved.stale or saver is None:
            continue
        names = [n for n, t in ledger.interpreter.tensors.items() if t is saved.tensor]
        name = names[0] if names else ""
        if not saved.is_result:
            yield from _give_copy(ledger, saver, names)
        if name:
            yield from _branch(ledger, saver, name)
        for bump in ledger.modified_by(saved)[:_MOST]:
            yield from _out_of_place(ledger, bump.step)
        return


def _give_copy(ledger: Ledger, step: int, names: list[str]) -> Iterator[Repair]:
    """Let the step that saves an operand read a clone that nobody else knows."""
    shaped = ledger.draft.shaped[step - 1]
    if isinstance(shaped, Backward):
        return
    given = [n for n in names if n in shaped.step.args]
    start = 1 if shaped.in_place else 0
    if not given or given[0] not in shaped.step.args[start:]:
        return
    name, copy = given[0], _unused(ledger)
    args = [*shaped.step.args]
    for at in range(start, len(args)):
        args[at] = copy if args[at] == name else args[at]
    steps = [*ledger.draft.steps]
    changed = msgspec.structs.replace(shaped.step, args=tuple(args))
    clone = Apply("clone", (name,), to=(copy,), modes=shaped.step.modes)
    steps[step - 1 : step] = [clone, changed]
    yield Repair(
        f"Let step {step} read a copy, `{name}.clone()`, in place of {name}: then it saves the "
        f"copy, which nobody writes.",
        _program(ledger, steps),
    )


def _branch(ledger: Ledger, step: int, name: str) -> Iterator[Repair]:
    """Go on with a clone after the step that saved a tensor."""
    if _alive_aliases(ledger, step, name):
        return
    copy = _unused(ledger)
    steps = _renamed(ledger.draft.steps, step, name, copy)
    steps.insert(step, Apply("clone", (name,), to=(copy,)))
    yield Repair(
        f"Put `{copy} = {name}.clone()` after step {step} and go on with {copy} in place of "
        f"{name}: then {name} stays as it was saved.",
        _program(ledger, steps),
    )


def _base_left_alone(ledger: Ledger, shaped: Shaped) -> Iterator[Repair]:
    """Write out of place what made the node of an operand out of date."""
    for operand in shaped.operands:
        tensor = ledger.interpreter.tensors[operand.name] if isinstance(operand, Value) else None
        if tensor is None or tensor.creation == "default":
            continue
        for bump in ledger.bumps:
            if bump.counter is tensor.counter and bump.after > tensor.made_at:
                yield from _out_of_place(ledger, bump.step)


def _alive_aliases(ledger: Ledger, step: int, name: str) -> list[str]:
    """Other tensors in the same memory, made by then, that later steps read or write."""
    tensors = ledger.interpreter.tensors
    if name not in tensors:
        return []
    later = ledger.draft.steps[step:]
    used = {a for s in later for a in (s.args if isinstance(s, Apply) else s.of)}
    return [
        n
        for n, t in tensors.items()
        if t is not tensors[name]
        and t.memory == tensors[name].memory
        and ledger.born.get(t, 0) <= step
        and n in used
    ]


def _out_of_place(ledger: Ledger, step: int) -> Iterator[Repair]:
    """Make a new tensor where the step writes, and read that one from then on."""
    shaped = ledger.draft.shaped[step - 1]
    if isinstance(shaped, Backward) or not shaped.in_place or not shaped.row.plain:
        return
    target, new = shaped.step.args[0], _unused(ledger)
    if not isinstance(target, str):
        return
    given = shaped.step
    plain = Apply(shaped.row.name, given.args, given.params, (new,), modes=given.modes)
    steps = _renamed(ledger.draft.steps, step, target, new)
    steps[step - 1] = plain
    aliases = _alive_aliases(ledger, step, target)
    old = f"; {' and '.join(aliases)} will not see that value" if aliases else ""
    try:
        text = statement(ledger.draft.shape(plain, ""))
    except ProgramError:
        return
    yield Repair(
        f"Write `{text}` at step {step}, out of place, and use {new} from then on{old}.",
        _program(ledger, steps),
    )


def _for_freed(ledger: Ledger, traced: Traced) -> Iterator[Repair]:
    """Keep the graph in the backward calls before the last."""
    if traced.failed not in ledger.freed_at:
        return
    steps = [
        msgspec.structs.replace(s, retain_graph=True) if isinstance(s, Backward) else s
        for s in ledger.draft.steps
    ]
    first = ledger.freed_at[traced.failed]
    yield Repair(
        f"Pass retain_graph=True to the backward of step {first}, and to every other but the last.",
        _program(ledger, steps),
    )


def _recorded_root(ledger: Ledger, step: Backward, failing: int) -> Iterator[Repair]:
    """Let the root require grad: record what it comes from, or let a leaf require grad."""
    for name in step.of:
        ends = origins(ledger, ledger.interpreter.tensors[name], failing)
        ways = [passed(ledger, origin) for origin in ends]
        for numbers in dict.fromkeys([*map(tuple, ways), tuple(sorted({*chain(*ways)}))]):
            if numbers:
                yield _moved_out(ledger, name, numbers)
        for origin in ends:
            yield from _without_cut(ledger, origin[-1].step)
    for at, leaf in enumerate(ledger.draft.leaves):
        if leaf.requires_grad or leaf.dtype != "float64":
            continue
        leaves = [*ledger.draft.leaves]
        leaves[at] = msgspec.structs.replace(leaf, requires_grad=True)
        yield Repair(
            f"Make the leaf {leaf.name} with requires_grad=True, if its gradient is wanted.",
            Program(tuple(leaves), tuple(ledger.draft.steps)),
        )


def _without_cut(ledger: Ledger, step: int) -> Iterator[Repair]:
    """Go around a step that cuts a tensor off from its history."""
    alias = alias_at(ledger, step)
    if alias is not None:
        made, source = alias
        yield Repair(
            f"Read {source} in place of {made}, its alias without history, after step {step}.",
            _program(ledger, _renamed(ledger.draft.steps, step, made, source)),
        )
    elif step and step not in ledger.unrecorded:
        yield Repair(
            f"Leave out step {step}, `{ledger.text(step)}`.",
            _program(ledger, [*ledger.draft.steps[: step - 1], *ledger.draft.steps[step:]]),
        )


def _moved_out(ledger: Ledger, name: str, numbers: tuple[int, ...]) -> Repair:
    """Take steps out of the regions in which nothing is recorded."""
    steps, regions = [*ledger.draft.steps], dict[str, None]()
    for number in numbers:
        given = steps[number - 1]
        regions[region(given.modes)] = None
        steps[number - 1] = msgspec.structs.replace(given, modes=())
    listed = " and ".join(map(str, numbers))
    return Repair(
        f"Compute {name} where autograd records: move step{'s' * (len(numbers) > 1)} {listed} out "
        f"of {' and '.join(regions)}.",
        _program(ledger, steps),
    )


def _no_grad(ledger: Ledger, step: int) -> Iterator[Repair]:
    shaped = ledger.draft.shaped[step - 1]
    if isinstance(shaped, Backward) or not shaped.in_place or not recording(shaped.step.modes):
        return
    steps = [*ledger.draft.steps]
    steps[step - 1] = msgspec.structs.replace(shaped.step, modes=("no_grad",))
    yield Repair(
        f"Put step {step} inside `with torch.no_grad():` if it is an update that no gradient "
        f"shall see.",
        _program(ledger, steps),
    )


def _views_recorded(ledger: Ledger, shaped: Shaped) -> Iterator[Repair]:
    """Make the views that the step uses where autograd records."""
    used = [ledger.interpreter.tensors[o.name] for o in shaped.operands if isinstance(o, Value)]
    for tensor in used:
        made = _origin(ledger, tensor)
        if tensor.creation not in ("no_grad", "inference") or made is None or not made[1].modes:
            continue
        number, step = made
        steps = [*ledger.draft.steps]
        steps[number - 1] = msgspec.structs.replace(step, modes=())
        yield Repair(
            f"Make the view {tensor.name} outside {region(step.modes)}: move step {number} out of "
            f"the region.",
            _program(ledger, steps),
        )


def _in_no_grad(ledger: Ledger, shaped: Shaped) -> Iterator[Repair]:
    """Make what the step uses in no_grad, where tensors have versions."""
    for operand in shaped.operands:
        tensor = ledger.interpreter.tensors[operand.name] if isinstance(operand, Value) else None
        if tensor is None or not tensor.inference:
            continue
        steps = [
            msgspec.structs.replace(step, modes=tuple(map(_plainer, step.modes)))
            for step in ledger.draft.steps
        ]
        yield Repair(
            f"Make {tensor.name} inside no_grad in place of inference_mode.",
            _program(ledger, steps),
        )
        return


def _plainer(mode: Mode) -> Mode:
    return "no_grad" if mode == "inference_mode" else mode


def _origin(ledger: Ledger, tensor: Tensor) -> tuple[int, Apply] | None:
    number = ledger.born.get(tensor, 0)
    step = ledger.draft.steps[number - 1] if number else None
    return (number, step) if isinstance(step, Apply) else None


def _operands_cloned(ledger: Ledger, step: int) -> Iterator[Repair]:
    """Read a clone where an operand shares cells with the target."""
    shaped = ledger.draft.shaped[step - 1]
    if isinstance(shaped, Backward) or not shaped.in_place:
        return
    for name in shaped.step.args[1:]:
        if isinstance(name, str) and name != shaped.step.args[0]:
            copy = _unused(ledger)
            changed = _replaced(shaped.step, name, copy, start=1)
            steps = [*ledger.draft.steps]
            clone = Apply("clone", (name,), to=(copy,), modes=shaped.step.modes)
            steps[step - 1 : step] = [clone, changed]
            yield Repair(
                f"Let step {step} read a copy, `{name}.clone()`, in place of {name}.",
                _program(ledger, steps),
            )


def _clone_written(ledger: Ledger, step: int) -> Iterator[Repair]:
    """Write a clone of the target, and read that one from then on."""
    shaped = ledger.draft.shaped[step - 1]
    if isinstance(shaped, Backward) or not shaped.in_place:
        return
    target, copy = shaped.step.args[0], _unused(ledger)
    if not isinstance(target, str) or _alive_aliases(ledger, step, target):
        return
    steps = _renamed(ledger.draft.steps, step - 1, target, copy)
    steps.insert(step - 1, Apply("clone", (target,), to=(copy,)))
    yield Repair(
        f"Put `{copy} = {target}.clone()` before step {step}, and use {copy} from then on.",
        _program(ledger, steps),
    )


# -- programs -----------------------------------------------------------------------------------


def _program(ledger: Ledger, steps: list[Step]) -> Program:
    return Program(tuple(ledger.draft.leaves), tuple(steps))


def _unused(ledger: Ledger) -> str:
    """A name that the program does not use."""
    return next(
        n for n in ("new", *(f"new{i}" for i in range(2000))) if n not in ledger.draft.values
    )


def _renamed(steps: list[Step], start: int, old: str, new: str) -> list[Step]:
    """The steps with a tensor called otherwise after the first `start` of them."""
    return [*steps[:start], *(_replaced(step, old, new) for step in steps[start:])]


def _replaced(step: Step, old: str, new: str, start: int = 0) -> Step:
    if isinstance(step, Backward):
        roots = tuple(new if name == old else name for name in step.of)
        return msgspec.structs.replace(step, of=roots)
    args = step.args[:start] + tuple(new if a == old else a for a in step.args[start:])
    return msgspec.structs.replace(step, args=args)
