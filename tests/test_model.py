"""The model against torch: each rule by a small program, and agreement on random programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conformance.model import QUIRKS, Flags, Kind, predict
from conformance.model.errors import PAST
from conformance.model.prediction import Prediction, Version
from conformance.model.quirks import INFERENCE_ALIAS, NO_GRAD_VIEW, STALE_LEAF
from conformance.subjects import InProcessSubject
from strategies.build import DEFAULT, Recipe, build
from strategies.choices import Seeded
from strategies.draft import Draft, Shaped, check
from strategies.printer import print_body
from strategies.program import Apply, recording
from tests._agreement import agree, program


@pytest.fixture(scope="module")
def eager() -> InProcessSubject:
    """The torch of this interpreter."""
    return InProcessSubject("in process")


# -- rules --------------------------------------------------------------------------------------

RULES = Path(__file__).with_name("model_rules.txt")


@dataclass(frozen=True, slots=True)
class Rule:
    """One paragraph of the file."""

    sentence: str
    source: str
    """The sentence of the documentation, with its page; or `(observed)`."""
    text: str
    raises: str
    unspecified: str
    flags: dict[str, tuple[str, Version]]
    grads: set[str] | None
    open: str
    """Why values or gradients are left open, though errors and flags are not."""


def _rules() -> Iterator[Rule]:
    for paragraph in RULES.read_text(encoding="utf-8").strip().split("\n\n")[1:]:
        sentence, *lines, outcome = paragraph.split("\n")
        source = " ".join(line.strip() for line in lines if not line.startswith("    "))
        text = "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    "))
        verb, _, rest = outcome.strip().partition(" ")
        rest, _, left_open = rest.partition("; open ")
        said, _, grads = rest.partition("; grad ")
        raises, unspecified = (said if verb == word else "" for word in ("raises", "unspecified"))
        told = [part.split() for part in said.split(", ")] if verb == "then" else []
        flags = {name: (word, _version(at)) for name, word, at in told}
        graded = set(grads.replace("nothing", "").split()) if grads else None
        yield Rule(sentence, source, text, raises, unspecified, flags, graded, left_open)


def _version(word: str) -> Version:
    """A number, `-` for none, or `any` where nothing documents it."""
    return None if word == "-" else "any" if word == "any" else int(word)


def _word(flags: Flags) -> str:
    if flags.unreadable:
        return "unreadable"
    return "node" if flags.grad_fn else "leaf" if flags.requires_grad else "plain"


@pytest.mark.parametrize("rule", list(_rules()), ids=lambda rule: rule.sentence)
def test_rule(rule: Rule, eager: InProcessSubject) -> None:
    """The rule's program does what the rule says, in the model and on torch."""
    draft = program(rule.text)
    model = agree(draft, eager, watched=False)
    last = len(draft.shaped) - 1
    raises = model.raises and (model.raises.step, model.raises.kind.value)
    assert raises == ((last, rule.raises) if rule.raises else None)
    assert model.unspecified == rule.unspecified
    assert rule.raises or (model.open or model.hidden) == rule.open
    seen = {n: (_word(model.flags[n]), model.flags[n].version) for n in rule.flags}
    assert seen == rule.flags
    if rule.grads is not None:
        assert {name for name, graded in model.graded.items() if graded} == rule.grads
    agree(draft, eager, watched=True)


def test_every_kind_of_error_has_a_rule() -> None:
    """Whatever the model can predict, a program of the rules shows."""
    assert {rule.raises for rule in _rules()} - {""} == {
        kind.value for kind in Kind if kind not in PAST
    }


def test_a_look_changes_what_happens(eager: InProcessSubject) -> None:
    """Reading is_leaf gives a stale view its node, and the write that raised succeeds."""
    draft = program("w = leaf(2)\nb = const(2)\nv = b.view_as()\nb.mul_(w)\nv.mul_(3.0)")
    assert agree(draft, eager, watched=False).raises
    assert not agree(draft, eager, watched=True).raises


# -- random programs ----------------------------------------------------------------------------

RECIPES = {
    "default": DEFAULT,
    "aliases": Recipe(plain=25, in_place=40, view=35, detach=12, data=8, unsafe=10),
    "modes": Recipe(plain=25, in_place=40, view=40, region=45, stay=40, unsafe=6),
    "forbidden": Recipe(plain=25, in_place=40, view=35, region=20, data=3, unsafe=60),
    "backward": Recipe(backward=20, retain=50, detach=5),
    "long": Recipe(most_steps=40, go_on=96, most_leaves=5, view=30, region=20, data=2, unsafe=2),
    "odd": Recipe(odd=60, region=25, backward=8, detach=6),
    "inputs": Recipe(inputs=80, backward=15, retain=60, odd=15),
    "roots": Recipe(roots=30, backward=8, retain=60),
    "rarities": Recipe(most_steps=12, rarity=100, region=25),
    "stale": Recipe(
        go_on=94,
        most_leaves=4,
        plain=4,
        in_place=50,
        view=40,
        region=0,
        unsafe=0,
        odd=0,
        ending=0,
        rarity=0,
    ),
}
"""How the random programs are drawn: as the suite draws them, and with one thing more often."""

