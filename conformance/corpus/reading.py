"""Reading a corpus: every line by itself, so that a broken one costs no other."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import IO

from conformance.corpus.recorded import Recorded, recorded
from conformance.corpus.schema import FORMAT, CorpusError, Header, Line, decoded
from strategies.program import ProgramError

LONGEST = 16 << 20
"""Bytes of a line: more than any program has that is not left open for its size."""
_MAKES = "`autograd-conformance record --out FILE` makes one"


def shipped() -> Path:
    """The corpus that comes with the suite."""
    return Path(str(files("conformance") / "corpus" / "programs.jsonl.gz"))


@dataclass(slots=True)
class Corpus:
    """A file of programs; `broken` says, once it was read, what of it could not be."""

    file: Path
    header: Header
    broken: list[CorpusError] = field(default_factory=list)
    _lines: Iterator[bytes] = field(default_factory=lambda: iter(()))

    def __iter__(self) -> Iterator[Recorded]:
        """Every program that can be read; once only."""
        number, count = 1, 0
        try:
            for number, line in enumerate(self._lines, start=2):
                count += 1
                try:
                    yield recorded(decoded(line, Line, "a line of a corpus"))
                except RecursionError:
                    self._cannot(number, "This is nested too deeply for any program.")
                except (ProgramError, ValueError) as error:
                    self._cannot(number, error)
        except _Ends as error:
            self._cannot(number + 1, error)
            return
        if count != self.header.programs:
            self.broken.append(
                CorpusError(
                    f"{self.file} has {count} programs where its first line says "
                    f"{self.header.programs}."
                )
            )

    def _cannot(self, number: int, why: object) -> None:
        self.broken.append(CorpusError(f"{self.file}:{number}: {why}"))


class _Ends(Exception):
    """Nothing more can be read of a file."""


def read(file: Path) -> Corpus:
    """A corpus of which the first line was read; raises CorpusError if that cannot be."""
    lines = _lines(file)
    try:
        first = next(lines, b"")
    except _Ends as error:
        raise CorpusError(f"{file}: {error}") from None
    if not first.strip():
        raise CorpusError(f"{file} holds no corpus, nothing is in it; {_MAKES}.")
    try:
        header = decoded(first, Header, "the first line of a corpus")
    except ValueError as error:
        raise CorpusError(f"{file}:1: {error}") from None
    if header.corpus != FORMAT:
        raise CorpusError(
            f"{file} has corpus format {header.corpus} and this suite reads {FORMAT}; {_MAKES}."
        )
    return Corpus(file, header, _lines=lines)


def _lines(file: Path) -> Iterator[bytes]:
    """The lines of a compressed file, raises _Ends where it cannot be read further."""
    try:
        if not file.stat().st_size:
            return
        with gzip.open(file, "rb") as opened:
            yield from _short(opened)
    except gzip.BadGzipFile as error:
        raise _Ends(f"it is not compressed by gzip, or damaged ({error}); {_MAKES}.") from None
    except (EOFError, zlib.error) as error:
        raise _Ends(
            f"the file is cut off or damaged here ({str(error).rstrip('.')}); get it anew."
        ) from None
    except OSError as error:
        raise _Ends(f"it cannot be read ({error.strerror}); name the file of a corpus.") from None


def _short(opened: gzip.GzipFile | IO[bytes]) -> Iterator[bytes]:
    while line := opened.readline(LONGEST + 1):
        if len(line) > LONGEST:
            raise _Ends(f"a line is longer than {LONGEST} bytes, which no program's is.")
        yield line
