"""Drawing cases until one fails, and shrinking it within a budget of time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from hypothesis import HealthCheck, Phase, given, reject, seed, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.errors import FailedHealthCheck, Flaky, Unsatisfiable

from strategies.drawn import by_seed_alone


class Case(Protocol):
    """What is drawn: it has an identity by its content."""

    @property
    def id(self) -> str: ...


C = TypeVar("C", bound=Case)


class Failing(AssertionError):
    """A case shows what the hunt is for; any other exception is a fault of the suite.

    `gravity` is 0 for the gravest kind: what is hunted never shrinks into something less grave.
    """

    gravity: int = 0


class _OutOfTime(BaseException):
    """Ends a property at once: Hypothesis takes an Exception for a failure of the case."""


class GaveUp(Exception):
    """No case could be drawn; the message says why."""


@dataclass(frozen=True, slots=True)
class Caught(Generic[C]):
    """The smallest failing case found, why it fails, and whether shrinking was finished."""

    case: C
    error: Failing
    minimal: bool


@dataclass(frozen=True, slots=True)
class Effort:
    """How a hunt draws: its seed is None if it repeats itself and keeps no database.

    What is found is shrunk by its choices, unless `shrinks` is false.
    """

    examples: int
    seed: int | None
    database: Path | ExampleDatabase
    shrink_s: float
    key: str
    shrinks: bool = True


_TRIES = 12
"""How often a case is drawn anew until it lies where it is wanted."""


@st.composite
def kept(draw: st.DrawFn, cases: st.SearchStrategy[C], wanted: Callable[[C], bool]) -> C:
    """The cases that are wanted, where they may be one in ten; examples shrink as the cases do."""
    for _ in range(_TRIES):
        case = draw(cases)
        if wanted(case):
            return case
    return reject()


def hunt(cases: st.SearchStrategy[C], test: Callable[[C], Any], effort: Effort) -> Caught[C] | None:
    """Draw cases until the test raises Failing, and shrink; None if no case does.

    Raises GaveUp if nothing can be drawn, and whatever else the test raises.
    """
    failing: dict[str, tuple[C, Failing]] = {}
    last = ""
    gravest = math.inf
    deadline = math.inf
    minimal = True

    def attempt(case: C) -> None:
        nonlocal deadline, gravest, last
        if time.monotonic() > deadline:
            # Hypothesis replays its best case at the end: that one must fail again.
            if case.id == last:
                raise failing[last][1]
            raise _OutOfTime
        try:
            test(case)
        except Failing as error:
            if error.gravity > gravest:
                return
            if not failing:
                deadline = time.monotonic() + effort.shrink_s
            gravest = error.gravity
            failing[case.id] = (case, error)
            last = case.id
            raise

    try:
        with by_seed_alone():
            _property(cases, attempt, effort)()
    except Failing:
        pass
    except _OutOfTime:
        minimal = False
    except Flaky:
        if not failing:
            raise
    except (Unsatisfiable, FailedHealthCheck) as error:
        raise GaveUp(f"No case could be drawn: {error}") from None
    if not failing:
        return None
    found, why = failing[last]
    return Caught(found, why, minimal)


def _property(
    cases: st.SearchStrategy[C], attempt: Callable[[C], None], effort: Effort
) -> Callable[[], None]:
    """The attempt as a Hypothesis property under a key of its own in the example database."""
    drawn = given(cases)(attempt)
    # pytest's plugin tells parametrised tests apart in the database by the same attribute.
    drawn.hypothesis.inner_test._hypothesis_internal_add_digest = effort.key.encode()  # type: ignore[attr-defined]
    repeats = effort.seed is None
    if effort.seed is not None:
        # Before the settings: a seed takes the database out of those that are there.
        drawn = seed(effort.seed)(drawn)
    database = effort.database
    if isinstance(database, Path):
        database = DirectoryBasedExampleDatabase(database)
    drawn = settings(
        max_examples=effort.examples,
        deadline=None,
        database=None if repeats else database,
        derandomize=repeats,
        report_multiple_bugs=False,
        print_blob=False,
        phases=[Phase.reuse, Phase.generate, *([Phase.shrink] if effort.shrinks else [])],
        suppress_health_check=[HealthCheck.too_slow],
    )(drawn)
    # As `hypothesis.find` does: under the key itself others can put what they found.
    drawn._hypothesis_internal_database_key = effort.key.encode()  # type: ignore[attr-defined]
    return drawn
