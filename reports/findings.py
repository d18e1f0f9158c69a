"""What a run found: unregistered deviations, entries of the register, and what was not judged."""

from __future__ import annotations

import json
import shlex
from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import pairwise

from conformance.records import Deviation, Kind, Source, Verdict
from reports.columns import Column
from reports.drawing import Drawing, draw
from reports.entries import Entries, entries
from reports.script_steps import Statement, statements
from reports.words import PageNames, gravity

Seen = list[tuple[Column, Verdict]]
"""Verdicts that do not conform, each with its subject."""

Named = Mapping[str, tuple[str, str]]
"""Title and page of each claim."""

SHOWN = 5
"""Programs shown for one kind of one claim: enough to see a pattern, few enough to read."""
_DECIDED = {
    "conforms": "conforms",
    "unexpectedly conforms": "conforms",
    "deviates": "deviates",
    "known deviation": "deviates",
    "still": "deviates",
}
"""Verdict or status -> what it says of a version of torch, where it decides."""


@dataclass(frozen=True)
class Asked:
    """What a subject makes of a program that deviated somewhere; empty where it was not asked."""

    label: str
    torch: str
    verdict: str
    message: str = ""


_DEVIATES = '"deviates: '
"""What a script that judges itself has in it."""

AskedOf = Mapping[tuple[str, str], Sequence[Asked]]
"""Claim and program that deviated somewhere -> every subject, the oldest torch first."""


@dataclass(frozen=True)
class Finding:
    """One program that does not conform and the subjects on which it was seen."""

    verdict: Verdict
    title: str
    claim_page: str
    page: str
    script: str
    columns: list[Column] = field(default_factory=list)
    asked: Sequence[Asked] = ()
    """Every subject with the verdict on this very program, the oldest torch first."""

    @property
    def subjects(self) -> list[str]:
        """The labels of those on which it was seen."""
        return [column.label for column in self.columns]

    @property
    def seeds(self) -> dict[tuple[int, str], list[str]]:
        """Seed and profile of the runs -> the subjects on which it was seen with them."""
        found: dict[tuple[int, str], list[str]] = {}
        for column in self.columns:
            run = column.records.run
            if run is not None:
                found.setdefault((run.seed, run.profile), []).append(column.label)
        return found

    @cached_property
    def drawing(self) -> Drawing | None:
        """The program step by step, where the records have it."""
        trace = self.verdict.trace
        return draw(trace, self.verdict.step) if trace is not None else None

    @property
    def is_script(self) -> bool:
        """Whether the case is a whole script, which has no command that judges it alone."""
        return bool(self.script) and not self.verdict.command

    @property
    def says_verdict(self) -> bool:
        """Whether the script prints a verdict: whole scripts of older suites do not."""
        return not self.is_script or _DEVIATES in self.script

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The statements of a whole script."""
        return statements(self.script) if self.is_script else ()

    @cached_property
    def entries(self) -> Entries | None:
        """What was expected beside what came out, where both are numbers."""
        verdict = self.verdict
        return entries(verdict.expected, verdict.observed, verdict.off)

    @property
    def boundaries(self) -> list[str]:
        """Between which versions of torch its verdict changes, among those that were asked."""
        return _boundaries((one.torch, one.verdict) for one in self.asked)

    @property
    def differs(self) -> bool:
        """Whether those who were asked disagree."""
        return len({_DECIDED[one.verdict] for one in self.asked if one.verdict in _DECIDED}) > 1

    @property
    def alone(self) -> bool:
        """Whether only those on which it was seen were asked."""
        return len({one.label for one in self.asked if one.verdict}) <= len(self.columns)

    @property
    def replay(self) -> str:
        """The command that judges the program again, or puts the claim to the subject once more:
        with the same seed it draws the same scripts.
        """
        run = next((column.records.run for column in self.columns if column.records.run), None)
        if not self.is_script or run is None:
            return self.verdict.command
        return _run(self.verdict.claim, self.verdict.subject, run.profile, run.seed)

    @property
    def bisect(self) -> str:
        """The command that looks for the boundary among all versions at hand."""
        return _bisect(self.verdict.source, self.verdict.claim)


@dataclass(frozen=True)
class FindingGroup:
    """The findings of one kind against one claim; `more` programs are not shown."""

    kind: Kind | None
    title: str
    claim_page: str
    shown: list[Finding]
    more: int


@dataclass(frozen=True)
class Status:
    """What became of a known deviation on one subject; `programs` met it."""

    column: Column
    status: str
    programs: int
    note: str

    @property
    def subject(self) -> str:
        """The subject's label."""
        return self.column.label


