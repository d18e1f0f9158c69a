"""A claim on trial on one subject: programs are drawn, judged and recorded, failures are shrunk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from hypothesis import strategies as st

from conformance.abilities import LeftOut
from conformance.cells import Tally
from conformance.claims.claim import Claim
from conformance.examine import Examiner, Judged
from conformance.hunt import Case, Caught, Effort, Failing, GaveUp, hunt, kept
from conformance.judge import Finding
from conformance.ledger import Ledger
from conformance.profiles import Profile
from conformance.records import Detected, Outside, RecordWriter, VerdictWord
from conformance.script_verdict import Judgement
from conformance.scripts import PRELUDE, Script
from strategies.lacking import drawing_without
from strategies.program import Program
from strategies.reducing import reduced
from strategies.table.change import within

C = TypeVar("C", bound=Case)
Scope = Callable[[Program], str]
"""Which condition of a claim's scope a program breaks, in a word; "" where the claim holds."""


def everywhere(program: Program) -> str:
    """The scope of a claim that always holds."""
    return ""


__all__ = ["PRELUDE", "Disagreement", "GaveUp", "NotExercised", "Script", "Trial"]


CAMPAIGN = "campaign"
"""Under this name a campaign puts what deviates into the example database."""
_ILLUSTRATING_S = 2.0
"""Seconds for shrinking a script that only illustrates where a claim ends."""


class Disagreement(Failing):
    """A subject does not do what it must; the message is the finding's.

    The judgement is that of a whole script, with the comparisons that its text makes.
    """

    def __init__(self, finding: Finding, judgement: Judgement | None = None) -> None:
        super().__init__(finding.message)
        self.finding = finding
        self.judgement = judgement or Judgement([finding])
        self.gravity = finding.gravity


class Outcome(Failing):
    """What a search outside a claim's scope is for: the claim breaks there, in its own way.

    A deviation that turns up on the way is graver than that.
    """

    gravity = 99


class NotExercised(Exception):
    """A claim cannot be put to a subject; the message is the reason."""


def database_key(claim: str, found_as: str, subject: str) -> str:
    """Where the example database keeps what was found elsewhere under a name, for `holds`."""
    return f"{claim}:{found_as}:{subject}"


def smallest(
    caught: Caught[Program],
    test: Callable[[Program], Any],
    drawn: Callable[[Program], bool],
    shrink_s: float,
) -> Caught[Program]:
    """The failure with whole steps left out: what Hypothesis cannot do to choices."""
    errors = {caught.case.id: caught.error}

    def still(program: Program) -> bool:
        if not drawn(program):
            return False
        try:
            test(program)
        except Failing as error:
            if error.gravity == caught.error.gravity:
                errors[program.id] = error
                return True
        return False

    deadline = time.monotonic() + shrink_s
    found = reduced(caught.case, still, deadline=deadline)
    if found.program.id not in errors and not still(found.program):
        return caught
    minimal = found.minimal and caught.minimal
    return Caught(found.program, errors[found.program.id], minimal)


