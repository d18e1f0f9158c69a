"""In-place steps that write no element: changes of shape, of the requires_grad flag, of history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from conformance.model.errors import Kind
from conformance.model.laws import DETACHED_MOVES
from conformance.model.prediction import Acted
from conformance.model.quirks import STALE_LEAF
from conformance.model.state import Raised, Tensor, Unspecified
from strategies.draft import Shaped
from strategies.program import inferring, recording

if TYPE_CHECKING:
    from conformance.model.interpreter import Interpreter

Rule = Callable[["Interpreter", Shaped], Acted]


def rule_of(step: Shaped) -> Rule | None:
    """The rule of an in-place step that writes no element; None for one that does."""
    if step.row.outside_the_law:
        return _leave_the_law
    return _change_shape if step.row.moves is not None else _RULES.get(step.row.name)


def _leave_the_law(interpreter: Interpreter, step: Shaped) -> Acted:
    """`resize_` and `set_` give a tensor other memory behind autograd's back (observed)."""
    raise Unspecified(f"{step.step.op} is a way around autograd")


def _change_shape(interpreter: Interpreter, step: Shaped) -> Acted:
    """A change of shape is checked and counted like a write, and recorded as a view is (observed).

    Unrecorded it leaves a node whose shape is another one: nothing documents what comes of a
    gradient that meets it.
    """
    (target,) = interpreter.operands(step)
    graph = interpreter.graph
    assert step.moved is not None
    kept = set(step.moved.cells().ravel().tolist())
    leaves_out = not kept.issuperset(target.layout.cells().ravel().tolist())
    # Views reach what their base has no gradient for any more (torch.as_strided).
    why = f"{step.step.op} leaves out cells that {target.name} had" if leaves_out else ""
    if graph.requires_grad(target) and recording(step.step.modes) and not target.inference:
        graph.check_write(target, stale_is_leaf=STALE_LEAF in interpreter.quirks)
        _refuse_detached(interpreter, step, target)
        node, acted = interpreter.record(step, [target])
        graph.writes[target.memory] += 1
        acted.open = why
        target.layout = step.moved
        graph.count_write(target, acted, inferring=False)
        target.node, target.made_at, target.number = node, target.counter.value, 0
        return acted
    _refuse_detached(interpreter, step, target)
    graph.writes[target.memory] += 1
    acted = Acted(connected=(False,), open=why)
    graph.move(target, step.moved)
    graph.count_write(target, acted, inferring=inferring(step.step.modes))
    return acted


def _refuse_detached(interpreter: Interpreter, step: Shaped, target: Tensor) -> None:
    """What is detached lay still once: "In-place size / stride / storage changes [...] trigger an
    error", as `Tensor.detach` said before 1.13; that to swap a dimension with itself is no change
    is observed.
    """
    ndim = target.layout.ndim
    dims = [step.params[name] % max(ndim, 1) for name in ("dim0", "dim1") if name in step.params]
    changes = ndim > 1 if step.row.name == "t" else len(dims) != 2 or dims[0] != dims[1]
    if target.fixed and changes and DETACHED_MOVES in interpreter.graph.broken:
        raise Raised(Kind.DETACHED_MOVED, f"{target.name} was made by detach() or .data")


def _set_flag(interpreter: Interpreter, step: Shaped) -> Acted:
    """ "Change if autograd should record operations on this tensor" (torch.Tensor.requires_grad_).

    Only leaves can stop; asking a non-leaf to start changes nothing; grad mode does not matter. A
    view can be a leaf of its own (observed).
    """
    (target,) = interpreter.operands(step)
    wants = bool(step.params["requires_grad"])
    if wants and target.inference and not inferring(step.step.modes):
        raise Raised(Kind.INFERENCE_GRAD, f"{target.name} is an inference tensor")
    if not _is_leaf(interpreter, target):
        if not wants:
            raise Raised(Kind.FLAG_NONLEAF, f"{target.name} is no leaf")
    elif wants and not target.flag:
        target.flag = True
        target.history = interpreter.new_history()
        interpreter.graph.rehistoried = True
    else:
        target.flag = wants
    return Acted(connected=(False,))


def _is_leaf(interpreter: Interpreter, target: Tensor) -> bool:
    """Leaves have no grad_fn (torch.Tensor.is_leaf); a quirk forgets the one that it would get."""
    if STALE_LEAF in interpreter.quirks or target.creation != "default":
        return target.node is None
    return interpreter.graph.grad_fn(target) is None


def _detach_in_place(interpreter: Interpreter, step: Shaped) -> Acted:
    """ "Views cannot be detached in-place" (torch.Tensor.detach_); others become leaves.

    Views from before keep their nodes until their memory is written, and in inference mode or to
    an inference tensor nothing happens at all (observed).
    """
    (target,) = interpreter.operands(step)
    if inferring(step.step.modes) or target.inference:
        return Acted(connected=(False,))
    if target.base is not None and target.creation != "stale":
        raise Raised(Kind.DETACH_VIEW, f"{target.name} is a view of {target.base.name}")
    target.flag, target.node = False, None
    target.history = interpreter.new_history()
    interpreter.graph.rehistoried = True
    return Acted(connected=(False,))


_RULES: dict[str, Rule] = {"requires_grad": _set_flag, "detach": _detach_in_place}
"""Row -> the rule of its in-place form."""
