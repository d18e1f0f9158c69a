"""How long a subject is waited for, and how often: what judges a program asks for it here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conformance.subjects import Observation, Subject
from strategies.printer import Body


@dataclass(slots=True)
class Patience:
    """What runs programs on a subject, each for so long.

    The first program that does not end in time is run again: on a machine that has stood still for
    a while, the next worker ends in time.
    """

    subject: Subject
    timeout_s: float
    _hangs: bool = False
    """Whether a program of this subject has hung twice in a row."""

    def seen(
        self,
        body: Body,
        observe: Sequence[str],
        *,
        watch: bool = False,
        flags: bool = True,
        retained: Sequence[str] = (),
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Observation:
        """What was seen; raises SubjectError if there is nobody to run it.

        `meanwhile` is called once, as `Subject.run` says.
        """

        def run(meanwhile: Callable[[], None]) -> Observation:
            return self.subject.run(
                body.text,
                observe,
                watch=watch,
                flags=flags,
                retained=retained,
                timeout_s=self.timeout_s,
                meanwhile=meanwhile,
            )

        seen = run(meanwhile)
        if seen.hang and not self._hangs:
            seen = run(lambda: None)
            self._hangs = seen.hang
        return seen
