"""The gradient of an activation in place, inside its scope and on each side of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from conformance.claims.claim import proves
from conformance.claims.scopes import activation_only_through_its_result, activation_step
from conformance.examine import Judged
from conformance.judge import Finding
from conformance.model import Kind
from conformance.subjects import TensorSeen
from conformance.tolerances import RESULT_SAVING_RTOL
from conformance.trial import Disagreement, Trial
from strategies.activation_scenes import activation_in_place
from strategies.program import Apply, Backward, Program, Step
from strategies.staging import drawn

_RESULT_SAVERS = ("elu", "celu", "selu")


@proves("relu-gradient-same")
def test_relu_gradient_same(trial: Trial) -> None:
    """With and without inplace the gradients are equal, bit for bit (article 000)."""
    activations = drawn(activation_in_place)
    trial.holds(activations, scope=_SCOPE, law=lambda judged: _same_as_plain(trial, judged))
    raises = {Kind.SAVED_MODIFIED.value}
    trial.searches(
        activations,
        scope=_SCOPE,
        condition="saved",
        breaks=lambda judged: _raises(judged, raises),
        title="the producer saved the tensor that the activation overwrites: backward raises",
    )
    trial.searches(
        activations,
        scope=_SCOPE,
        condition="read again",
        breaks=lambda judged: _differs_from_plain(trial, judged),
        title="the overwritten tensor is read again: another program, with another gradient",
    )
    trial.searches(
        activations,
        scope=_SCOPE,
        condition="not to be written",
        breaks=lambda judged: _raises(judged, {Kind.LEAF_INPLACE.value}),
        title="the tensor may not be written at all: a leaf that requires grad",
    )
    trial.searches(
        activations,
        scope=_SCOPE,
        condition="negative parameter",
        breaks=lambda judged: _raises(judged, {Kind.FORBIDDEN_IN_PLACE.value}),
        title="a negative slope or alpha cannot be undone in place: backward raises",
        # Before, it did not: a registered deviation.
        certain=">=1.8",
    )


_SCOPE = activation_only_through_its_result


def _raises(judged: Judged, kinds: set[str]) -> str | None:
    """The error of the kind that is looked for, if the subject raised it."""
    if judged.raised_kind() not in kinds or judged.observation.error is None:
        return None
    return f"with inplace=True: {judged.observation.error.message.splitlines()[0]}"


def out_of_place(program: Program) -> Program:
    """The program with its activation written out of place, and its result read afterwards.

    Older aliases of what the activation overwrote keep their names, and their values.
    """
    at = activation_step(program)
    assert at is not None, "a program of this claim has an activation in place"
    activation = program.steps[at]
    assert isinstance(activation, Apply)
    renamed = {str(activation.args[0]): "plain"}
    plain = Apply(activation.op[:-1], activation.args, activation.params, ("plain",))
    later = tuple(_reading(step, renamed) for step in program.steps[at + 1 :])
    return Program(program.leaves, (*program.steps[:at], plain, *later))


def _reading(step: Step, renamed: Mapping[str, str]) -> Step:
    """The step, reading the renamed tensors."""
    if isinstance(step, Apply):
        args = tuple(renamed.get(a, a) if isinstance(a, str) else a for a in step.args)
        return Apply(step.op, args, step.params, step.to, step.via, step.modes)
    of = tuple(renamed.get(name, name) for name in step.of)
    return Backward(of, step.cotangents, step.retain_graph, step.modes)


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
