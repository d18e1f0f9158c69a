"""Running a program again before it is believed to hang."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conformance.subjects import Observation, Subject


def _nothing() -> None:
    """What is to be done meanwhile, where nothing is."""


@dataclass(slots=True)
class Patience:
    """Runs programs on a subject, and the first one that does not end in time once more: on a
    machine that has stood still for a while, the next worker ends in time.
    """

    subject: Subject
    _hangs: bool = False
    """Whether a program of this subject has hung twice in a row."""

    def run(
        self,
        body: str,
        observe: Sequence[str],
        *,
        timeout_s: float,
        watch: bool = False,
        flags: bool = True,
        retained: Sequence[str] = (),
        meanwhile: Callable[[], None] = _nothing,
    ) -> Observation:
        """What was seen; raises SubjectError if there is nobody to run it."""
        wanted = {"watch": watch, "flags": flags}

        def once(meanwhile: Callable[[], None]) -> Observation:
            return self.subject.run(
                body, observe, **wanted, retained=retained, timeout_s=timeout_s, meanwhile=meanwhile
            )

        seen = once(meanwhile)
        if seen.hang and not self._hangs:
            seen = once(_nothing)
            self._hangs = seen.hang
        return seen
