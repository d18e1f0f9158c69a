"""The records of a run: their schema, an append-only writer, and a reader that loses no whole line.

A run's folder holds `programs.jsonl` (each program once) and `verdicts.jsonl` (all that happened,
in order).
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from conformance._record_lines import encode, open_to_append, read_lines
from conformance._record_schema import (
    KINDS,
    SCHEMA,
    VERDICTS,
    Cells,
    Claim,
    Counterexample,
    Detected,
    Deviation,
    DeviationStatus,
    Elsewhere,
    End,
    Finish,
    Forms,
    Host,
    InFlight,
    Kind,
    Outside,
    Past,
    ProgramLine,
    Record,
    Run,
    Source,
    Start,
    Subject,
    Verdict,
    VerdictWord,
)
from conformance._trace_schema import Storage as TraceStorage
from conformance._trace_schema import Trace, TraceStep

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "KINDS",
    "SCHEMA",
    "VERDICTS",
    "Attempt",
    "Cells",
    "Claim",
    "Counterexample",
    "Detected",
    "Deviation",
    "DeviationStatus",
    "Elsewhere",
    "End",
    "Finish",
    "Forms",
    "Host",
    "InFlight",
    "Kind",
    "Outside",
    "Past",
    "ProgramLine",
    "Record",
    "RecordError",
    "RecordWriter",
    "Row",
    "RowVerdict",
    "Run",
    "RunRecords",
    "Source",
    "Start",
    "Subject",
    "Trace",
    "TraceStep",
    "TraceStorage",
    "Verdict",
    "VerdictWord",
    "past_of",
    "read_run",
    "remember",
    "summarise",
]

RowVerdict = Literal[VerdictWord, "interrupted"]


_IN_FLIGHT = (b'{"type":"in-flight",', b'{"type":"verdict",')
"""How a line starts that names a program which is about to run, and one that says how it ended."""


_HISTORY = "history.jsonl"


class RecordError(Exception):
    """Records that cannot be written or read at all; the message is one sentence."""


class _ProgramId(Struct):
    id: str


class RecordWriter:
    """Appends records to a folder, each line flushed as it happens.

    The folder is made if need be. One that already holds records is appended to: a line that a
    killed run left open is closed first, and programs that are stored are not stored again.
    Raises RecordError if the folder or a line cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stored = read_lines(folder / "programs.jsonl", _ProgramId, [])
            self._stored = {line.id for _, line in stored}
            self._programs = open_to_append(folder / "programs.jsonl")
            self._verdicts = open_to_append(folder / "verdicts.jsonl")
        except OSError as error:
            raise RecordError(
                f"Records cannot be written to {folder} ({error.strerror or error}); "
                "choose another folder."
            ) from error

    def program(self, id: str, obj: object) -> None:
        """Store a program (whatever msgspec can encode) or a script (str) under its id, once."""
        if id in self._stored:
            return
        what = "script" if isinstance(obj, str) else "program"
        self._append(self._programs, {"id": id, what: obj})
        self._stored.add(id)

    def write(self, record: Record) -> None:
        """Append one record to `verdicts.jsonl`."""
        self._append(self._verdicts, record)

    def close(self) -> None:
        """Close both files; closing twice is allowed."""
        self._programs.close()
        self._verdicts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _append(self, file: FileIO, obj: object) -> None:
        line = encode(obj) + b"\n"
        try:
            while line:
                line = line[file.write(line) :]
        except OSError as error:
            raise RecordError(
                f"A record could not be written to {self.folder} ({error.strerror or error})."
            ) from error


@dataclass
class Attempt:
    """What the records say of one claim on one subject."""

    claim: str
    subject: str
    verdicts: list[Verdict] = field(default_factory=list)
    counterexamples: list[Counterexample] = field(default_factory=list)
    finish: Finish | None = None
    in_flight: str = ""

    @property
    def counts(self) -> dict[VerdictWord, int]:
        """Programs by verdict: the claim's own count, or what an interruption left."""
        if self.finish is not None:
            return self.finish.counts
        return dict(Tally(verdict.verdict for verdict in self.verdicts))


