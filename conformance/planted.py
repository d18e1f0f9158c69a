"""Faults that are planted in a torch on purpose, and how soon the claims that must catch them do.

A folder of faults holds a module for each, which patches torch when a worker imports it, and the
table `faults.toml`: which claims must catch it, as which kinds of deviation.
"""

from __future__ import annotations

import importlib
import pkgutil
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
from rich.console import Console

import conformance.claims
from conformance.claims.catalogue import CATALOGUE
from conformance.hunt import GaveUp
from conformance.oracle.machine import Machine
from conformance.profiles import Profile
from conformance.progress import Progress
from conformance.records import Kind, Verdict, read_run
from conformance.session import Plan, Session
from conformance.subjects import SubjectError
from conformance.trial import Disagreement, NotExercised, Trial
from conformance.usage import UsageError

TABLE = "faults.toml"
RESULTS = "faults.jsonl"


class By(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A claim that must catch a fault, as one of some kinds, in so many steps at most."""

    claim: str
    kinds: tuple[Kind, ...] = msgspec.field(name="as")
    steps: int | None = None


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A planted fault: the claim that names its rule comes first; `mode` is the subject's."""

    by: tuple[By, ...]
    mode: str = "eager"
    nightly: bool = False

    def subject(self, module: str) -> str:
        """What the command line calls a torch that has the fault of this module."""
        return f"{'device=cpu' if self.mode == 'eager' else self.mode},import={module}"


def read_faults(folder: Path) -> dict[str, Fault]:
    """The table of a folder of faults; raises UsageError, one sentence, where it cannot be used."""
    path = folder / TABLE
    try:
        faults = msgspec.toml.decode(path.read_bytes(), type=dict[str, Fault])
    except OSError:
        raise UsageError(
            f"There is no table of planted faults at {path}; run this in a clone of the suite, or "
            "name a folder that has one with --folder."
        ) from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} cannot be read as a table of faults: {error}.") from None
    for name, fault in faults.items():
        unknown = [by.claim for by in fault.by if by.claim not in CATALOGUE]
        if unknown:
            raise UsageError(f"{path}: {name} names the claim {unknown[0]!r}, which is not there.")
        if not (folder / f"{name}.py").is_file():
            raise UsageError(f"{path}: there is no module {name}.py beside it.")
    return faults


def sentence(folder: Path, name: str) -> str:
    """What a fault does, as its module says in its first line."""
    first = (folder / f"{name}.py").read_text(encoding="utf-8").partition("\n")[0]
    return first.strip('"')


@cache
def proofs() -> dict[str, Callable[[Trial], None]]:
    """Claim -> the test that proves or refutes it."""
    found: dict[str, Callable[[Trial], None]] = {}
    for module in pkgutil.iter_modules(conformance.claims.__path__):
        if module.name.startswith("test_"):
            space = vars(importlib.import_module(f"conformance.claims.{module.name}"))
            found.update({v.claim_id: v for v in space.values() if hasattr(v, "claim_id")})
    return found


class Tried(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one fault put to one claim by one seed.

    `programs` and `seconds` are what it took until a program failed for the first time; `size` is
    the shrunk program's, in steps, or in lines where it is a script. Where the fault was not caught
    `why` says what the claim ended with instead.
    """

    fault: str
    claim: str
    seed: int
    profile: str
    caught: bool
    kind: str = ""
    programs: int = 0
    seconds: float = 0.0
    size: int = 0
    script: bool = False
    minimal: bool = True
    why: str = ""

    @property
    def key(self) -> tuple[str, str, int, str]:
        return self.fault, self.claim, self.seed, self.profile


@dataclass(frozen=True, slots=True)
class Bench:
    """Where faults are put to claims: the folders, the profile, and one oracle for all."""

    folder: Path
    out: Path
    profile: Profile
    machine: Machine

    def put(
        self, name: str, fault: Fault, claims: Mapping[str, By | None], seed: int
    ) -> Iterator[Tried]:
        """Put one fault to claims by one seed; its records are in OUT/seed-SEED/NAME.

        Raises SubjectError where the faulty torch cannot be started.
        """
        out = self.out / f"seed-{seed}" / name
        # Failures of an earlier run would be tried first.
        shutil.rmtree(out, ignore_errors=True)
        module = ".".join((*self.folder.parts, name))
        subject = fault.subject(module)
        plan = Plan(out, self.profile, (subject,), tuple(claims), seed)
        session = Session(plan, Progress(Console(quiet=True)), machine=self.machine)
        session.open()
        try:
            for claim, by in claims.items():
                why = _on_trial(session, claim, subject)
                yield self._told(name, claim, by, seed, out, why)
        finally:
            session.close(session.exit_code())

    def _told(self, name: str, claim: str, by: By | None, seed: int, out: Path, why: str) -> Tried:
        run = read_run(out)
        wrong = [v for v in run.verdicts if v.claim == claim and v.verdict == "deviates"]
        profile = self.profile.name
        if not wrong:
            return Tried(name, claim, seed, profile, False, why=why)
        verdict = wrong[0]
        if by is not None and verdict.kind not in by.kinds:
            why = f"caught as {verdict.kind}, which the table does not expect"
        detected = verdict.detected
        return Tried(
            name,
            claim,
            seed,
            profile,
            not why,
            verdict.kind or "",
            detected.cases if detected else 0,
            detected.seconds if detected else 0.0,
            _size(verdict),
            verdict.source is None,
            verdict.minimal,
            why,
        )


def _on_trial(session: Session, claim: str, subject: str) -> str:
    """Put the claim; what it ended with if it did not deviate."""
    trial = session.trial(claim, subject)
    trial.begin()
    try:
        proofs()[claim](trial)
    except Disagreement:
        trial.finish("deviates")
        return ""
    except NotExercised as reason:
        return f"{trial.finish('not exercised', str(reason))}: {reason}"
    except (GaveUp, SubjectError) as reason:
        return f"{trial.finish('gave up', str(reason))}: {reason}"
    return trial.finish()


def _size(verdict: Verdict) -> int:
    """Steps of the program, or lines of the script that are not empty."""
    if verdict.source is None:
        return sum(bool(line.strip()) for line in verdict.script.splitlines())
    return len(verdict.source["steps"])


# -- what was seen so far


def read_tried(out: Path) -> list[Tried]:
    """What the folder holds; a line that was cut off is left out."""
    path = out / RESULTS
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(msgspec.json.decode(line, type=Tried))
        except msgspec.DecodeError:
            continue
    return found


def keep(out: Path, tried: Tried) -> None:
    """Append one line, at once."""
    with (out / RESULTS).open("ab") as file:
        file.write(msgspec.json.encode(tried) + b"\n")


def subset(faults: Mapping[str, Fault]) -> dict[str, Fault]:
    """The faults that every change is tried against."""
    return {name: fault for name, fault in faults.items() if not fault.nightly}
