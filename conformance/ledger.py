"""What a trial writes down: one claim on one subject, in the records of the run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from conformance.examine import Judged
from conformance.explain import trace_of, trace_of_script
from conformance.judge import Finding
from conformance.outcome import done
from conformance.records import (
    Cells,
    Counterexample,
    Detected,
    Finish,
    InFlight,
    Outside,
    RecordWriter,
    Start,
    Verdict,
    VerdictWord,
)
from conformance.script_verdict import Judgement
from conformance.scripts import Script
from strategies.program import Program, encode


@dataclass(frozen=True, slots=True)
class Ledger:
    """The records of a run as one claim on one subject writes them."""

    records: RecordWriter
    claim: str
    subject: str
    device: str

    def start(self, seed: int) -> None:
        self.records.write(Start(self.claim, self.subject, seed))

    def in_flight(self, case: str) -> None:
        """Name the case that is about to run, lest it ends the run."""
        self.records.write(InFlight(self.claim, self.subject, case))

    def judged(self, judged: Judged) -> None:
        """A program that does not deviate."""
        self._keep(judged.program)
        known = judged.deviations
        self.records.write(
            Verdict(
                self.claim,
                self.subject,
                judged.program.id,
                judged.verdict,
                kind=judged.gravest.kind if known else None,  # type: ignore[arg-type]
                deviation=", ".join(d.entry.id for d in known),
                reason=judged.reason,
                observed=done(judged) if judged.verdict == "unspecified" else "",
            )
        )

    def failure(
        self, judged: Judged, finding: Finding, *, minimal: bool, detected: Detected | None
    ) -> None:
        """A program that deviates, by the finding."""
        self._keep(judged.program)
        self.records.write(
            Verdict(
                self.claim,
                self.subject,
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
                source=msgspec.json.decode(encode(judged.program)),
                trace=trace_of(judged.draft),
                off=finding.off,
                detected=detected,
            )
        )

    def _replay(self, program: Program) -> str:
        text = encode(program).decode()
        return f"echo '{text}' | autograd-conformance check - --subject {shlex.quote(self.subject)}"

    def script(self, script: Script, known: Mapping[str, Finding]) -> None:
        """A script that does not deviate; `known` are registered deviations that it shows."""
        self.records.program(script.id, script.text(self.device))
        gravest = min(known.values(), key=lambda finding: finding.gravity, default=None)
        self.records.write(
            Verdict(
                self.claim,
                self.subject,
                script.id,
                "known deviation" if known else "conforms",
                kind=gravest.kind if gravest else None,  # type: ignore[arg-type]
                deviation=", ".join(sorted(known)),
            )
        )

    def script_failure(
        self,
        script: Script,
        finding: Finding,
        judgement: Judgement,
        *,
        minimal: bool,
        detected: Detected | None,
    ) -> None:
        """A script that deviates, by the finding of a judgement."""
        self.records.program(script.id, script.text(self.device))
        header = (f"{finding.kind}: {finding.message}",)
        text = script.judging(self.device, judgement, header)
        self.records.write(
            Verdict(
                self.claim,
                self.subject,
                script.id,
                "deviates",
                kind=finding.kind,  # type: ignore[arg-type]
                message=finding.message,
                script=text,
                expected=finding.expected,
                observed=finding.observed,
                minimal=minimal,
                trace=trace_of_script(script.body),
                detected=detected,
            )
        )

    def bound(
        self, case: Judged | Script, text: str, message: str, *, searched: int, title: str
    ) -> None:
        """The counterexample that bounds the claim's scope, found by a search."""
        trace = None
        if isinstance(case, Script):
            self.records.program(case.id, text)
            id = case.id
            trace = trace_of_script(case.body)
        else:
            self._keep(case.program)
            id = case.program.id
            trace = trace_of(case.draft)
        self.records.write(
            Counterexample(self.claim, self.subject, id, text, message, searched, title, trace)
        )

    def finish(
        self,
        verdict: VerdictWord,
        counts: Mapping[VerdictWord, int],
        seconds: float,
        note: str,
        outside: Outside | None,
        cells: Mapping[str, Cells],
    ) -> None:
        found = (verdict, dict(counts), seconds, note, outside, dict(cells))
        self.records.write(Finish(self.claim, self.subject, *found))

    def _keep(self, program: Program) -> None:
        self.records.program(program.id, msgspec.Raw(encode(program)))
