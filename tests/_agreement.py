"""Programs written as lines of torch, and whether model and torch say the same of them."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from typing import Any

from conformance.model import QUIRKS, Flags, Kind, classify, predict
from conformance.model.prediction import Prediction
from conformance.subjects import FlagsSeen, Observation, Subject, TensorSeen
from strategies.draft import Draft
from strategies.printer import Body, print_body
from strategies.program import Apply, Argument, Backward, Leaf

LEAVES = ("leaf", "const", "ints")
"""What makes a leaf: one that requires grad, one that does not, one of integers."""


def program(text: str) -> Draft:
    """A program from lines of torch.

    `leaf(2, 3)` makes a leaf that requires grad, `const(2, 3)` one that does not, and `ints(2, 3)`
    one of integers; `backward(x, y)` starts from both with ones.
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
    if op in LEAVES:
        _add_leaf(draft, op, to[0], tuple(int(size) for size in args))
    elif op == "backward":
        roots = tuple(map(str, args))
        ones: tuple[list[Any], ...] = tuple(
            [1.0] * draft.values[root].layout.numel for root in roots
        )
        draft.add_backward(Backward(roots, ones, modes=modes, **params))
    else:
        draft.add(Apply(op, args, params, to, modes=modes))


def _add_leaf(draft: Draft, kind: str, name: str, shape: tuple[int, ...]) -> None:
    data: list[Any] = [1.0 + i for i in range(math.prod(shape))]
    dtype: Any = "int64" if kind == "ints" else "float64"
    draft.add_leaf(Leaf(name, shape, data, dtype, kind == "leaf"))


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


def _flags(flags: Flags | FlagsSeen) -> tuple[object, ...]:
    if isinstance(flags, Flags):
        kind = flags.unreadable
    else:
        kind = classify(flags.flags_error, in_backward=False) if flags.flags_error else None
    return flags.requires_grad, flags.version, flags.is_leaf, flags.grad_fn, kind


def _both(model: Flags, seen: FlagsSeen) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """Both words on a tensor; a version that nothing documents is whatever number torch has."""
    ours, theirs = _flags(model), _flags(seen)
    if model.version == "any" and isinstance(seen.version, int):
        ours = (ours[0], seen.version, *ours[2:])
    return ours, theirs


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
    raised = _raised(draft, body, seen)
    if model.unspecified and raised and raised[0] is not None and raised[0] >= len(model.acted):
        raised = None
    if predicted != raised:
        yield "raises", model.raises, seen.error
        return
    for number, (expected, step) in enumerate(zip(model.trace, seen.trace, strict=False)):
        for name, flags in step.flags.items():
            if name in expected:
                yield f"{name} after step {number}", *_both(expected[name], flags)
    if model.unspecified:
        return
    tensors = {n: value for n, value in seen.values.items() if isinstance(value, TensorSeen)}
    yield "names", set(model.flags), set(tensors)
    yield "memory", _groups(model.memory), _groups({n: t.storage for n, t in tensors.items()})
    for name, tensor in tensors.items():
        layout = model.layouts[name]
        yield name, *_both(model.flags[name], tensor.flags)
        yield f"{name}.shape", layout.shape, tensor.shape
        if layout.numel:
            strides = _strides(layout.shape, layout.strides), _strides(tensor.shape, tensor.strides)
            yield f"{name}.stride()", *strides
            yield f"{name}.storage_offset()", layout.offset, tensor.offset
    for leaf, graded in model.graded.items():
        yield f"{leaf}.grad", graded, tensors[leaf].grad is not None
    yield "steps watched", len(model.trace), len(seen.trace)


def agree(draft: Draft, subject: Subject, *, watched: bool) -> Prediction:
    """Assert that torch does what the model predicts; return the prediction."""
    model = predict(draft, quirks=QUIRKS, watched=watched)
    body = print_body(draft, watch=watched)
    retained = sorted(draft.sought.union(leaf.name for leaf in draft.leaves))
    seen = subject.run(body.text, draft.program().names, watch=watched, retained=retained)
    wrong = [
        f"{place}: model {expected}, torch {found}"
        for place, expected, found in differences(draft, body, model, seen)
        if expected != found
    ]
    assert not wrong, "\n".join([body.text, *wrong])
    return model
