"""The verdict on a program whose functions a subject compiles or transforms.

Such a subject preserves "the function's semantics" (torch.func.functionalize), by means of its own.
So errors are one outcome, wherever they come from: what eager must raise may raise, or else the
gradients are those of what was computed, as the oracle has them. Versions and the nodes of the
graph are not compared, and names that stay inside a function are not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from conformance.derived import refusal
from conformance.deviations import Deviation
from conformance.judge import (
    Finding,
    compare_gradients,
    compare_memory,
    compare_values,
    judge,
    seen_error,
    stopped,
    tensors_of,
)
from conformance.model import Kind, Prediction
from conformance.model.quirks import UNCHECKED
from conformance.oracle.answers import Answer
from conformance.patience import Patience
from conformance.records import VerdictWord
from conformance.subjects import Observation, Subject
from conformance.transform_causes import CAUSES, cause_among
from conformance.unsupported import cannot
from conformance.verdict import Authorities, Judged
from strategies.copies import in_copies
from strategies.draft import Draft, check
from strategies.printer import print_body
from strategies.program import Backward
from strategies.transforms import Law, Transform


@dataclass(frozen=True, slots=True)
class Foretold:
    """What eager must do; and what was computed, whoever looks at versions."""

    checked: Prediction
    unchecked: Prediction
    answer: Answer


def foretell(
    by: Authorities,
    draft: Draft,
    law: Law,
    quirks: frozenset[str] = frozenset(),
    *,
    again: bool = False,
) -> Foretold:
    """What the authorities say of a program that is transformed, by a law.

    Where nothing changes, nobody asks what would come without the version check.
    """
    checked = by.predict(draft, quirks=quirks)
    unchecked = checked if law == "same" else by.predict(draft, quirks=quirks | {UNCHECKED})
    answer = by.answer(draft, unchecked, quirks=quirks, again=again)
    return Foretold(checked, unchecked, answer)


@dataclass(slots=True)
class TransformedJudging:
    """What runs programs on a subject that transforms their functions, and judges what it sees."""

    subject: Subject
    transform: Transform
    known: tuple[Deviation, ...]
    """Those of this subject, and those of eager programs, which are at work here too."""
    timeout_s: float = 120.0
    _eager: frozenset[str] = field(init=False)
    _patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        self._patience = Patience(self.subject, self.timeout_s)
        programs = (d.entry.quirk for d in self.known if d.program is not None)
        self._eager = frozenset(programs) - CAUSES.keys()

    def judged(self, draft: Draft, by: Authorities) -> Judged:
        """The verdict on a program; raises SubjectError if there is nobody to run it."""
        program = draft.program()
        if self.transform.copies > 1:
            copies = in_copies(program, self.transform.copies)
            draft = check(copies).as_in(self.subject.torch)
        body = print_body(draft, device=self.subject.device, transform=self.transform)
        foretold: list[Foretold] = []

        def meanwhile() -> None:
            foretold.append(foretell(by, draft, self.transform.law))

        untried = cannot(self.transform, draft, by)
        if untried:
            meanwhile()
            observation = Observation()
        else:
            observation = self._patience.seen(
                body,
                list(draft.program().names),
                retained=sorted(draft.sought),
                meanwhile=meanwhile,
            )
        if not foretold:
            meanwhile()
        (said,) = foretold
        come_out = frozenset(tensors_of(observation))
        seen = Judged(
            *(program, draft, body, said.unchecked, said.answer, observation),
            verdict="conforms",
            visible=come_out,
        )
        why = untried or self._not_tried(observation)
        if why:
            return replace(seen, verdict="not exercised", reason=why, lacking=why)
        findings = self._findings(seen, said)
        if findings and said.answer.values:
            said = foretell(by, draft, self.transform.law, again=True)
            seen = replace(seen, answer=said.answer)
            findings = self._findings(seen, said)
        if findings:
            return self._explained(replace(seen, findings=findings), by)
        return self._undecided(seen, said)

    def _not_tried(self, observation: Observation) -> str:
        """Why nothing was tried: the compiler left it to Python, or an operation is not known."""
        refused = refusal(observation, self.transform)
        if refused:
            return refused
        compiler = observation.compiler
        if not self.transform.compiles or compiler is None:
            return ""
        if compiler.breaks:
            return f"the compiler broke the graph: {compiler.breaks[0].splitlines()[0]}"
        return "" if compiler.graphs or observation.error else "the compiler made no graph"

    def _findings(self, seen: Judged, said: Foretold) -> tuple[Finding, ...]:
        found = list(_LAWS[self.transform.law](seen, said))
        if self.transform.forward and _infinite(said.answer):
            found = [one for one in found if "nan" not in one.observed]
        return tuple(sorted(found, key=lambda finding: finding.gravity))

    def _explained(self, seen: Judged, by: Authorities) -> Judged:
        """A known deviation, if what eager programs deviate by explains it, or a known cause.

        A compiler may have one deviation of eager torch and not another.
        """
        unknown: tuple[Finding, ...] | None = None
        for quirks in (self._eager, *(self._eager - {one} for one in sorted(self._eager))):
            explained = self._by_quirks(seen, by, quirks)
            if None not in explained.values():
                causes = tuple(d for d in self.known if d in explained.values())
                causes = causes or self._at_work(seen, by, quirks)
                return replace(seen, verdict="known deviation", deviations=causes)
            if unknown is None:
                unknown = tuple(f for f, known in explained.items() if known is None)
        assert unknown is not None, "without quirks there is one set of them, which is empty"
        return replace(seen, verdict="deviates", findings=unknown)

    def cause_of(self, seen: Judged, finding: Finding) -> Deviation | None:
        """The registered deviation of this subject that a finding shows."""
        return cause_among(self.known, seen, finding)

    def _by_quirks(
        self, seen: Judged, by: Authorities, quirks: frozenset[str]
    ) -> Mapping[Finding, Deviation | None]:
        """What is found where eager torch has these quirks, and the cause of each, or None."""
        left = seen.findings
        if quirks:
            said = foretell(by, seen.draft, self.transform.law, quirks, again=True)
            left = self._findings(replace(seen, answer=said.answer), said)
        return {finding: self.cause_of(seen, finding) for finding in left}

    def _at_work(
        self, seen: Judged, by: Authorities, quirks: frozenset[str]
    ) -> tuple[Deviation, ...]:
        """The deviations of eager torch without which something else would be found; the first of
        all if any of several would do.
        """
        known = [d for d in self.known if d.entry.quirk in quirks]
        needed = (d for d in known if self._by_quirks(seen, by, quirks - {d.entry.quirk}))
        return tuple(needed) or tuple(known[:1])

    def _undecided(self, seen: Judged, said: Foretold) -> Judged:
        quiet = seen.observation.error is None
        law = self.transform.law
        strict = law in ("unchecked", "numbers", "written")
        refused = said.checked.raises if strict else said.unchecked.raises
        if refused is not None and quiet:
            reason = f"eager torch refuses it ({refused.kind.value}), and this subject does not"
            return replace(seen, verdict="unspecified", reason=reason)
        left_open = said.checked.left_open or said.unchecked.left_open
        if left_open:
            return replace(seen, verdict="unspecified", reason=left_open)
        if self.transform.forward and quiet and _infinite(said.answer):
            reason = "a Jacobian with infinite entries times a tangent with zeros"
            return replace(seen, verdict="unspecified", reason=reason)
        if said.answer.unspecified and said.checked.raises is None:
            word: VerdictWord = "gave up" if said.answer.gave_up else "unspecified"
            return replace(seen, verdict=word, reason=said.answer.unspecified)
        return seen


def _same(seen: Judged, said: Foretold) -> Iterator[Finding]:
    """Every difference from what eager torch does, in all that comes out.

    Which nodes a backward call has run before it raises is documented nowhere, and differs where
    threads recorded them: each counts its own.
    """
    there = tensors_of(seen.observation)
    flags = {name: flags for name, flags in said.checked.flags.items() if name in there}
    raised = seen.raised_step()
    ended = raised is not None and isinstance(seen.draft.shaped[raised], Backward)
    restricted = replace(said.checked, flags=flags, graded={} if ended else said.checked.graded)
    yield from judge(seen.draft, seen.body, restricted, said.answer, seen.observation)


def _right(seen: Judged, said: Foretold) -> Iterator[Finding]:
    """Differences in meaning, and errors of the version check, which has no place here."""
    found = list(_meaning(seen, said))
    error = seen_error(seen.draft, seen.body, seen.observation)
    if not found and error is not None and error.kind is Kind.SAVED_MODIFIED:
        message = f"it raises though saved tensors may be written: {error.text}"
        yield Finding("spurious error", message, "no error", error.text, error.step)
    yield from found


def _unchecked(seen: Judged, said: Foretold) -> Iterator[Finding]:
    """Differences in meaning, where no saved tensor was written."""
    quiet = seen.observation.error is None and not seen.observation.crash
    if quiet and said.checked.raises != said.unchecked.raises:
        return
    yield from _meaning(seen, said)


def _numbers(seen: Judged, said: Foretold) -> Iterator[Finding]:
    """Differences in values and gradients, where None stands for zeros.

    What a custom function has saved is given up by a backward call, though the function needed
    nothing of it.
    """
    error = seen_error(seen.draft, seen.body, seen.observation)
    if error is not None and error.kind is Kind.FREED:
        return
    for finding in _meaning(seen, said):
        if finding.kind in ("silent wrong gradient", "wrong value"):
            name = finding.message.partition(".grad is None")[0]
            zeros = finding.observed == "None" and not said.answer.gradients[name].values.any()
            if not zeros:
                yield finding
        elif finding.kind in ("crash", "hang", "spurious error"):
            yield finding


def _written(seen: Judged, said: Foretold) -> Iterator[Finding]:
    """Differences in values and gradients, and in what requires grad."""
    yield from _numbers(seen, said)
    observation, unchecked = seen.observation, said.unchecked
    ended = observation.error is not None or observation.crash or observation.hang
    if not ended and unchecked.raises is None and not unchecked.unspecified:
        yield from (f for f in _flags(unchecked, observation) if "requires_grad is" in f.message)


def _meaning(seen: Judged, said: Foretold) -> Iterator[Finding]:
    """Every difference between what a transforming subject did and what it must do."""
    observation = seen.observation
    if observation.crash or observation.hang:
        yield stopped(observation)
        return
    checked, unchecked = said.checked, said.unchecked
    if checked.unspecified or unchecked.unspecified:
        return
    error = seen_error(seen.draft, seen.body, observation)
    if error is not None:
        if checked.raises is None:
            message = f"it raises and should not (model): {error.text}"
            yield Finding("spurious error", message, "no error", error.text, error.step)
        return
    if unchecked.raises is not None and unchecked.raises.kind in _UNDEFINED:
        return
    if unchecked.raises is not None:
        kind, why = unchecked.raises.kind.value, unchecked.raises.why
        message = f"it should raise (model): {why}"
        yield Finding("missing error", message, kind, "no error", unchecked.raises.step)
        return
    yield from _flags(unchecked, observation)
    yield from compare_memory(seen.draft, unchecked, observation)
    if not said.answer.unspecified:
        yield from compare_values(seen.draft, said.answer, observation)
        if not unchecked.hidden:
            yield from compare_gradients(unchecked, said.answer, observation)


_LAWS: dict[Law, Callable[[Judged, Foretold], Iterator[Finding]]] = {
    "same": _same,
    "meaning": _meaning,
    "right": _right,
    "unchecked": _unchecked,
    "numbers": _numbers,
    "written": _written,
}


def _infinite(answer: Answer) -> bool:
    """Whether anything that is computed, or a gradient, is not finite."""
    entries = (*answer.values.values(), *answer.gradients.values())
    return not all(np.isfinite(one.values).all() for one in entries)


_UNDEFINED = frozenset(
    {
        *(Kind.MULTI_VIEW_INPLACE, Kind.MULTI_VIEW_REBASED, Kind.NO_GRAD_VIEW_INPLACE),
        *(Kind.NO_GRAD_VIEW_REBASED, Kind.OVERLAP_SELF, Kind.OVERLAP_PARTIAL, Kind.LEAF_MOVED),
        *(Kind.BACKWARD_OVERLAP, Kind.DETACH_VIEW, Kind.SAVED_DETACHED, Kind.INFERENCE_WRITE),
        *(Kind.INFERENCE_SAVED, Kind.INFERENCE_GRAD, Kind.INFERENCE_VIEW_INPLACE),
        *(Kind.INFERENCE_VIEW_REBASED, Kind.OUT_GRAD, Kind.FORBIDDEN_IN_PLACE),
    }
)
"""Errors that eager torch needs for how it records: where they do not come, nothing says what is
computed instead.
"""
_COMPARED: tuple[tuple[str, Callable[[object], str]], ...] = (
    ("requires_grad", str),
    ("is_leaf", str),
)


def _flags(prediction: Prediction, observation: Observation) -> Iterator[Finding]:
    """Differences in what comes out: whether it requires grad, and whether it is a leaf."""
    seen = tensors_of(observation)
    for name, flags in prediction.flags.items():
        if name not in seen or flags.unreadable is not None:
            continue
        for what, text in _COMPARED:
            should, does = getattr(flags, what), getattr(seen[name].flags, what)
            if should != does:
                message = f"{name}: {what} is {does} and should be {should} (model)"
                yield Finding("wrong flag", message, text(should), text(does))
