"""What a whole program does, as far as the interpreter comes with it."""

from __future__ import annotations

from collections.abc import Callable

from conformance.model.interpreter import Interpreter
from conformance.model.prediction import Kept, Prediction, Raises
from conformance.model.state import Raised, Unspecified
from strategies.draft import Draft, Shaped


def predict(
    draft: Draft,
    *,
    quirks: frozenset[str] = frozenset(),
    watched: bool = False,
    visit: Callable[[Interpreter, Shaped], None] | None = None,
) -> Prediction:
    """What the program does by the documentation, and by the quirks that are named.

    `visit` is called before each operation, as far as the program comes.
    """
    interpreter = Interpreter(draft, quirks)
    prediction = Prediction(places=interpreter.places(interpreter.tensors))
    for index, step in enumerate(draft.shaped):
        if visit is not None and isinstance(step, Shaped):
            visit(interpreter, step)
        try:
            acted = interpreter.run_step(step)
        except Raised as raised:
            prediction.raises = Raises(index, raised.kind, raised.why)
            if raised.done is not None:
                prediction.acted.append(raised.done)
                prediction.open = prediction.open or raised.done.open
            break
        except Unspecified as reason:
            prediction.unspecified = str(reason)
            return prediction
        acted.places = interpreter.places(step.step.to if isinstance(step, Shaped) else ())
        prediction.acted.append(acted)
        prediction.open = prediction.open or acted.open
        if acted.flow is not None:
            prediction.hidden = prediction.hidden or acted.flow.hidden or acted.flow.shared
            failed = acted.flow.raised
            if failed is not None:
                prediction.raises = Raises(index, failed.kind, failed.why)
                break
        if watched:
            prediction.trace.append(interpreter.look())
    for name, tensor in interpreter.tensors.items():
        prediction.memory[name] = tensor.memory
        prediction.layouts[name] = tensor.layout
        prediction.histories[name] = tensor.history
    prediction.saved = [
        Kept(
            node.operation,
            saved.tensor.name,
            saved.tensor.memory,
            saved.version,
            saved.stale,
            node.ran,
        )
        for node in interpreter.graph.recorded
        for saved in node.saved
    ]
    prediction.flags = interpreter.look()
    leaves = {leaf.name for leaf in draft.leaves}
    prediction.grads = {
        tensor.name: tensor.accumulator.layout
        for tensor in interpreter.graded
        if tensor.accumulator is not None and tensor.accumulator.layout is not None
    }
    prediction.sought = frozenset(tensor.name for tensor in interpreter.sought)
    prediction.graded = {
        name: tensor in interpreter.graded
        for name, tensor in interpreter.tensors.items()
        if name == tensor.name
        and (
            name in prediction.sought
            or (
                tensor.node is None
                and (name in leaves or tensor.flag or tensor in interpreter.graded)
            )
        )
    }
    return prediction
