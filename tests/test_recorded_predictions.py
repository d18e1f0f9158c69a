"""The model says today what the corpus that ships has recorded of it: no torch and no oracle."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import cache
from itertools import islice

import msgspec
import pytest

from conformance.corpus.reading import shipped
from conformance.corpus.recorded import said
from conformance.corpus.schema import Line, Said
from conformance.model import predict
from conformance.oracle.answers import Answer
from strategies.draft import check
from strategies.program import decode, encode

_PARTS, _EACH = 12, 1
"""One line of so many is tried, in so many tests."""
_WITHOUT_NUMBERS = Answer({}, {}, "not asked")


@cache
def lines() -> tuple[Line, ...]:
    """Every so-manieth line of the corpus."""
    with gzip.open(shipped()) as file:
        return tuple(msgspec.json.decode(one, type=Line) for one in islice(file, 1, None, _EACH))


def part(number: int) -> Iterator[Line]:
    return islice(lines(), number, None, _PARTS)


def by_rules(recorded: Said) -> Said:
    """What the model alone knows of it."""
    tensors = {
        name: msgspec.structs.replace(tensor, numbers=None)
        for name, tensor in recorded.tensors.items()
    }
    open_ = recorded.open if recorded.steps is not None else _WITHOUT_NUMBERS.unspecified
    return msgspec.structs.replace(recorded, tensors=tensors, gradients={}, open=open_)


@pytest.mark.parametrize("number", range(_PARTS))
def test_the_model_says_what_is_recorded(number: int) -> None:
    """Errors, flags, versions, memory, and which leaves get a gradient; with quirks and without."""
    for line in part(number):
        draft = check(decode(bytes(line.program)))
        for quirks, recorded in (((), line.said), *((u.quirks, u.said) for u in line.under)):
            prediction = predict(draft, quirks=frozenset(quirks))
            assert said(prediction, _WITHOUT_NUMBERS) == by_rules(recorded), draft.program
            if recorded.gradients:
                graded = {name for name, entries in recorded.gradients.items() if entries}
                assert graded == {name for name, there in prediction.graded.items() if there}


def test_programs_are_read_and_written_as_they_were() -> None:
    """The codec gives back the bytes that the corpus holds."""
    for line in lines():
        program = decode(bytes(line.program))
        assert encode(program) == bytes(line.program) and decode(encode(program)) == program
