"""Plain operations leave operands alone and give new tensors, or are marked as not doing so."""

from __future__ import annotations

from conformance.claims.claim import proves
from conformance.claims.scopes import fresh_results
from conformance.examine import Judged
from conformance.judge import Finding
from conformance.subjects import TensorSeen
from conformance.trial import Trial
from strategies import scenes, turns
from strategies.one_of_each import decks, each_of
from strategies.program import Apply
from strategies.staging import drawn


@proves("functional-leaves-operands")
def test_functional_leaves_operands(trial: Trial) -> None:
    """Values, versions and memory of operands are as before, and results are new (001, 003)."""
    operations = drawn(scenes.plain_operations)
    # Views lie where the op table says, also those of what is not contiguous.
    trial.every(turns.each(turns.viewed, turns.VIEWS, trial.profile.few_turns, trial.seed))
    trial.holds(operations, scope=fresh_results, law=_new_tensors)
    # Views and their kin lie where the op table says.
    trial.holds(operations)
    for rows in decks():
        fresh = all(row.kind == "fresh" for row in rows)
        trial.holds(
            drawn(each_of(rows)), law=_new_tensors if fresh else _anything, examples=OF_EACH
        )
    for condition, title in _NOT_FRESH.items():
        trial.searches(
            operations,
            scope=fresh_results,
            condition=condition,
            breaks=_gives_no_new_tensor,
            title=title,
            shown=lambda judged: tuple(f"{name}.data_ptr()" for name in judged.program.names),
        )


OF_EACH = 3
"""How often every row of the table is drawn, besides what chance draws."""


def _anything(judged: Judged) -> None:
    """No law but that of the op table, to which the judge holds what is seen."""


_NOT_FRESH = {
    "view": "a view gives no new tensor: it lies in its operand's memory",
    "maybe-self": "an operation that may return its input gives no new tensor",
}
"""Kind of row in the op table that is not fresh -> what the report says of it."""


def _new_tensors(judged: Judged) -> Finding | None:
    """No result lies in the memory of anything else."""
    message = _gives_no_new_tensor(judged)
    if message is None:
        return None
    return Finding("wrong aliasing", message, "memory of its own", "its operand's memory")


def _gives_no_new_tensor(judged: Judged) -> str | None:
    """A result that lies in its operand's memory."""
    if judged.raised:
        return None
    for step in judged.program.steps:
        if not isinstance(step, Apply):
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
