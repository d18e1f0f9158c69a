"""The model against torch: each rule by a small program, and agreement on random programs."""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from conformance.model import QUIRKS, Flags, Kind, classify, predict
from conformance.model.prediction import Prediction
from conformance.model.quirks import NO_GRAD_VIEW, STALE_LEAF
from conformance.subjects import FlagsSeen, InProcessSubject, Observation, TensorSeen
from strategies.build import DEFAULT, Recipe, build
from strategies.choices import Seeded
from strategies.draft import Draft, Shaped, check
from strategies.printer import Body, print_body
from strategies.program import Apply, Argument, Backward, Leaf, recording

# -- programs written by hand -------------------------------------------------------------------


def program(text: str) -> Draft:
    """A program from lines of torch.

    `leaf(2, 3)` makes a leaf that requires grad and `const(2, 3)` one that does not.
    """
    draft = Draft()
    for statement in ast.parse(text).body:
        _add(draft, statement, ())
    return draft


def _add(draft: Draft, statement: ast.stmt, modes: tuple[Any, ...]) -> None:
    if isinstance(statement, ast.With):
        mode = ast.unparse(statement.items[0].context_expr)
        for inner in statement.body:
            _add(draft, inner, (*modes, mode))
        return
    assert isinstance(statement, (ast.Assign, ast.Expr))
    left = statement.targets[0] if isinstance(statement, ast.Assign) else None
    right = statement.value
    if isinstance(left, ast.Subscript):
        written = (_argument(left.value), _argument(right))
        draft.add(Apply("setitem_", written, {"index": _index(left.slice)}, modes=modes))
        return
    to = tuple(re.findall(r"\w+", ast.unparse(left))) if left else ()
    if isinstance(right, ast.Subscript):
        item = {"index": _index(right.slice)}
        draft.add(Apply("index", (_argument(right.value),), item, to, modes=modes))
        return
    assert isinstance(right, ast.Call)
    args = tuple(map(_argument, right.args))
    params: dict[str, Any] = {w.arg: ast.literal_eval(w.value) for w in right.keywords if w.arg}
    if isinstance(right.func, ast.Attribute):
        op, args = right.func.attr, (_argument(right.func.value), *args)
    else:
        op = ast.unparse(right.func)
    if op in ("leaf", "const"):
        shape = tuple(int(size) for size in args)
        data: list[Any] = [1.0 + i for i in range(math.prod(shape))]
        draft.add_leaf(Leaf(to[0], shape, data, requires_grad=op == "leaf"))
    elif op == "backward":
        roots = tuple(map(str, args))
        ones: tuple[list[Any], ...] = tuple(
            [1.0] * draft.values[root].layout.numel for root in roots
        )
        draft.add_backward(Backward(roots, ones, modes=modes, **params))
    else:
        draft.add(Apply(op, args, params, to, modes=modes))


def _argument(node: ast.expr) -> Argument:
    argument: Argument = node.id if isinstance(node, ast.Name) else ast.literal_eval(node)
    return argument


def _index(node: ast.expr) -> list[Any]:
    items = node.elts if isinstance(node, ast.Tuple) else [node]
    return [
        [part and ast.literal_eval(part) for part in (item.lower, item.upper, item.step)]
        if isinstance(item, ast.Slice)
        else "..."
        if ast.literal_eval(item) is ...
        else ast.literal_eval(item)
        for item in items
    ]


# -- agreement ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def eager() -> InProcessSubject:
    """The torch of this interpreter."""
    return InProcessSubject("in process")


def _flags(flags: Flags | FlagsSeen) -> tuple[object, ...]:
    if isinstance(flags, Flags):
        kind = flags.unreadable
    else:
        kind = classify(flags.flags_error, in_backward=False) if flags.flags_error else None
    return flags.requires_grad, flags.version, flags.is_leaf, flags.grad_fn, kind


def _raised(draft: Draft, body: Body, seen: Observation) -> tuple[int | None, Kind | None] | None:
    if seen.error is None:
        return None
    step = body.step_at(seen.error.line)
    in_backward = step is not None and isinstance(draft.shaped[step], Backward)
    return step, classify(seen.error.message, in_backward=in_backward)


