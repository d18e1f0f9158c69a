"""Between which two versions of torch the verdict on a program, or what it does, changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from conformance.behaviour import NOTHING_SEEN, Behaviour, differences
from conformance.subjects import Availability, SubjectError, available_subjects, prepared_subjects


@dataclass(frozen=True, slots=True)
class Answer:
    """What a subject did with the program; `message` is all that is said besides the verdict."""

    subject: str
    torch: str
    verdict: str
    message: str
    did: Behaviour = NOTHING_SEEN

    def is_like(self, other: Answer) -> bool:
        """Whether the verdict and all that is seen are the same."""
        return self.verdict == other.verdict and not differences(self.did, other.did)


@dataclass(frozen=True, slots=True)
class Bisected:
    """What was found; `answers` are of those that were asked, the oldest torch first.

    `boundary` is two neighbours among all subjects, the last that answers as the oldest and the
    first that does not; None where oldest and newest agree. `left_out` holds a sentence for each
    subject that could not be asked, `subjects` counts the others.
    """

    answers: tuple[Answer, ...]
    boundary: tuple[Answer, Answer] | None
    subjects: int
    left_out: tuple[str, ...]

    @property
    def oldest(self) -> Answer:
        return self.answers[0]

    @property
    def newest(self) -> Answer:
        return self.answers[-1]


class TooFew(Exception):
    """Fewer than two subjects could be asked; the message is one sentence that says which."""


def at_hand() -> list[Availability]:
    """The subjects that need no naming, each with its torch, on the processor alone: two devices
    of one version are no two versions.
    """
    here = [one for one in available_subjects() if one.name != "eager-cuda"]
    return [*here, *prepared_subjects()]


def bisect(candidates: Sequence[Availability], ask: Callable[[str], Answer]) -> Bisected:
    """Ask the oldest and the newest torch, then, if their answers differ, half of what is left.

    Answers differ by their verdicts or, where torch has changed and is right both times, by what
    is seen.

    `ask` puts the program to the subject of a name. One that it cannot start, by SubjectError, is
    left out and the search goes on without. Raises TooFew if fewer than two are left.
    """
    there, left_out = _ordered(candidates)
    asked: dict[str, Answer] = {}
    while len(there) >= 2:
        try:
            last = _last_like_the_oldest(there, asked, ask)
        except _CannotStart as lost:
            there.remove(lost.candidate)
            left_out.append(str(lost))
            continue
        answers = tuple(asked[one.name] for one in there if one.name in asked)
        boundary = None
        if last + 1 < len(there):
            boundary = (asked[there[last].name], asked[there[last + 1].name])
        return Bisected(answers, boundary, len(there), tuple(left_out))
    raise TooFew(_too_few(there, left_out))


class _CannotStart(Exception):
    def __init__(self, candidate: Availability, reason: str) -> None:
        super().__init__(reason)
        self.candidate = candidate


def _last_like_the_oldest(
    there: Sequence[Availability], asked: dict[str, Answer], ask: Callable[[str], Answer]
) -> int:
    """The place after which the answer is another than the oldest's, by a binary search; the last
    place where oldest and newest agree.
    """

    def answer(place: int) -> Answer:
        candidate = there[place]
        if candidate.name not in asked:
            try:
                asked[candidate.name] = ask(candidate.name)
            except SubjectError as error:
                raise _CannotStart(candidate, str(error)) from None
        return asked[candidate.name]

    low, high = 0, len(there) - 1
    oldest = answer(low)
    if answer(high).is_like(oldest):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if answer(middle).is_like(oldest):
            low = middle
        else:
            high = middle
    return low


def _ordered(candidates: Sequence[Availability]) -> tuple[list[Availability], list[str]]:
    """Those that can be asked by version of torch, and why the others cannot."""
    there: list[tuple[Version, Availability]] = []
    left_out = []
    for one in candidates:
        if not one.available:
            left_out.append(one.reason)
            continue
        try:
            there.append((Version(one.torch), one))
        except InvalidVersion:
            left_out.append(f"{one.name}: {one.torch!r} is no version of torch to sort it by.")
    return [one for _, one in sorted(there, key=lambda pair: pair[0])], left_out


def _too_few(there: Sequence[Availability], left_out: Sequence[str]) -> str:
    found = f"only {there[0].name} (torch {there[0].torch})" if there else "no subject"
    reasons = "".join(f"; {reason.rstrip('.')}" for reason in left_out)
    return (
        f"A change lies between two subjects, and {found} could be started{reasons}; name others "
        "with --subject python=PATH."
    )