@dataclass(frozen=True)
class Known:
    """An entry of the register with its status on each subject."""

    entry: Deviation
    title: str
    claim_page: str
    page: str
    script: str
    statuses: list[Status]

    @property
    def fixed(self) -> bool:
        """Whether some subject no longer does what it says."""
        gone = ("unexpectedly conforms", "deviates")
        return any(status.status in gone for status in self.statuses)

    @property
    def still(self) -> int:
        """On how many subjects it still shows."""
        return sum(status.status == "still" for status in self.statuses)

    @cached_property
    def drawing(self) -> Drawing | None:
        """Its program step by step, where the records have it."""
        return draw(self.entry.trace) if self.entry.trace is not None else None

    @property
    def boundaries(self) -> list[str]:
        """Between which versions of torch its status changes, among those that were asked."""
        return _boundaries((s.column.subject.torch, s.status) for s in self.statuses)

    @property
    def bisect(self) -> str:
        """The command that looks for the boundary among all versions at hand."""
        return _bisect(self.entry.source, "")

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The statements of its script, where it is shown by a whole script."""
        return statements(self.script) if self.entry.source is None else ()

    @property
    def replay(self) -> str:
        """The command that judges its program again; every run judges a script of the register."""
        subject = next((s.column.subject.name for s in self.statuses if s.status == "still"), "")
        if not subject:
            return ""
        if self.entry.source is None:
            return _run(self.entry.claim, subject, "quick")
        text = shlex.quote(json.dumps(self.entry.source, separators=(",", ":")))
        return f"echo {text} | autograd-conformance check - --subject {shlex.quote(subject)}"

    def age(self, today: str) -> int | None:
        """Days from the entry's date to another, if both are dates."""
        try:
            return (date.fromisoformat(today[:10]) - date.fromisoformat(self.entry.date)).days
        except ValueError:
            return None


def findings(
    seen: Seen, named: Named, scripts: Mapping[str, str], asked: AskedOf, pages: PageNames
) -> list[FindingGroup]:
    """Unregistered deviations by kind and claim, the gravest kind first, minimal programs first."""
    groups: dict[tuple[Kind | None, str], list[Finding]] = {}
    deviating = [(column, verdict) for column, verdict in seen if verdict.verdict == "deviates"]
    for finding in _merged(deviating, named, scripts):
        groups.setdefault((finding.verdict.kind, finding.verdict.claim), []).append(finding)
    order = list(named)
    ranked = sorted(groups.items(), key=lambda item: (gravity(item[0][0]), order.index(item[0][1])))
    found = []
    for (kind, claim), group in ranked:
        shown = [
            replace(
                finding,
                page=pages.new(f"finding-{claim}-{finding.verdict.program}"),
                asked=asked.get((claim, finding.verdict.program), ()),
            )
            for finding in _smallest_first(group)[:SHOWN]
        ]
        found.append(FindingGroup(kind, *named[claim], shown, max(0, len(group) - SHOWN)))
    return found


def unjudged(seen: Seen, named: Named, scripts: Mapping[str, str]) -> list[Finding]:
    """Programs at which the suite failed or gave up; never findings about a subject."""
    ours = [pair for pair in seen if pair[1].verdict in ("suite error", "gave up")]
    return _merged(ours, named, scripts)


