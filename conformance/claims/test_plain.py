"""Plain operations leave operands alone and give new tensors, or are marked as not doing so."""

from __future__ import annotations

from conformance.claims.claim import proves
from conformance.examine import Judged
from conformance.subjects import TensorSeen
from conformance.trial import Trial
from strategies import scenes
from strategies.program import Apply
from strategies.staging import drawn
from strategies.table import OPERATIONS


@proves("functional-leaves-operands")
def test_functional_leaves_operands(trial: Trial) -> None:
    """Values, versions and memory of operands are as before, and results are new (001, 003)."""
    trial.holds(drawn(scenes.plain_operations))
    trial.searches(
        drawn(scenes.plain_operations),
        breaks=_gives_no_new_tensor,
        title="a view, or an operation that may return its input, gives no new tensor",
        shown=lambda judged: tuple(f"{name}.data_ptr()" for name in judged.program.names),
    )


def _gives_no_new_tensor(judged: Judged) -> str | None:
    """A result that lies in its operand's memory, by a row that is not marked as fresh."""
    if judged.raised:
        return None
    for step in judged.program.steps:
        if not isinstance(step, Apply) or OPERATIONS[step.op][0].kind == "fresh":
            continue
        operand = judged.observation.values.get(str(step.args[0]))
        for name in step.to:
            result = judged.observation.values.get(name)
            if not isinstance(operand, TensorSeen) or not isinstance(result, TensorSeen):
                continue
            if result.storage == operand.storage:
                return (
                    f"{name} = {step.args[0]}.{step.op}(...) lies in the memory of {step.args[0]}"
                )
    return None