@dataclass(slots=True)
class _Searched:
    """How many cases it took until the first was found; shrinking it does not count."""

    cases: int = 0
    found: bool = False

    def one_more(self) -> None:
        self.cases += not self.found


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
    left_out: LeftOut = field(default_factory=LeftOut)
    cells: Tally = field(default_factory=Tally)
    note: str = ""
    verdict: VerdictWord | None = None
    started: float = field(default_factory=time.monotonic)
    detected: Detected | None = None
    """What it took until a case failed for the first time."""
    _asked: int = 0
    _known: dict[str, Judged] = field(default_factory=dict)
    _properties: int = 0

    @property
    def subject_name(self) -> str:
        return self.examiner.subject.name

    @property
    def _ledger(self) -> Ledger:
        return Ledger(self.records, self.claim.id, self.subject_name, self.device)

    @property
    def device(self) -> str:
        return self.examiner.subject.device

    def begin(self) -> None:
        self._ledger.start(self.seed)

    # -- properties -----------------------------------------------------------------------------

    def holds(
        self,
        programs: st.SearchStrategy[Program],
        *,
        scope: Scope = everywhere,
        law: Callable[[Judged], Finding | None] = lambda judged: None,
        examples: int | None = None,
        watched: bool = False,
        oracle: bool = True,
        found_as: str = "",
    ) -> None:
        """Every program drawn within the scope must conform, and keep the claim's own law besides.

        What was found elsewhere under this name and put into the example database comes first.
        Raises Disagreement with the shrunk failure, GaveUp if nothing could be drawn.
        """
        spelled = programs.map(self.examiner.abilities.respelled)
        inside = kept(spelled, lambda program: not scope(program))

        def case(program: Program) -> Judged:
            return self._kept(self._examine(program, watched=watched, oracle=oracle), law)

        failure = self._hunt(inside, case, examples or self.profile.examples, found_as=found_as)
        if failure is not None:
            smallest = self._smallest(failure, case, lambda program: not scope(program))
            judged = self._known[smallest.case.id]
            self._deviates(judged, smallest.error, minimal=smallest.minimal)

    def every(
        self,
        programs: Iterable[Program],
        *,
        law: Callable[[Judged], Finding | None] = lambda judged: None,
    ) -> None:
        """Each of these programs, which nobody needs to draw, must conform, and keep the law too.

        Raises Disagreement with the first failure, shrunk by whole steps.
        """

        def case(program: Program) -> Judged:
            return self._kept(self._examine(program), law)

        with drawing_without(self.examiner.abilities.lacking):
            for program in map(self.examiner.abilities.respelled, programs):
                try:
                    case(program)
                except Disagreement as error:
                    first = Caught(program, error, True)
                    caught = self._smallest(first, case, lambda program: True)
                    judged = self._known[caught.case.id]
                    self._deviates(judged, caught.error, minimal=caught.minimal)

    def _smallest(
        self,
        caught: Caught[Program],
        test: Callable[[Program], Any],
        drawn: Callable[[Program], bool],
    ) -> Caught[Program]:
        return smallest(caught, test, drawn, self.profile.shrink_s)

    def searches(
        self,
        programs: st.SearchStrategy[Program],
        *,
        scope: Scope,
        condition: str,
        breaks: Callable[[Judged], str | None],
        title: str,
        oracle: bool = False,
        shown: Callable[[Judged], tuple[str, ...]] = lambda judged: (),
        certain: str | None = "",
    ) -> None:
        """Look on the claim's own strategy, where its scope breaks off by this condition, for a
        program that breaks the claim in its own way.

        The shrunk program is recorded as the counterexample that bounds the scope. If none is
        found, the claim is not exercised there and its scope may have changed; but for versions of
        torch outside of `certain`, a packaging specifier, or None where builds and CPUs differ:
        there the claim holds more widely, and a note says so. Raises Disagreement if a program
        outside the scope does not do what it must there.
        """
        searched = _Searched()
        spelled = programs.map(self.examiner.abilities.respelled)

        def beyond(program: Program) -> bool:
            return scope(program) == condition

        def case(program: Program) -> None:
            searched.one_more()
            judged = self._examine(program, oracle=oracle, count=False)
            if judged.verdict == "deviates":
                raise self._against(judged.gravest)
            message = breaks(judged) if judged.verdict != "not exercised" else None
            if message is not None:
                searched.found = True
                raise Outcome(message)

        # The reducer alone is enough for what only illustrates, and takes a tenth of the time.
        failure = self._hunt(kept(spelled, beyond), case, self.profile.searched, shrinks=False)
        if failure is not None:
            failure = self._smallest(failure, case, beyond)
        if failure is not None and isinstance(failure.error, Disagreement):
            self._deviates(self._known[failure.case.id], failure.error, minimal=failure.minimal)
        self._looked(searched, title, certain)
        if failure is not None:
            judged = self._known[failure.case.id]
            text = judged.demonstration(title, shown(judged))
            message = str(failure.error)
            self._ledger.bound(judged, text, message, searched=searched.cases, title=title)

    def _looked(self, searched: _Searched, title: str, certain: str | None) -> None:
        """Note a search outside the scope; what finds nothing where something must be found leaves
        the claim not exercised.
        """
        before = self.outside or Outside(0, True)
        self.outside = Outside(before.searched + searched.cases, before.found and searched.found)
        if searched.found:
            return
        torch = self.examiner.subject.torch
        if certain is not None and within(certain, torch):
            said = f"nothing found outside the scope ({title}): the scope may have changed"
            self.verdict = self.verdict or "not exercised"
        else:
            cases = f"{searched.cases} cases outside the scope"
            said = f"not seen on torch {torch} in {cases}: {title}"
        self.note = "; ".join(filter(None, (self.note, said)))

    # -- scripts --------------------------------------------------------------------------------

    def scripts(self, scripts: st.SearchStrategy[Script], *, examples: int | None = None) -> None:
        """Every script drawn within the scope must show what it expects.

        Raises Disagreement with the shrunk one, GaveUp if nothing could be drawn.
        """
        inside = kept(scripts, lambda script: not script.beyond)
        failure = self._hunt(inside, self._run_script, examples or self.profile.scripts)
        if failure is not None:
            self._script_deviates(failure.case, failure.error, minimal=failure.minimal)

    def once(self, script: Script) -> None:
        """One script that is not drawn must show what it expects; raises Disagreement."""
        try:
            self._run_script(script)
        except Disagreement as error:
            self._script_deviates(script, error, minimal=True)

    def searches_scripts(
        self,
        scripts: st.SearchStrategy[Script],
        *,
        condition: str,
        title: str,
        kinds: tuple[str, ...],
        fragment: str = "",
        certain: str | None = "",
    ) -> None:
        """Look among the claim's own scripts, where its scope breaks off by this condition, for one
        that breaks the claim in its own way: by a finding of one of these kinds, whose message
        contains the fragment.

        The shrunk script is recorded as the counterexample that bounds the scope; if none is found,
        the claim is not exercised there, or a note says so, as in `searches`. Raises Disagreement
        if a script ends the worker.
        """
        searched = _Searched()

        def case(script: Script) -> None:
            searched.one_more()
            for finding in self._judgement(script).findings:
                if finding.kind in kinds and fragment in finding.message:
                    searched.found = True
                    raise Outcome(finding.message)

        beyond = kept(scripts, lambda script: script.beyond == condition)
        failure = self._hunt(beyond, case, self.profile.searched, shrink_s=_ILLUSTRATING_S)
        if failure is not None and isinstance(failure.error, Disagreement):
            self._script_deviates(failure.case, failure.error, minimal=failure.minimal)
        self._looked(searched, title, certain)
        if failure is not None:
            text, message = failure.case.text(self.device), str(failure.error)
            self._ledger.bound(failure.case, text, message, searched=searched.cases, title=title)

    # -- one case -------------------------------------------------------------------------------

    def _examine(
        self, program: Program, *, watched: bool = False, oracle: bool = True, count: bool = True
    ) -> Judged:
        identity = program.id
        self._ledger.in_flight(identity)
        judged = self.examiner.examine(program, watched=watched, oracle=oracle)
        first = identity not in self._known
        self._asked += first
        self._known[identity] = judged
        if first and count and judged.verdict != "not exercised":
            self.cells.add(judged.draft)
        if first and count and judged.verdict != "deviates":
            self.counts[judged.verdict] += 1
            self._ledger.judged(judged)
        if first and judged.verdict == "not exercised":
            self.left_out[judged.lacking] += 1
        self.tick(1)
        return judged

    def _kept(self, judged: Judged, law: Callable[[Judged], Finding | None]) -> Judged:
        """What was judged; raises Disagreement if it deviates or breaks the law."""
        if judged.verdict == "deviates":
            raise self._against(judged.gravest)
        broken = law(judged) if judged.verdict == "conforms" else None
        if broken is not None:
            raise self._against(broken)
        return judged

    def _against(self, finding: Finding, judgement: Judgement | None = None) -> Disagreement:
        """What a case that fails raises; the first one says how long it took to find."""
        if self.detected is None:
            self.detected = Detected(self._asked, time.monotonic() - self.started)
        return Disagreement(finding, judgement)

    def _deviates(self, judged: Judged, error: Failing, *, minimal: bool) -> NoReturn:
        self.verdict = "deviates"
        self.counts["deviates"] += 1
        finding = error.finding if isinstance(error, Disagreement) else judged.gravest
        self._ledger.failure(judged, finding, minimal=minimal, detected=self.detected)
        raise error

    def _judgement(self, script: Script) -> Judgement:
        """What the subject shows that the script does not expect; raises Disagreement if it ends
        the worker, and is not known to.
        """
        self._ledger.in_flight(script.id)
        self._asked += 1
        observation = self.examiner.subject.run(script.body, script.observe, timeout_s=120.0)
        self.tick(1)
        if observation.crash or observation.hang:
            kind = "hang" if observation.hang else "crash"
            said = observation.crash or "no answer in time"
            quirk = script.ends if observation.crash else ""
            found = Finding(kind, f"the script ended the worker: {said}", "", said, quirk=quirk)
            if quirk not in {deviation.entry.quirk for deviation in self.examiner.known}:
                raise self._against(found)
            return Judgement([found])
        judged = script.judge(observation)
        return replace(judged, findings=sorted(judged.findings, key=lambda found: found.gravity))

    def _run_script(self, script: Script) -> None:
        judged = self._judgement(script)
        findings = judged.findings
        registered = {d.entry.quirk: d.entry.id for d in self.examiner.known}
        for finding in findings:
            if finding.quirk not in registered:
                raise self._against(finding, judged)
        self.counts["known deviation" if findings else "conforms"] += 1
        self._ledger.script(script, {registered[f.quirk]: f for f in reversed(findings)})

    def _script_deviates(self, script: Script, error: Failing, *, minimal: bool) -> NoReturn:
        assert isinstance(error, Disagreement), "a script fails by a finding"
        self.verdict = "deviates"
        self.counts["deviates"] += 1
        self._ledger.script_failure(
            script, error.finding, error.judgement, minimal=minimal, detected=self.detected
        )
        raise error

    def _hunt(
        self,
        cases: st.SearchStrategy[C],
        test: Callable[[C], Any],
        examples: int,
        *,
        shrinks: bool = True,
        shrink_s: float | None = None,
        found_as: str = "",
    ) -> Caught[C] | None:
        self._properties += 1
        repeats = self.profile.derandomised
        # A property that repeats itself draws by its key: every subject is asked the same.
        key = f"{self.claim.id}:{self._properties}" + ("" if repeats else f":{self.subject_name}")
        if found_as:
            key = database_key(self.claim.id, found_as, self.subject_name)
        effort = Effort(
            examples,
            None if repeats else self.seed + self._properties,
            self.out / "examples",
            self.profile.shrink_s if shrink_s is None else shrink_s,
            key,
            shrinks,
        )
        with drawing_without(self.examiner.abilities.lacking):
            return hunt(cases, test, effort)

    # -- the end --------------------------------------------------------------------------------

    def finish(self, verdict: VerdictWord | None = None, note: str = "") -> VerdictWord:
        """Write the claim's verdict on this subject: the one given, or what the counts say."""
        final = verdict or self.verdict or self._from_counts()
        seconds = time.monotonic() - self.started
        undrawn = len(self.examiner.abilities.lacking) if self._known else 0
        left_out = self.left_out.note(self.examiner.subject.torch, undrawn)
        notes = filter(None, (note or self.note, left_out))
        self._ledger.finish(
            final, self.counts, seconds, "; ".join(notes), self.outside, self.cells.counted
        )
        return final

    def _from_counts(self) -> VerdictWord:
        """Known deviations from other claims are counted, and do not change this one's verdict."""
        if self.registered:
            return "known deviation"
        if self.counts["conforms"] or self.counts["known deviation"]:
            return "conforms"
        return "unspecified" if self.counts["unspecified"] else "not exercised"
