"""One run: its subjects, its records, and the trials of its claims."""

from __future__ import annotations

import os
import platform
import secrets
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import msgspec
from hypothesis.configuration import set_hypothesis_home_dir

from conformance import records as rec
from conformance.cells import every_form
from conformance.claims.catalogue import CATALOGUE, TRANSFORMED, find_claim
from conformance.claims.claim import Claim
from conformance.deviations import Deviation
from conformance.examine import Examiner
from conformance.explain import trace_of, trace_of_script
from conformance.interrupts import INTERRUPTED, Interrupts
from conformance.oracle.machine import Machine
from conformance.profiles import PROFILES, Profile
from conformance.progress import Progress
from conformance.standing import Standing, standing
from conformance.subjects import (
    Subject,
    SubjectError,
    WorkerSubject,
    open_subject,
    parse_subject,
)
from conformance.trial import Trial
from conformance.usage import UsageError, installed
from strategies.draft import check
from strategies.program import encode

_FILES = (
    *("report.html", "junit.xml", "report.json", "ctrf.json"),
    *("summary.md", "badge.json", "badge.svg", "history.jsonl"),
)
"""What is written beside the records when a run is over."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run was asked to do; no subjects means the local torch on every device it has."""

    out: Path
    profile: Profile
    subjects: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    seed: int | None = None
    in_process: bool = False
    resume: bool = False
    command: str = "pytest conformance"


def _check_file(file: Path) -> None:
    """Raise RecordError unless a file can be written; one that is not there is not made."""
    odd = file.exists() and not (file.is_file() and os.access(file, os.W_OK))
    if odd or (file.is_symlink() and not file.exists()):
        raise rec.RecordError(
            f"{file} is no file that can be written; remove it, or choose another folder with "
            "--out."
        )


def find_profile(name: str) -> Profile:
    """The profile of this name; raises UsageError with the names that there are."""
    if name not in PROFILES:
        raise UsageError(f"There is no profile {name!r}; use one of {', '.join(PROFILES)}.")
    return PROFILES[name]


def _shown(deviation: Deviation, torch: str) -> tuple[rec.Source | None, rec.Trace | None]:
    """The program of an entry as JSON, and step by step; of a script what can be read of it."""
    program = deviation.program
    if program is None:
        return None, trace_of_script(deviation.entry.script)
    return msgspec.json.decode(encode(program)), trace_of(check(program).as_in(torch))


