"""What a program's script must check to reach the judge's verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from conformance.model import Prediction, fragments
from conformance.oracle.answers import NOT_ASKED, Answer
from strategies.draft import Draft
from strategies.printer import Body
from strategies.program import Backward
from strategies.script import Expectation, Numbers


def expectation(
    draft: Draft, prediction: Prediction, found: Answer, body: Body, *, thorough: bool
) -> Expectation:
    """What a script must check to reach the judge's verdict; if not thorough, what readers ask."""
    if prediction.unspecified:
        return Expectation(unspecified=prediction.unspecified, undecided=True)
    raises = None
    if prediction.raises is not None:
        line = body.step_lines[prediction.raises.step]
        step = draft.steps[prediction.raises.step]
        call = "grad" if isinstance(step, Backward) and step.via else "backward"
        raises = (line, fragments(prediction.raises.kind, call=call))
    exact: list[tuple[str, object]] = []
    unreadable: list[tuple[str, str]] = []
    if thorough:
        for name, flags in prediction.flags.items():
            exact.append((f"{name}.requires_grad", flags.requires_grad))
            if isinstance(flags.version, int):
                exact.append((f"{name}._version", flags.version))
    unspecified = "" if found.unspecified == NOT_ASKED else prediction.hidden or found.unspecified
    numbers = [] if found.unspecified else _gradients(prediction, found, exact)
    if thorough and not found.unspecified:
        numbers += [
            (name, Numbers(np.asarray(e.values), np.asarray(e.slack)))
            for name, e in found.values.items()
        ]
    if thorough:
        for name, flags in prediction.flags.items():
            if flags.version is None:
                unreadable.append((f"{name}._version", "do not track version counter"))
            if flags.unreadable is not None:
                unreadable.append((f"{name}.is_leaf", fragments(flags.unreadable)[0]))
            else:
                exact.append((f"{name}.is_leaf", flags.is_leaf))
                exact.append((f"{name}.grad_fn is not None", flags.grad_fn))
    last = next(reversed(prediction.flags), "") if thorough else ""
    return Expectation(
        raises,
        last,
        exact=tuple(exact),
        numbers=tuple(numbers),
        unreadable=tuple(unreadable),
        unspecified=unspecified,
    )


def outward(expected: Expectation, visible: frozenset[str]) -> Expectation:
    """What of it can be seen where functions are transformed: of the tensors that come out, values,
    gradients, whether they require grad, and whether they are leaves.
    """
    exact = tuple(
        (what, value)
        for what, value in expected.exact
        if what.partition(".")[0] in visible
        and what.endswith((".requires_grad", ".is_leaf", ".grad"))
    )
    numbers = tuple(pair for pair in expected.numbers if pair[0].partition(".")[0] in visible)
    return replace(expected, raises=None, made="", exact=exact, numbers=numbers, unreadable=())


def _gradients(
    prediction: Prediction, found: Answer, exact: list[tuple[str, object]]
) -> list[tuple[str, Numbers]]:
    numbers: list[tuple[str, Numbers]] = []
    if prediction.hidden:
        return numbers
    for name, graded in prediction.graded.items():
        flags = prediction.flags.get(name)
        if flags is None or flags.unreadable is not None:
            continue
        if name not in prediction.sought and not (flags.requires_grad and flags.is_leaf):
            continue
        if not graded:
            exact.append((f"{name}.grad", None))
        elif name in found.gradients:
            entries = found.gradients[name]
            pair = Numbers(np.asarray(entries.values), np.asarray(entries.slack))
            numbers.append((f"{name}.grad", pair))
    return numbers
