"""From what a program must do and what a subject did to the verdict, whoever says what it must do.

The model and the oracle say so where a program is examined (`conformance.examine`), and a corpus
where it is replayed (`conformance.corpus`). Nothing here needs jax.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from conformance.abilities import Abilities
from conformance.deviations import Deviation, named, register
from conformance.expectation import expectation, outward
from conformance.judge import Finding, judge, seen_error
from conformance.model import Prediction
from conformance.oracle.answers import NOT_ASKED, Answer
from conformance.patience import Patience
from conformance.records import VerdictWord
from conformance.subjects import Observation, Subject
from conformance.tolerances import ORACLE_RTOL
from strategies.draft import Draft, check
from strategies.printer import Body, print_body
from strategies.program import Program, ProgramError
from strategies.script import Expectation, Known, demonstrate, write_script


class Authorities(Protocol):
    """What says what a program must do, by the documentation and by the quirks that are named."""

    def predict(
        self, draft: Draft, *, quirks: frozenset[str] = frozenset(), watched: bool = False
    ) -> Prediction:
        """Errors, flags and memory."""

    def answer(
        self,
        draft: Draft,
        prediction: Prediction,
        *,
        quirks: frozenset[str] = frozenset(),
        again: bool = False,
    ) -> Answer:
        """Values and gradients; asked again, with the widest bounds that there are for them."""

    def silent_on(self, torch: str) -> str:
        """Why they do not know what becomes of the program in a version of torch, or ""."""


class ForetellingMany(Authorities, Protocol):
    """Authorities that are quicker of several programs at once."""

    def foretell(self, drafts: Sequence[Draft]) -> list[tuple[Prediction, Answer]]:
        """What is documented of each draft: its prediction and its answer."""

    def foresee(self, drafts: Sequence[Draft], quirks: frozenset[str]) -> None:
        """Be told that they will be asked what the quirks make of each of these drafts."""


_NONE = Answer({}, {}, NOT_ASKED)


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
    visible: frozenset[str] | None = None
    """The tensors that come out, where functions are transformed."""
    expected: Expectation | None = None
    """What a script must check, where that is not what the program does plainly."""

    @property
    def raised(self) -> bool:
        """Whether the subject raised anywhere."""
        return self.observation.error is not None

    @property
    def is_answered(self) -> bool:
        """Whether the oracle was asked, and had something to say."""
        return bool(self.answer.values) or not self.answer.unspecified

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
        if self.expected is not None:
            shown = replace(self.expected, header=header, guarded=self.raised)
            return write_script(self.body, shown, rtol=ORACLE_RTOL)
        expected = expectation(
            self.draft, self.prediction, self.answer, self.body, thorough=thorough
        )
        known = None
        if self.registered is not None:
            shown = expectation(self.draft, *self.registered, self.body, thorough=thorough)
            known = Known(named(self.deviations), shown)
        if self.visible is not None:
            expected = outward(expected, self.visible)
        guarded = self.prediction.raises is None and self.raised
        expected = replace(expected, header=header, guarded=guarded, known=known)
        return write_script(self.body, expected, rtol=ORACLE_RTOL)


@dataclass(slots=True)
class Judging:
    """What runs programs on one subject, and judges what it sees by what authorities say."""

    subject: Subject
    timeout_s: float = 10.0
    known: tuple[Deviation, ...] = field(default_factory=register)
    abilities: Abilities = field(init=False)
    _patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        self._patience = Patience(self.subject, self.timeout_s)
        self.abilities = Abilities(self.subject)
        kind = f"{self.subject.mode}-{self.subject.device}"
        self.known = tuple(d for d in self.known if d.applies(kind, self.subject.torch))

    def _there(self, draft: Draft) -> tuple[Draft, str]:
        """A program by the rows of the subject's torch; as it is if it cannot be there, and why."""
        try:
            return draft.as_in(self.subject.torch), ""
        except ProgramError as error:
            return draft, f"such a program: {error}"

    def judged(
        self,
        program: Program,
        by: Authorities,
        *,
        draft: Draft | None = None,
        watched: bool = False,
        oracle: bool = True,
    ) -> Judged:
        """The verdict on a program; raises ProgramError if it is none, SubjectError if there is
        nobody to run it. Without the oracle, errors, flags and memory alone are judged. The draft
        that a program was grown on need not be made anew.
        """
        draft, illegal = self._there(draft or check(program))
        body = print_body(draft, device=self.subject.device, watch=watched)
        lacking = self._lacking(draft, illegal, by)
        if lacking is not None:
            prediction = by.predict(draft, watched=watched)
            return self._not_exercised(program, draft, body, prediction, lacking)
        foretold: list[tuple[Prediction, Answer]] = []

        def foretell() -> None:
            prediction = by.predict(draft, watched=watched)
            found = by.answer(draft, prediction) if oracle else _NONE
            foretold.append((prediction, found))

        observation = self._run(program, draft, body, watched=watched, meanwhile=foretell)
        if not foretold:
            foretell()
        seen = Judged(program, draft, body, *foretold[0], observation, "conforms")
        return self._concluded(seen, by, _Explaining(by, self._of_programs()), oracle=oracle)

    def judged_together(self, drafts: Sequence[Draft], by: ForetellingMany) -> list[Judged]:
        """The verdicts on several grown programs, in order, as `judged` reaches them one by one."""
        judged: dict[int, Judged] = {}
        ready: dict[int, tuple[Program, Draft, Body]] = {}
        for place, grown in enumerate(drafts):
            draft, illegal = self._there(grown)
            case = (grown.program(), draft, print_body(draft, device=self.subject.device))
            lacking = self._lacking(draft, illegal, by)
            if lacking is None:
                ready[place] = case
            else:
                judged[place] = self._not_exercised(*case, by.predict(draft), lacking)
        foretold = by.foretell([draft for _, draft, _ in ready.values()])
        self.subject.expect([body.text for _, _, body in ready.values()])
        seen = [self._run(*case, watched=False) for case in ready.values()]
        explaining = _Explaining(by, self._of_programs())
        for (place, case), said, observation in zip(ready.items(), foretold, seen, strict=True):
            judged[place] = Judged(*case, *said, observation, "conforms")
        odd = [judged[place] for place in ready if explaining.finds(judged[place])]
        by.foresee([one.draft for one in odd if one.is_answered], explaining.quirks)
        for place in ready:
            judged[place] = self._concluded(judged[place], by, explaining, oracle=True)
        return [judged[place] for place in range(len(drafts))]

    def _of_programs(self) -> tuple[Deviation, ...]:
        """The known deviations that programs show."""
        return tuple([deviation for deviation in self.known if deviation.program is not None])

    def _lacking(self, draft: Draft, illegal: str, by: Authorities) -> tuple[str, str] | None:
        """Why a program is not exercised, in full and in short; None if it is."""
        lacking = self.abilities.lacks(draft) or illegal
        if lacking:
            return f"torch {self.subject.torch} has no {lacking}", lacking
        silent = by.silent_on(self.subject.torch)
        return (silent, silent) if silent else None

    def _not_exercised(
        self,
        program: Program,
        draft: Draft,
        body: Body,
        prediction: Prediction,
        lacking: tuple[str, str],
    ) -> Judged:
        judged = Judged(program, draft, body, prediction, _NONE, Observation(), "not exercised")
        return replace(judged, reason=lacking[0], lacking=lacking[1])

    def _run(
        self,
        program: Program,
        draft: Draft,
        body: Body,
        *,
        watched: bool,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Observation:
        """What was seen."""
        return self._patience.seen(
            body,
            list(program.names),
            watch=watched,
            retained=sorted(draft.sought),
            meanwhile=meanwhile,
        )

    def _concluded(
        self, seen: Judged, by: Authorities, explaining: _Explaining, *, oracle: bool
    ) -> Judged:
        """The verdict on what was seen."""
        prediction, found = seen.prediction, seen.answer
        judged = explaining.judged(seen)
        if judged.verdict == "deviates" and found.values:
            # Before a number is called wrong, its bound is asked for again.
            found = by.answer(seen.draft, prediction, again=True)
            explaining = _Explaining(by, explaining.known, again=True)
            judged = explaining.judged(replace(seen, answer=found))
        if judged.verdict != "conforms":
            return judged
        if prediction.left_open:
            return replace(judged, verdict="unspecified", reason=prediction.left_open)
        if found.unspecified and oracle:
            word: VerdictWord = "gave up" if found.gave_up else "unspecified"
            return replace(judged, verdict=word, reason=found.unspecified)
        return judged


@dataclass(frozen=True, slots=True)
class _Explaining:
    """The judge, and the registered deviations that may explain what it finds in programs."""

    by: Authorities
    known: tuple[Deviation, ...]
    again: bool = False
    _seen: dict[tuple[int, int], tuple[Prediction, Answer, tuple[Finding, ...]]] = field(
        default_factory=dict
    )
    """What was found beside a prediction and an answer, which most quirks leave as they are."""

    @property
    def quirks(self) -> frozenset[str]:
        """Those of all known deviations."""
        return frozenset(deviation.entry.quirk for deviation in self.known)

    def finds(self, judged: Judged) -> bool:
        """Whether anything was seen that is not documented."""
        return bool(self._beside(judged, frozenset()))

    def judged(self, judged: Judged) -> Judged:
        """With what was found, if anything was."""
        findings = self._beside(judged, frozenset())
        if not findings:
            return judged
        return self._explained(replace(judged, verdict="deviates", findings=findings))

    def _explained(self, judged: Judged) -> Judged:
        """A known deviation, if what was seen is exactly what registered quirks predict.

        Where something else deviates beside them, only that is left among the findings.
        """
        every = self.quirks
        left = self._beside(judged, every) if every else judged.findings
        if left:
            fewest = min(left, judged.findings, key=len)
            return replace(judged, findings=fewest)
        registered = self._registered(judged, every)
        judged = replace(judged, verdict="known deviation", registered=registered)
        for deviation in self.known:
            if not self._beside(judged, frozenset({deviation.entry.quirk})):
                return replace(judged, deviations=(deviation,))
        needed = tuple(d for d in self.known if self._beside(judged, every - {d.entry.quirk}))
        return replace(judged, deviations=needed)

    def _beside(self, judged: Judged, quirks: frozenset[str]) -> tuple[Finding, ...]:
        """What was seen and is not what the quirks predict; without any, what is documented."""
        prediction, found = judged.prediction, judged.answer
        if quirks:
            prediction, found = self._registered(judged, quirks)
        key = (id(prediction), id(found))
        if key not in self._seen:
            beside = judge(judged.draft, judged.body, prediction, found, judged.observation)
            self._seen[key] = (prediction, found, tuple(beside))
        return self._seen[key][2]

    def _registered(self, judged: Judged, quirks: frozenset[str]) -> tuple[Prediction, Answer]:
        """What the quirks make of prediction and answer."""
        watched = bool(judged.prediction.trace)
        prediction = self.by.predict(judged.draft, quirks=quirks, watched=watched)
        found = judged.answer
        if judged.is_answered:
            found = self.by.answer(judged.draft, prediction, quirks=quirks, again=self.again)
        return prediction, found
