"""JSON Lines files that are read to the end whatever is broken in them, plain or compressed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedIOBase, FileIO
from pathlib import Path
from typing import Any, cast

import msgspec


def read_lines(
    path: Path, kind: Any, broken: list[str], *, replaced: tuple[bytes, bytes] | None = None
) -> Iterator[tuple[int, Any]]:
    """Decode a file line by line; what is no such line goes to `broken` as file:line: sentence.

    A line that begins with the first of `replaced` is left out if the next one begins with the
    second and goes on with the same fields: half of a run's lines name what is about to run, and
    the next one says what became of it.
    """
    if not path.exists():
        return
    decode = msgspec.json.Decoder(kind).decode
    lines = _raw_lines(path, broken)
    for number, line in enumerate(lines if replaced is None else _without(lines, *replaced), 1):
        if not line:
            continue
        try:
            yield number, decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if not line.isspace():
                cut = "" if line.endswith(b"\n") else "the line was cut off: "
                broken.append(f"{path}:{number}: not a record and left out ({cut}{error})")


def _without(lines: Iterable[bytes], before: bytes, after: bytes) -> Iterator[bytes]:
    """The same lines, those that are left out empty, each after the next one has been seen."""
    waiting = b""
    for line in lines:
        if waiting:
            yield b"" if line.startswith(after + waiting[len(before) : -2]) else waiting
            waiting = b""
        if line.startswith(before) and line.endswith(b"}\n"):
            waiting = line
        else:
            yield line
    if waiting:
        yield waiting


def _raw_lines(path: Path, broken: list[str]) -> Iterator[bytes]:
    number = 0
    with _open_to_read(path) as file:
        try:
            for line in file:
                yield line
                number += 1
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            here = f"{path}:{number + 1}"
            broken.append(f"{here}: the compressed file is damaged from here on ({error})")


def _open_to_read(path: Path) -> BufferedIOBase:
    return cast(BufferedIOBase, gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def open_to_append(path: Path) -> FileIO:
    """A file without a buffer, so that each write is flushed; an open last line is closed."""
    file = path.open("ab+", buffering=0)
    if file.tell():
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file


def encode(obj: object) -> bytes:
    """One line of JSON without its end."""
    try:
        return msgspec.json.encode(obj)
    except UnicodeEncodeError:
        # A subject's message may hold lone surrogates, which JSON in UTF-8 cannot.
        return msgspec.json.encode(_without_surrogates(msgspec.to_builtins(obj)))


def _without_surrogates(obj: object) -> object:
    if isinstance(obj, str):
        return obj.encode("utf-8", "backslashreplace").decode()
    if isinstance(obj, dict):
        return {key: _without_surrogates(value) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [_without_surrogates(value) for value in obj]
    return obj
