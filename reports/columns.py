"""The columns of a report: the subjects of its runs, the oldest torch first."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from packaging.version import InvalidVersion, Version

from conformance.records import Row, RunRecords, Subject
from reports.comparison import Told, told

Rows = dict[tuple[str, str], Row]
"""Claim and subject's name -> what a run says of the two."""


@dataclass(frozen=True, eq=False)
class Column:
    """One subject of one run.

    `label` tells it from every other column; `run` is there only where name and version do not.
    """

    number: int
    label: str
    run: str
    subject: Subject
    records: RunRecords
    rows: Rows

    @cached_property
    def told(self) -> Told:
        """All that its run tells of it."""
        return told(self.records, self.subject)

    @property
    def where(self) -> str:
        """Its device and mode."""
        device = self.subject.device_name or self.subject.device
        return ", ".join(filter(None, (device, self.subject.mode)))


def columns_of(runs: Sequence[RunRecords], rows: Sequence[Rows]) -> list[Column]:
    """The subjects of all runs by version of torch; those without one come last."""
    found: list[tuple[Subject, RunRecords, Rows]] = []
    for records, summary in zip(runs, rows, strict=True):
        subjects = {s.name: s for s in records.run.subjects} if records.run else {}
        for _, name in summary:
            subjects.setdefault(name, Subject(name))
        found += [(subject, records, summary) for subject in subjects.values()]
    found.sort(key=lambda one: age_of(one[0].torch))
    names = Tally(subject.name for subject, *_ in found)
    versions = Tally((subject.name, subject.torch) for subject, *_ in found)
    columns = []
    for number, (subject, records, summary) in enumerate(found):
        label, run = subject.name, ""
        if names[subject.name] > 1:
            label += f", torch {subject.torch or 'unknown'}"
        if versions[subject.name, subject.torch] > 1:
            run = records.run.id if records.run else records.path.name
            label += f", run {run}"
        columns.append(Column(number, label, run, subject, records, summary))
    return columns


def age_of(torch: str) -> tuple[bool, Version]:
    """By what subjects are sorted: the version of torch, those without one last."""
    try:
        return False, Version(torch)
    except InvalidVersion:
        return True, Version("0")
