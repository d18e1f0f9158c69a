"""Searches beyond the scopes of claims on layers: what they find, and what if they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import find
from hypothesis.strategies import SearchStrategy

from conformance.claims import _operands, _twins, test_errata, test_memory, test_modules
from conformance.claims._activations import ACTIVATIONS
from conformance.claims._layers import LAYERS
from conformance.claims.catalogue import find_claim
from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.profiles import PROFILES
from conformance.records import Counterexample, RecordWriter, RunRecords, read_run
from conformance.subjects import InProcessSubject, JsonSeen, Observation, Subject, TensorSeen
from conformance.trial import Script, Trial
from tests.tampering import Change, Tampered

CLAIMS: dict[str, Callable[[Trial], None]] = {
    value.claim_id: value
    for module in (test_errata, test_memory, test_modules)
    for value in vars(module).values()
    if hasattr(value, "claim_id")
}
HERE = InProcessSubject("eager-cpu")

FINDS = (
    (
        "module-equals-functional",
        "by default",
        ["m = nn.RReLU().to(", "F.rrelu(function_leaf)\n"],
        "nn.RReLU and its function give the same gradient of the input",
    ),
    (
        "module-equals-functional",
        "training modes",
        ["m = nn.RReLU().to(", "F.rrelu(function_leaf, training=False)\n"],
        "nn.RReLU and its function give the same gradient of the input",
    ),
    (
        "module-equals-functional",
        "seeds",
        ["m = nn.RReLU().to(", "manual_seed(0)\nlayer_out", "manual_seed(1)\nfunction_out"],
        "nn.RReLU and its function give the same gradient of the input",
    ),
    (
        "module-equals-functional",
        "arguments",
        ["m = nn.Hardtanh().to(", "F.hardtanh(function_leaf, -0.5, 0.5)"],
        "nn.Hardtanh and its function give the same gradient of the input",
    ),
    (
        "functional-is-stateless",
        "running statistics",
        ["F.batch_norm(x, mean, variance, training=True)\n"],
        "variance[0] is 1.35 and should be 1.5 (F.batch_norm leaves its operands as they were)",
    ),
    (
        "functional-is-stateless",
        "max_norm",
        ["F.embedding(index, weight, max_norm=1.0)\n"],
        "should be 1.0 (F.embedding leaves its operands as they were)",
    ),
    (
        "functional-is-stateless",
        "inplace=True",
        ["F.relu(x, inplace=True)\n"],
        "x[0, 0] is 0.0 and should be -1.0 (F.relu leaves its operands as they were)",
    ),
    (
        "inplace-saves-memory",
        "gradient is wanted",
        ["nn.ReLU6(inplace=True)", "requires_grad_(True)"],
        "nn.ReLU6(inplace=True) with grad allocates 1048576 bytes for an input of 1048576",
    ),
    (
        "inplace-saves-memory",
        "noise",
        ["nn.RReLU(inplace=True)"],
        "nn.RReLU(inplace=True) without grad allocates 1048576 bytes for an input of 1048576",
    ),
    (
        "errata-guided-forwards",
        "minus infinity",
        ["x = torch.tensor(-math.inf, dtype=torch.float64, device=DEVICE)\n"],
        "masked is nan and should be 0.0 (ReLU by numpy)",
    ),
    (
        "errata-leaf-in-no-grad",
        "grad mode on",
        ["w = x.clone().requires_grad_()\nsame = w\nw.mul_(2.0)\n"],
        "a leaf Variable that requires grad is being used in an in-place operation",
    ),
)
"""Claim, what its counterexample's title says, what the script holds, what the message says."""
SEARCHED = sorted({claim for claim, _, _, _ in FINDS})


FEW = replace(PROFILES["quick"], scripts=5, networks=2, searched=60)
"""Searches that find nothing go on to their end."""


def put(claim: str, subject: Subject, machine: Machine, out: Path) -> tuple[str, RunRecords]:
    """The verdict on a subject from a short run that repeats itself, and the records."""
    with RecordWriter(out) as writer:
        trial = Trial(find_claim(claim), Examiner(subject, machine), FEW, 0, writer, out)
        trial.begin()
        CLAIMS[claim](trial)
        verdict = trial.finish()
    return verdict, read_run(out)


def bounds(claim: str, records: RunRecords) -> list[Counterexample]:
    """The counterexamples of a claim."""
    return records.attempts[claim, HERE.name].counterexamples


Ended = dict[str, tuple[str, RunRecords]]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, machine: Machine) -> Ended:
    """Every claim that searches, on the torch that is here."""
    return {claim: put(claim, HERE, machine, tmp_path_factory.mktemp(claim)) for claim in SEARCHED}


@pytest.mark.parametrize(
    ("claim", "title", "fragments", "message"), FINDS, ids=[f"{f[0]}-{f[1]}" for f in FINDS]
)
def test_search_finds(
    claim: str,
    title: str,
    fragments: list[str],
    message: str,
    ended: Ended,
) -> None:
    """Beyond its scope the claim breaks, by a script that anybody would write."""
    verdict, records = ended[claim]
    assert verdict == "conforms"
    (found,) = (c for c in bounds(claim, records) if title in c.title)
    assert all(fragment in found.script for fragment in fragments), found.script
    assert message in found.message
    assert 1 <= found.searched <= FEW.searched