PROGRAMS = 3000
SEED = 20200910


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("watched", [False, True], ids=["unwatched", "watched"])
def test_random_programs(recipe: str, watched: bool, eager: InProcessSubject) -> None:
    """Model and torch agree on errors, flags, versions, memory, strides and gradients' presence."""
    share = PROGRAMS // len(RECIPES) // (2 if watched else 1)
    kinds: Counter[Kind | None] = Counter()
    for index in range(share):
        draft = check(build(Seeded(SEED, index), RECIPES[recipe]))
        model = agree(draft, eager, watched=watched)
        kinds[model.raises.kind if model.raises else None] += 1
    assert share // 8 < kinds[None] < share
    assert len(kinds) >= 5, kinds


# -- law and quirk ------------------------------------------------------------------------------

HIDDEN = "w = leaf(2)\nwith no_grad:\n    v = w.view_as()\n"
STALE = "w = leaf(2)\nb = const(2)\nv = b.view_as()\nb.mul_(w)\n"


def test_views_made_in_no_grad_do_not_require_grad() -> None:
    """ "In this mode, the result of every computation will have requires_grad=False, even when the
    inputs have requires_grad=True" (torch.no_grad); torch says True of a view.
    """
    draft = program(HIDDEN + "y = v.mul(2.0)")
    law, torch = predict(draft).flags, predict(draft, quirks=frozenset({NO_GRAD_VIEW})).flags
    assert [_word(law[name]) for name in "vy"] == ["plain", "plain"]
    assert [_word(torch[name]) for name in "vy"] == ["leaf", "node"]


def test_a_stale_view_is_no_leaf() -> None:
    """Leaves have no grad_fn (torch.Tensor.is_leaf), and this view has one once it is asked."""
    draft = program(STALE + "v.mul_(3.0)")
    assert predict(draft).raises is None
    torch = predict(draft, quirks=frozenset({STALE_LEAF})).raises
    assert torch is not None and torch.kind is Kind.LEAF_INPLACE
    assert _word(predict(program(STALE)).flags["v"]) == "node"


def test_an_alias_of_an_inference_tensor_is_one() -> None:
    """It has no version and cannot be written outside inference mode; in torch it has and can."""
    draft = program("b = const(2)\nwith inference_mode:\n    y = b.mul(2.0)\nd = y.detach()")
    assert predict(draft).flags["d"].version is None
    quirk = frozenset({INFERENCE_ALIAS})
    assert predict(draft, quirks=quirk).flags["d"].version == 0
    draft.add(Apply("mul_", ("d", 2.0)))
    raises = predict(draft).raises
    assert raises is not None and raises.kind is Kind.INFERENCE_WRITE
    assert predict(draft, quirks=quirk).raises is None


def test_a_stale_view_is_no_leaf_that_can_stop() -> None:
    """A view that would get a node is a non-leaf, and requires_grad_(False) raises of those."""
    draft = program(STALE + "v.requires_grad_(requires_grad=False)")
    raises = predict(draft).raises
    assert raises is not None and raises.kind is Kind.FLAG_NONLEAF
    assert predict(draft, quirks=frozenset({STALE_LEAF})).raises is None


def _told(prediction: Prediction) -> tuple[object, ...]:
    raises = prediction.raises and replace(prediction.raises, why="")
    return raises, prediction.unspecified, prediction.flags, prediction.graded


def _has_hidden_view(draft: Draft) -> bool:
    """Whether a view is made in no_grad of what requires grad there."""
    for index, step in enumerate(draft.shaped):
        if isinstance(step, Shaped) and not recording(step.step.modes):
            views = any(made.how == "view" for made in step.made)
            if views and step.row.name not in ("detach", "data"):
                before = predict(_cut(draft, index), quirks=QUIRKS)
                source = str(step.step.args[0])
                if source in before.flags and before.flags[source].requires_grad:
                    return True
    return False


def _cut(draft: Draft, count: int) -> Draft:
    """The first steps of a draft."""
    return replace(draft, steps=draft.steps[:count], shaped=draft.shaped[:count])


def test_views_made_in_no_grad_are_the_only_reason_of_their_quirk() -> None:
    """Without a view made in no_grad of what requires grad, law and quirk say the same."""
    found = 0
    for index in range(500):
        draft = check(build(Seeded(SEED, index), RECIPES["modes"]))
        if _told(predict(draft)) != _told(predict(draft, quirks=frozenset({NO_GRAD_VIEW}))):
            assert _has_hidden_view(draft), print_body(draft).text
            found += 1
    assert 50 < found < 450


def test_stale_views_are_the_only_reason_of_their_quirk() -> None:
    """The quirk refuses, as a leaf, what the law says is none; else they say the same."""
    found = 0
    for index in range(4000):
        draft = check(build(Seeded(SEED, index), RECIPES["stale"]))
        quirk = predict(draft, quirks=frozenset({STALE_LEAF}))
        if _told(quirk) != _told(predict(draft)):
            assert quirk.raises is not None and quirk.raises.kind is Kind.LEAF_INPLACE
            step = draft.shaped[quirk.raises.step]
            assert isinstance(step, Shaped)
            flags = predict(_cut(draft, quirk.raises.step)).flags[str(step.step.args[0])]
            assert flags.is_leaf is False, print_body(draft).text
            found += 1
    assert found > 5