@dataclass
class RunRecords:
    """One run as read; `broken` holds a sentence for each line that could not be read."""

    path: Path
    run: Run | None = None
    programs: dict[str, ProgramLine] = field(default_factory=dict)
    attempts: dict[tuple[str, str], Attempt] = field(default_factory=dict)
    deviations: dict[tuple[str, str], Deviation] = field(default_factory=dict)
    elsewhere: dict[tuple[str, str], Elsewhere] = field(default_factory=dict)
    """Program and subject -> what became of it there."""
    end: End | None = None
    broken: list[str] = field(default_factory=list)
    history: list[Past] = field(default_factory=list)
    """Runs that were in the folder before, and this one, the oldest first."""

    def attempt(self, claim: str, subject: str) -> Attempt:
        """The attempt of a claim on a subject, made if it is not there."""
        found = self.attempts.get((claim, subject))
        if found is None:
            found = self.attempts[claim, subject] = Attempt(claim, subject)
        return found

    @property
    def verdicts(self) -> Iterator[Verdict]:
        """All verdicts, claim by claim in the order in which the claims started."""
        return (verdict for attempt in self.attempts.values() for verdict in attempt.verdicts)


def read_run(path: Path) -> RunRecords:
    """Read a run from its folder, or from its verdicts file, plain or compressed by gzip.

    A resumed claim counts from its last start, and a resumed run has the claims and subjects of all
    its parts. Of several runs in a folder, the last one is read.
    Raises RecordError if there are no records, or if a newer version of the suite wrote them.
    """
    verdicts = _verdicts_file(path)
    records = RunRecords(path)
    try:
        lines = read_lines(verdicts, Record, records.broken, replaced=_IN_FLIGHT)
        for number, record in lines:
            _take(records, record, f"{verdicts}:{number}")
        programs = _beside(verdicts)
        if programs is not None:
            kept = read_lines(programs, ProgramLine, records.broken)
            records.programs = {line.id: line for _, line in kept}
        past = read_lines(verdicts.parent / _HISTORY, Past, records.broken)
        records.history = [*{line.run: line for _, line in past}.values()] if path.is_dir() else []
    except OSError as error:
        raise RecordError(f"{path} cannot be read ({error.strerror or error}).") from error
    if records.run is None and not records.attempts:
        reason = f" ({records.broken[0]})" if records.broken else ""
        raise RecordError(f"{verdicts} holds no records of a run{reason}.")
    return records


def past_of(records: RunRecords) -> Past:
    """A run as a line of the history of its folder."""
    verdicts: dict[str, dict[str, str]] = {}
    for row in summarise(records):
        verdicts.setdefault(row.claim, {})[row.subject] = row.verdict
    if records.run is None:
        return Past(str(records.path), "", {}, verdicts)
    torches = {subject.name: subject.torch for subject in records.run.subjects}
    return Past(records.run.id, records.run.started, torches, verdicts)


def remember(records: RunRecords) -> None:
    """Append how a run ended to the history of its folder; raises RecordError if that cannot be."""
    target = records.path / _HISTORY
    try:
        with open_to_append(target) as file:
            file.write(encode(past_of(records)) + b"\n")
    except OSError as error:
        raise RecordError(
            f"The file {target} cannot be written ({error.strerror or error})."
        ) from error


@dataclass(frozen=True)
class Row:
    """A claim on a subject in one line; `programs` counts those judged, `seconds` is wall time."""

    claim: str
    subject: str
    title: str
    verdict: RowVerdict
    programs: int
    seconds: float
    note: str
    counts: dict[VerdictWord, int]


def summarise(records: RunRecords) -> list[Row]:
    """A row for each claim and subject, in the order of the run's own lists.

    A claim that started and did not finish, or that an ended run never reached, is `interrupted`.
    """
    claims = {claim.id: claim.title for claim in records.run.claims} if records.run else {}
    subjects = {subject.name: subject for subject in records.run.subjects} if records.run else {}
    for claim, name in records.attempts:
        claims.setdefault(claim, claim)
        subjects.setdefault(name, Subject(name))
    return [
        _row(records, claim, title, subject)
        for claim, title in claims.items()
        for subject in subjects.values()
    ]


