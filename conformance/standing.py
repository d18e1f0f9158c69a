"""Whether a registered deviation still shows on a subject."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.deviations import Deviation, Entry
from conformance.examine import Examiner
from conformance.records import DeviationStatus
from conformance.script_verdict import Asked, Code, Judgement
from conformance.scripts import Script
from conformance.subjects import JsonSeen, Subject

_SCRIPT_S = 120.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of an entry, the script that shows it, and what was seen or why nobody can tell.

    `not exercised` says nothing of the entry: its program was not judged, or its script did not
    reach its end.
    """

    status: DeviationStatus
    script: str = ""
    note: str = ""


def standing(examiner: Examiner, deviation: Deviation) -> Standing:
    """Run an entry's program or script; raises SubjectError if there is nobody to run it."""
    entry = deviation.entry
    if deviation.program is None:
        return _by_script(examiner.subject, entry)
    judged = examiner.examine(deviation.program)
    script = judged.script(header=(entry.title,))
    shown = [known.entry.id for known in judged.deviations]
    if entry.id in shown:
        return Standing("still", script)
    if judged.verdict == "deviates":
        found = judged.gravest
        return Standing("deviates", script, f"{found.kind}: {found.message}")
    if judged.verdict in ("conforms", "known deviation"):
        return Standing("unexpectedly conforms", script, ", ".join(shown))
    return Standing("not exercised", script, judged.reason)


def _by_script(subject: Subject, entry: Entry) -> Standing:
    """What the script said in `facts`; one that raises or says nothing decides nothing."""
    asked = [Asked("_stands", (entry.id, Code("facts")))]
    whole = Script(entry.script, ("facts",), lambda observation: Judgement([]))
    judgement = Judgement([], asked, raising="unspecified: the script raises")
    text = whole.judging(subject.device, judgement, (entry.title,))
    observation = subject.run(entry.script, ["facts"], timeout_s=_SCRIPT_S)
    if observation.hang:
        return Standing("deviates", text, "hang: the script did not end in time")
    if observation.crash:
        return Standing("deviates", text, f"crash: the worker died: {observation.crash}")
    if observation.error is not None:
        error = observation.error
        return Standing(
            "not exercised", text, f"its script raised {error.class_name}: {error.message}"
        )
    facts = observation.values.get("facts")
    held = facts.json if isinstance(facts, JsonSeen) else None
    said = held.get("deviates") if isinstance(held, dict) else None
    if not isinstance(said, bool):
        return Standing("not exercised", text, 'its script set no facts["deviates"]')
    return Standing("still" if said else "unexpectedly conforms", text)
