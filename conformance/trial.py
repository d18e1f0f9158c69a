"""A claim on trial on one subject: programs are drawn, judged and recorded, failures are shrunk."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from conformance.claims.claim import Claim
from conformance.examine import Examiner, Judged
from conformance.hunt import Case, Caught, Effort, Failing, GaveUp, hunt
from conformance.judge import Finding
from conformance.profiles import Profile
from conformance.records import (
    Counterexample,
    Finish,
    InFlight,
    Outside,
    RecordWriter,
    Start,
    Verdict,
    VerdictWord,
)
from conformance.scripts import PRELUDE, Script
from strategies.program import Program, encode
from strategies.reducing import reduced

C = TypeVar("C", bound=Case)

__all__ = ["PRELUDE", "Disagreement", "GaveUp", "NotExercised", "Script", "Trial"]


class Disagreement(Failing):
    """A subject does not do what it must; the message is the finding's."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding
        self.gravity = finding.gravity


class NotExercised(Exception):
    """A claim cannot be put to a subject; the message is the reason."""


@dataclass(slots=True)
class Trial:
    """What a claim's test works with: the subject, the profile's numbers, and the records."""

    claim: Claim
    examiner: Examiner
    profile: Profile
    seed: int
    records: RecordWriter
    out: Path
    tick: Callable[[int], None] = lambda count: None
    registered: bool = False
    """Whether the register holds a deviation from this claim that this subject still shows."""
    counts: Counter[VerdictWord] = field(default_factory=Counter)
    outside: Outside | None = None
    note: str = ""
    verdict: VerdictWord | None = None
    started: float = field(default_factory=time.monotonic)
    _known: dict[str, Judged] = field(default_factory=dict)
    _properties: int = 0

    @property
    def subject_name(self) -> str:
        return self.examiner.subject.name

    @property
    def device(self) -> str:
        return self.examiner.subject.device

    def begin(self) -> None:
        self.records.write(Start(self.claim.id, self.subject_name, self.seed))

    # -- properties -----------------------------------------------------------------------------

    def holds(
        self,
        programs: st.SearchStrategy[Program],
        *,
        law: Callable[[Judged], Finding | None] = lambda judged: None,
        examples: int | None = None,
        watched: bool = False,
        oracle: bool = True,
    ) -> None:
        """Every drawn program must be judged to conform, and keep the claim's own law besides.

        Raises Disagreement with the shrunk failure, NotExercised if nothing could be drawn.
        """

        def case(program: Program) -> Judged:
            judged = self._examine(program, watched=watched, oracle=oracle)
            if judged.verdict == "deviates":
                raise Disagreement(judged.gravest)
            broken = law(judged) if judged.verdict == "conforms" else None
            if broken is not None:
                raise Disagreement(broken)
            return judged

        failure = self._hunt(programs, case, examples or self.profile.examples)
        if failure is not None:
            smallest = self._smallest(failure, case)
            judged = self._known[smallest.case.id]
            self._record_failure(judged, smallest.error, minimal=smallest.minimal)
            raise smallest.error

    def _smallest(self, caught: Caught[Program], test: Callable[[Program], Any]) -> Caught[Program]:
        """The failure with whole steps left out: what Hypothesis cannot do to choices."""
        errors = {caught.case.id: caught.error}

        def still(program: Program) -> bool:
            try:
                test(program)
            except Disagreement as error:
                if error.gravity == caught.error.gravity:
                    errors[program.id] = error
                    return True
            return False

        deadline = time.monotonic() + self.profile.shrink_s
        found = reduced(caught.case, still, deadline=deadline)
        if found.program.id not in errors and not still(found.program):
            return caught
        minimal = found.minimal and caught.minimal
        return Caught(found.program, errors[found.program.id], minimal)

    def searches(
        self,
        programs: st.SearchStrategy[Program],
        *,
        breaks: Callable[[Judged], str | None],
        title: str,
        oracle: bool = False,
        shown: Callable[[Judged], tuple[str, ...]] = lambda judged: (),
    ) -> Judged | None:
        """Look outside the claim's scope for a program that breaks it in the claim's own way.

        The shrunk program is recorded as the counterexample that bounds the scope. If none is
        found, the claim is not exercised there and its scope may have changed.
        """
        searched = 0

        def case(program: Program) -> None:
            nonlocal searched
            searched += 1
            judged = self._examine(program, oracle=oracle, count=False)
            message = breaks(judged) if judged.verdict != "not exercised" else None
            if message is not None:
                raise Failing(message)

        failure = self._hunt(programs, case, self.profile.searched)
        before = self.outside or Outside(0, False)
        self.outside = Outside(before.searched + searched, before.found or failure is not None)
        if failure is None:
            self.note = f"nothing found outside the scope ({title}): the scope may have changed"
            if self.verdict is None:
                self.verdict = "not exercised"
            return None
        program = failure.case
        judged = self._known[program.id]
        self.records.program(program.id, _as_json(program))
        script = judged.demonstration(title, shown(judged))
        self.records.write(
            Counterexample(
                self.claim.id,
                self.subject_name,
                program.id,
                script,
                str(failure.error),
                searched,
                title,
            )
        )
        return judged

    def scripts(self, scripts: st.SearchStrategy[Script], *, examples: int | None = None) -> None:
        """Every drawn script must show what it expects; raises Disagreement with the shrunk one."""
        failure = self._hunt(scripts, self._run_script, examples or self.profile.scripts)
        if failure is not None:
            self._record_script(failure.case, failure.error, minimal=failure.minimal)
            raise failure.error

    def once(self, script: Script) -> None:
        """One script that is not drawn must show what it expects; raises Disagreement."""
        try:
            self._run_script(script)
        except Disagreement as error:
            self._record_script(script, error, minimal=True)
            raise

    def shows(self, script: Script, title: str, message: str) -> None:
        """A script that must show what it expects, kept in the report as a counterexample."""
        self.once(script)
        self.records.write(
            Counterexample(
                self.claim.id,
                self.subject_name,
                script.id,
                script.text(self.device),
                message,
                1,
                title,
            )
        )
        self.outside = Outside((self.outside.searched if self.outside else 0) + 1, True)

    # -- one case -------------------------------------------------------------------------------

    def _examine(
        self, program: Program, *, watched: bool = False, oracle: bool = True, count: bool = True
    ) -> Judged:
        identity = program.id
        self.records.write(InFlight(self.claim.id, self.subject_name, identity))
        judged = self.examiner.examine(program, watched=watched, oracle=oracle)
        first = identity not in self._known
        self._known[identity] = judged
        if first and count and judged.verdict != "deviates":
            self.counts[judged.verdict] += 1
            self._record(judged)
        self.tick(1)
        return judged

    def _record(self, judged: Judged) -> None:
        self.records.program(judged.program.id, _as_json(judged.program))
        known = judged.deviations
        self.records.write(
            Verdict(
                self.claim.id,
                self.subject_name,
                judged.program.id,
                judged.verdict,
                kind=judged.gravest.kind if known else None,  # type: ignore[arg-type]
                deviation=", ".join(d.entry.id for d in known),
                reason=judged.reason,
            )
        )

    def _record_failure(self, judged: Judged, error: Failing, *, minimal: bool) -> None:
        self.verdict = "deviates"
        self.counts["deviates"] += 1
        finding = error.finding if isinstance(error, Disagreement) else judged.gravest
        self.records.program(judged.program.id, _as_json(judged.program))
        self.records.write(
            Verdict(
                self.claim.id,
                self.subject_name,
                judged.program.id,
                "deviates",
                kind=finding.kind,  # type: ignore[arg-type]
                message=finding.message,
                script=judged.script(header=(f"{finding.kind}: {finding.message}",)),
                step=finding.step,
                expected=finding.expected,
                observed=finding.observed,
                command=self._replay(judged.program),
                minimal=minimal,
            )
        )

    def _replay(self, program: Program) -> str:
        text = encode(program).decode()
        name = shlex.quote(self.subject_name)
        return f"echo '{text}' | autograd-conformance check - --subject {name}"

    def _run_script(self, script: Script) -> None:
        self.records.write(InFlight(self.claim.id, self.subject_name, script.id))
        observation = self.examiner.subject.run(script.body, script.observe, timeout_s=120.0)
        self.tick(1)
        if observation.crash or observation.hang:
            kind = "hang" if observation.hang else "crash"
            said = observation.crash or "no answer in time"
            raise Disagreement(Finding(kind, f"the script ended the worker: {said}", "", said))
        findings = sorted(script.findings(observation), key=lambda finding: finding.gravity)
        registered = {d.entry.quirk: d.entry.id for d in self.examiner.known}
        for finding in findings:
            if finding.quirk not in registered:
                raise Disagreement(finding)
        verdict: VerdictWord = "known deviation" if findings else "conforms"
        self.counts[verdict] += 1
        self.records.program(script.id, script.text(self.device))
        self.records.write(
            Verdict(
                self.claim.id,
                self.subject_name,
                script.id,
                verdict,
                kind=findings[0].kind if findings else None,  # type: ignore[arg-type]
                deviation=", ".join(sorted({registered[f.quirk] for f in findings})),
            )
        )

    def _record_script(self, script: Script, error: Failing, *, minimal: bool) -> None:
        assert isinstance(error, Disagreement), "a script fails by a finding"
        self.verdict = "deviates"
        self.counts["deviates"] += 1
        text = script.text(self.device)
        self.records.program(script.id, text)
        self.records.write(
            Verdict(
                self.claim.id,
                self.subject_name,
                script.id,
                "deviates",
                kind=error.finding.kind,  # type: ignore[arg-type]
                message=error.finding.message,
                script=text,
                expected=error.finding.expected,
                observed=error.finding.observed,
                minimal=minimal,
            )
        )

    def _hunt(
        self, cases: st.SearchStrategy[C], test: Callable[[C], Any], examples: int
    ) -> Caught[C] | None:
        self._properties += 1
        repeats = self.profile.derandomised
        # A property that repeats itself draws by its key: every subject is asked the same.
        key = f"{self.claim.id}:{self._properties}" + ("" if repeats else f":{self.subject_name}")
        effort = Effort(
            examples,
            None if repeats else self.seed + self._properties,
            self.out / "examples",
            self.profile.shrink_s,
            key,
        )
        return hunt(cases, test, effort)

    # -- the end --------------------------------------------------------------------------------

    def finish(self, verdict: VerdictWord | None = None, note: str = "") -> VerdictWord:
        """Write the claim's verdict on this subject: the one given, or what the counts say."""
        final = verdict or self.verdict or self._from_counts()
        self.records.write(
            Finish(
                self.claim.id,
                self.subject_name,
                final,
                dict(self.counts),
                time.monotonic() - self.started,
                note or self.note,
                self.outside,
            )
        )
        return final

    def _from_counts(self) -> VerdictWord:
        """Known deviations from other claims are counted, and do not change this one's verdict."""
        if self.registered:
            return "known deviation"
        if self.counts["conforms"] or self.counts["known deviation"]:
            return "conforms"
        return "unspecified" if self.counts["unspecified"] else "not exercised"


def _as_json(program: Program) -> msgspec.Raw:
    return msgspec.Raw(encode(program))
