"""Model and oracle together, and torch itself, against the same programs without any mutation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from conformance.examine import Examiner, Judged
from conformance.subjects import TensorSeen
from conformance.tolerances import close
from strategies.activation_scenes import activation_in_place
from strategies.build import DEFAULT, Growth, Recipe, build, finish
from strategies.choices import Choose, Seeded, among, chance
from strategies.oddities import change_shape, detach_in_place, set_flag
from strategies.program import Apply, Backward, Program, ProgramError, inferring
from strategies.scenes import detached, views_written, written_in_no_grad
from tests import _functional
from tests.tampering import backward, leaf, program, step

Floats = NDArray[np.float64]


def _built(recipe: Recipe) -> Callable[[Choose], Program]:
    return lambda choose: build(choose, recipe)


FEW = replace(DEFAULT, most_steps=12, odd=0, inputs=0, roots=0, rarity=0)


def _often(rare: Callable[[Growth], object]) -> Callable[[Choose], Program]:
    """Programs in which every other step is a rare one."""

    def draw(choose: Choose) -> Program:
        growth = Growth(choose, FEW)
        growth.leaf(requires_grad=True)
        for _ in range(2 + choose.below(5)):
            growth.step()
            if chance(choose, 80):
                rare(growth)
        growth.modes = ()
        finish(growth)
        return growth.draft.program()

    return draw


def _relabel(growth: Growth) -> None:
    if chance(growth.choose, 60):
        set_flag(growth, kind=among(growth.choose, ("on", "off")))
    else:
        detach_in_place(growth)


SEED = 20
SOURCES: dict[str, tuple[Callable[[Choose], Program], int]] = {
    "build": (build, 300),
    "odd": (_built(replace(FEW, odd=30, detach=20, region=25)), 100),
    "moved": (_often(change_shape), 100),
    "relabelled": (_often(_relabel), 100),
    "inputs": (_built(replace(FEW, most_leaves=4, leaf=60, inputs=100, second_loss=80)), 100),
    "rarity": (_built(replace(FEW, odd=10, inputs=30, rarity=60)), 100),
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
    for name in {name for name, there in judged.prediction.graded.items() if there}:
        if name not in outcome.gradients:
            yield f"{name} is no leaf and the model says that it has a gradient"
    for name, gradient in outcome.gradients.items():
        entries = judged.answer.gradients.get(name)
        graded = judged.prediction.graded.get(name)
        if graded is None:
            # It was a leaf on the way, and the model says nothing of what it still holds.
            continue
        if (gradient is not None) != graded:
            yield f"{name}.grad is {gradient} and the model says that it is there: {graded}"
        elif gradient is None:
            continue
        elif entries is None or _off(gradient, entries.values, entries.slack):
            yield f"{name}.grad is {gradient} and the oracle says {entries and entries.values}"


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
        except _functional.Untold:
            pass
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


def _inexact(judged: Judged) -> bool:
    """Whether torch computes some number badly, mutation or not."""
    wrong = ("wrong value", "silent wrong gradient")
    return any(d.entry.quirk and d.entry.kind in wrong for d in judged.deviations)


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
            if judged is None or raises or judged.prediction.left_open:
                continue
            if not judged.answer.unspecified and not _inexact(judged):
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
    assert sample.moving > 0.2 * count, "hardly a program of this source has gradients"
    assert len(sample.unsupported) < 0.03 * count, sample.unsupported[0]


RARE: dict[str, Callable[[Apply | Backward], bool]] = {
    **{
        op: lambda each, op=op: isinstance(each, Apply) and each.op == op  # type: ignore[misc]
        for op in ("t_", "transpose_", "squeeze_", "unsqueeze_", "detach_", "requires_grad_")
    },
    "inference_mode": lambda each: inferring(each.modes),
    "inputs": lambda each: isinstance(each, Backward) and bool(each.inputs),
    "grad": lambda each: isinstance(each, Backward) and each.via == "grad",
    "grad of a result": lambda each: isinstance(each, Backward) and "x" in "".join(each.inputs),
}
"""Kind of step -> whether a step is of it."""


@pytest.mark.parametrize("kind", RARE)
def test_rare_steps_are_compared(samples: dict[str, Sample], kind: str) -> None:
    """Each kind stands before a backward call in five programs or more."""
    compared = [judged.program.steps for sample in samples.values() for judged in sample.judged]
    assert sum(any(map(RARE[kind], _before_the_last_backward(steps))) for steps in compared) >= 5


def _before_the_last_backward(steps: tuple[Apply | Backward, ...]) -> tuple[Apply | Backward, ...]:
    last = max((at for at, each in enumerate(steps) if isinstance(each, Backward)), default=-1)
    return steps[: last + 1]


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
    wrong = msgspec.structs.replace(entries, values=_shifted(entries.values))
    answer = msgspec.structs.replace(judged.answer, gradients={"a": wrong})
    found = differences(replace(judged, answer=answer), outcome)
    assert len(found) == 1 and "the oracle says" in found[0]


def _without_derivative(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    return new.clone()


def _copied(walk: _functional.Walk, made: Apply) -> None:
    source, name = walk.tensors[str(made.args[0])], made.to[0]
    flat = source.history.value.detach()
    walk.tensors[name] = walk.stored(name, flat, source.places)


def _nothing(*given: object) -> None:
    pass


_BACKWARD = _functional.Walk.backward


def _of_everything(walk: _functional.Walk, call: Backward) -> None:
    _BACKWARD(walk, msgspec.structs.replace(call, inputs=()))


@pytest.mark.parametrize(
    ("source", "owner", "rule", "broken"),
    [
        ("written_in_no_grad", _functional.Unrecorded, "apply", staticmethod(_without_derivative)),
        ("written_in_no_grad", _functional, "recording", lambda modes: True),
        ("detached", _functional.Walk, "part", _copied),
        ("views_written", _functional.Walk, "viewed", lambda *args, **kwargs: False),
        ("relabelled", _functional.Walk, "relabel", _nothing),
        ("moved", _functional.Walk, "move", _nothing),
        ("inputs", _functional.Walk, "backward", _of_everything),
    ],
    ids=[
        "write_that_detaches",
        "no_grad_that_records",
        "detach_that_copies",
        "view_that_copies",
        "flag_that_stays",
        "shape_that_stays",
        "inputs_that_do_not_count",
    ],
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
    assert sum(map(_disagrees, samples[source].judged)) >= 5


def _disagrees(judged: Judged) -> bool:
    """Whether the broken walk differs; where it cannot even go on, it does."""
    try:
        return bool(differences(judged, _functional.run(judged.program)))
    except (RuntimeError, IndexError, ProgramError, _functional.Unsupported):
        return True
