"""What the oracle says of a program: values of all tensors, and gradients; jax computes them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from conformance.model.overlap import reads_its_results
from conformance.model.prediction import Acted, Prediction, happened
from conformance.oracle.answers import Answer, Entries
from conformance.oracle.assembly import Handle, TooMuch, Undecided
from conformance.oracle.captures import Capture, CaptureWalk, captures
from conformance.oracle.conditioning import LEFT_OPEN
from conformance.oracle.doubt import holds_nothing, loses_nan, overflow_by_order, shares_gradients
from conformance.oracle.interpret import Walk
from conformance.oracle.machine import Calls, Machine, Result, running
from conformance.oracle.quirks import SELF_PRODUCT, Replaced
from strategies.draft import Draft, Shaped
from strategies.program import Backward

MEAN_FIRST = {"mean off last": "mean off first"}
"""Another formula of a norm over channels: its gradients do not cancel where the mean is exact."""
_LARGE = 1e290
"""Gradients from here on may overflow before they are added up."""


def answer(
    draft: Draft,
    prediction: Prediction,
    machine: Machine,
    *,
    quirks: frozenset[str] = frozenset(),
    opinions: int = 1,
) -> Answer:
    """Values of every tensor at the end, and the gradient that each leaf's `.grad` should hold."""
    return machine.finish(answering(draft, prediction, quirks=quirks, opinions=opinions))


def answering(
    draft: Draft,
    prediction: Prediction,
    *,
    quirks: frozenset[str] = frozenset(),
    opinions: int = 1,
) -> Calls[Answer]:
    """The work that ends with the answer, for a machine to finish.

    More opinions find wider bounds where errors that cancel are all that there is.
    """
    if prediction.unspecified or prediction.open:
        return Answer({}, {}, prediction.unspecified or prediction.open)
    ran = zip(draft.shaped, prediction.acted, strict=False)
    if any(map(multiplies_itself, ran)) and SELF_PRODUCT in quirks:
        return Answer({}, {}, "an in-place matrix product that reads its results")
    replaced = Replaced(quirks)

    def walk(sharing: bool) -> Walk:
        return Walk(draft, prediction, replaced, sharing=sharing)

    found = yield from _with_or_without_sharing(walk, opinions)
    if opinions > 1 and any(map(_centres_channels, draft.shaped)):

        def walk_apart(sharing: bool) -> Walk:
            return Walk(draft, prediction, Replaced(quirks, MEAN_FIRST), sharing=sharing)

        found = _widened(found, (yield from _with_or_without_sharing(walk_apart, opinions)))
    for capture in captures(prediction):
        if found.unspecified:
            break

        def walk_to(sharing: bool, capture: Capture = capture) -> Walk:
            return CaptureWalk(draft, prediction, replaced, capture, sharing=sharing)

        found = _joined(found, (yield from _with_or_without_sharing(walk_to, opinions)))
    return found


def looked_at(prediction: Prediction) -> Hashable:
    """Everything of a prediction that this room looks at: of two that agree in it, values and
    gradients are the same. Where the gradient of what is no leaf was returned, it is all of it.
    """
    if captures(prediction):
        return id(prediction)
    layouts, grads = prediction.layouts, prediction.grads
    return happened(prediction), tuple(layouts.items()), frozenset(grads.items())


def _with_or_without_sharing(walk: Callable[[bool], Walk], opinions: int) -> Calls[Answer]:
    shared = walk(True)
    found = yield from _finding(shared, opinions)
    if shared.assembly.shared and not _all_finite(found.gradients):
        # A gradient of infinity and one of NaN add up to NaN where each has its own derivative.
        found = yield from _finding(walk(False), opinions)
    return found


def _all_finite(found: Mapping[str, Entries]) -> bool:
    return all(np.isfinite(entries.values).all() for entries in found.values())


def _centres_channels(step: Shaped | Backward) -> bool:
    return isinstance(step, Shaped) and step.row.name in ("batch_norm", "instance_norm")


def _widened(found: Answer, other: Answer) -> Answer:
    """With bounds that hold for another formula too, which is the same but for rounding."""
    if found.unspecified or other.unspecified:
        return found if found.unspecified else other

    def both(one: dict[str, Entries], two: dict[str, Entries]) -> dict[str, Entries]:
        with np.errstate(invalid="ignore"):
            apart = {k: np.nan_to_num(np.abs(e.values - two[k].values)) for k, e in one.items()}
        return {
            k: replace(e, slack=np.maximum(e.slack, two[k].slack + apart[k]))
            for k, e in one.items()
        }

    return replace(
        found,
        values=both(found.values, other.values),
        gradients=both(found.gradients, other.gradients),
    )


