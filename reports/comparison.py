"""What changed between two runs: claims, programs that deviate, and entries of the register."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from conformance.records import (
    Deviation,
    Kind,
    Row,
    RunRecords,
    Subject,
    Verdict,
    summarise,
)
from reports.words import gravity

SCHEMA = 1
"""The version of a comparison's form as JSON; docs/comparison.md describes it."""

Change = Literal["new", "fixed", "still", "not exercised", "conforms"]
CHANGES: tuple[Change, ...] = get_args(Change)
"""What can become of a deviation between two runs; `conforms`: there is none in either."""
What = Literal["claim", "program", "deviation"]
MatchedBy = Literal["name", "being the only one"]

_Stand = Literal["right", "registered", "wrong", "open", "absent"]
_STANDS: dict[str, _Stand] = {
    "conforms": "right",
    "unexpectedly conforms": "right",
    "known deviation": "registered",
    "deviates": "wrong",
    "": "absent",
}
"""Verdict -> where a deviation stands by it; what is not here decides nothing."""
_NOT: Change = "not exercised"
_AFTER: tuple[_Stand, ...] = ("right", "registered", "wrong", "open", "absent")
_CHANGES: dict[_Stand, tuple[Change, ...]] = {
    "right": ("conforms", "new", "new", _NOT, _NOT),
    "registered": ("fixed", "still", "new", _NOT, _NOT),
    "wrong": ("fixed", "still", "still", _NOT, _NOT),
    "open": (_NOT, _NOT, "new", _NOT, _NOT),
    "absent": (_NOT, "new", "new", _NOT, _NOT),
}
"""Where it stood before -> what that makes of where it stands after, in the order of `_AFTER`.

A registered deviation from something that was not judged before proves nothing: the entry of the
register is an item of its own.
"""
_OF_STATUS = {"still": "known deviation"}
"""Status of an entry -> the verdict that says so, where the word is another."""


class NothingToCompare(Exception):
    """Two runs have no subject in common; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Seen:
    """How something stood in one run; `verdict` is empty where the run did not have it.

    `message` is what came out, or why nobody can tell.
    """

    verdict: str
    kind: Kind | None = None
    message: str = ""


@dataclass(frozen=True)
class Item:
    """A claim, a deviating program of a claim, or a registered deviation, in both runs.

    `id` is that of the claim, the program or the entry; `title` that of the claim or the entry.
    """

    change: Change
    what: What
    id: str
    claim: str
    title: str
    before: Seen
    after: Seen


@dataclass(frozen=True)
class Who:
    """A subject of one run."""

    name: str
    torch: str
    python: str
    device: str


@dataclass(frozen=True)
class Column:
    """A subject of the first run beside one of the second, and what changed between them."""

    before: Who
    after: Who
    matched_by: MatchedBy
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Side:
    """One of the two runs; `unmatched` are subjects that the other run does not have."""

    path: str
    run: str
    started: str
    suite: str
    profile: str
    seed: int | None
    unmatched: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Two runs beside one another; a regression is anything that is new."""

    schema: int
    regression: bool
    counts: dict[Change, int]
    before: Side
    after: Side
    columns: tuple[Column, ...]

    @property
    def items(self) -> Iterator[Item]:
        """All items, column by column."""
        return (item for column in self.columns for item in column.items)


@dataclass(frozen=True)
class Told:
    """What one run tells of one subject, looked up once however often it is compared.

    `judged` is the verdict on each program of a claim (of several, the one that deviates), and
    `wrong` are those that deviate.
    """

    subject: Subject
    rows: Mapping[str, Row]
    judged: Mapping[str, Mapping[str, Verdict]]
    wrong: Mapping[str, Sequence[str]]
    met: Mapping[str, Deviation]


def told(records: RunRecords, subject: Subject) -> Told:
    """All that the records tell of a subject."""
    judged: dict[str, dict[str, Verdict]] = {}
    wrong: dict[str, list[str]] = {}
    for (claim, name), attempt in records.attempts.items():
        if name != subject.name:
            continue
        deviating = [verdict for verdict in attempt.verdicts if verdict.verdict == "deviates"]
        first = {verdict.program: verdict for verdict in reversed(attempt.verdicts)}
        judged[claim] = first | {verdict.program: verdict for verdict in deviating}
        wrong[claim] = [*dict.fromkeys(verdict.program for verdict in deviating)]
    rows = {row.claim: row for row in summarise(records) if row.subject == subject.name}
    return Told(subject, rows, judged, wrong, _met(records, subject.name))


def compare(before: RunRecords, after: RunRecords) -> Comparison:
    """What changed from one run to the other, for each subject that can be matched.

    Subjects are matched by name; where no name is in both runs and each exercised one subject,
    these two. Raises NothingToCompare where there is no match.
    """
    listed = (_listed(before), _listed(after))
    pairs, matched_by = _matched(*listed)
    columns = tuple(
        compare_subjects(told(before, old), told(after, new), matched_by) for old, new in pairs
    )
    tally = Tally(item.change for column in columns for item in column.items)
    return Comparison(
        SCHEMA,
        tally["new"] > 0,
        {change: tally[change] for change in CHANGES},
        _side(before, listed[0], {old.name for old, _ in pairs}),
        _side(after, listed[1], {new.name for _, new in pairs}),
        columns,
    )


def compare_subjects(before: Told, after: Told, matched_by: MatchedBy) -> Column:
    """What changed from one subject to another, of the same run or of two."""
    items = tuple(_items(before, after))
    return Column(_who(before.subject), _who(after.subject), matched_by, items)


# -- which subject is compared with which


