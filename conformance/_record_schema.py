"""The schema of a run's records: one tagged struct for each type of line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from conformance._trace_schema import Trace

SCHEMA = 2
"""Of the records of today.

Those of schema 1 lack `operations`, `source`, `trace`, `off`, `detected` and `cells`.
"""

VerdictWord = Literal[
    "conforms",
    "deviates",
    "known deviation",
    "unexpectedly conforms",
    "unspecified",
    "not exercised",
    "gave up",
    "suite error",
]
Kind = Literal[
    "silent wrong gradient",
    "wrong value",
    "missing error",
    "crash",
    "hang",
    "wrong aliasing",
    "wrong flag",
    "spurious error",
]
DeviationStatus = Literal["still", "unexpectedly conforms", "deviates", "not exercised"]

VERDICTS: tuple[VerdictWord, ...] = (
    "conforms",
    "deviates",
    "known deviation",
    "unexpectedly conforms",
    "unspecified",
    "not exercised",
    "gave up",
    "suite error",
)
"""Every verdict."""

KINDS: tuple[Kind, ...] = (
    "silent wrong gradient",
    "wrong value",
    "missing error",
    "crash",
    "hang",
    "wrong aliasing",
    "wrong flag",
    "spurious error",
)
"""Every kind of deviation, gravest first."""


Source = dict[str, Any]
"""A program as JSON, in the form of docs/program-format.md."""


class Host(Struct, frozen=True, omit_defaults=True):
    """Versions on the side that predicts and judges."""

    python: str
    platform: str
    hypothesis: str = ""
    jax: str = ""
    numpy: str = ""


class Subject(Struct, frozen=True, omit_defaults=True):
    """One implementation under test; `reason` says why it is not exercised."""

    name: str
    torch: str = ""
    python: str = ""
    device: str = ""
    device_name: str = ""
    mode: str = "eager"
    status: Literal["available", "not exercised"] = "available"
    reason: str = ""


class Claim(Struct, frozen=True, omit_defaults=True):
    """One sentence that must hold; `articles` are numbers of articles such as "000"."""

    id: str
    title: str
    sentence: str
    articles: tuple[str, ...] = ()
    source: str = ""
    scope: str = ""
    law: str = ""


Forms = Literal["plain", "in place", "both"]
"""How an operation can be written in a program."""


class Run(Struct, frozen=True, omit_defaults=True, tag="run"):
    """The first line of a run; `started` is an ISO date and time, `command` reproduces the run.

    `operations` are all that programs can hold, so that it can be seen which none did. A line
    without `schema` is of schema 1, which did not write it down.
    """

    id: str
    started: str
    suite: str
    profile: str
    seed: int
    command: str
    host: Host
    subjects: tuple[Subject, ...]
    claims: tuple[Claim, ...]
    schema: Annotated[int, Meta(ge=1)] = 1
    operations: dict[str, Forms] = {}


class Start(Struct, frozen=True, tag="start"):
    """A claim begins on a subject; a later start of the same pair supersedes an unfinished one."""

    claim: str
    subject: str
    seed: int


class InFlight(Struct, frozen=True, tag="in-flight"):
    """Written before a program starts, so that a killed run names the program that it lost."""

    claim: str
    subject: str
    program: str


class Detected(Struct, frozen=True):
    """How many cases it took until a claim failed, and how long; shrinking does not count."""

    cases: int
    seconds: float


class Verdict(Struct, frozen=True, omit_defaults=True, tag="verdict", gc=False):
    """What became of one program; everything after `verdict` is there only if it does not conform.

    `script` runs by itself, `step` is where the disagreement showed, `deviation` is an id in the
    register, `command` replays the program, `minimal` is false where shrinking ran out of budget.
    Of an unspecified program, `observed` is what the subject did: `raises ...` or `ends with ...`
    (empty in records of older versions of the suite).

    Of one that deviates, `source` is the program as JSON and `trace` what it does by the rules
    (both absent where the case is a script); `off` are the places in row-major order of entries
    that differ by more than is allowed, where `expected` and `observed` are the entries of a
    tensor; `detected` says what it took until the claim failed for the first time.
    """

    claim: str
    subject: str
    program: str
    verdict: VerdictWord
    kind: Kind | None = None
    message: str = ""
    script: str = ""
    step: int | str | None = None
    expected: str = ""
    observed: str = ""
    deviation: str = ""
    reason: str = ""
    command: str = ""
    minimal: bool = True
    source: Source | None = None
    trace: Trace | None = None
    off: tuple[int, ...] = ()
    detected: Detected | None = None


class Counterexample(Struct, frozen=True, omit_defaults=True, tag="counterexample"):
    """A program outside a claim's scope that breaks it; `searched` is how many programs it took.

    `trace` is what it does by the rules, where it is a program and no script.
    """

    claim: str
    subject: str
    program: str
    script: str
    message: str
    searched: int
    title: str = ""
    trace: Trace | None = None


class Outside(Struct, frozen=True):
    """The searches outside a claim's scope: how many cases, and whether each found one that breaks
    the claim.
    """

    searched: int
    found: bool


Cells = tuple[int, int, int, int, int]
"""Steps of one operation in each column of `conformance.cells.COLUMNS`."""


class Finish(Struct, frozen=True, omit_defaults=True, tag="finish"):
    """A claim ends on a subject.

    `counts` are programs by verdict, `seconds` is wall time, and `note` is what a reader must know
    (why it was not exercised, that its scope may have changed). `cells` are operations with the
    number of steps that were plain, in place, on a view, in `no_grad`, and of a saved tensor
    (`conformance.cells` says what each means); programs that were not exercised do not count.
    """

    claim: str
    subject: str
    verdict: VerdictWord
    counts: dict[VerdictWord, int] = {}
    seconds: float = 0.0
    note: str = ""
    outside: Outside | None = None
    cells: dict[str, Cells] = {}


class Deviation(Struct, frozen=True, omit_defaults=True, tag="deviation"):
    """An entry of the register as this run met it on one subject.

    `status` is `deviates` where the subject does something else than the entry says; `note` is what
    it does then, or why the entry was not exercised. `source` and `trace` are of its program, where
    it has one.
    """

    id: str
    kind: Kind
    claim: str
    title: str
    cause: str
    subject: str
    status: DeviationStatus
    upstream: str = ""
    date: str = ""
    torch: str = ""
    script: str = ""
    note: str = ""
    source: Source | None = None
    trace: Trace | None = None


class Elsewhere(Struct, frozen=True, omit_defaults=True, tag="elsewhere"):
    """What another subject makes of a program that deviated, asked after the run was over."""

    program: str
    subject: str
    torch: str
    verdict: VerdictWord
    message: str = ""


class End(Struct, frozen=True, tag="end"):
    """The last line of a run that was not cut off; `finished` is an ISO date and time."""

    finished: str
    seconds: float
    exit_code: int


Record = Run | Start | InFlight | Verdict | Counterexample | Finish | Deviation | Elsewhere | End


class Past(Struct, frozen=True, omit_defaults=True):
    """A line of `history.jsonl`: how each claim stood on each subject when a run in the folder
    ended.

    `torches` are the subjects with their torch; of several lines of one run the last counts.
    """

    run: str
    started: str
    torches: dict[str, str]
    verdicts: dict[str, dict[str, str]]


class ProgramLine(Struct, frozen=True, omit_defaults=True):
    """A line of `programs.jsonl`: a program as JSON, or the script that is the whole claim."""

    id: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    program: Raw = msgspec.field(default_factory=Raw)
    script: str = ""
