"""The gradient of an activation in place, inside its scope and on each side of it."""

from __future__ import annotations

import numpy as np

from conformance.claims.claim import proves
from conformance.examine import Judged
from conformance.judge import Finding
from conformance.model import Kind
from conformance.subjects import TensorSeen
from conformance.tolerances import RESULT_SAVING_RTOL
from conformance.trial import Disagreement, Trial
from strategies import activation_scenes as scenes
from strategies.program import Apply, Program
from strategies.staging import ACTIVATIONS, drawn
from strategies.table import TABLE

_RESULT_SAVERS = ("elu", "celu", "selu")


@proves("relu-gradient-same")
def test_relu_gradient_same(trial: Trial) -> None:
    """With and without inplace the gradients are equal, bit for bit (article 000)."""
    trial.holds(drawn(scenes.activation_in_place), law=lambda judged: _same_as_plain(trial, judged))
    raises_in_backward = {Kind.SAVED_MODIFIED.value}
    trial.searches(
        drawn(scenes.activation_on_saved),
        breaks=lambda judged: _raises(judged, raises_in_backward),
        title="the producer saved the tensor that the activation overwrites: backward raises",
    )
    trial.searches(
        drawn(scenes.activation_read_again),
        breaks=lambda judged: _differs_from_plain(trial, judged),
        title="the overwritten tensor is read again: another program, with another gradient",
    )
    trial.searches(
        drawn(scenes.activation_on_leaf),
        breaks=lambda judged: _raises(judged, {Kind.LEAF_INPLACE.value}),
        title="the tensor may not be written at all: a leaf that requires grad",
    )
    trial.searches(
        drawn(scenes.activation_negative),
        breaks=lambda judged: _raises(judged, {Kind.FORBIDDEN_IN_PLACE.value}),
        title="a negative slope or alpha cannot be undone in place: backward raises",
    )


def _raises(judged: Judged, kinds: set[str]) -> str | None:
    """The error of the kind that is looked for, if the subject raised it."""
    if judged.raised_kind() not in kinds or judged.observation.error is None:
        return None
    return f"with inplace=True: {judged.observation.error.message.splitlines()[0]}"


def out_of_place(program: Program) -> Program:
    """The program with its activation written out of place, and its result read afterwards."""
    steps: list[object] = []
    renamed: dict[str, str] = {}
    for step in program.steps:
        if isinstance(step, Apply):
            activation = step.op.endswith("_") and TABLE.get(step.op[:-1]) in ACTIVATIONS
            args = tuple(renamed.get(a, a) if isinstance(a, str) else a for a in step.args)
            if activation and not renamed:
                target = str(step.args[0])
                renamed[target] = "plain"
                steps.append(Apply(step.op[:-1], step.args, step.params, ("plain",)))
            elif step.op == "add" and len(args) == 2 and step.to and args[1] in _views_of(program):
                steps.append(
                    Apply(step.op, (args[0], step.args[1]), step.params, step.to, step.via)
                )
            else:
                steps.append(Apply(step.op, args, step.params, step.to, step.via, step.modes))
        else:
            of = tuple(renamed.get(name, name) for name in step.of)
            steps.append(type(step)(of, step.cotangents, step.retain_graph, step.modes))
    return Program(program.leaves, tuple(steps))  # type: ignore[arg-type]


def _views_of(program: Program) -> set[str]:
    return {s.to[0] for s in program.steps if isinstance(s, Apply) and s.op == "view_as"}


def _gradients(judged: Judged) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    return {
        leaf.name: seen.grad.array().astype(np.float64)
        for leaf in judged.program.leaves
        if isinstance(seen := judged.observation.values.get(leaf.name), TensorSeen)
        and seen.grad is not None
    }


def _same_as_plain(trial: Trial, judged: Judged) -> Finding | None:
    if judged.raised:
        return None
    plain = trial.examiner.examine(out_of_place(judged.program))
    if plain.verdict == "deviates":
        raise Disagreement(plain.gravest)
    return _compare(judged, plain)


def _compare(judged: Judged, plain: Judged) -> Finding | None:
    """The first gradient that inplace changes: bitwise, but where in place uses the result."""
    ops = {s.op[:-1] for s in judged.program.steps if isinstance(s, Apply) and s.op.endswith("_")}
    loose = any(name in ops for name in _RESULT_SAVERS)
    expected, seen = _gradients(plain), _gradients(judged)
    for name in sorted(expected.keys() | seen.keys()):
        one, two = expected.get(name), seen.get(name)
        if one is not None and two is not None:
            same = one.tobytes() == two.tobytes() or (np.isnan(one) & np.isnan(two)).all()
            if same or (loose and np.allclose(one, two, rtol=RESULT_SAVING_RTOL, equal_nan=True)):
                continue
        shown = [None if a is None else a.tolist() for a in (one, two)]
        message = f"{name}.grad is {shown[1]} with inplace=True and {shown[0]} without"
        return Finding("silent wrong gradient", message, str(shown[0]), str(shown[1]))
    return None


def _differs_from_plain(trial: Trial, judged: Judged) -> str | None:
    if judged.raised:
        return None
    finding = _compare(judged, trial.examiner.examine(out_of_place(judged.program), oracle=False))
    return finding.message if finding is not None else None
