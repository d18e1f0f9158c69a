"""Model and oracle together, and torch itself, against the same programs without any mutation."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from conformance.examine import Examiner, Judged
from conformance.subjects import TensorSeen
from conformance.tolerances import close
from strategies.activation_scenes import activation_in_place
from strategies.build import build
from strategies.choices import Choose, Seeded
from strategies.program import Apply, Program
from strategies.scenes import detached, views_written, written_in_no_grad
from tests import _functional
from tests.tampering import backward, leaf, program, step

Floats = NDArray[np.float64]

SEED = 20
SOURCES: dict[str, tuple[Callable[[Choose], Program], int]] = {
    "build": (build, 300),
    "views_written": (views_written, 100),
    "written_in_no_grad": (written_in_no_grad, 100),
    "detached": (detached, 100),
    "activation_in_place": (activation_in_place, 100),
}
"""Where programs come from, and how many."""


# -- the comparison -------------------------------------------------------------------------------


def _off(seen: Floats, expected: Floats, slack: Floats) -> bool:
    return seen.shape != expected.shape or not close(seen, expected, slack).all()


def differences(judged: Judged, outcome: _functional.Outcome) -> list[str]:
    """Where the program without mutation disagrees with the oracle, or with torch."""
    return [*_from_oracle(judged, outcome), *_from_torch(judged, outcome)]


def _from_oracle(judged: Judged, outcome: _functional.Outcome) -> Iterator[str]:
    for name, value in outcome.values.items():
        expected = judged.answer.values[name]
        if _off(value, expected.values, expected.slack):
            yield f"{name} is {value} and the oracle says {expected.values}"
    for name, gradient in outcome.gradients.items():
        expected = judged.answer.gradients[name]
        graded = judged.prediction.graded.get(name, False)
        if (gradient is not None) != graded:
            yield f"{name}.grad is {gradient} and the model says that it is there: {graded}"
        elif gradient is not None and _off(gradient, expected.values, expected.slack):
            yield f"{name}.grad is {gradient} and the oracle says {expected.values}"


def _from_torch(judged: Judged, outcome: _functional.Outcome) -> Iterator[str]:
    """Gradients alone; none where torch's are known to be wrong."""
    known = judged.verdict == "known deviation"
    if known and any(finding.kind == "silent wrong gradient" for finding in judged.findings):
        return
    for name, gradient in outcome.gradients.items():
        tensor = judged.observation.values[name]
        assert isinstance(tensor, TensorSeen)
        if gradient is None or tensor.grad is None:
            if gradient is not None or tensor.grad is not None:
                yield f"{name}.grad is {gradient} and torch says {tensor.grad}"
        elif _off(gradient, tensor.grad.array(), judged.answer.gradients[name].slack):
            yield f"{name}.grad is {gradient} and torch says {tensor.grad.array()}"


# -- drawn programs -------------------------------------------------------------------------------


@dataclass(slots=True)
class Sample:
    """Programs of one source that raise nothing and that the oracle answers."""

    judged: list[Judged] = field(default_factory=list)
    outcomes: list[_functional.Outcome] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)

    def add(self, judged: Judged) -> None:
        try:
            self.outcomes.append(_functional.run(judged.program))
            self.judged.append(judged)
        except _functional.Unsupported as reason:
            self.unsupported.append(f"{reason}\n{judged.body.text}")

    @property
    def moving(self) -> int:
        """How many programs have a gradient that is not zero."""
        return sum(
            any(g is not None and g.any() for g in o.gradients.values()) for o in self.outcomes
        )


def _hides(each: Program) -> bool:
    """Whether a program uses `.data`, the documented hole: it means nothing without mutation."""
    return any(isinstance(step, Apply) and step.op == "data" for step in each.steps)


@pytest.fixture(scope="module")
def samples(examiner: Examiner) -> dict[str, Sample]:
    """One sample of each source."""
    made = {}
    for name, (draw, count) in SOURCES.items():
        made[name] = Sample()
        for index in range(count):
            each = draw(Seeded(SEED, index))
            judged = None if _hides(each) else examiner.examine(each)
            raises = judged is None or judged.raised or judged.prediction.raises
            if judged is not None and not raises and not judged.answer.unspecified:
                made[name].add(judged)
    return made


@pytest.mark.parametrize("source", SOURCES)
def test_drawn_programs_agree_with_functional_torch(
    samples: dict[str, Sample], source: str
) -> None:
    """Values and gradients are those of the oracle, and gradients those of torch."""
    sample, (_, count) = samples[source], SOURCES[source]
    for judged, outcome in zip(sample.judged, sample.outcomes, strict=True):
        assert not differences(judged, outcome), judged.body.text
    assert sample.moving > 0.3 * count, "hardly a program of this source has gradients"
    assert len(sample.unsupported) < 0.05 * count, sample.unsupported[0]


# -- the comparison can fail ----------------------------------------------------------------------

WRITTEN = program(
    leaf("a", [1.0, 2.0], grad=True),
    step("mul", "a", 2.0, to="x"),
    step("mul_", "x", 3.0),
    backward("x", [1.0, 1.0]),
)


def _shifted(array: Floats) -> Floats:
    shifted: Floats = array + np.array([0.0, 1e-6])
    return shifted


