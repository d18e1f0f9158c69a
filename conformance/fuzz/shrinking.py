"""A program of a campaign that deviates, shrunk by Hypothesis from the choices that made it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis.database import (
    DirectoryBasedExampleDatabase,
    InMemoryExampleDatabase,
    choices_to_bytes,
)

from conformance.examine import Examiner, Judged
from conformance.fuzz.chunks import drawn_for
from conformance.hunt import Caught, Effort, hunt
from conformance.trial import Disagreement, database_key, smallest
from strategies.build import grown
from strategies.choices import Seeded
from strategies.drawing import programs
from strategies.lacking import drawing_without, suited
from strategies.program import Program

_EXAMPLES = 1
"""Nothing new is drawn: what failed is replayed."""


class Choosing(Seeded):
    """Seeded choices, noted as Hypothesis would: where there is one option, nothing is drawn."""

    def __init__(self, seed: int, index: int) -> None:
        super().__init__(seed, index)
        self.drawn: list[int] = []
        choose = self.below

        def below(n: int) -> int:
            choice = choose(n)
            if n > 1:
                self.drawn.append(choice)
            return choice

        self.below = below


class Shrinker:
    """What shrinks the programs of a campaign on one subject.

    The example database in `database` gets what they were shrunk to, where a run of the claim
    looks first.
    """

    def __init__(
        self, examiner: Examiner, *, seed: int, claim: str, database: Path, shrink_s: float
    ) -> None:
        self.examiner = examiner
        self.seed = seed
        self.shrink_s = shrink_s
        self._key = database_key(claim, "campaign", examiner.subject.name)
        self._database = DirectoryBasedExampleDatabase(database)

    def judged(self, index: int) -> Judged:
        """What becomes of a program as it was drawn."""
        draft = drawn_for(self.examiner.abilities, self.seed, index)
        return self.examiner.examine(draft.program(), draft=draft)

    def shrunk(self, index: int) -> tuple[Judged, Disagreement, bool] | None:
        """The smallest program, why it deviates, and whether shrinking came to its end; None if it
        does not deviate when it is judged again.
        """
        choosing = Choosing(self.seed, index)
        with drawing_without(self.examiner.abilities.lacking):
            suited(choosing, grown)
        seen: dict[str, Judged] = {}

        def case(program: Program) -> None:
            judged = self.examiner.examine(program)
            if judged.verdict == "deviates":
                seen[program.id] = judged
                raise Disagreement(judged.gravest)

        caught = self._replayed(choosing.drawn, case)
        if caught is None:
            return None
        caught = smallest(caught, case, lambda program: True, self.shrink_s)
        assert isinstance(caught.error, Disagreement)
        return seen[caught.case.id], caught.error, caught.minimal

    def _replayed(self, choices: Sequence[int], case: object) -> Caught[Program] | None:
        key = self._key.encode()
        # By itself, or what was found before would be found again.
        alone = InMemoryExampleDatabase()
        alone.save(key, choices_to_bytes(choices))
        effort = Effort(_EXAMPLES, self.seed, alone, self.shrink_s, self._key)
        drawn = programs().map(self.examiner.abilities.respelled)
        with drawing_without(self.examiner.abilities.lacking):
            caught = hunt(drawn, case, effort)  # type: ignore[arg-type]
        for example in alone.fetch(key):
            self._database.save(key, example)
        return caught
