"""Known causes of what torch.func.functionalize does wrong: how findings tell each of them.

A write becomes an operation that gives a new value, which stands for the tensor while the function
runs, and is copied into what the function was given when it has ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from conformance.transform_telling import (
    MODIFIED,
    OF_A_LEAF,
    Told,
    detaches,
    memories_of,
    says,
    steps_of,
    unrecorded,
    writes,
    writes_what_it_takes,
)
from strategies.draft import way_of
from strategies.layout import Layout
from strategies.program import recording

if TYPE_CHECKING:
    from conformance.judge import Finding
    from conformance.verdict import Judged

_UNDERIVED = {"_foreach_zero": "zero", "bernoulli": "bernoulli", "normal_functional": "normal"}
"""What has no derivative, and the operation in place that becomes it."""
_UNSEEN = frozenset({"conj_physical", "einsum_view"})
_REFUSED_LATER = (
    f"a {OF_A_LEAF}",
    "A view was created in no_grad mode and is being modified inplace with grad mode enabled",
    "is the output of a function that returns multiple views",
)
_LOGIC = frozenset("eq ne lt le gt ge logical_and logical_or logical_xor logical_not".split())
"""Their results have no history."""


def _writes_later(judged: Judged, finding: Finding) -> bool:
    """What is written into an input in no_grad, or detached, is copied where grad mode is on."""
    if finding.kind != "spurious error" or not any(p in finding.message for p in _REFUSED_LATER):
        return False
    memories = memories_of(judged.prediction)
    detached = detaches(judged)
    return any(
        step.in_place
        and detached
        and memories.get(str(step.step.args[0]), -1) in {memories.get(n) for n in function.takes}
        for function, step in steps_of(judged)
    )


def _no_grad_view(judged: Judged, finding: Finding) -> bool:
    """A view of what was written is made anew when it is asked for, where grad mode is on."""
    if finding.kind not in ("missing error", "wrong flag", "silent wrong gradient"):
        return False
    memories = memories_of(judged.prediction)
    steps = [step for _, step in steps_of(judged)]
    written = {memories.get(str(step.step.args[0])) for step in steps if step.in_place}
    return any(
        made.how != "fresh" and not recording(step.step.modes) and memories.get(name, -1) in written
        for step in steps
        for name, made in zip(step.step.to, step.made, strict=False)
    )


def _write_without_history(judged: Judged, finding: Finding) -> bool:
    """What is written in no_grad, or through a detached alias, is computed anew there, and loses
    its history.
    """
    lost = finding.kind in ("silent wrong gradient", "wrong flag") or unrecorded(finding)
    if not lost:
        return False
    detached = set[str]()
    for _, step in steps_of(judged):
        target = str(step.step.args[0])
        if step.in_place and (target in detached or not recording(step.step.modes)):
            return True
        view = target in detached and any(made.how != "fresh" for made in step.made)
        if step.row.name == "detach" or view:
            detached.update(step.step.to)
    return False


def _writes_what_it_saved(judged: Judged, finding: Finding) -> bool:
    """An input is saved for backward as it came, and then written: torch refuses its own write."""
    told = finding.kind == "spurious error" and MODIFIED in finding.message
    return told and writes_what_it_takes(judged)


def _gives_copy(judged: Judged, finding: Finding) -> bool:
    """What shares memory with a written input shares that of its new value, which is copied."""
    if finding.kind not in ("wrong aliasing", "wrong value", "silent wrong gradient"):
        return False
    memories = memories_of(judged.prediction)
    copied = {
        memories[name]
        for function, step in steps_of(judged)
        if step.in_place
        for name in function.gives
        if name in memories
        and memories[name] == memories.get(str(step.step.args[0]))
        and memories[name] in {memories.get(taken) for taken in function.takes}
    }
    if finding.kind == "silent wrong gradient":
        return bool(copied)
    named = re.findall(r"\w+", finding.message.partition(" is ")[0].partition(" should ")[0])
    return not copied.isdisjoint(memories.get(name, -1) for name in named)


def _strided_write(judged: Judged, finding: Finding) -> bool:
    """A write through as_strided is an as_strided_scatter, whose derivative is wrong."""
    if finding.kind != "silent wrong gradient":
        return False
    memories = memories_of(judged.prediction)
    steps = [step for _, step in steps_of(judged)]
    strided = {memories.get(n) for s in steps if s.row.name == "as_strided" for n in s.step.to}
    return any(s.in_place and memories.get(str(s.step.args[0]), -1) in strided for s in steps)


def _strided_rows(judged: Judged, finding: Finding) -> bool:
    """A write through as_strided of what is not contiguous is none that as_strided_scatter has."""
    told = "as_strided_scatter is currently only supported for contiguous" in finding.message
    strided = any(step.row.name == "as_strided" for _, step in steps_of(judged))
    return finding.kind == "spurious error" and told and strided


def _underived(judged: Judged, finding: Finding) -> bool:
    """What a write becomes has no derivative, or no history, where the write itself has one."""
    steps = [step for _, step in steps_of(judged) if step.in_place]
    if any(step.row.name in _LOGIC for step in steps):
        lost = finding.kind == "silent wrong gradient" and "is None" in finding.message
        if finding.kind == "wrong flag" or lost or unrecorded(finding):
            return True
    found = re.search(r"derivative for aten::(\w+) is not implemented", finding.message)
    if finding.kind != "spurious error" or found is None:
        return False
    listed = any(way_of(s) == "foreach" for s in steps if s.row.name == "zero")
    written = _UNDERIVED.get(found[1])
    return listed if written == "zero" else any(step.row.name == written for step in steps)


def _arguments_apart(judged: Judged, finding: Finding) -> bool:
    """Two inputs that share memory are two values, of which a write changes one."""
    if finding.kind not in ("wrong value", "silent wrong gradient", "wrong aliasing"):
        return False
    memories = memories_of(judged.prediction)
    return any(
        step.in_place and sum(memories.get(name, -1) == written for name in function.takes) > 1
        for function, step in steps_of(judged)
        if (written := memories.get(str(step.step.args[0]))) is not None
    )


def _unseen_alias(judged: Judged, finding: Finding) -> bool:
    """What these give of their operand is taken for something new."""
    same = any(
        step.row.name in _UNSEEN and step.made[0].how != "fresh" for _, step in steps_of(judged)
    )
    return same and finding.kind in ("wrong value", "silent wrong gradient", "wrong aliasing")


def _turned(judged: Judged, finding: Finding) -> bool:
    """An input whose shape is changed in place is copied into itself, another way round."""
    told = "the input tensor and the written-to tensor refer to a single memory" in finding.message
    moved = any(
        step.moved is not None and str(step.step.args[0]) in function.takes
        for function, step in steps_of(judged)
    )
    return finding.kind == "spurious error" and told and moved


def _moved(judged: Judged, finding: Finding) -> bool:
    """An input that is changed in place to lie otherwise is written as if it lay as before: when
    the function has ended, its size alone is compared.
    """
    if finding.kind not in ("wrong aliasing", "wrong value", "silent wrong gradient"):
        return False
    return any(
        step.moved is not None
        and step.target is not None
        and str(step.step.args[0]) in function.takes
        and _lies_otherwise(step.target, step.moved)
        for function, step in steps_of(judged)
    )


def _lies_otherwise(before: Layout, after: Layout) -> bool:
    """Whether that is not told by the shape alone, of a tensor with as many elements."""
    turned = before.shape == after.shape and before.strides != after.strides
    return turned or before.numel != after.numel or before.offset != after.offset


FUNCTIONALIZE_CAUSES: Mapping[str, Told] = {
    "functionalize-refuses-aliases": says(
        "a custom (non-ATen) operator whose output has alias", writes
    ),
    "functionalize-writes-leaf": _writes_later,
    "functionalize-copy": says("derivative for aten::copy is not implemented", writes),
    "functionalize-write-without-history": _write_without_history,
    "functionalize-writes-what-it-saved": _writes_what_it_saved,
    "functionalize-gives-copy": _gives_copy,
    "functionalize-strided-write": _strided_write,
    "functionalize-turned-input": _turned,
    "functionalize-moved-input": _moved,
    "functionalize-underived": _underived,
    "functionalize-strided-rows": _strided_rows,
    "functionalize-arguments-apart": _arguments_apart,
    "functionalize-unseen-alias": _unseen_alias,
    "functionalize-no-grad-view": _no_grad_view,
}
"""Quirk of the register -> whether a finding of a program has that cause."""
