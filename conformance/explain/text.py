"""An explanation as text of at most 80 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from conformance.explain.facts import (
    BackwardFact,
    Ending,
    ExecutedFact,
    Explanation,
    MadeFact,
    NodeFact,
    StepFact,
    WriteFact,
)

WIDTH = 80
_MOST = 9
"""How many things are listed by name."""
_CODE = " " * 4
_NOTE = " " * 8
IN_ORDER = "runs, in this order:"


def render(explanation: Explanation) -> str:
    """The whole explanation; lines end without blanks and none is longer than 80 columns."""
    lines = [*_wrap(_headline(explanation), "")]
    lines.append("")
    for leaf in explanation.leaves:
        lines += _code(leaf.text, _CODE)
        kind = "a leaf that requires grad" if leaf.requires_grad else "does not require grad"
        lines += _note(f"{leaf.name}: {kind}; version 0")
    for step in explanation.steps:
        lines += _step(step, explanation.ending.kind)
    for line in explanation.closing:
        lines += _code(line, _CODE)
    lines.append("")
    lines += _ending(explanation.ending)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _headline(explanation: Explanation) -> str:
    end = explanation.ending
    if end.outcome == "raises":
        return f"Program {explanation.program} raises at step {end.step}: {end.kind}."
    if end.outcome == "unspecified":
        return f"Program {explanation.program}: nothing documented says what happens."
    if not end.trusted:
        return (
            f"Program {explanation.program} runs without an error, but its gradients are not to be "
            f"trusted."
        )
    return f"Program {explanation.program} runs, and nothing raises."


# -- lines --------------------------------------------------------------------------------------


def _wrap(text: str, indent: str, first: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )


def _note(text: str, deeper: int = 0) -> list[str]:
    indent = _NOTE + "  " * deeper
    return _wrap(text, indent + "  ", indent)


def _code(text: str, first: str) -> list[str]:
    """A line of the script; long lists of numbers are left out."""
    if len(first) + len(text) > WIDTH:
        text = re.sub(r"(torch\.tensor\()\[.*?\](?=, dtype)", r"\1[...]", text)
    margin = " " * (len(text) - len(text.lstrip()))
    return _wrap(text.lstrip(), " " * len(first) + margin + "    ", first + margin)


# -- steps --------------------------------------------------------------------------------------


def _step(step: StepFact, kind: str) -> Iterator[str]:
    for line in step.opening:
        yield from _code(line, _CODE)
    yield from _code(step.text, f"{step.number:>2}  ")
    for text, deeper in notes(step, kind):
        yield from _note(text, deeper)


def notes(step: StepFact, kind: str) -> Iterator[tuple[str, int]]:
    """What a step does, a sentence each, and how deep it is indented; `kind` is of the error."""
    if not step.reached:
        yield "not reached", 0
        return
    for text in _together(step.made):
        yield text, 0
    if step.recorded is False:
        why = f": {step.why_not_recorded}" if step.why_not_recorded else ""
        yield f"not recorded{why}", 0
    for write in step.writes:
        yield from ((text, 0) for text in _write(write))
    if step.changes_nothing:
        yield "changes nothing", 0
    for node in step.nodes:
        yield _node(node), 0
    for write in step.writes:
        yield from ((text, 0) for text in _outdated(write))
    if step.backward is not None:
        yield from _backward(step.backward)
    for change in step.changes:
        yield change, 0
    named = step.backward is not None and any(e.raises for e in step.backward.executed)
    if step.raises and not named:
        yield f"RAISES ({kind})", 0
    if step.unspecified:
        yield "UNSPECIFIED: see below", 0


def _together(made: tuple[MadeFact, ...]) -> list[str]:
    """What came to be; results of which the same is true in one note."""
    groups: dict[str, list[str]] = {}
    for one in made:
        groups.setdefault(_made(one), []).append(one.name)
    return [
        f"{_listed(names)}: {'each ' if len(names) > 1 else ''}{text}"
        for text, names in groups.items()
    ]


def _made(made: MadeFact) -> str:
    if made.how == "same object":
        return f"{made.of} itself, under a second name"
    grad = "requires grad" if made.requires_grad else "does not require grad"
    if made.says_otherwise:
        grad += f" (torch says that it does: known deviation {made.says_otherwise})"
    if made.inference:
        shared = "new memory" if made.how == "new memory" else f"shares the memory of {made.of}"
        return f"{shared}; an inference tensor, which has no version and does not require grad"
    if made.how == "view":
        base = f", on the base {made.base}" if made.base != made.of else ""
        ban = f"; a view {made.ban} cannot be written where autograd records" if made.ban else ""
        return (
            f"a view of {made.of}{base}: same memory, same version counter, now at "
            f"{made.version}; {grad}{ban}"
        )
    if made.how == "detached alias":
        return (
            f"a detached alias of {made.of}: same memory, same version counter, now "
            f"at {made.version}, no history; {grad}"
        )
    if made.how == ".data alias":
        return (
            f"a .data alias of {made.of}: same memory, no history, and a version counter of its "
            f"own, at {made.version}; {grad}"
        )
    leaf = " a leaf;" if made.is_leaf and made.requires_grad else ""
    return f"new memory, version {made.version};{leaf} {grad}"


def _write(write: WriteFact) -> Iterator[str]:
    names = [write.through, *(name for name in write.seen_by if name != write.through)]
    moved = f"version {write.version_before} -> {write.version_after}"
    if write.uncounted:
        share = f"the memory that {_listed(names)} share" if len(names) > 1 else write.through
        yield f"writes {share}: no version is kept in inference mode"
    elif write.moves:
        yield f"changes no element, and counts as a write all the same: {moved}"
    elif len(names) > 1:
        yield f"writes the memory that {_listed(names)} share: {moved}"
    else:
        yield f"writes {write.through}: {moved}"
    if write.hidden_from:
        verb = "changes" if len(write.hidden_from) == 1 else "change"
        yield (
            f"the memory of {_listed(list(write.hidden_from))} {verb} too, and no version there "
            f"tells: .data has a counter of its own"
        )


def _outdated(write: WriteFact) -> Iterator[str]:
    groups: dict[tuple[str, int], list[str]] = {}
    for old in write.outdates:
        groups.setdefault((old.tensor, old.saved_at), []).append(old.node)
    for (tensor, version), nodes in groups.items():
        run = "any of them" if len(nodes) > 1 else "it"
        yield (
            f"{tensor} at version {version} is gone, which {_listed(nodes)} saved: a backward that "
            f"runs {run} from now on raises"
        )


def _node(node: NodeFact) -> str:
    if not node.saves:
        own = "only what no write can reach (a number, a copy)"
        what = own if node.private else "nothing"
        return f"recorded as {node.operation}, which saves {what}"
    kept = dict.fromkeys(
        f"{k.tensor}{', its result,' if k.role == 'result' else ''} at version {k.version}"
        for k in node.saves
    )
    return f"recorded as {node.operation}, which saves {_listed([*kept])}"


def _listed(names: list[str]) -> str:
    """Some things in a row; of many, the first ones and how many more."""
    if len(names) > _MOST:
        names = [*names[: _MOST - 1], f"{len(names) - _MOST + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# -- backward -----------------------------------------------------------------------------------


def _backward(backward: BackwardFact) -> Iterator[tuple[str, int]]:
    if backward.executed:
        yield IN_ORDER, 0
    for executed in backward.executed:
        yield _executed(executed), 1
    raised = any(executed.raises for executed in backward.executed)
    for taken in backward.taken:
        runs = "" if taken.runs else ", which does not run"
        yield f"the gradient of {taken.tensor} is what enters {taken.node}{runs}", 0
    if not backward.graded:
        yield "no leaf receives a gradient", 0
    elif raised:
        grads = _listed([f"{name}.grad" for name in backward.graded])
        yield f"by then, {grads} has its gradient, and keeps it", 0
    if backward.freed:
        them = "them" if len(backward.freed) > 1 else "it"
        yield (
            f"frees what was saved by {_listed(list(backward.freed))}: no second backward can run "
            f"{them}",
            0,
        )


def _executed(executed: ExecutedFact) -> str:
    if executed.adds_to:
        if executed.raises:
            return f"{executed.node}: RAISES"
        if executed.dropped:
            return f"{executed.adds_to} does not require grad any more: its gradient is dropped"
        return f"{executed.node} receives its gradient"
    looked = found(executed)
    text = executed.node + (f": {'; '.join(looked)}" if looked else "")
    return f"{text}: RAISES" if executed.raises else text


def found(executed: ExecutedFact) -> tuple[str, ...]:
    """What a node found of the tensors that it had saved, a phrase each."""
    looked: dict[str, None] = {}
    for unpacked in executed.unpacks:
        if unpacked.cut_off:
            looked[f"{unpacked.tensor}, saved as the result of an operation, is a leaf now"] = None
        elif unpacked.modified_by:
            steps = _listed([str(step) for step in unpacked.modified_by])
            word = "step" if len(unpacked.modified_by) == 1 else "steps"
            looked[
                f"{unpacked.tensor} was saved at version {unpacked.saved_at} and is now at "
                f"{unpacked.now_at}, modified by {word} {steps}"
            ] = None
        else:
            looked[f"{unpacked.tensor} is still at version {unpacked.saved_at}"] = None
    return tuple(looked)


# -- the end ------------------------------------------------------------------------------------


_THEN = {
    "untried": "",
    "runs": " The program then runs to its end.",
    "raises later": " This step then passes, and a later one raises.",
}


def _ending(end: Ending) -> Iterator[str]:
    titles = {"raises": "Why it raises", "runs": "Why it does not raise", "unspecified": "Why"}
    yield titles[end.outcome]
    for sentence in end.why:
        yield from _wrap(sentence, "  ")
    if end.rule:
        yield from ("", "The rule")
        yield from _wrap(end.rule, "  ")
        yield from _wrap(f"({end.source})", "  ")
    if end.advice:
        yield from ("", "What helps")
        for advice in end.advice:
            yield from _wrap(advice.text + _THEN[advice.then], "    ", "  - ")
    if end.message:
        yield from ("", "What torch's message contains")
        for fragment in end.message:
            yield from _wrap(f'"... {fragment.strip()} ..."', "  ")
    if end.deviations:
        yield from ("", "Where torch is known to differ")
        for sentence in end.deviations:
            yield from _wrap(f"{sentence}.", "  ")
