"""One program on one subject: print, predict, compute, run, judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conformance.derived import DerivedJudging
from conformance.deviations import Deviation, register
from conformance.model import Prediction, predict
from conformance.oracle.answering import answer
from conformance.oracle.answers import Answer
from conformance.oracle.machine import OPINIONS, Machine
from conformance.oracle.moving import Movement, movement
from conformance.subjects import Subject
from conformance.transformed import TransformedJudging
from conformance.verdict import Judged, Judging
from strategies.draft import Draft, check
from strategies.program import Program
from strategies.transforms import DERIVED


@dataclass(frozen=True, slots=True)
class ModelAndOracle:
    """The suite's own authorities: the model's rules, and jax."""

    machine: Machine

    def predict(
        self, draft: Draft, *, quirks: frozenset[str] = frozenset(), watched: bool = False
    ) -> Prediction:
        """Errors, flags and memory."""
        return predict(draft, quirks=quirks, watched=watched)

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
        return answer(draft, prediction, self.machine, quirks=quirks, opinions=opinions)

    def movement(
        self,
        draft: Draft,
        prediction: Prediction,
        directions: Mapping[str, NDArray[np.float64]],
        *,
        twice: bool,
        quirks: frozenset[str] = frozenset(),
    ) -> Movement:
        """Values and derivatives along tangents of the leaves."""
        return movement(draft, prediction, self.machine, directions, twice=twice, quirks=quirks)

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


__all__ = ["Examiner", "Judged", "ModelAndOracle"]
