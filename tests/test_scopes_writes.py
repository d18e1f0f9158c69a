"""The scopes of claims about what is written: each search beyond one finds what it is for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy

from conformance.claims import (
    _moving,
    _operators,
    _plain_form,
    test_dtypes,
    test_guided,
    test_overwriting,
)
from conformance.claims._activations import ACTIVATIONS
from conformance.claims._methods import METHODS, SETUP, Method
from conformance.claims._promotion import broadcasts_into, plain_dtype
from conformance.claims._targets import FLOATS, Target
from conformance.claims.catalogue import find_claim
from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.profiles import PROFILES
from conformance.records import Counterexample, Finish, RecordWriter, read_run
from conformance.subjects import ErrorSeen, Observation, Subject, TensorSeen
from conformance.trial import Script, Trial
from tests.tampering import Change, Tampered

TWINS = [method for method in METHODS.values() if method.plain]
SCRIPTS: dict[str, SearchStrategy[Script]] = {
    "relu-input-changed": test_overwriting.activation_scripts(
        among=tuple(ACTIVATIONS), dtypes=FLOATS
    ),
    "inplace-same-storage": _moving.same_storage_scripts(
        among=list(METHODS.values()), operators=_operators.OPERATORS
    ),
    "inplace-equals-functional": _plain_form.cases(among=TWINS).map(_plain_form.as_claimed),
    "guided-relu": test_guided.scripts(),
    "errata-complex-grad": test_dtypes.asked(),
}
CONDITIONS: dict[str, set[str]] = {
    "relu-input-changed": {test_overwriting.IDLE},
    "inplace-same-storage": {_moving.MOVES, _moving.TAKES, _moving.REBINDS},
    "inplace-equals-functional": {
        _plain_form.ALIASED,
        _plain_form.SHAPE,
        _plain_form.DTYPE,
        _plain_form.MATRIX,
        _plain_form.COMPLEX,
        _plain_form.ORDER,
    },
    "guided-relu": {test_guided.NOT_FINITE},
    "errata-complex-grad": {test_dtypes.WHOLE},
}
CLAIMS: dict[str, Callable[[Trial], None]] = {
    value.claim_id: value
    for module in (test_dtypes, test_guided, test_overwriting)
    for value in vars(module).values()
    if hasattr(value, "claim_id")
}
Start = Callable[..., Trial]


@pytest.fixture
def put(tmp_path: Path, local: Subject, machine: Machine) -> Iterator[Start]:
    """Put a claim on trial on the torch of this process, its answers changed or not."""
    with RecordWriter(tmp_path) as writer:

        def start(claim: str, change: Change | None = None, kind: type[Trial] = Trial) -> Trial:
            subject = Tampered(local, change) if change else local
            # A search that finds nothing need not be long to be noted.
            searched = 500 if kind is Trial else 60
            profile = replace(PROFILES["quick"], shrink_s=60.0, searched=searched)
            examiner = Examiner(subject, machine)
            trial = kind(find_claim(claim), examiner, profile, 0, writer, tmp_path)
            trial.begin()
            return trial

        yield start


def ended(trial: Trial) -> tuple[dict[str, Counterexample], Finish]:
    """The counterexamples by title, and how the claim finished."""
    trial.finish()
    trial.records.close()
    attempt = read_run(trial.out).attempts[trial.claim.id, "eager-cpu"]
    assert attempt.finish is not None
    return {found.title: found for found in attempt.counterexamples}, attempt.finish


# -- what is drawn


@pytest.mark.parametrize("claim", sorted(SCRIPTS))
def test_strategy_draws_every_side_of_the_scope(claim: str) -> None:
    """One strategy draws inside and outside the scope, each often enough to be filtered for."""
    sides: Counter[str] = Counter()

    @settings(max_examples=600, database=None, derandomize=True, deadline=None)
    @given(SCRIPTS[claim])
    def count(script: Script) -> None:
        sides[script.beyond] += 1

    count()
    assert set(sides) == {"", *CONDITIONS[claim]}
    assert min(sides.values()) > 0.06 * sides.total(), sides


# -- what is found

FOUND = (
    ("relu-input-changed", "writes nothing", r"x, 0\.5, training=False, inplace=True\)"),
    ("relu-input-changed", "returns its input", r"training=False, inplace=False\)"),
    ("inplace-same-storage", "at another address", r"out = x\.resize_\(3\)"),
    ("inplace-same-storage", "another storage", r"out = x\.set_\(y\)"),
    ("inplace-same-storage", "binds a new tensor", r"x @= y"),
    ("inplace-equals-functional", "read while it is written", r"y = x\[\.\.\., :1\]"),
    ("inplace-equals-functional", "is refused", r"y = x\[:1\]"),
    ("inplace-equals-functional", "another shape", r"x\.add_\(y\)"),
    ("inplace-equals-functional", "wider kind of dtype", r"dtype=torch\.(int64|bool)"),
    ("inplace-equals-functional", "is cast", r"x\.logical_not_\(\)"),
    ("inplace-equals-functional", "not contiguous", r"x\.addmm_\(left, right\)"),
    ("inplace-equals-functional", "Complex products", r"dtype=torch\.complex64"),
    ("inplace-equals-functional", "order of memory", r"x\.bernoulli_\(0\.5\)"),
    ("guided-relu", "zero times infinity", r"GuidedBackpropReLU\.apply\(step0\)"),
    ("errata-complex-grad", "integer tensor", r"x\.clone\(\)\.requires_grad_\(\)"),
)
"""Claim, words of what is shown beyond its scope, and a pattern of the script that shows it."""


@pytest.mark.parametrize("claim", sorted(SCRIPTS))
def test_searches_find_their_counterexamples(claim: str, put: Start) -> None:
    """Each search finds its own kind of failure, shrunk to a script that one would write."""
    trial = put(claim)
    CLAIMS[claim](trial)
    found, finish = ended(trial)
    assert finish.verdict == "conforms" and finish.outside is not None and finish.outside.found
    wanted = [(title, text) for of, title, text in FOUND if of == claim]
    assert len(found) == len(wanted)
    for title, text in wanted:
        (shown,) = (example for name, example in found.items() if title in name)
        body = shown.script.split("facts = {}\n")[1]
        assert re.search(text, body), body
        assert body.index("print(") < 1100, body


# -- what is not found


class Searching(Trial):
    """A trial that leaves out whatever is within the scope."""

    def once(self, script: Script) -> None:
        """Do nothing: the script is within the scope."""

    def scripts(self, scripts: SearchStrategy[Script], *, examples: int | None = None) -> None:
        """Do nothing: the scripts are within the scope."""


def raising(body: str, seen: Observation) -> Observation:
    """A subject that raises what no claim is about, at the end of every script."""
    lines = len(body.splitlines())
    error = ErrorSeen(class_name="RuntimeError", message="out of order", line=lines)
    return Observation(error=error)


@pytest.mark.parametrize("claim", sorted(SCRIPTS))
def test_searches_are_not_for_any_exception(claim: str, put: Start) -> None:
    """A subject that raises something else leaves the claim not exercised, and the note says so."""
    trial = put(claim, raising, kind=Searching)
    CLAIMS[claim](trial)
    found, finish = ended(trial)
    assert not found and finish.verdict == "not exercised"
    titles = [title for of, title, _ in FOUND if of == claim]
    assert finish.note.count("outside the scope") == len(titles)
    assert all(title in finish.note for title in titles)


def whole(body: str, seen: Observation) -> Observation:
    """A subject on which x always holds what the plain form gave."""
    values = dict(seen.values)
    x, plain = values.get("x"), values.get("plain")
    if isinstance(x, TensorSeen) and isinstance(plain, TensorSeen):
        values["x"] = msgspec.structs.replace(plain, storage=77)
    return msgspec.structs.replace(seen, values=values)


def test_scope_that_has_changed(put: Start) -> None:
    """Where x always holds what plain gave, only the searches for errors find anything."""
    trial = put("inplace-equals-functional", whole, kind=Searching)
    CLAIMS[trial.claim.id](trial)
    found, finish = ended(trial)
    assert sorted(found) == [
        "A result of a wider kind of dtype cannot be written",
        "A result of another shape cannot be written",
        "An operand that is a part of the target is refused, where torch can tell",
    ]
    assert finish.verdict == "not exercised" and "Complex products" in finish.note


# -- the rules that say which side a script is on


@pytest.mark.parametrize("method", TWINS, ids=lambda method: method.name)
def test_dtype_of_the_plain_form(method: Method) -> None:
    """The table says which dtype the plain form has, wherever torch computes it."""
    dtypes = "float64 float32 int64 complex128 bool bfloat16 float16 uint8".split()
    scalars = (False, True) if method.takes_y and method.shapes == "any" else (False,)
    others = dtypes if method.takes_y else [""]
    compared = 0
    for x, y, *flat in product(dtypes, others, scalars, scalars):
        seen = _dtype_seen(method, x, y, *flat)
        if seen is not None:
            compared += 1
            assert plain_dtype(method, x, y, x_scalar=flat[0], y_scalar=flat[1]) == seen
    assert compared >= 2


def _dtype_seen(method: Method, x: str, y: str, x_scalar: bool, y_scalar: bool) -> str | None:
    shape = method.example("contiguous").shape
    lines = [Target("x", (1.0, 2.0), () if x_scalar else shape, x).text]
    if y:
        lines.append(Target("y", (1.0, 2.0), () if y_scalar else shape, y).text)
    lines += [SETUP[name] for name in method.given]
    space: dict[str, object] = {"torch": torch, "DEVICE": "cpu"}
    exec("\n".join(lines), space)
    try:
        exec(f"plain = x.{method.name[:-1]}({method.arguments})", space)
    except (RuntimeError, TypeError):
        return None
    plain = space["plain"]
    assert isinstance(plain, torch.Tensor)
    return str(plain.dtype).removeprefix("torch.")


@pytest.mark.parametrize(
    ("x", "y", "fits"),
    [
        ((2, 3), (2, 3), True),
        ((2, 3), (3,), True),
        ((2, 3), (1, 1), True),
        ((2, 3), (), True),
        ((), (2,), False),
        ((1, 3), (2, 3), False),
        ((0,), (2, 0), False),
    ],
)
def test_what_broadcasts_into(x: tuple[int, ...], y: tuple[int, ...], fits: bool) -> None:
    """The result has the target's shape exactly where torch says so."""
    assert broadcasts_into(x, y) is fits
    assert (torch.broadcast_shapes(x, y) == x) is fits
