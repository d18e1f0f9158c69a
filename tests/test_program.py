"""The JSON form of programs, and its document."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.model import Kind
from conformance.subjects import InProcessSubject
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import Shaped, check
from strategies.drawing import programs
from strategies.parameters import KINDS
from strategies.program import (
    FORMAT,
    RECORDS,
    Apply,
    Backward,
    Data,
    Generated,
    Leaf,
    Number,
    Program,
    ProgramError,
    check_name,
    decode,
    encode,
    inferring,
    recording,
)
from strategies.recipe import DEFAULT
from strategies.refusals import CASTING
from strategies.table import TABLE
from strategies.values import GENERATORS, splitmix64
from tests._agreement import agree

DOCUMENT = (Path(__file__).parents[1] / "docs" / "program-format.md").read_text("utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
ODD = replace(DEFAULT, odd=60, most_steps=6)
LEAF = {"name": "a", "shape": [2], "data": [1.0, 2.0]}
EXP = {"do": "apply", "op": "exp", "args": ["a"], "to": ["b"]}


def as_json(**changes: Any) -> str:
    """A good program as JSON, with some fields changed."""
    return json.dumps({"leaves": [LEAF], "steps": [EXP], **changes})


@given(programs())
def test_every_program_survives_the_round_trip(program: Program) -> None:
    text = encode(program)
    assert decode(text) == program
    assert encode(decode(text)) == text
    assert b"\n" not in text


NUMBERS: st.SearchStrategy[Number] = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(("nan", "inf", "-inf"))
)


@given(st.lists(NUMBERS))
def test_every_float_survives_the_round_trip(values: list[Number]) -> None:
    leaf = Leaf("a", (len(values),), values)
    again = decode(encode(Program((leaf,), ())))
    assert repr(again.leaves[0].data) == repr(values)


def test_the_id_is_of_the_content() -> None:
    program = build(Seeded(1, 1))
    again = decode(encode(program))
    assert re.fullmatch("[0-9a-f]{16}", program.id)
    assert again is not program and again.id == program.id
    assert Program(program.leaves, program.steps[:-1]).id != program.id


def test_the_id_does_not_depend_on_how_the_json_is_written() -> None:
    spread = json.dumps(json.loads(as_json(format=FORMAT)), indent=4)
    assert decode(spread).id == decode(as_json()).id


def test_names_come_in_the_order_in_which_tensors_come_to_be() -> None:
    several = Apply("unbind", ("a",), to=("c", "d"))
    write = Apply("mul_", ("c", 2.0))
    program = Program((Leaf("a", (2,), [1.0, 2.0]),), (several, write, Backward(("d",))))
    assert program.names == ("a", "c", "d")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[", "not a program: Expected `object`, got `array`"),
        ("{", "not a program: Input data was truncated"),
        (as_json(extra=1), "unknown field `extra`"),
        (json.dumps({"leaves": []}), "missing required field `steps`"),
        (as_json(leaves=[{**LEAF, "grad": True}]), r"unknown field `grad` - at `\$\.leaves\[0\]`"),
        (as_json(leaves=[{"name": "a", "shape": [2]}]), r"required field `data` - at `\$\.leaves"),
        (as_json(leaves=[{**LEAF, "dtype": "float32"}]), "'float32' - at .*dtype"),
        (as_json(leaves=[{**LEAF, "shape": [1.5]}]), r"Expected `int`, got `float` - at .*shape"),
        (as_json(leaves=[{**LEAF, "data": ["x", 1.0]}]), r"'x' - at `\$\.leaves\[0\]\.data\[0\]`"),
        (as_json(leaves=[{**LEAF, "data": {"generator": "dyadic"}}]), "missing required .*seed"),
        (as_json(steps=[{**EXP, "do": "jump"}]), r"'jump' - at `\$\.steps\[0\]\.do`"),
        (as_json(steps=[{"op": "exp", "args": ["a"]}]), "missing required field `do`"),
        (as_json(steps=[{**EXP, "args": [None]}]), r"got `null` - at `\$\.steps\[0\]\.args\[0\]`"),
        (as_json(steps=[{**EXP, "modes": ["@inference_mode"]}]), "'@inference_mode' - at"),
        (
            as_json(steps=[{"do": "backward", "of": ["a"], "via": "method"}]),
            r"'method' - at `\$\.steps\[0\]\.via`",
        ),
        (as_json(steps=[{"do": "backward", "of": ["a"], "to": []}]), "unknown field `to`"),
        (as_json(format=2), "Program format 2 is unknown; this suite reads 1"),
        (as_json().replace("1.0", "NaN"), "JSON is malformed"),
        (as_json().replace("1.0", "1e999"), "Number out of range"),
        (b"\xff\xfe", "JSON is malformed"),
    ],
)
def test_a_wrong_form_is_refused_with_its_place(text: str | bytes, sentence: str) -> None:
    with pytest.raises(ProgramError, match=sentence) as caught:
        decode(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a", "x10", "long_name_of_a_tensor_24"])
def test_short_identifiers_are_names(name: str) -> None:
    check_name(name, "leaf")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "1a",
        "_a",
        "a-b",
        "a b",
        "if",
        "torch",
        "watch",
        "é",
        "a\n",
        "a" * 25,
        "a;import os",
    ],
)
def test_nothing_else_is_a_name(name: str) -> None:
    with pytest.raises(ProgramError, match="^leaf: .* cannot be a tensor's name"):
        check_name(name, "leaf")


@pytest.mark.parametrize(
    ("modes", "records"),
    [
        ((), True),
        (("no_grad",), False),
        (("no_grad", "@enable_grad"), True),
        (("enable_grad", "inference_mode"), False),
        (("inference_mode", "enable_grad"), False),
    ],
)
def test_the_innermost_mode_decides(modes: Any, records: bool) -> None:
    """But nothing inside inference mode ends it."""
    assert recording(modes) is records
    assert inferring(modes) is ("inference_mode" in modes)


def test_equal_programs_are_equal_values() -> None:
    data: Data = Generated("dyadic", 3)
    one, two = (Program((Leaf("a", (2,), data),), (Apply("exp", ("a",)),)) for _ in range(2))
    assert one == two
    with pytest.raises(AttributeError):
        one.leaves = ()  # type: ignore[misc]


ENDS: dict[str, tuple[int, Kind] | None] = {
    "saved": (3, Kind.SAVED_MODIFIED),
    "no-grad": None,
    "mask": None,
    "in-place": (9, Kind.SAVED_MODIFIED),
    "inference": (4, Kind.INFERENCE_SAVED),
    "inputs": None,
    "refused": (4, Kind.VIEW_STRIDE),
}
"""What the document says of its examples: the step that must raise, if any, and how."""


@pytest.mark.parametrize(
    ("text", "end"), list(zip(EXAMPLES, ENDS.values(), strict=True)), ids=list(ENDS)
)
def test_the_documents_examples_do_what_it_says(text: str, end: tuple[int, Kind] | None) -> None:
    program = decode(text)
    assert decode(encode(program)) == program
    raises = agree(check(program), InProcessSubject("here"), watched=False).raises
    assert (raises and (raises.step + 1, raises.kind)) == end


def _refused_steps() -> list[Shaped]:
    """The steps that torch refuses among drawn programs."""
    drafts = [check(build(Seeded(4, index), ODD)) for index in range(1000)]
    steps = [step for draft in drafts for step in draft.shaped]
    return [step for step in steps if isinstance(step, Shaped) and step.refused]


def test_the_document_names_what_torch_refuses_and_what_moves_no_element() -> None:
    """The tables have every reason of a refusal, and every row that changes no element."""
    names = re.findall(r"`(\w+_?)`", " ".join(re.findall(r"^\| (`\w+_`.*?) \|", DOCUMENT, re.M)))
    rows = [row for row in TABLE.values() if row.in_place and (row.moves or row.relabels)]
    assert set(names) == {f"{row.name}_" for row in rows}
    table = DOCUMENT.split("### Steps that torch refuses")[1].split("###")[0]
    reasons = re.findall(r"^\| ([a-z][\w -]+) \| ", table, re.MULTILINE)
    assert reasons[0] == "reason" and [Kind(reason) for reason in reasons[1:]]
    refused = {s.refused for s in _refused_steps()}
    assert set(reasons[1:]) == refused
    casting = re.search(r"`bool` or `int64` tensor: (.*)\|", table)
    assert casting and set(re.findall(r"`(\w+)_`", casting[1])) == CASTING | {"sub"}
    forms = [(name, row) for row in TABLE.values() for name in row.names if row.undifferentiable]
    both = ("always", "in self")
    underived = {n for n, row in forms if n.endswith("_") or row.undifferentiable in both}
    said = DOCUMENT.split("### Operations without a derivative")[1].split("recorded")[0]
    assert set(re.findall(r"`(\w+)`", said)) == underived


def test_the_document_has_every_field_generator_mode_and_kind() -> None:
    rows = set(re.findall(r"^\| `([^`]*[^`_])`", DOCUMENT, re.MULTILINE))
    fields = {
        field for kind in (Program, Leaf, Apply, Backward) for field in kind.__struct_fields__
    }
    assert rows == fields | {"do"} | set(GENERATORS) | set(KINDS)
    assert all(f'`"{mode}"`' in DOCUMENT for mode in RECORDS)


def test_the_documents_splitmix64_is_the_suites() -> None:
    (text,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    words = _documented_words(text, seed=42, count=5)
    assert words == list(islice(splitmix64(42), 5))


def _documented_words(text: str, *, seed: int, count: int) -> list[int]:
    """Run the document's generator with every line's arithmetic taken modulo 2 ** 64."""
    exact = re.sub(r"^(\s+)(state|z) = (.*)$", r"\1\2 = (\3) & (2**64 - 1)", text, flags=re.M)
    space: dict[str, Any] = {}
    exec(compile(exact, "document", "exec"), space)
    stream = space["splitmix64"](seed)
    return [next(stream) for _ in range(count)]