def test_a_gradient_that_is_off_is_found(examiner: Examiner) -> None:
    """By 1e-6, here or in the oracle's answer, or because it is not there at all."""
    judged = examiner.examine(WRITTEN)
    outcome = _functional.run(WRITTEN)
    assert differences(judged, outcome) == []
    gradient = outcome.gradients["a"]
    assert gradient is not None

    off = replace(outcome, gradients={"a": _shifted(gradient)})
    assert len(differences(judged, off)) == 2
    none = replace(outcome, gradients={"a": None})
    assert len(differences(judged, none)) == 2

    entries = judged.answer.gradients["a"]
    wrong = replace(entries, values=_shifted(entries.values))
    answer = replace(judged.answer, gradients={"a": wrong})
    found = differences(replace(judged, answer=answer), outcome)
    assert len(found) == 1 and "the oracle says" in found[0]


def _without_derivative(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    return new.clone()


def _copied(walk: _functional.Walk, made: Apply) -> None:
    source = walk.tensors[str(made.args[0])]
    flat = source.history.value.detach()
    walk.tensors[made.to[0]] = walk.stored(flat, source.places)


@pytest.mark.parametrize(
    ("source", "owner", "rule", "broken"),
    [
        ("written_in_no_grad", _functional.Unrecorded, "apply", staticmethod(_without_derivative)),
        ("written_in_no_grad", _functional, "recording", lambda modes: True),
        ("detached", _functional.Walk, "part", _copied),
        ("views_written", _functional.Walk, "viewed", lambda *args, **kwargs: False),
    ],
    ids=["write_that_detaches", "no_grad_that_records", "detach_that_copies", "view_that_copies"],
)
def test_a_broken_rule_is_found(
    samples: dict[str, Sample],
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    owner: object,
    rule: str,
    broken: object,
) -> None:
    """The programs that are drawn tell the rules of mutation from others."""
    monkeypatch.setattr(owner, rule, broken)
    found = [
        bool(differences(judged, _functional.run(judged.program)))
        for judged in samples[source].judged
    ]
    assert sum(found) >= 5


# -- the other implementation by itself -----------------------------------------------------------


def _read(*steps: str) -> Program:
    """x = 2 a, then the steps, then the gradient of sum(y)."""
    return program(
        leaf("a", [1.0, 2.0], grad=True),
        step("mul", "a", 2.0, to="x"),
        *steps,
        backward("y", [1.0, 1.0]),
    )


def _in_no_grad(made: str) -> str:
    return made[:-1] + ',"modes":["no_grad"]}'


SQUARE = step("mul", "x", "x", to="y")
BY_HAND: dict[str, tuple[Program, list[float]]] = {
    "recorded write": (_read(step("mul_", "x", 3.0), SQUARE), [72.0, 144.0]),
    "unrecorded write": (_read(_in_no_grad(step("mul_", "x", 3.0)), SQUARE), [24.0, 48.0]),
    "overwritten": (_read(step("zero_", "x"), step("add", "x", "x", to="y")), [0.0, 0.0]),
    "view made in no_grad": (
        _read(_in_no_grad(step("view_as", "x", to="v")), step("mul", "x", "v", to="y")),
        [4.0, 8.0],
    ),
    "written through detach": (
        _read(step("detach", "x", to="v"), step("mul_", "v", 3.0), SQUARE),
        [24.0, 48.0],
    ),
    "derivative of the alias": (
        _read(step("detach", "x", to="v"), step("mul_", "v", "a"), step("clone", "v", to="y")),
        [2.0, 4.0],
    ),
}
"""Program -> gradient at a, which is [1, 2], worked out by hand from the claims."""


@pytest.mark.parametrize("what", BY_HAND)
def test_gradients_by_hand(what: str) -> None:
    each, expected = BY_HAND[what]
    gradient = _functional.run(each).gradients["a"]
    assert gradient is not None and gradient.tolist() == expected


def test_no_path_is_no_gradient() -> None:
    """A leaf that no backward reaches has None."""
    unread = program(
        ",".join(leaf(name, [1.0], grad=True) for name in "ab"),
        step("neg", "a", to="y"),
        backward("y", [1.0]),
    )
    assert _functional.run(unread).gradients["b"] is None


def test_data_is_unsupported() -> None:
    """What `.data` does to a gradient is no function of values."""
    with pytest.raises(_functional.Unsupported, match=r"`\.data` hides"):
        _functional.run(_read(step("data", "x", to="v"), SQUARE))


def test_recorded_write_through_a_view_of_no_grad_is_unsupported() -> None:
    """Torch refuses it, so that it has no gradient to compare."""
    forbidden = _read(_in_no_grad(step("view_as", "x", to="v")), step("mul_", "v", 3.0), SQUARE)
    with pytest.raises(_functional.Unsupported, match="a view made in no_grad"):
        _functional.run(forbidden)


def test_nothing_is_shared_with_model_and_oracle() -> None:
    """Of this project it imports the program, the table and the leaves' numbers."""
    tree = ast.parse(Path(_functional.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {name for name in modules if name and name.split(".")[0] in ("strategies", "conformance")}
    assert own == {"strategies.program", "strategies.table", "strategies.values"}
