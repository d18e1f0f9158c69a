"""One program on one subject: print, predict, compute, run, judge."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from conformance.abilities import Abilities
from conformance.deviations import Deviation, named, register
from conformance.judge import Finding, judge, seen_error
from conformance.model import Prediction, fragments, predict
from conformance.oracle.answering import Answer, answer
from conformance.oracle.machine import OPINIONS, Machine
from conformance.records import VerdictWord
from conformance.subjects import Observation, Subject
from conformance.tolerances import ORACLE_RTOL
from strategies.draft import Draft, check
from strategies.printer import Body, print_body
from strategies.program import Backward, Program
from strategies.script import Expectation, Known, Numbers, demonstrate, write_script

NOT_ASKED = "the oracle was not asked"


@dataclass(frozen=True, slots=True)
class Judged:
    """A program with everything that is known of it, and the verdict."""

    program: Program
    draft: Draft
    body: Body
    prediction: Prediction
    answer: Answer
    observation: Observation
    verdict: VerdictWord
    findings: tuple[Finding, ...] = ()
    deviations: tuple[Deviation, ...] = ()
    registered: tuple[Prediction, Answer] | None = None
    """What the deviations make of prediction and answer."""
    reason: str = ""
    lacking: str = ""
    """What it uses that the subject's torch does not have, if that is why it was not run."""

    @property
    def raised(self) -> bool:
        """Whether the subject raised anywhere."""
        return self.observation.error is not None

    @property
    def gravest(self) -> Finding:
        return self.findings[0]

    def raised_kind(self) -> str | None:
        """The kind of the error that the subject raised, if it is one that the model knows."""
        seen = seen_error(self.draft, self.body, self.observation)
        return seen.kind.value if seen is not None and seen.kind is not None else None

    def raised_step(self) -> int | None:
        """The index of the step at which the subject raised."""
        seen = seen_error(self.draft, self.body, self.observation)
        return seen.step if seen is not None else None

    def demonstration(self, title: str, shown: tuple[str, ...] = ()) -> str:
        """The program as a script that shows what happens: an error, the expressions, or else the
        gradients.
        """
        leaves = [leaf.name for leaf in self.program.leaves if leaf.requires_grad]
        return demonstrate(self.body, title, shown or tuple(f"{name}.grad" for name in leaves))

    def script(self, *, thorough: bool = True, header: tuple[str, ...] = ()) -> str:
        """The program as a script that prints this verdict."""
        expected = expectation(
            self.draft, self.prediction, self.answer, self.body, thorough=thorough
        )
        known = None
        if self.registered is not None:
            shown = expectation(self.draft, *self.registered, self.body, thorough=thorough)
            known = Known(named(self.deviations), shown)
        guarded = self.prediction.raises is None and self.raised
        expected = replace(expected, header=header, guarded=guarded, known=known)
        return write_script(self.body, expected, rtol=ORACLE_RTOL)


@dataclass(slots=True)
class Examiner:
    """What judges programs on one subject; the oracle's machine is shared by all."""

    subject: Subject
    machine: Machine
    timeout_s: float = 10.0
    known: tuple[Deviation, ...] = field(default_factory=register)
    abilities: Abilities = field(init=False)

    def __post_init__(self) -> None:
        self.abilities = Abilities(self.subject)
        kind = f"{self.subject.mode}-{self.subject.device}"
        self.known = tuple(d for d in self.known if d.applies(kind, self.subject.torch))

    def examine(
        self,
        program: Program,
        *,
        draft: Draft | None = None,
        watched: bool = False,
        oracle: bool = True,
    ) -> Judged:
        """The verdict on a program; raises ProgramError if it is none, SubjectError if there is
        nobody to run it. Without the oracle, errors, flags and memory alone are judged. The draft
        that a program was grown on need not be made anew.
        """
        draft = (draft or check(program)).as_in(self.subject.torch)
        body = print_body(draft, device=self.subject.device, watch=watched)
        none = Answer({}, {}, NOT_ASKED)
        lacking = self.abilities.lacks(draft)
        if lacking:
            prediction = predict(draft, watched=watched)
            reason = f"torch {self.subject.torch} has no {lacking}"
            judged = Judged(program, draft, body, prediction, none, Observation(), "not exercised")
            return replace(judged, reason=reason, lacking=lacking)
        foretold: list[tuple[Prediction, Answer]] = []

        def foretell() -> None:
            prediction = predict(draft, watched=watched)
            found = answer(draft, prediction, self.machine) if oracle else none
            foretold.append((prediction, found))

        observation = self.subject.run(
            body.text,
            list(program.names),
            watch=watched,
            retained=sorted(draft.sought),
            timeout_s=self.timeout_s,
            meanwhile=foretell,
        )
        if not foretold:
            foretell()
        ((prediction, found),) = foretold
        judged = Judged(program, draft, body, prediction, found, observation, "conforms")
        judged = self._judged(judged, opinions=1)
        if judged.verdict == "deviates" and found.values:
            # Before a number is called wrong, its bound is asked for again.
            found = answer(draft, prediction, self.machine, opinions=OPINIONS)
            judged = replace(judged, answer=found, verdict="conforms", findings=())
            judged = self._judged(judged, opinions=OPINIONS)
        if judged.verdict != "conforms":
            return judged
        if prediction.left_open:
            return replace(judged, verdict="unspecified", reason=prediction.left_open)
        if found.unspecified and oracle:
            word: VerdictWord = "gave up" if found.gave_up else "unspecified"
            return replace(judged, verdict=word, reason=found.unspecified)
        return judged

    def _judged(self, judged: Judged, *, opinions: int) -> Judged:
        """With what was found, if anything was."""
        findings = judge(
            judged.draft, judged.body, judged.prediction, judged.answer, judged.observation
        )
        if not findings:
            return judged
        judged = replace(judged, verdict="deviates", findings=tuple(findings))
        return self._explained(judged, opinions)

    def _explained(self, judged: Judged, opinions: int) -> Judged:
        """A known deviation, if what was seen is exactly what registered quirks predict.

        Where something else deviates beside them, only that is left among the findings.
        """
        known = [deviation for deviation in self.known if deviation.program is not None]
        every = frozenset(d.entry.quirk for d in known)
        left = self._beside(judged, every, opinions)
        if left:
            fewest = min(left, judged.findings, key=len)
            return replace(judged, findings=fewest)
        judged = replace(
            judged,
            verdict="known deviation",
            registered=self._registered(judged, every, opinions),
        )
        for deviation in known:
            if not self._beside(judged, frozenset({deviation.entry.quirk}), opinions):
                return replace(judged, deviations=(deviation,))
        needed = tuple(d for d in known if self._beside(judged, every - {d.entry.quirk}, opinions))
        return replace(judged, deviations=needed)

    def _beside(self, judged: Judged, quirks: frozenset[str], opinions: int) -> tuple[Finding, ...]:
        """What was seen and is not what the quirks predict, if they say anything at all."""
        if not quirks:
            return judged.findings
        prediction, found = self._registered(judged, quirks, opinions)
        return tuple(judge(judged.draft, judged.body, prediction, found, judged.observation))

    def _registered(
        self, judged: Judged, quirks: frozenset[str], opinions: int
    ) -> tuple[Prediction, Answer]:
        """What the quirks make of prediction and answer."""
        prediction = predict(judged.draft, quirks=quirks, watched=bool(judged.prediction.trace))
        found = judged.answer
        if found.values or not found.unspecified:
            found = answer(judged.draft, prediction, self.machine, quirks=quirks, opinions=opinions)
        return prediction, found


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