@pytest.mark.parametrize("claim", SEARCHED)
def test_every_search_is_expected(claim: str, ended: Ended) -> None:
    """Each search of a claim has a row of its own above."""
    _, records = ended[claim]
    assert len(bounds(claim, records)) == sum(row[0] == claim for row in FINDS)
    finish = records.attempts[claim, HERE.name].finish
    assert finish is not None and finish.outside is not None and finish.outside.found


# -- subjects that do not break the claims beyond their scopes


def layers_like_functions(body: str, seen: Observation) -> Observation:
    """Whatever the function gives, the layer gave as well."""
    values = dict(seen.values)
    for name in values:
        twin = name.replace("function_", "layer_")
        values[name] = values[twin]
    return msgspec.structs.replace(seen, values=values)


def operands_left_alone(body: str, seen: Observation) -> Observation:
    """No call of F writes what it is given, but for the script that knows all of the values."""
    lines = body.splitlines(keepends=True)
    if not lines[-1].startswith("F.") or "F.batch_norm" in "".join(lines[:-1]):
        return seen
    return HERE.run("".join(lines[:-1]), list(seen.values))


def no_memory(body: str, seen: Observation) -> Observation:
    """Nothing in place allocates anything."""
    facts = seen.values["facts"]
    if "inplace=False" in body:
        return seen
    assert isinstance(facts, JsonSeen) and isinstance(facts.json, dict)
    values = {**seen.values, "facts": JsonSeen(json={**facts.json, "allocated": 0})}
    return msgspec.structs.replace(seen, values=values)


def masks_of_infinity(body: str, seen: Observation) -> Observation:
    """Zero times infinity is zero, in what is not a Function."""
    masked, clamped = seen.values["masked"], seen.values["clamped"]
    assert isinstance(masked, TensorSeen) and isinstance(clamped, TensorSeen)
    return (
        seen
        if "Function" in body
        else msgspec.structs.replace(seen, values={**seen.values, "masked": clamped})
    )


def no_leaf_error(body: str, seen: Observation) -> Observation:
    """Leaves are never refused, whatever else may then be wrong."""
    return msgspec.structs.replace(seen, error=None)


SOUND: dict[str, Change] = {
    "module-equals-functional": layers_like_functions,
    "functional-is-stateless": operands_left_alone,
    "inplace-saves-memory": no_memory,
    "errata-guided-forwards": masks_of_infinity,
    "errata-leaf-in-no-grad": no_leaf_error,
}
"""Claim -> a torch on which it holds beyond its scope too."""


@pytest.mark.parametrize("claim", SEARCHED)
def test_search_that_finds_nothing(claim: str, machine: Machine, tmp_path: Path) -> None:
    """The claim is not exercised there, and the note names each search that found nothing."""
    verdict, records = put(claim, Tampered(HERE, SOUND[claim]), machine, tmp_path)
    assert verdict == "not exercised"
    assert not bounds(claim, records)
    finish = records.attempts[claim, HERE.name].finish
    assert finish is not None and finish.outside is not None and not finish.outside.found
    titles = [row[1] for row in FINDS if row[0] == claim]
    assert finish.note.count("nothing found outside the scope") == len(titles)
    assert all(title in finish.note for title in titles)
    assert "the scope may have changed" in finish.note


# -- the strategies

STRATEGIES: dict[str, tuple[SearchStrategy[Script], tuple[str, ...]]] = {
    "twins": (
        _twins.compared_scripts(among=list(LAYERS.values())),
        ("", _twins.DEFAULT, _twins.TRAINING, _twins.SEED, _twins.ARGUMENTS),
    ),
    "operands": (
        _operands.operand_scripts(there={call.function for call in _operands.CALLS}),
        ("", _operands.STATISTICS, _operands.MAX_NORM, _operands.IN_PLACE),
    ),
    "memory": (
        test_memory.memory_scripts(
            "cpu", among=("ReLU", *test_memory.COPIES_INPUT, *test_memory.DRAWS_NOISE)
        ),
        ("", "copies its input", "noise"),
    ),
    "forwards": (test_errata.forwards(), ("", "not finite")),
    "leaves": (test_errata.leaf_scripts(), ("", "grad mode on")),
}
SIDES = [(name, beyond) for name, (_, sides) in STRATEGIES.items() for beyond in sides]


@pytest.mark.parametrize(("name", "beyond"), SIDES)
def test_strategy_draws_both_sides(name: str, beyond: str) -> None:
    """One strategy draws within the scope and beyond it, and each script runs by itself."""
    script = find(STRATEGIES[name][0], lambda script: script.beyond == beyond)
    compile(script.text("cpu"), name, "exec")


def test_layers_without_conditions_are_drawn_within_the_scope() -> None:
    """A layer that neither trains nor draws, with one list of arguments, is never set apart."""
    scripts = _twins.compared_scripts(among=[LAYERS["ReLU"]])
    assert not find(scripts, lambda script: True).beyond


def test_memory_of_every_activation_with_inplace_is_spoken_of() -> None:
    """Each saves its result, copies its input or draws noise."""
    named = (*test_memory.SAVES_RESULT, *test_memory.COPIES_INPUT, *test_memory.DRAWS_NOISE)
    assert sorted(named) == sorted(ACTIVATIONS)