@dataclass(slots=True)
class Session:
    """A run in progress; every verdict is on disk as soon as it is reached."""

    plan: Plan
    progress: Progress
    subjects: dict[str, Subject] = field(default_factory=dict)
    absent: list[rec.Subject] = field(default_factory=list)
    finished: set[tuple[str, str]] = field(default_factory=set)
    verdicts: dict[tuple[str, str], rec.VerdictWord] = field(default_factory=dict)
    surprises: int = 0
    standing: set[tuple[str, str]] = field(default_factory=set)
    """Claims and subjects with a registered deviation that still shows."""
    lost: dict[str, str] = field(default_factory=dict)
    """Subjects that are asked no more, and why."""
    seed: int = 0
    fault: rec.RecordError | None = None
    """Why the records cannot be continued."""
    interrupts: Interrupts = field(init=False)
    machine: Machine | None = None
    """The oracle's; one is made where none is given."""
    _writer: rec.RecordWriter | None = None
    _started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.interrupts = Interrupts(self._kill)

    @property
    def claims(self) -> list[Claim]:
        """The claims of this run, in the catalogue's order."""
        wanted = {find_claim(id).id for id in self.plan.claims}
        return [
            claim
            for claim in CATALOGUE.values()
            if (not wanted or claim.id in wanted) and any(map(self.asks(claim.id), self.subjects))
        ]

    def asks(self, claim: str) -> Callable[[str], bool]:
        """Whether a subject, by its name, is asked a claim: of those that transform functions only
        what that does, of the others everything else.
        """
        about = claim in TRANSFORMED
        return lambda name: (self.subjects[name].transform is not None) == about

    @property
    def writer(self) -> rec.RecordWriter:
        assert self._writer is not None
        return self._writer

    def open(self) -> None:
        """Start the subjects and the records.

        Raises SubjectError, UsageError, UnknownClaim or RecordError, each with one sentence.
        """
        names = self.plan.subjects or ("eager-cpu",)
        if len(set(names)) != len(names):
            raise UsageError("A subject is named twice; name each once.")
        if self.plan.resume and self.plan.seed is not None:
            raise UsageError(
                "A run that is resumed goes on with its own seed; leave --seed out, or --resume."
            )
        specs = [parse_subject(name) for name in names]
        for id in self.plan.claims:
            find_claim(id)
        self._check_folder()
        try:
            for spec in specs:
                self.subjects[spec.name] = open_subject(spec, in_process=self.plan.in_process)
        except SubjectError:
            self._let_go()
            raise
        if not self.plan.subjects:
            self._add_cuda()
        drawn = 0 if self.plan.profile.derandomised else secrets.randbelow(1 << 32)
        self.seed = self.plan.seed if self.plan.seed is not None else drawn
        run_id = secrets.token_hex(8)
        if self.plan.resume:
            run_id = self._resume()
        else:
            self._put_aside()
        set_hypothesis_home_dir(self.plan.out / "examples")
        claims = self.claims
        if not claims:
            self._let_go()
            raise UsageError(
                f"No subject of this run is asked {' or '.join(self.plan.claims)}; name one that "
                "transforms functions, as in --subject compile-aot_eager, or one that does not."
            )
        self._writer = rec.RecordWriter(self.plan.out)
        self.machine = self.machine or Machine(self.progress.say)
        self.writer.write(self._header(run_id, claims))
        if not self.plan.profile.derandomised:
            self.progress.say(f"The seed is {self.seed}.")

    def _check_folder(self) -> None:
        """Raise RecordError if anything of the run could not be written where it must be."""
        with rec.RecordWriter(self.plan.out):
            pass
        for name in _FILES:
            _check_file(self.plan.out / name)
        for name in ("previous", "examples", "report"):
            folder = self.plan.out / name
            if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
                raise rec.RecordError(
                    f"{folder} is no folder that can be written to; remove it, or choose another "
                    "folder with --out."
                )

    def _add_cuda(self) -> None:
        local = self.subjects["eager-cpu"]
        if local.hello.cuda:
            try:
                self.subjects["eager-cuda"] = open_subject("eager-cuda")
                return
            except SubjectError as error:
                reason = str(error)
        else:
            reason = f"torch {local.torch} sees no CUDA device"
        self.absent.append(
            rec.Subject("eager-cuda", device="cuda", status="not exercised", reason=reason)
        )

    def _put_aside(self) -> None:
        """Keep the records of the run before this one, in the folder `previous`."""
        previous = self.plan.out / "previous"
        for name in ("verdicts.jsonl", "programs.jsonl", "campaign.jsonl"):
            file = self.plan.out / name
            try:
                if file.exists() and file.stat().st_size:
                    previous.mkdir(exist_ok=True)
                    file.replace(previous / name)
            except OSError as error:
                raise rec.RecordError(
                    f"{file} cannot be moved to {previous} ({error.strerror or error}); remove it, "
                    "or choose another folder with --out."
                ) from error

    def _resume(self) -> str:
        """Take over the seed and the finished claims of the run in the folder."""
        try:
            before = rec.read_run(self.plan.out)
        except rec.RecordError:
            before = rec.RunRecords(self.plan.out)
        if before.run is None:
            raise UsageError(
                f"There is no run to resume in {self.plan.out}; leave --resume out to start one."
            )
        if before.run.profile != self.plan.profile.name:
            raise UsageError(
                f"The run in {self.plan.out} has the profile {before.run.profile!r}; resume it "
                f"with --profile {before.run.profile}."
            )
        self.seed = before.run.seed
        for key, attempt in before.attempts.items():
            if attempt.finish is not None and key[1] in self.subjects:
                self.finished.add(key)
                self.verdicts[key] = attempt.finish.verdict
        return before.run.id

    def _header(self, run_id: str, claims: list[Claim]) -> rec.Run:
        here = [
            rec.Subject(s.name, s.torch, s.python, s.device, s.device_name, s.mode)
            for s in self.subjects.values()
        ]
        return rec.Run(
            id=run_id,
            started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            suite=installed("autograd-conformance"),
            profile=self.plan.profile.name,
            seed=self.seed,
            command=f"{self.plan.command} --seed {self.seed}",
            host=rec.Host(
                python=platform.python_version(),
                platform=f"{platform.system()} {platform.machine()}",
                hypothesis=installed("hypothesis"),
                jax=installed("jax"),
                numpy=installed("numpy"),
            ),
            subjects=(*here, *self.absent),
            claims=tuple(
                rec.Claim(c.id, c.title, c.sentence, c.articles, c.source, c.scope, c.law)
                for c in claims
            ),
            schema=rec.SCHEMA,
            operations=every_form(),
        )

    # -- trials ---------------------------------------------------------------------------------

    def trial(self, claim_id: str, subject_name: str) -> Trial:
        """A claim's trial; the same seed for every subject, so that they are asked the same."""
        assert self.machine is not None
        claim = find_claim(claim_id)
        examiner = Examiner(self.subjects[subject_name], self.machine)
        seed = zlib.crc32(f"{self.seed}:{claim_id}".encode())
        self.progress.begin(claim.title, subject_name)
        return Trial(
            claim,
            examiner,
            self.plan.profile,
            seed,
            self.writer,
            self.plan.out,
            self._advance,
            registered=(claim_id, subject_name) in self.standing,
        )

    def _advance(self, count: int) -> None:
        """After each program: the place where a Ctrl-C that was dropped is raised again."""
        self.progress.advance(count)
        self.interrupts.check()

    def done(self, trial: Trial, verdict: rec.VerdictWord) -> None:
        """Note how a trial ended."""
        self.verdicts[trial.claim.id, trial.subject_name] = verdict
        self.progress.end(trial.claim.title, verdict, sum(trial.counts.values()))

    def check_register(self) -> None:
        """Run the program of every registered deviation, and record whether it still deviates.

        A subject that cannot be started again is lost: nobody can tell of its entries.
        """
        assert self.machine is not None
        for subject in self.subjects.values():
            examiner = Examiner(subject, self.machine)
            for deviation in examiner.known:
                self.interrupts.check()
                found = self._standing(examiner, deviation)
                entry = deviation.entry
                self.surprises += found.status in ("unexpectedly conforms", "deviates")
                if found.status == "still":
                    self.standing.add((entry.claim, subject.name))
                self.writer.write(
                    rec.Deviation(
                        entry.id,
                        entry.kind,  # type: ignore[arg-type]
                        entry.claim,
                        entry.title,
                        entry.cause,
                        subject.name,
                        found.status,
                        entry.upstream,
                        entry.date,
                        entry.torch,
                        found.script,
                        found.note,
                        *_shown(deviation, subject.torch),
                    )
                )

    def _standing(self, examiner: Examiner, deviation: Deviation) -> Standing:
        name = examiner.subject.name
        if name not in self.lost:
            try:
                return standing(examiner, deviation)
            except SubjectError as error:
                self.lose(name, str(error))
        return Standing("not exercised", note=self.lost[name])

    def lose(self, subject: str, reason: str) -> None:
        """Ask a subject no more: it cannot be started again, or understands nothing."""
        self.lost[subject] = reason
        self.progress.say(reason)

    def exit_code(self) -> int:
        """0 no unregistered deviation; 1 deviates; 3 the suite failed or gave up; 130 after Ctrl-C,
        whether or not the exception that it raised arrived.
        """
        if self.interrupts.heard:
            return INTERRUPTED
        words = set(self.verdicts.values())
        if "deviates" in words or "unexpectedly conforms" in words or self.surprises:
            return 1
        return 3 if words & {"suite error", "gave up"} else 0

    def close(self, exit_code: int) -> None:
        """Write the last record and let the subjects go."""
        if self._writer is not None and self.fault is None:
            finished = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self.writer.write(rec.End(finished, time.monotonic() - self._started, exit_code))
        if self._writer is not None:
            self._writer.close()
        self._let_go()

    def _kill(self) -> None:
        for subject in self.subjects.values():
            if isinstance(subject, WorkerSubject):
                subject.kill()

    def _let_go(self) -> None:
        for subject in self.subjects.values():
            subject.close()
