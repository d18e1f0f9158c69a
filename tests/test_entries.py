"""The tool that proposes entries of the register, and says which of them still show."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.deviations import read_register, register
from conformance.examine import Examiner
from conformance.oracle.machine import Machine
from conformance.subjects import InProcessSubject
from strategies.program import Apply, Backward, Data, Leaf, Program
from tools.entries import REGISTER, drawn, entry, main, smallest, statuses, without

A = Leaf("a", (2,), [0.5, 2.0], requires_grad=True)
ONES: tuple[Data, ...] = ([1.0, 1.0],)
STALE = Program(
    (A, Leaf("b", (2,), [1.0, 2.0])),
    (
        Apply("neg", ("b",), {}, ("x1",)),
        Apply("exp", ("a",), {}, ("x0",), function=1),
        Apply("mul_", ("x0", 2.0), {}),
        Backward(("x0",), ONES),
    ),
)
"""It overwrites what exp saved; one step has no part in that."""
QUIRK = "saved-on-cpu-unchecked"


def test_a_proposal_is_a_valid_entry_once_a_person_has_named_its_quirk(
    machine: Machine, tmp_path: Path
) -> None:
    """Its program is the smallest that still deviates, and reads as others do."""
    with InProcessSubject("saved-on-cpu", mode="saved-on-cpu") as subject:
        examiner = Examiner(subject, machine, known=())
        left = smallest(examiner, STALE, 20.0)
        assert left is not None
        text = entry(left, examiner, "transformed-same")
    place = tmp_path / "register.toml"
    named = [
        f'quirk = "{QUIRK}"' if line.startswith("quirk = ") else line for line in text.splitlines()
    ]
    place.write_text("\n".join(named), encoding="utf-8")
    (proposed,) = read_register(place)
    assert proposed.program is not None
    assert [step.op for step in proposed.program.steps if isinstance(step, Apply)] == [
        "exp",
        "mul_",
    ]
    assert (proposed.entry.kind, proposed.entry.subjects) == (
        "silent wrong gradient",
        ("saved-on-cpu-cpu",),
    )


def test_what_is_registered_is_not_proposed(machine: Machine) -> None:
    with InProcessSubject("saved-on-cpu", mode="saved-on-cpu") as subject:
        examiner = Examiner(subject, machine)
        assert smallest(examiner, STALE, 1.0) is None
        assert statuses(examiner)[QUIRK] == "still"


def test_entries_are_taken_out_whole() -> None:
    text = REGISTER.read_text(encoding="utf-8")
    left = without(text, frozenset({QUIRK}))
    assert QUIRK not in left
    assert left.count("[[deviation]]") == len(register()) - 1
    assert without(text, frozenset()) == text


def test_drawn_programs_depend_on_their_seed_alone(machine: Machine) -> None:
    with InProcessSubject("hooks", mode="hooks") as subject:
        examiner = Examiner(subject, machine)
        once = [program.id for program in drawn(examiner, 3, 20)]
        assert once == [program.id for program in drawn(examiner, 3, 20)]
        assert len(set(once)) == 20


@pytest.mark.parametrize(
    ("given", "said"),
    [([], "name a subject with --subject"), (["nowhere"], "nowhere")],
    ids=["nothing to do", "no run there"],
)
def test_bad_input_is_a_usage_error(given: list[str], said: str) -> None:
    ended = CliRunner().invoke(main, given)
    assert ended.exit_code == 2
    assert said in ended.output
