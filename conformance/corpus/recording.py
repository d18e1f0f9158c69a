"""Making a corpus: chosen programs, and what the model and the oracle say of them today."""

from __future__ import annotations

import gzip
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from conformance.corpus.choosing import Candidate
from conformance.corpus.recorded import recorded, said
from conformance.corpus.schema import FORMAT, CorpusError, Header, Line, Said, Under
from conformance.deviations import register
from conformance.examine import ModelAndOracle
from conformance.transform_causes import CAUSES
from conformance.usage import installed
from strategies.draft import Draft, check
from strategies.program import encode
from strategies.table.changes import TABLES

_MOST_QUIRKS = 3
"""A program's registered deviations; each set of them is recorded."""


_PRESENT = frozenset(
    deviation.entry.quirk
    for deviation in register()
    if deviation.program and deviation.applies("eager-cpu", TABLES)
)
"""The quirks of the torch that the op table is of."""


class LeftOut(Exception):
    """A program is not recorded; the message is the reason."""


@dataclass(slots=True)
class Recording:
    """Lines so far, the cells that they have, and why other programs were left out."""

    seed: int
    by: ModelAndOracle
    lines: list[bytes] = field(default_factory=list)
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    quirks: frozenset[str] = field(
        default_factory=lambda: frozenset(
            d.entry.quirk for d in register() if d.program and d.entry.quirk not in CAUSES
        )
    )

    def fill(self, chosen: Iterable[Candidate], count: int, tick: Callable[[int], None]) -> None:
        """Record the first programs that model and oracle decide, until there are so many."""
        for candidate in chosen:
            if len(self.lines) >= count:
                return
            try:
                self.lines.append(self._line(candidate))
            except LeftOut as reason:
                self.left_out[str(reason)] += 1
            else:
                self.cells.update(candidate.cells)
                tick(1)

    def write(self, file: Path) -> None:
        """Write the corpus, whole or not at all; the same bytes each time.

        Raises CorpusError where nothing can be written.
        """
        header = Header(
            FORMAT,
            installed("autograd-conformance"),
            self.seed,
            len(self.lines),
            tuple(sorted(self.quirks)),
        )
        text = b"".join(line + b"\n" for line in (msgspec.json.encode(header), *self.lines))
        unfinished = file.with_name(file.name + ".part")
        try:
            unfinished.write_bytes(gzip.compress(text, 9, mtime=0))
            os.replace(unfinished, file)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            raise _unwritable(file, error) from None

    def _line(self, candidate: Candidate) -> bytes:
        """The program's line, as it is read back."""
        draft = check(candidate.program)
        line = Line(
            msgspec.Raw(encode(candidate.program)), self._documented(draft), self._under(draft)
        )
        recorded(line)
        return msgspec.json.encode(line)

    def _documented(self, draft: Draft) -> Said:
        """What is documented; raises LeftOut where that leaves something open."""
        prediction = self.by.predict(draft)
        if prediction.left_open:
            raise LeftOut("the model leaves it open")
        found = self.by.answer(draft, prediction)
        if not found.unspecified:
            found = self.by.answer(draft, prediction, again=True)
        if found.gave_up:
            raise LeftOut("too large for the oracle")
        if found.unspecified:
            ill = found.unspecified.startswith("ill-conditioned")
            raise LeftOut("ill-conditioned" if ill else "the oracle leaves it open")
        return said(prediction, found)

    def _under(self, draft: Draft) -> tuple[Under, ...]:
        """What each set of quirks says, of those that change anything.

        Those of the table's torch and those of others alone are never at work together, and could
        hide each other.
        """
        nothing, present = self._quickly(draft, frozenset()), self._quickly(draft, _PRESENT)
        if nothing == present == self._quickly(draft, self.quirks - _PRESENT):
            return ()
        each = sorted(q for q in self.quirks if self._quickly(draft, frozenset({q})) != nothing)
        if self._quickly(draft, _PRESENT.intersection(each)) != present:
            raise LeftOut("registered deviations show only together")
        if len(each) > _MOST_QUIRKS:
            raise LeftOut("too many registered deviations")
        sets = [s for n in range(len(each)) for s in itertools.combinations(each, n + 1)]
        return tuple(Under(s, self._with(draft, frozenset(s), again=True)) for s in sets)

    def _quickly(self, draft: Draft, quirks: frozenset[str]) -> Said:
        return self._with(draft, quirks, again=False)

    def _with(self, draft: Draft, quirks: frozenset[str], *, again: bool) -> Said:
        prediction = self.by.predict(draft, quirks=quirks)
        return said(prediction, self.by.answer(draft, prediction, quirks=quirks, again=again))


def check_writable(file: Path) -> None:
    """Raise CorpusError unless a file can be made there: before long work, not after it."""
    if file.is_dir():
        raise CorpusError(f"{file} cannot be written: it is a folder; name a file in it.")
    unfinished = file.with_name(file.name + ".part")
    try:
        unfinished.touch()
        unfinished.unlink()
    except OSError as error:
        raise _unwritable(file, error) from None


def _unwritable(file: Path, error: OSError) -> CorpusError:
    return CorpusError(
        f"{file} cannot be written ({error.strerror}); name a file in a folder that is there."
    )