def _joined(found: Answer, more: Answer) -> Answer:
    """With the gradients of another walk, which add up where both have one."""
    if more.unspecified:
        return Answer({}, {}, more.unspecified, more.gave_up)
    gradients = dict(found.gradients)
    for name, entries in more.gradients.items():
        before = gradients.get(name)
        if before is None:
            gradients[name] = entries
        elif before.values.shape != entries.values.shape:
            return Answer({}, {}, f"gradients of two shapes of {name}")
        else:
            with np.errstate(invalid="ignore"):
                gradients[name] = Entries(
                    before.values + entries.values, before.slack + entries.slack
                )
    return replace(found, gradients=gradients)


def multiplies_itself(ran: tuple[Shaped | Backward, Acted]) -> bool:
    """Whether a step that ran is a matrix product in place which reads what it writes."""
    return isinstance(ran[0], Shaped) and reads_its_results(ran[0])


def found_by(walk: Walk, machine: Machine, *, opinions: int = 1) -> Answer:
    """Assemble every step that ran, run the machine, and read off values and gradients."""
    return machine.finish(_finding(walk, opinions))


def _finding(walk: Walk, opinions: int) -> Calls[Answer]:
    prediction = walk.prediction
    try:
        for step, acted in zip(walk.draft.shaped, prediction.acted, strict=False):
            walk.arrive(step, acted)
            walk.step(step, acted)
    except TooMuch as reason:
        return Answer({}, {}, str(reason), gave_up=True)
    except Undecided as reason:
        return Answer({}, {}, str(reason))
    passes = walk.passes()
    apart = [[number] for number in range(len(walk.losses))]
    if opinions > 1:
        # Each call has errors of its own, which stay where the cotangents of two cancel.
        passes = apart or passes
    result = yield from running(walk.assembly, passes, opinions=opinions)
    if len(apart) > len(passes) and not (np.abs(result.gradients) < _LARGE).all():
        # Infinities of several calls add up to NaN in torch; their sum has one derivative.
        passes = apart
        result = yield from running(walk.assembly, passes, opinions=opinions)
    if result.ill_conditioned:
        why = result.ill_conditioned
        return Answer({}, {}, why if why in LEFT_OPEN else f"ill-conditioned: {why}")
    # Before a number is called wrong: most of these programs are as the formulas say.
    lost = loses_nan(walk.draft, prediction, result.gradients) if opinions > 1 else ""
    if lost:
        return Answer({}, {}, f"NaN comes to the gradient of {lost}, which may make a number of it")
    if opinions > 1 and shares_gradients(walk.draft, prediction):
        return Answer({}, {}, "gradients of what was stacked may share memory")
    cotangents = [seed.cotangents for seed in walk.assembly.seeds]
    if opinions > 1 and overflow_by_order(result.values, result.gradients, *cotangents):
        why = "numbers whose products overflow, or come to zero, in one order and not in another"
        return Answer({}, {}, why)
    if result.parted and holds_nothing(walk.draft, prediction):
        return Answer({}, {}, "zero times infinity may be behind an empty tensor")
    return Answer(_values(walk, result), _gradients(walk, result, passes))


def _values(walk: Walk, result: Result) -> dict[str, Entries]:
    """What each tensor holds at the end: parts of two arrays that hold all of it in a row."""
    cells = [walk.handle(name, layout) for name, layout in walk.prediction.layouts.items()]
    if not cells:
        return {}
    together = np.concatenate(cells, None)
    values, slack = result.values[together], result.value_slack[together]
    found, start = {}, 0
    for name, handle in zip(walk.prediction.layouts, cells, strict=True):
        end = start + handle.size
        shape = handle.shape
        found[name] = Entries(values[start:end].reshape(shape), slack[start:end].reshape(shape))
        start = end
    return found


def _gradients(walk: Walk, result: Result, passes: list[list[int]]) -> dict[str, Entries]:
    """A backward call counts for the tensors to whose `.grad` it added, even if it raised then."""
    found = {}
    limited = any(only is not None for only in walk.losses)
    counted = list(range(len(passes)))
    for name, handles in walk.read_at().items():
        if limited:
            allowed = {n for n, only in enumerate(walk.losses) if only is None or name in only}
            counted = [k for k, losses in enumerate(passes) if allowed.issuperset(losses)]
        found[name] = Entries(
            _added(result.gradients, counted, handles),
            _added(result.gradient_slack, counted, handles),
        )
    return found


def _added(
    by_pass: NDArray[np.float64], counted: list[int], handles: list[Handle]
) -> NDArray[np.float64]:
    """The sum over passes, and over the times that a leaf began to require grad."""
    if len(counted) == len(handles) == 1:
        return np.asarray(by_pass[counted[0]][handles[0]])
    with np.errstate(invalid="ignore"):
        numbers = by_pass[counted].sum(0)
        return np.asarray(sum(numbers[handle] for handle in handles))