def _groups(place: dict[str, Any]) -> set[frozenset[str]]:
    """The names that share a place."""
    return {frozenset(n for n in place if place[n] == where) for where in place.values()}


def _strides(shape: tuple[int, ...], strides: tuple[int, ...] | None) -> list[int]:
    """The strides that mean anything: those of dimensions with two elements or more."""
    assert strides is not None
    return [stride for size, stride in zip(shape, strides, strict=True) if size > 1]


def differences(
    draft: Draft, body: Body, model: Prediction, seen: Observation
) -> Iterator[tuple[str, object, object]]:
    """What model and torch say differently: the place, the model's word, torch's word."""
    predicted = model.raises and (model.raises.step, model.raises.kind)
    if predicted != _raised(draft, body, seen):
        yield "raises", model.raises, seen.error
        return
    tensors = {n: value for n, value in seen.values.items() if isinstance(value, TensorSeen)}
    yield "names", set(model.flags), set(tensors)
    yield "memory", _groups(model.memory), _groups({n: t.storage for n, t in tensors.items()})
    for name, tensor in tensors.items():
        layout = model.layouts[name]
        yield name, _flags(model.flags[name]), _flags(tensor.flags)
        yield f"{name}.shape", layout.shape, tensor.shape
        if layout.numel:
            strides = _strides(layout.shape, layout.strides), _strides(tensor.shape, tensor.strides)
            yield f"{name}.stride()", *strides
            yield f"{name}.storage_offset()", layout.offset, tensor.offset
    for leaf, graded in model.graded.items():
        yield f"{leaf}.grad", graded, tensors[leaf].grad is not None
    yield "steps watched", len(model.trace), len(seen.trace)
    for number, (expected, step) in enumerate(zip(model.trace, seen.trace, strict=False)):
        for name, flags in step.flags.items():
            yield f"{name} after step {number}", _flags(expected[name]), _flags(flags)


def agree(draft: Draft, subject: InProcessSubject, *, watched: bool) -> Prediction:
    """Assert that torch does what the model predicts; return the prediction."""
    model = predict(draft, quirks=QUIRKS, watched=watched)
    if model.unspecified:
        return model
    body = print_body(draft, watch=watched)
    leaves = [leaf.name for leaf in draft.leaves]
    seen = subject.run(body.text, draft.program().names, watch=watched, retained=leaves)
    wrong = [
        f"{place}: model {expected}, torch {found}"
        for place, expected, found in differences(draft, body, model, seen)
        if expected != found
    ]
    assert not wrong, "\n".join([body.text, *wrong])
    return model


# -- rules --------------------------------------------------------------------------------------

RULES = Path(__file__).with_name("model_rules.txt")


@dataclass(frozen=True, slots=True)
class Rule:
    """One paragraph of the file."""

    sentence: str
    text: str
    raises: str
    unspecified: str
    flags: dict[str, tuple[str, int]]
    grads: set[str] | None


def _rules() -> Iterator[Rule]:
    for paragraph in RULES.read_text(encoding="utf-8").strip().split("\n\n")[1:]:
        sentence, *lines, outcome = paragraph.split("\n")
        text = "\n".join(line.removeprefix("    ") for line in lines)
        verb, _, rest = outcome.strip().partition(" ")
        said, _, grads = rest.partition("; grad ")
        raises, unspecified = (said if verb == word else "" for word in ("raises", "unspecified"))
        told = [part.split() for part in said.split(", ")] if verb == "then" else []
        flags = {name: (word, int(version)) for name, word, version in told}
        yield Rule(
            sentence, text, raises, unspecified, flags, set(grads.split()) if grads else None
        )


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
    seen = {n: (_word(model.flags[n]), model.flags[n].version) for n in rule.flags}
    assert seen == rule.flags
    if rule.grads is not None:
        assert {name for name, graded in model.graded.items() if graded} == rule.grads
    agree(draft, eager, watched=True)


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
    "stale": Recipe(go_on=94, most_leaves=4, plain=4, in_place=50, view=40, region=0, unsafe=0),
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
    assert share // 4 < kinds[None] < share
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
    for index in range(1500):
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
