"""What a campaign has done, in `campaign.jsonl`: a line for each chunk, written as it ends.

A campaign that is killed at any moment goes on from there: a line that was cut off is its chunk's,
which is judged again.
"""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from conformance._record_lines import encode, open_to_append, read_lines
from conformance.fuzz.chunks import Done
from conformance.records import RecordError
from conformance.usage import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

NAME = "campaign.jsonl"
FORMAT = 1


class Header(Struct, frozen=True, tag="campaign"):
    """What the programs and verdicts depend on besides their numbers."""

    format: int
    subject: str
    torch: str
    suite: str
    seed: int


class Told(Struct, frozen=True, tag="told"):
    """That a program which deviates was shrunk, and stands in the records of the run."""

    index: int
    program: str
    """The id of what it was shrunk to."""


class Journal:
    """The file, open to append to; raises RecordError if it cannot be read or written.

    Raises UsageError if it is of another campaign than the header's.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.path = folder / NAME
        self.done: dict[int, Done] = {}
        self.told: dict[int, str] = {}
        self.broken: list[str] = []
        """Lines that could not be read, the last one, which a kill cut off, not among them."""
        self.began = False
        """Whether the campaign had begun before."""
        self._read(header)
        try:
            self._file: FileIO = open_to_append(self.path)
        except OSError as error:
            raise self._unwritten(error) from error
        if not self.began:
            self._append(header)

    def _read(self, header: Header) -> None:
        try:
            lines = list(read_lines(self.path, Header | Done | Told, self.broken))
            size = self.path.read_bytes().count(b"\n") if self.path.exists() else 0
        except OSError as error:
            raise RecordError(f"{self.path} cannot be read ({error.strerror or error}).") from error
        self.broken = [text for text in self.broken if f"{self.path}:{size + 1}:" not in text]
        for _, line in lines:
            if isinstance(line, Header):
                _check_same(line, header)
                self.began = True
            elif isinstance(line, Done):
                self.done.setdefault(line.first, line)
            else:
                self.told[line.index] = line.program

    def chunk(self, done: Done) -> None:
        """Note a chunk as it ends."""
        self._append(done)
        self.done[done.first] = done

    def tell(self, index: int, program: str) -> None:
        """Note a program that deviates as told of."""
        self._append(Told(index, program))
        self.told[index] = program

    def _append(self, line: Header | Done | Told) -> None:
        text = encode(line) + b"\n"
        try:
            while text:
                text = text[self._file.write(text) :]
        except OSError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: OSError) -> RecordError:
        return RecordError(
            f"{self.path} cannot be written ({error.strerror or error}); choose another folder "
            "with --out."
        )

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _check_same(before: Header, now: Header) -> None:
    for what, one, other in (
        ("of the subject", before.subject, now.subject),
        ("on torch", before.torch, now.torch),
        ("by version", before.suite, now.suite),
        ("in format", before.format, now.format),
    ):
        if one != other:
            raise UsageError(
                f"The campaign in this folder was begun {what} {one}, and this is {other}; go on "
                "as it was begun, or leave --resume out to begin another."
            )
