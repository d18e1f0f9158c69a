"""One program on one subject: print, predict, compute, run, judge."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.asked import Findings
from conformance.deviations import Deviation, register
from conformance.model import Prediction, predict
from conformance.oracle.answering import answer
from conformance.oracle.answers import Answer
from conformance.oracle.machine import OPINIONS, Machine
from conformance.subjects import Subject
from conformance.transformed import TransformedJudging
from conformance.verdict import Judged, Judging
from strategies.draft import Draft, check
from strategies.program import Program


@dataclass(slots=True)
class ModelAndOracle:
    """The suite's own authorities: the model's rules, and jax.

    Of the draft that was asked about last they keep what they said, since the judge asks again and
    again where a program deviates, under quirks of which most make no difference to it.
    """

    machine: Machine
    _draft: Draft | None = None
    _steps: int = 0
    _predicted: dict[bool, Findings[Prediction]] = field(default_factory=dict)
    _answered: dict[tuple[int, bool], tuple[Prediction, Findings[Answer]]] = field(
        default_factory=dict
    )
    """By the prediction, and whether it was asked again."""

    def predict(
        self, draft: Draft, *, quirks: frozenset[str] = frozenset(), watched: bool = False
    ) -> Prediction:
        """Errors, flags and memory."""
        if draft is not self._draft or len(draft.steps) != self._steps:
            self._draft, self._steps = draft, len(draft.steps)
            self._predicted, self._answered = {}, {}
        found = self._predicted.setdefault(watched, Findings())
        return found.under(quirks, lambda asked: predict(draft, quirks=asked, watched=watched))

    def answer(
        self,
        draft: Draft,
        prediction: Prediction,
        *,
        quirks: frozenset[str] = frozenset(),
        again: bool = False,
    ) -> Answer:
        """Values and gradients; asked again, by all opinions that differ."""
        opinions = OPINIONS if again else 1

        def ask(asked: frozenset[str]) -> Answer:
            return answer(draft, prediction, self.machine, quirks=asked, opinions=opinions)

        if draft is not self._draft or len(draft.steps) != self._steps:
            return ask(quirks)
        # The prediction is kept beside its answers, so that no other one gets its number.
        key = (id(prediction), again)
        return self._answered.setdefault(key, (prediction, Findings()))[1].under(quirks, ask)

    def silent_on(self, torch: str) -> str:
        """Never: the table has the rows of every version."""
        return ""


class Examiner(Judging):
    """What judges programs on one subject; the oracle's machine is shared by all."""

    def __init__(
        self,
        subject: Subject,
        machine: Machine,
        timeout_s: float = 10.0,
        known: tuple[Deviation, ...] | None = None,
    ) -> None:
        super().__init__(subject, timeout_s, register() if known is None else known)
        self.authorities = ModelAndOracle(machine)
        transform = subject.transform
        self.transformed: TransformedJudging | None = None
        if transform is not None:
            at_work = known if known is not None else register()
            eager = f"eager-{subject.device}"
            eagerly = tuple(d for d in at_work if d.applies(eager, subject.torch))
            self.transformed = TransformedJudging(subject, transform, (*eagerly, *self.known))

    def examine(
        self,
        program: Program,
        *,
        draft: Draft | None = None,
        watched: bool = False,
        oracle: bool = True,
    ) -> Judged:
        """The verdict on a program by the model and the oracle, as `Judging.judged` reaches it."""
        if self.transformed is not None:
            draft = (draft or check(program)).as_in(self.subject.torch)
            return self.transformed.judged(draft, self.authorities)
        return self.judged(program, self.authorities, draft=draft, watched=watched, oracle=oracle)


__all__ = ["Examiner", "Judged", "ModelAndOracle"]