def _listed(records: RunRecords) -> dict[str, Subject]:
    """The subjects that a run names, or that its claims were put to."""
    subjects = {subject.name: subject for subject in records.run.subjects} if records.run else {}
    for _, name in records.attempts:
        subjects.setdefault(name, Subject(name))
    return subjects


def _exercised(subjects: Mapping[str, Subject]) -> list[Subject]:
    return [subject for subject in subjects.values() if subject.status == "available"]


def _matched(
    before: Mapping[str, Subject], after: Mapping[str, Subject]
) -> tuple[list[tuple[Subject, Subject]], MatchedBy]:
    old, new = _exercised(before), _exercised(after)
    there = {subject.name for subject in (*old, *new)}
    pairs = [(before[name], after[name]) for name in before if name in after and name in there]
    if pairs:
        return pairs, "name"
    if len(old) == len(new) == 1:
        return [(old[0], new[0])], "being the only one"
    raise NothingToCompare(
        f"The two runs have no subject in common: A exercised {_names(old)}, and B {_names(new)}; "
        "compare runs that share one, or that have one each."
    )


def _names(subjects: list[Subject]) -> str:
    return ", ".join(subject.name for subject in subjects) or "none"


def _who(subject: Subject) -> Who:
    return Who(subject.name, subject.torch, subject.python, subject.device)


def _side(records: RunRecords, listed: Mapping[str, Subject], matched: set[str]) -> Side:
    unmatched = tuple(s.name for s in _exercised(listed) if s.name not in matched)
    run = records.run
    if run is None:
        return Side(str(records.path), "", "", "", "", None, unmatched)
    return Side(
        *(str(records.path), run.id, run.started, run.suite, run.profile, run.seed), unmatched
    )


# -- what changed on one subject


def _items(before: Told, after: Told) -> Iterator[Item]:
    """Each claim with the programs that deviate from it, then the entries of the register."""
    titles = {id: row.title for rows in (before.rows, after.rows) for id, row in rows.items()}
    registered: dict[str, Seen] = {}
    for id, title in titles.items():
        yield _item("claim", id, id, title, _claim_seen(before, id), _claim_seen(after, id))
        judged = [side.judged.get(id, {}) for side in (before, after)]
        for program in dict.fromkeys((*before.wrong.get(id, ()), *after.wrong.get(id, ()))):
            pair = [programs.get(program) for programs in judged]
            yield _item("program", program, id, title, *map(_program_seen, pair))
            if pair[0] is not None and pair[0].verdict == "deviates" and pair[1] is not None:
                # It was there before somebody registered it.
                registered |= dict.fromkeys(_entries_of(pair[1]), _program_seen(pair[0]))
    yield from _entries(before, after, registered)


def _item(what: What, id: str, claim: str, title: str, before: Seen, after: Seen) -> Item:
    stands = [_STANDS.get(seen.verdict, "open") for seen in (before, after)]
    if what == "claim":
        # A run that leaves a claim out does not say that nothing deviates from it.
        stands = ["open" if stand == "absent" else stand for stand in stands]
    change = _CHANGES[stands[0]][_AFTER.index(stands[1])]
    return Item(change, what, id, claim, title, before, after)


def _claim_seen(side: Told, id: str) -> Seen:
    row = side.rows.get(id)
    if row is None:
        return Seen("", message="this claim was not part of the run")
    wrong = [side.judged[id][program] for program in side.wrong.get(id, ())]
    if row.verdict != "deviates" or not wrong:
        return Seen(row.verdict, message=row.note)
    gravest = min(wrong, key=lambda verdict: gravity(verdict.kind))
    return Seen(row.verdict, gravest.kind, gravest.message)


def _program_seen(verdict: Verdict | None) -> Seen:
    if verdict is None:
        return Seen("", message="the run did not have this program")
    message = verdict.message or verdict.deviation or verdict.reason
    return Seen(verdict.verdict, verdict.kind, message)


# -- the register


def _entries_of(verdict: Verdict) -> list[str]:
    """The ids that a known deviation names."""
    return [id for id in verdict.deviation.split(", ") if id]


def _entries(before: Told, after: Told, unregistered: Mapping[str, Seen]) -> Iterator[Item]:
    """Every entry that either run met; `unregistered` are ids whose programs deviated before."""
    for id in dict.fromkeys((*before.met, *after.met)):
        entry = after.met[id] if id in after.met else before.met[id]
        earlier = _entry_seen(before.met.get(id), entry, before.subject)
        if not earlier.verdict and id in unregistered:
            earlier = unregistered[id]
        later = _entry_seen(after.met.get(id), entry, after.subject)
        yield _item("deviation", id, entry.claim, entry.title, earlier, later)


def _met(records: RunRecords, subject: str) -> dict[str, Deviation]:
    """The entries that a run tells of, and those that its verdicts name and nothing describes."""
    found = {id: entry for (id, name), entry in records.deviations.items() if name == subject}
    for verdict in records.verdicts:
        if verdict.subject == subject and verdict.verdict == "known deviation":
            for id in _entries_of(verdict):
                kind = verdict.kind or "spurious error"
                undescribed = Deviation(id, kind, verdict.claim, id, "", subject, "still")
                found.setdefault(id, undescribed)
    return found


def _entry_seen(entry: Deviation | None, either: Deviation, subject: Subject) -> Seen:
    if entry is not None:
        return Seen(_OF_STATUS.get(entry.status, entry.status), entry.kind, entry.note)
    if _is_for_others(either, subject):
        return Seen("not exercised", message=f"the entry is for torch {either.torch} alone")
    return Seen("", message="the run had no such entry")


def _is_for_others(entry: Deviation, subject: Subject) -> bool:
    """Whether an entry says nothing of a subject's torch, so that the run did not ask it."""
    try:
        versions = SpecifierSet(entry.torch)
        return not versions.contains(Version(subject.torch), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False