def known_deviations(
    entries: list[tuple[Column, Deviation]],
    seen: Seen,
    named: Named,
    scripts: Mapping[str, str],
    pages: PageNames,
) -> list[Known]:
    """The register as the runs met it, the gravest kind first.

    An entry that verdicts name and no record describes is listed with what the verdicts say.
    """
    met = Tally(
        (id, column.number)
        for column, verdict in seen
        if verdict.verdict == "known deviation"
        for id in named_by(verdict)
    )
    first: dict[str, Verdict] = {}
    for _, verdict in seen:
        if verdict.verdict == "known deviation":
            for id in named_by(verdict):
                first.setdefault(id, verdict)
    known: dict[str, Known] = {}
    for column, entry in [*entries, *_undescribed(entries, seen)]:
        item = known.get(entry.id)
        if item is None:
            example = first.get(entry.id)
            script = entry.script or (_script(example, scripts) if example else "")
            title, claim_page = named.get(entry.claim, (entry.claim, ""))
            page = pages.new(f"known-{entry.id}")
            item = known[entry.id] = Known(entry, title, claim_page, page, script, [])
        programs = met[entry.id, column.number]
        item.statuses.append(Status(column, entry.status, programs, entry.note))
    return sorted(known.values(), key=lambda item: (not item.fixed, gravity(item.entry.kind)))


def named_by(verdict: Verdict) -> list[str]:
    """The entries of the register that a known deviation names."""
    return verdict.deviation.split(", ")


def _undescribed(
    entries: list[tuple[Column, Deviation]], seen: Seen
) -> list[tuple[Column, Deviation]]:
    described = {(column.number, entry.id) for column, entry in entries}
    made: dict[tuple[int, str], tuple[Column, Deviation]] = {}
    for column, verdict in seen:
        if verdict.verdict != "known deviation":
            continue
        for id in named_by(verdict):
            if (column.number, id) not in described:
                entry = Deviation(
                    id=id,
                    kind=verdict.kind or "spurious error",
                    claim=verdict.claim,
                    title=id or "an entry without a name",
                    cause=verdict.reason or verdict.message,
                    subject=column.subject.name,
                    status="still",
                )
                made[column.number, id] = (column, entry)
    return list(made.values())


def _merged(seen: Seen, named: Named, scripts: Mapping[str, str]) -> list[Finding]:
    merged: dict[tuple[str, str, Kind | None, str], Finding] = {}
    for column, verdict in seen:
        key = (verdict.claim, verdict.program, verdict.kind, verdict.message)
        if key not in merged:
            title, page = named[verdict.claim]
            merged[key] = Finding(verdict, title, page, "", _script(verdict, scripts))
        if column not in merged[key].columns:
            merged[key].columns.append(column)
    return list(merged.values())


def _smallest_first(group: list[Finding]) -> list[Finding]:
    return sorted(group, key=lambda finding: (not finding.verdict.minimal, len(finding.script)))


def _script(verdict: Verdict, scripts: Mapping[str, str]) -> str:
    return verdict.script or scripts.get(verdict.program, "")


def _boundaries(asked: Iterable[tuple[str, str]]) -> list[str]:
    """A phrase for each two neighbouring versions of torch that differ, where both decide.

    A version of which one subject conforms and another one deviates decides nothing.
    """
    said: dict[str, set[str]] = {}
    for torch, word in asked:
        if torch and word in _DECIDED:
            said.setdefault(torch, set()).add(_DECIDED[word])
    decided = [(torch, *words) for torch, words in said.items() if len(words) == 1]
    return [
        f"{before} on torch {old}, {after} on torch {new}"
        for (old, before), (new, after) in pairwise(decided)
        if before != after
    ]


def _run(claim: str, subject: str, profile: str, seed: int | None = None) -> str:
    """The command that puts a claim to a subject."""
    words = ["--claim", claim, "--subject", subject, "--profile", profile]
    words += [] if seed is None else ["--seed", str(seed)]
    return f"autograd-conformance run {shlex.join(words)}"


def _bisect(source: Source | None, claim: str) -> str:
    if source is None:
        return ""
    text = shlex.quote(json.dumps(source, separators=(",", ":")))
    about = f" --claim {shlex.quote(claim)}" if claim else ""
    return f"echo {text} | autograd-conformance bisect --program -{about}"
