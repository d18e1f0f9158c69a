"""One program on one subject: print, predict, compute, run, judge."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from conformance.asked import Asked, Findings
from conformance.derived import DerivedJudging
from conformance.deviations import Deviation, register
from conformance.model import Prediction, predict
from conformance.model.interpreter import Interpreter
from conformance.oracle.answering import answer, answering, looked_at
from conformance.oracle.answers import Answer
from conformance.oracle.machine import OPINIONS, Calls, Machine
from conformance.oracle.moving import Movement, movement
from conformance.subjects import InProcessSubject, Subject
from conformance.transformed import TransformedJudging
from conformance.verdict import Judged, Judging
from strategies.draft import Draft, Shaped, check
from strategies.program import Program
from strategies.transforms import DERIVED

_KEPT = 32
"""Drafts of which is kept what was said: as many as a campaign judges together. More would only
take their room in the processor's caches.
"""


@dataclass(slots=True)
class _Said:
    """What was said of a draft, which has not grown since."""

    draft: Draft
    steps: int
    predicted: dict[bool, Findings[Prediction]] = field(default_factory=dict)
    """By whether it was watched."""
    answered: dict[tuple[Hashable, bool], tuple[Prediction, Findings[Answer]]] = field(
        default_factory=dict
    )
    """By what the oracle looks at of a prediction, and whether it was asked again."""

    foretold: tuple[Prediction, Asked, Answer] | None = None
    """What was answered first, until something else is asked: mostly nothing is."""

    def answers(self, prediction: Prediction, again: bool) -> Findings[Answer]:
        if self.foretold is not None:
            first, asked, found = self.foretold
            self.foretold = None
            self.answers(first, False).keep(asked, found)
        # The prediction is kept beside its answers, so that no other one gets its number.
        key = (looked_at(prediction), again)
        return self.answered.setdefault(key, (prediction, Findings()))[1]


@dataclass(slots=True)
class ModelAndOracle:
    """The suite's own authorities: the model's rules, and jax.

    Of the drafts that were asked about last they keep what they said, since the judge asks again
    and again where a program deviates, under quirks of which most make no difference to it.
    """

    machine: Machine
    visit: Callable[[Interpreter, Shaped], None] | None = None
    """Called before each operation that is predicted by the documentation for the first time."""
    _kept: dict[int, _Said] = field(default_factory=dict)

    def _said(self, draft: Draft) -> _Said:
        said = self._kept.get(id(draft))
        if said is None or said.draft is not draft or said.steps != len(draft.steps):
            while len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            said = self._kept[id(draft)] = _Said(draft, len(draft.steps))
        return said

    def predict(
        self, draft: Draft, *, quirks: frozenset[str] = frozenset(), watched: bool = False
    ) -> Prediction:
        """Errors, flags and memory."""
        visit = None if quirks else self.visit

        def find(asked: frozenset[str]) -> Prediction:
            return predict(draft, quirks=asked, watched=watched, visit=visit)

        found = self._said(draft).predicted.setdefault(watched, Findings())
        return found.under(quirks, find)

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

        return self._said(draft).answers(prediction, again).under(quirks, ask)

    def foretell(self, drafts: Sequence[Draft]) -> list[tuple[Prediction, Answer]]:
        """What is documented of each draft: the model's word on all, then the oracle's."""
        predictions = [self.predict(draft) for draft in drafts]
        asked = [Asked(frozenset()) for _ in drafts]
        works = [
            answering(draft, prediction, quirks=quirks)
            for draft, prediction, quirks in zip(drafts, predictions, asked, strict=True)
        ]
        answers = self.machine.finish_all(works)
        for draft, prediction, quirks, found in zip(
            drafts, predictions, asked, answers, strict=True
        ):
            self._said(draft).foretold = prediction, quirks, found
        return list(zip(predictions, answers, strict=True))

    def foresee(self, drafts: Sequence[Draft], quirks: frozenset[str]) -> None:
        """Predict and answer what the quirks make of these drafts, all of them together."""
        asked: list[tuple[Findings[Answer], Asked]] = []
        works: list[Calls[Answer]] = []
        for draft in drafts:
            prediction = self.predict(draft, quirks=quirks)
            found = self._said(draft).answers(prediction, False)
            if not found.holds(quirks):
                asked.append((found, Asked(quirks)))
                works.append(answering(draft, prediction, quirks=asked[-1][1]))
        answers = self.machine.finish_all(works)
        for (found, asking), said in zip(asked, answers, strict=True):
            found.keep(asking, said)

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
        """Values and derivatives along tangents of the leaves; asked again, by all opinions."""
        opinions = OPINIONS if again else 1
        given = (draft, prediction, self.machine, directions)
        return movement(*given, twice=twice, quirks=quirks, opinions=opinions)

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
        self.transformed: TransformedJudging | DerivedJudging | None = None
        if transform is not None:
            at_work = known if known is not None else register()
            eager = f"eager-{subject.device}"
            eagerly = tuple(d for d in at_work if d.applies(eager, subject.torch))
            judging = DerivedJudging if transform.law in DERIVED else TransformedJudging
            self.transformed = judging(subject, transform, (*eagerly, *self.known))

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

    def examine_all(self, drafts: Sequence[Draft]) -> list[Judged]:
        """The verdicts on several programs, in order.

        In this process each stage is done for all of them before the next one: by turns they would
        drive each other out of the processor's caches. A worker runs while others are foretold.
        """
        if self.transformed is not None or not isinstance(self.subject, InProcessSubject):
            return [self.examine(draft.program(), draft=draft) for draft in drafts]
        return self.judged_together(drafts, self.authorities)


__all__ = ["Examiner", "Judged", "ModelAndOracle"]
