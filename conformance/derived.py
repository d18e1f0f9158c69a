"""The verdict on a program in forward mode, on the gradient of its gradient, and on the gradients
that several threads get of it at once.

All take a program otherwise than it is: forward mode leaves out its backward calls and does not
heed grad modes, the others end with its first backward call. What must come out is named by
`strategies.manners`, and None stands for zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from msgspec.structs import replace as changed
from numpy.typing import NDArray

from conformance.deviations import Deviation
from conformance.judge import Finding, difference, seen_error, stopped, tensors_of
from conformance.model import Kind, Prediction
from conformance.oracle.answers import Answer, Entries
from conformance.oracle.moving import Movement
from conformance.patience import Patience
from conformance.subjects import Observation, Subject
from conformance.transform_causes import CAUSES, cause_among
from conformance.verdict import Authorities, Judged
from strategies.draft import Draft, Shaped, check
from strategies.manners import (
    FIRST,
    SECOND,
    TANGENT,
    THREAD_NUMBERS,
    in_thread,
    tangent,
)
from strategies.printer import print_body
from strategies.program import Apply, Backward, Leaf, Program
from strategies.script import Expectation, Numbers
from strategies.transforms import Law, Transform

_UNLIKE = frozenset({"requires_grad_", "detach_", "data", "set_", "resize_", "resize_as_"})
"""Operations that say what requires grad, or go around autograd."""


class Differentiating(Authorities, Protocol):
    """Authorities that know how a program moves."""

    def movement(
        self,
        draft: Draft,
        prediction: Prediction,
        directions: Mapping[str, NDArray[np.float64]],
        *,
        twice: bool,
        quirks: frozenset[str] = frozenset(),
        again: bool = False,
    ) -> Movement:
        """Its values, and their derivatives along tangents of its leaves; asked again, with the
        widest bounds that there are for them.
        """


@dataclass(frozen=True, slots=True)
class Form:
    """A program as it is printed, and as the oracle differentiates it."""

    printed: Draft
    meant: Draft
    directions: Mapping[str, NDArray[np.float64]]
    """The leaves of what is meant that move, and how."""
    law: Law

    @property
    def twice(self) -> bool:
        """Whether it is differentiated twice."""
        return self.law == "twice"

    @property
    def observed(self) -> tuple[str, ...]:
        """The names that a subject reports."""
        leaves = [leaf.name for leaf in self.printed.leaves if leaf.requires_grad]
        if self.law == "shared":
            return tuple(in_thread(number, name) for number in THREAD_NUMBERS for name in leaves)
        if self.twice:
            return tuple(which + name for which in (FIRST, SECOND) for name in leaves)
        floats = [n for n, value in self.printed.values.items() if value.dtype == "float64"]
        return (*self.printed.program().names, *(TANGENT + name for name in floats))


def form_of(draft: Draft, law: Law) -> Form | str:
    """A program as a law takes it, or why it cannot."""
    if not any(leaf.requires_grad for leaf in draft.leaves):
        return "nothing requires grad"
    steps = [changed(s, function=0) if isinstance(s, Apply) else s for s in draft.steps]
    if any(isinstance(step, Apply) and step.op in _UNLIKE for step in steps):
        return "it says what requires grad, or goes around autograd"
    if any("inference_mode" in step.modes for step in steps):
        return "it is in inference mode"
    if law != "tangents":
        return _up_to_a_call(draft, steps, law)
    applied = [step for step in steps if isinstance(step, Apply)]
    if not applied:
        return "it has no operation"
    return _forward(draft, applied)


def _up_to_a_call(draft: Draft, steps: list[Apply | Backward], law: Law) -> Form | str:
    first = next((n for n, step in enumerate(steps) if isinstance(step, Backward)), None)
    if first is None:
        return "it has no backward call"
    call = steps[first]
    assert isinstance(call, Backward)
    short = (*steps[:first], changed(call, inputs=(), via="", retain_graph=False))
    taken = check(Program(tuple(draft.leaves), short))
    moved = any(isinstance(step, Shaped) and step.moved is not None for step in taken.shaped)
    if moved and law == "twice":
        return "it changes the shape of a tensor in place"
    return Form(taken, taken, _directions(draft, {}), law)


def _forward(draft: Draft, steps: list[Apply]) -> Form:
    """Grad modes do not count, and a leaf that moves may be written: a copy of it is meant."""
    taken = {leaf.name for leaf in draft.leaves} | draft.values.keys()
    free = (name for n in range(10**6) if (name := f"l{n}") not in taken)
    named = {leaf.name: next(free) for leaf in draft.leaves if leaf.requires_grad}
    leaves = [_renamed(leaf, named) for leaf in draft.leaves]
    copies = [Apply("clone", (new,), {}, (old,)) for old, new in named.items()]
    meant = (*copies, *(changed(step, modes=()) for step in steps))
    printed = check(Program(tuple(draft.leaves), tuple(steps)))
    return Form(
        printed, check(Program(tuple(leaves), meant)), _directions(draft, named), "tangents"
    )


def _renamed(leaf: Leaf, named: Mapping[str, str]) -> Leaf:
    return changed(leaf, name=named[leaf.name]) if leaf.name in named else leaf


def _directions(draft: Draft, named: Mapping[str, str]) -> dict[str, NDArray[np.float64]]:
    return {
        named.get(leaf.name, leaf.name): tangent(leaf, place)
        for place, leaf in enumerate(draft.leaves)
        if leaf.requires_grad
    }


@dataclass(slots=True)
class DerivedJudging:
    """What runs programs on a subject that differentiates in its own way, and judges it."""

    subject: Subject
    transform: Transform
    known: tuple[Deviation, ...]
    """Those of this subject, and those of eager programs, which are at work here too."""
    timeout_s: float = 60.0
    _patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        self._patience = Patience(self.subject, self.timeout_s)

    def judged(self, draft: Draft, by: Differentiating) -> Judged:
        """The verdict on a program; raises SubjectError if there is nobody to run it."""
        form = form_of(draft, self.transform.law)
        program = draft.program()
        if isinstance(form, str):
            body = print_body(draft, device=self.subject.device)
            nothing = Answer({}, {}, form)
            prediction = by.predict(draft)
            seen = Judged(program, draft, body, prediction, nothing, Observation(), "not exercised")
            return replace(seen, reason=form, lacking=form)
        body = print_body(form.printed, device=self.subject.device, transform=self.transform)
        observation = self._patience.seen(body, list(form.observed), flags=False)
        prediction = by.predict(form.meant)
        shown = by.predict(form.printed)
        expected = _expected(form, prediction, by)
        seen = Judged(
            *(program, form.printed, body, shown, _answer(expected), observation),
            verdict="conforms",
            expected=_scripted(expected),
        )
        refused = refusal(observation, self.transform)
        if refused:
            return replace(seen, verdict="not exercised", reason=refused, lacking=refused)
        if prediction.raises is None and _shares_cells(seen):
            reason = "the tangent of what is written where elements share cells"
            return replace(seen, verdict="unspecified", reason=reason)
        findings = tuple(_differences(seen, prediction, expected))
        if findings and not isinstance(expected, str):
            # Before a number is called wrong, its bound is asked for again.
            expected = _expected(form, prediction, by, again=True)
            seen = replace(seen, answer=_answer(expected), expected=_scripted(expected))
            findings = tuple(_differences(seen, prediction, expected))
        if findings:
            return self._explained(replace(seen, findings=findings), form, prediction, by)
        if prediction.raises is not None and observation.error is None:
            reason = f"eager torch refuses it ({prediction.raises.kind.value}), and this does not"
            return replace(seen, verdict="unspecified", reason=reason)
        if isinstance(expected, str) and observation.error is None:
            return replace(seen, verdict="unspecified", reason=expected)
        return seen

    def _explained(
        self, seen: Judged, form: Form, prediction: Prediction, by: Differentiating
    ) -> Judged:
        """A known deviation, if what eager programs deviate by explains it, or a known cause."""
        eager = [d for d in self.known if d.program is not None and d.entry.quirk not in CAUSES]
        quirks = frozenset(d.entry.quirk for d in eager)
        foretold = by.predict(form.meant, quirks=quirks)
        left = tuple(
            _differences(seen, foretold, _expected(form, foretold, by, quirks, again=True))
        )
        if not left:
            return replace(seen, verdict="known deviation", deviations=tuple(eager[:1]))
        explained = {f: cause_among(self.known, seen, f) for f in (*left, *seen.findings)}
        fewest = min(left, seen.findings, key=lambda found: sum(not explained[f] for f in found))
        unknown = tuple(f for f in fewest if explained[f] is None)
        if unknown:
            return replace(seen, verdict="deviates", findings=unknown)
        shown = [explained[finding] for finding in fewest]
        causes = tuple(d for d in self.known if d in shown)
        return replace(seen, verdict="known deviation", deviations=causes)

    def cause_of(self, seen: Judged, finding: Finding) -> Deviation | None:
        """The registered deviation of this subject that a finding shows."""
        return cause_among(self.known, seen, finding)


Expected = dict[str, tuple[Entries, str]] | str
"""What each name must hold, and the kind of what is wrong if it does not; or why nobody knows."""


def _expected(
    form: Form,
    prediction: Prediction,
    by: Differentiating,
    quirks: frozenset[str] = frozenset(),
    *,
    again: bool = False,
) -> Expected:
    if prediction.raises is not None or prediction.left_open:
        return prediction.left_open or "it raises"
    if form.law == "shared":
        return _of_each_thread(form, prediction, by, quirks)
    how = (form.meant, prediction, form.directions)
    moved = by.movement(*how, twice=form.twice, quirks=quirks, again=again)
    if moved.unspecified:
        return moved.unspecified
    if not form.twice:
        floats = {n for n, value in form.printed.values.items() if value.dtype == "float64"}
        names = form.printed.program().names
        return {n: (moved.values[n], "wrong value") for n in names} | {
            TANGENT + n: (moved.tangents[n], "silent wrong gradient") for n in floats
        }
    answer = by.answer(form.meant, prediction, quirks=quirks, again=True)
    if answer.unspecified:
        return answer.unspecified
    found = {}
    for name, entries in moved.second.items():
        none = Entries(np.zeros(entries.values.shape), np.zeros(entries.values.shape))
        first = answer.gradients[name] if prediction.graded.get(name) else none
        found[FIRST + name] = (first, "silent wrong gradient")
        found[SECOND + name] = (entries, "silent wrong gradient")
    return found


def _of_each_thread(
    form: Form, prediction: Prediction, by: Differentiating, quirks: frozenset[str]
) -> Expected:
    """The gradient of every leaf, by each of the threads that ask for it."""
    answer = by.answer(form.meant, prediction, quirks=quirks, again=True)
    if answer.unspecified:
        return answer.unspecified
    found: dict[str, tuple[Entries, str]] = {}
    for leaf in (leaf for leaf in form.printed.leaves if leaf.requires_grad):
        none = Entries(np.zeros(leaf.shape), np.zeros(leaf.shape))
        entries = answer.gradients[leaf.name] if prediction.graded.get(leaf.name) else none
        for number in THREAD_NUMBERS:
            found[in_thread(number, leaf.name)] = (entries, "silent wrong gradient")
    return found


def _differences(seen: Judged, prediction: Prediction, expected: Expected) -> Iterator[Finding]:
    observation = seen.observation
    if observation.crash or observation.hang:
        yield stopped(observation)
        return
    if prediction.unspecified:
        return
    error = seen_error(seen.draft, seen.body, observation)
    if error is not None:
        if prediction.raises is None:
            message = f"it raises and should not (model): {error.text}"
            yield Finding("spurious error", message, "no error", error.text, error.step)
        return
    if isinstance(expected, str):
        return
    there = tensors_of(observation)
    for name, (entries, kind) in expected.items():
        if name not in there:
            yield Finding("wrong value", f"{name} is missing", "a tensor", "nothing")
            continue
        found = difference(_named(name), kind, there[name].array(), entries, there[name].dtype)
        if found is not None:
            yield found


def _shares_cells(seen: Judged) -> bool:
    """Whether it raises since elements of what is written share memory, as torch.Tensor.expand says
    that it may: values that are all the same may be written, and their tangents not.
    """
    error = seen_error(seen.draft, seen.body, seen.observation)
    return error is not None and error.kind is Kind.OVERLAP_SELF


def _named(name: str) -> str:
    for prefix, what in _WORDS.items():
        if name.startswith(prefix):
            return f"{what} {name.removeprefix(prefix)}"
    return name


_WORDS = {
    TANGENT: "the tangent of",
    FIRST: "the gradient of",
    SECOND: "the second gradient of",
    **{in_thread(number, ""): f"in thread {number}, the gradient of" for number in THREAD_NUMBERS},
}


def refusal(observation: Observation, transform: Transform) -> str:
    """Why nothing was tried: the subject says that it does not know an operation; or nothing."""
    error = observation.error
    if error is None or not any(part in error.message for part in transform.refuses):
        return ""
    return f"it says that it cannot: {error.message.splitlines()[0][:150]}"


def _answer(expected: Expected) -> Answer:
    if isinstance(expected, str):
        return Answer({}, {}, expected)
    values = {n: entries for n, (entries, kind) in expected.items() if kind == "wrong value"}
    return Answer(values, {})


def _scripted(expected: Expected) -> Expectation:
    if isinstance(expected, str):
        return Expectation(unspecified=expected, undecided=True)
    numbers = [
        (n, Numbers(np.asarray(e.values), np.asarray(e.slack))) for n, (e, _) in expected.items()
    ]
    return Expectation(numbers=tuple(numbers))
