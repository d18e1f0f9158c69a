"""What a run found: unregistered deviations, entries of the register, and what was not judged."""

from __future__ import annotations

from collections import Counter as Tally
from dataclasses import dataclass, field

from conformance.records import Deviation, Kind, Verdict
from reports.words import gravity

Seen = list[tuple[str, Verdict]]
"""Verdicts that do not conform, each with the label of its subject."""

Named = dict[str, tuple[str, str]]
"""Title and anchor of each claim."""

SHOWN = 5
"""Programs shown for one kind of one claim: enough to see a pattern, few enough to read."""


@dataclass(frozen=True)
class Finding:
    """One program that does not conform and the subjects on which it was seen."""

    verdict: Verdict
    title: str
    anchor: str
    script: str
    subjects: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FindingGroup:
    """The findings of one kind against one claim; `more` programs are not shown."""

    kind: Kind | None
    title: str
    anchor: str
    shown: list[Finding]
    more: int


@dataclass(frozen=True)
class Status:
    """What became of a known deviation on one subject; `programs` met it."""

    subject: str
    status: str
    programs: int
    note: str


@dataclass(frozen=True)
class Known:
    """An entry of the register with its status on each subject."""

    entry: Deviation
    title: str
    anchor: str
    script: str
    statuses: list[Status]

    @property
    def fixed(self) -> bool:
        """Whether some subject no longer does what it says."""
        gone = ("unexpectedly conforms", "deviates")
        return any(status.status in gone for status in self.statuses)


def findings(seen: Seen, named: Named, scripts: dict[str, str]) -> list[FindingGroup]:
    """Unregistered deviations by kind and claim, the gravest kind first, minimal programs first."""
    groups: dict[tuple[Kind | None, str], list[Finding]] = {}
    deviating = [(subject, verdict) for subject, verdict in seen if verdict.verdict == "deviates"]
    for finding in _merged(deviating, named, scripts):
        groups.setdefault((finding.verdict.kind, finding.verdict.claim), []).append(finding)
    order = list(named)
    ranked = sorted(groups.items(), key=lambda item: (gravity(item[0][0]), order.index(item[0][1])))
    return [
        FindingGroup(
            kind, *named[claim], _smallest_first(group)[:SHOWN], max(0, len(group) - SHOWN)
        )
        for (kind, claim), group in ranked
    ]


def unjudged(seen: Seen, named: Named, scripts: dict[str, str]) -> list[Finding]:
    """Programs at which the suite failed or gave up; never findings about a subject."""
    ours = [pair for pair in seen if pair[1].verdict in ("suite error", "gave up")]
    return _merged(ours, named, scripts)


def known_deviations(
    entries: list[tuple[str, Deviation]], seen: Seen, named: Named, scripts: dict[str, str]
) -> list[Known]:
    """The register as the runs met it, the gravest kind first.

    An entry that verdicts name and no record describes is listed with what the verdicts say.
    """
    met = Tally((v.deviation, subject) for subject, v in seen if v.verdict == "known deviation")
    first: dict[str, Verdict] = {}
    for _, verdict in seen:
        if verdict.verdict == "known deviation":
            first.setdefault(verdict.deviation, verdict)
    known: dict[str, Known] = {}
    for subject, entry in [*entries, *_undescribed(entries, seen)]:
        item = known.get(entry.id)
        if item is None:
            example = first.get(entry.id)
            script = entry.script or (_script(example, scripts) if example else "")
            title, anchor = named.get(entry.claim, (entry.claim, ""))
            item = known[entry.id] = Known(entry, title, anchor, script, [])
        programs = met[entry.id, subject]
        item.statuses.append(Status(subject, entry.status, programs, entry.note))
    return sorted(known.values(), key=lambda item: (not item.fixed, gravity(item.entry.kind)))


def _undescribed(entries: list[tuple[str, Deviation]], seen: Seen) -> list[tuple[str, Deviation]]:
    described = {(subject, entry.id) for subject, entry in entries}
    made: dict[tuple[str, str], Deviation] = {}
    for subject, verdict in seen:
        key = (subject, verdict.deviation)
        if verdict.verdict == "known deviation" and key not in described:
            made[key] = Deviation(
                id=verdict.deviation,
                kind=verdict.kind or "spurious error",
                claim=verdict.claim,
                title=verdict.deviation or "an entry without a name",
                cause=verdict.reason or verdict.message,
                subject=subject,
                status="still",
            )
    return [(subject, entry) for (subject, _), entry in made.items()]


def _merged(seen: Seen, named: Named, scripts: dict[str, str]) -> list[Finding]:
    merged: dict[tuple[str, str, Kind | None, str], Finding] = {}
    for subject, verdict in seen:
        key = (verdict.claim, verdict.program, verdict.kind, verdict.message)
        if key not in merged:
            merged[key] = Finding(verdict, *named[verdict.claim], _script(verdict, scripts))
        if subject not in merged[key].subjects:
            merged[key].subjects.append(subject)
    return list(merged.values())


def _smallest_first(group: list[Finding]) -> list[Finding]:
    return sorted(group, key=lambda finding: (not finding.verdict.minimal, len(finding.script)))


def _script(verdict: Verdict, scripts: dict[str, str]) -> str:
    return verdict.script or scripts.get(verdict.program, "")
