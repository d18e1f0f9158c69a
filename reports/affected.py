"""Which versions of torch a deviating program was put to, and what each made of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from conformance.records import Elsewhere, RunRecords, Verdict
from reports.columns import Column, age_of
from reports.findings import Asked


def asked_of(
    runs: Iterable[RunRecords], columns: Sequence[Column], seen: Iterable[tuple[Column, Verdict]]
) -> dict[tuple[str, str], list[Asked]]:
    """Each claim and program that deviated somewhere, with every subject, the oldest torch first.

    A subject of the report answers by its own run, or where that did not have the program, by what
    was asked later. Subjects that were only asked later come besides.
    """
    wanted: dict[str, dict[str, dict[int, Verdict]]] = {}
    for _, verdict in seen:
        if verdict.verdict == "deviates":
            wanted.setdefault(verdict.claim, {})[verdict.program] = {}
    for column in columns:
        for claim, programs in wanted.items():
            attempt = column.records.attempts.get((claim, column.subject.name))
            for verdict in attempt.verdicts if attempt else ():
                if verdict.program in programs:
                    programs[verdict.program][column.number] = verdict
    later: dict[str, dict[tuple[str, str], Elsewhere]] = {}
    for run in runs:
        for (program, subject), answer in run.elsewhere.items():
            later.setdefault(program, {})[subject, answer.torch] = answer
    return {
        (claim, program): _all(columns, verdicts, later.get(program, {}))
        for claim, programs in wanted.items()
        for program, verdicts in programs.items()
    }


def _all(
    columns: Sequence[Column],
    verdicts: dict[int, Verdict],
    later: dict[tuple[str, str], Elsewhere],
) -> list[Asked]:
    found = []
    for column in columns:
        own = verdicts.get(column.number)
        answer = later.get((column.subject.name, column.subject.torch))
        torch = column.subject.torch
        if own is not None:
            found.append(Asked(column.label, torch, own.verdict, own.message or own.reason))
        elif answer is not None:
            found.append(Asked(column.label, torch, answer.verdict, answer.message))
        else:
            found.append(Asked(column.label, torch, ""))
    here = {(column.subject.name, column.subject.torch) for column in columns}
    others = [answer for key, answer in later.items() if key not in here]
    found += [Asked(one.subject, one.torch, one.verdict, one.message) for one in others]
    return sorted(found, key=lambda one: age_of(one.torch))
