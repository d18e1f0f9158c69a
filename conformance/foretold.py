"""A program as a script that knows the verdict before any torch has run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from conformance.deviations import Deviation, named, register
from conformance.expectation import expectation
from conformance.model import predict
from conformance.oracle.answering import answer
from conformance.oracle.answers import Answer
from conformance.oracle.machine import OPINIONS, Machine
from conformance.tolerances import ORACLE_RTOL
from strategies.draft import Draft, check
from strategies.printer import Body, print_body
from strategies.program import Program
from strategies.script import Expectation, Known, looked_at, write_script
from strategies.table.changes import TABLES


def as_script(program: Program, machine: Machine, *, device: str, thorough: bool) -> str:
    """A program's script with what the model, the oracle and the register expect of torch.

    The device is one that `strategies.printer.is_device` accepts. Raises ProgramError if the
    program is none.
    """
    draft = check(program)
    prediction = predict(draft)
    found = answer(draft, prediction, machine, opinions=OPINIONS)
    body = print_body(draft, device=device)
    expected = expectation(draft, prediction, found, body, thorough=thorough)
    # What versions before it alone got wrong would hide what its own deviations make.
    entries = [d for d in register() if d.program and d.applies(f"eager-{device}", TABLES)]
    known = _Registered(draft, body, machine, found, thorough).known(entries, expected)
    return write_script(body, replace(expected, known=known), rtol=ORACLE_RTOL)


@dataclass(frozen=True, slots=True)
class _Registered:
    """What registered deviations make of a program with this answer."""

    draft: Draft
    body: Body
    machine: Machine
    answer: Answer
    thorough: bool

    def known(self, entries: Sequence[Deviation], documented: Expectation) -> Known | None:
        """What the entries make of the program together, None where that is what is documented.

        It is named as the judge names it: by the first entry that does the same alone, or by all
        without which it would be something else.
        """
        shown = self._expected(entries)
        text = looked_at(self.body, shown)
        if documented.undecided or text == looked_at(self.body, documented):
            return None
        alone = [[d] for d in entries if self._looked_at([d]) == text]
        needed = [d for d in entries if self._looked_at([e for e in entries if e != d]) != text]
        return Known(named(alone[0] if alone else needed), shown)

    def _expected(self, entries: Sequence[Deviation]) -> Expectation:
        quirks = frozenset(deviation.entry.quirk for deviation in entries)
        prediction = predict(self.draft, quirks=quirks)
        found = self.answer
        if found.values or not found.unspecified:
            found = answer(self.draft, prediction, self.machine, quirks=quirks, opinions=OPINIONS)
        return expectation(self.draft, prediction, found, self.body, thorough=self.thorough)

    def _looked_at(self, entries: Sequence[Deviation]) -> str:
        return looked_at(self.body, self._expected(entries))