def _row(records: RunRecords, claim: str, title: str, subject: Subject) -> Row:
    attempt = records.attempts.get((claim, subject.name))
    counts = attempt.counts if attempt else {}
    programs = sum(n for verdict, n in counts.items() if verdict != "not exercised")
    verdict: RowVerdict = "interrupted"
    seconds, note = 0.0, ""
    if attempt and attempt.finish:
        finish = attempt.finish
        verdict, seconds, note = finish.verdict, finish.seconds, finish.note
        if verdict == "not exercised":
            note = note or subject.reason
    elif attempt:
        note = "the run ended while this claim was being judged"
        if attempt.in_flight:
            note += f", with program {attempt.in_flight} in flight"
    elif subject.status == "not exercised":
        verdict, note = "not exercised", subject.reason
    else:
        note = "the run ended before this claim started"
    return Row(claim, subject.name, title, verdict, programs, seconds, note, counts)


def _take(records: RunRecords, record: Record, place: str) -> None:
    if isinstance(record, Verdict):
        attempt = records.attempt(record.claim, record.subject)
        attempt.verdicts.append(record)
        attempt.in_flight = ""
    elif isinstance(record, InFlight):
        records.attempt(record.claim, record.subject).in_flight = record.program
    elif isinstance(record, Start):
        records.attempts[record.claim, record.subject] = Attempt(record.claim, record.subject)
        # A run that goes on after an end line (it was resumed) has not ended yet.
        records.end = None
    elif isinstance(record, Counterexample):
        records.attempt(record.claim, record.subject).counterexamples.append(record)
    elif isinstance(record, Finish):
        attempt = records.attempt(record.claim, record.subject)
        attempt.finish, attempt.in_flight = record, ""
    elif isinstance(record, Deviation):
        records.deviations[record.id, record.subject] = record
    elif isinstance(record, Elsewhere):
        records.elsewhere[record.program, record.subject] = record
    elif isinstance(record, Run):
        _take_run(records, record, place)
    else:
        records.end = record


def _take_run(records: RunRecords, run: Run, place: str) -> None:
    if run.schema > SCHEMA:
        raise RecordError(
            f"{place}: the run was written with schema {run.schema} and this version reads up to "
            f"{SCHEMA}; install a newer autograd-conformance."
        )
    if records.run is not None and records.run.id == run.id:
        records.run = _resumed(records.run, run)
        return
    if records.run is not None:
        records.attempts.clear()
        records.deviations.clear()
        records.elsewhere.clear()
    records.run, records.end = run, None


def _resumed(before: Run, after: Run) -> Run:
    """The head of a run that was resumed, with claims and subjects that only the later part has."""
    claims = {claim.id: claim for claim in (*before.claims, *after.claims)}
    subjects = {subject.name: subject for subject in (*before.subjects, *after.subjects)}
    commands = dict.fromkeys((*before.command.splitlines(), *after.command.splitlines()))
    return replace(
        before,
        claims=tuple(claims.values()),
        subjects=tuple(subjects.values()),
        command="\n".join(commands),
    )


def _verdicts_file(path: Path) -> Path:
    if not path.is_dir():
        if path.is_file():
            return path
        raise RecordError(f"{path} does not exist; give the folder that a run wrote.")
    for name in ("verdicts.jsonl", "verdicts.jsonl.gz"):
        if (path / name).is_file():
            return path / name
    raise RecordError(f"{path} holds no verdicts.jsonl; give the folder that a run wrote.")


def _beside(verdicts: Path) -> Path | None:
    for name in ("programs.jsonl", "programs.jsonl.gz"):
        if (verdicts.parent / name).is_file() and verdicts.name.startswith("verdicts.jsonl"):
            return verdicts.parent / name
    return None
