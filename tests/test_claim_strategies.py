"""What the claims' own strategies vary: each way that a claim's scope names is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import find

from conformance.claims._refusals import REFUSALS, refused, renormed
from conformance.model import Kind, Prediction, predict
from conformance.scripts import Script
from conformance.subjects import Subject
from strategies import scenes
from strategies.activation_scenes import activation_in_place
from strategies.choices import Seeded
from strategies.draft import Draft, Shaped, Value, check
from strategies.one_of_each import decks, each_of
from strategies.program import Apply, Backward, Program
from strategies.table import TABLE

DRAWS = 600


def raising(program: Program, kind: Kind) -> tuple[Draft, Prediction] | None:
    """The program's draft and what is predicted of it, if it raises with this kind of error."""
    draft = check(program)
    predicted = predict(draft)
    return (draft, predicted) if predicted.raises and predicted.raises.kind is kind else None


# -- overwriting what backward needs


def overwritten() -> Iterator[tuple[Program, Draft, Prediction]]:
    for index in range(DRAWS):
        program = scenes.saved_then_written(Seeded(31, index))
        found = raising(program, Kind.SAVED_MODIFIED)
        if found is not None:
            yield program, *found


def test_what_is_saved_is_overwritten_in_every_way() -> None:
    """The tensor itself or an alias, the base of a saved view, a change of shape alone; and
    backward is run for some leaves, or by autograd.grad.
    """
    ways: Counter[str] = Counter()
    for program, draft, predicted in overwritten():
        write = next(s for s in reversed(draft.shaped) if isinstance(s, Shaped) and s.in_place)
        assert isinstance(write.operands[0], Value)
        target = write.operands[0].name
        made = {name: s for s in draft.shaped if isinstance(s, Shaped) for name in s.step.to}
        saved = [kept.tensor for kept in predicted.saved if kept.needed and kept.modified]
        views = [n for n in saved if n in made and made[n].row.kind == "view"]
        bases = [made[n].step.args[0] for n in views]
        last = program.steps[-1]
        assert isinstance(last, Backward)
        source = made[target].step.args[0] if target in made else ""
        ways["itself"] += target in saved
        ways["an alias"] += source in saved
        ways["the base of a view"] += target in bases or source in bases
        ways["a change of shape"] += write.row.moves is not None
        ways["inputs"] += bool(last.inputs) and last.via != "grad"
        ways["autograd.grad"] += last.via == "grad"
    assert all(ways[way] >= 10 for way in WAYS), ways


WAYS = (
    "itself",
    "an alias",
    "the base of a view",
    "a change of shape",
    "inputs",
    "autograd.grad",
)


def test_a_gradient_that_does_not_need_the_modified_operand_raises_all_the_same() -> None:
    """autograd.grad(a * b, [a]) raises when only a was modified: nodes unpack all they saved."""
    found = 0
    for program, draft, predicted in overwritten():
        last = program.steps[-1]
        assert isinstance(last, Backward)
        stale = {kept.memory for kept in predicted.saved if kept.needed and kept.modified}
        wanted = {draft.values[name].memory for name in last.inputs}
        fresh = [k for k in predicted.saved if k.needed and not k.modified]
        found += bool(wanted) and bool(stale) and bool(fresh)
    assert found >= 3


# -- activations


def test_bounds_of_activations_are_drawn() -> None:
    """hardtanh_ and rrelu_ with all that the table offers, and RReLU with what forbids in place."""
    seen: Counter[str] = Counter()
    forbidden: Counter[str] = Counter()
    for index in range(DRAWS):
        for step in check(activation_in_place(Seeded(32, index))).shaped:
            if isinstance(step, Shaped) and step.in_place:
                forbidden[step.row.name] += step.row.forbids(step.params)
                seen.update(f"{step.row.name} {name} {v}" for name, v in step.params.items())
    for row in ("hardtanh", "rrelu"):
        for param in TABLE[row].params:
            for choice in param.choices:
                assert seen[f"{row} {param.name} {choice}"] >= 2, (row, param.name, choice)
    assert all(forbidden[name] >= 10 for name in ("leaky_relu", "elu", "celu", "rrelu")), forbidden


# -- plain operations


def test_every_row_is_applied_in_every_program_of_its_deck() -> None:
    """Whatever is drawn: so no row is left out, however long the table gets."""
    together = [row for rows in decks() for row in rows]
    assert {row.name for row in together} == {r.name for r in TABLE.values() if r.plain}
    for rows in decks():
        for index in range(5):
            program = each_of(rows)(Seeded(33, index))
            assert {row.name for row in rows} <= {
                step.op for step in program.steps if isinstance(step, Apply)
            }


# -- leaves


@pytest.mark.parametrize("write", REFUSALS)
def test_writes_that_the_table_leaves_out_are_refused(write: str, local: Subject) -> None:
    """By an error of their own; where the leaf requires no grad the check says it is missing."""
    script = find(refused(), _says(f"    {write}\n"))
    assert findings(script, script.body, local) == []
    allowed = script.body.replace(".requires_grad_()", "")
    assert findings(script, allowed, local) == ["missing error"]


def test_embedding_writes_its_leaf_by_contract(local: Subject) -> None:
    """With max_norm; without it nothing is written, and the check says so."""
    for name in ("embedding", "embedding_bag"):
        script = find(renormed(), _says(f"F.{name}("))
        assert findings(script, script.body, local) == []
        without = script.body.replace("max_norm=1.0", "max_norm=None")
        assert "wrong value" in findings(script, without, local)


def _says(text: str) -> Callable[[Script], bool]:
    return lambda script: text in script.body


def findings(script: Script, body: str, subject: Subject) -> list[str]:
    return [found.kind for found in script.findings(subject.run(body, script.observe))]
