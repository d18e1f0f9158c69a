"""What no_grad does to results, to gradient flow, and to tensors written inside it; and detach."""

from __future__ import annotations

from conformance.claims._regions import left_by_exceptions, nested, regions_of
from conformance.claims.claim import proves
from conformance.claims.scopes import detached_by_detach, fresh_in_no_grad, not_saved_before
from conformance.examine import Judged
from conformance.judge import Finding
from conformance.model import Kind
from conformance.subjects import TensorSeen
from conformance.trial import Trial
from strategies import scenes, turns
from strategies.program import Apply, recording
from strategies.staging import drawn


@proves("no-grad-result")
def test_no_grad_result(trial: Trial) -> None:
    """A fresh result of no_grad has no grad_fn and its backward raises (article 004)."""
    operations = drawn(scenes.done_in_region)
    trial.every(scenes.each_region())
    trial.holds(operations, scope=fresh_in_no_grad, law=_plain_results, watched=True)
    # A region ends where its block does, and where an exception has left it.
    regions = regions_of(trial)
    trial.scripts(nested(among=regions))
    trial.scripts(left_by_exceptions(among=regions))
    for condition, title in _NOT_COMPUTED.items():
        trial.searches(
            operations,
            scope=fresh_in_no_grad,
            condition=condition,
            breaks=_requires_grad,
            title=title,
            shown=lambda judged: tuple(
                f"{name}.{flag}"
                for name in _given_in_no_grad(judged)
                for flag in ("requires_grad", "grad_fn")
            ),
        )


_NOT_COMPUTED = {
    "view": "a view made in no_grad says that it requires grad, and has no grad_fn",
    "in place": "a tensor written in no_grad keeps its requires_grad and its grad_fn",
    "maybe-self": "an operation that returns its input gives what requires grad",
}
"""What an operation in no_grad does other than compute -> what the report says of it."""


def _given_in_no_grad(judged: Judged) -> list[str]:
    """The names of what the unrecorded steps gave."""
    return [
        name
        for step in judged.program.steps
        if isinstance(step, Apply) and not recording(step.modes)
        for name in (step.to or (str(step.args[0]),))
    ]


def _requires_grad(judged: Judged) -> str | None:
    """A result of no_grad that requires grad, but for leaves, which do by themselves."""
    leaves = {leaf.name for leaf in judged.program.leaves}
    for name in _given_in_no_grad(judged):
        seen = judged.observation.values.get(name)
        if name not in leaves and isinstance(seen, TensorSeen) and seen.requires_grad:
            grad_fn = "a grad_fn" if seen.grad_fn else "no grad_fn"
            return f"{name} comes from no_grad, and requires grad, with {grad_fn}"
    return None


def _plain_results(judged: Judged) -> Finding | None:
    message = None if _written_later(judged) else _requires_grad(judged)
    return Finding("wrong flag", message, "False", "True") if message else None


def _written_later(judged: Judged) -> bool:
    """Whether a recorded write may have brought a result of no_grad into the graph."""
    return any(
        isinstance(step, Apply) and step.op.endswith("_") and recording(step.modes)
        for step in judged.program.steps
    )


@proves("no-grad-truncates")
def test_no_grad_truncates(trial: Trial) -> None:
    """A leaf behind a result of no_grad keeps grad None (article 004)."""
    trial.holds(drawn(scenes.truncated))


@proves("no-grad-other-paths")
def test_no_grad_other_paths(trial: Trial) -> None:
    """A leaf with another path gets that path's gradient alone (article 004)."""
    trial.holds(drawn(scenes.other_paths))


@proves("no-grad-inplace")
def test_no_grad_inplace(trial: Trial) -> None:
    """The value is new, the gradient that of the old (article 004)."""
    writes = drawn(scenes.written_in_no_grad)
    count = trial.profile.few_turns
    trial.every(turns.each(turns.written_in_no_grad, turns.WRITES, count, trial.seed))
    trial.holds(writes, scope=not_saved_before)
    trial.searches(
        writes,
        scope=not_saved_before,
        condition="saved",
        breaks=_saved_modified,
        title="an executed node had saved the tensor that no_grad overwrites: backward raises",
    )


def _saved_modified(judged: Judged) -> str | None:
    if judged.raised_kind() != Kind.SAVED_MODIFIED.value:
        return None
    return "the write in no_grad counts: backward finds the saved tensor at a newer version"


@proves("detach-shares")
def test_detach_shares(trial: Trial) -> None:
    """Writes through either side are seen on both, with one version (article 004)."""
    aliases = drawn(scenes.detached)
    count = trial.profile.few_turns
    trial.every(turns.each(turns.detached_then_written, turns.WRITES, count, trial.seed))
    trial.holds(aliases, scope=detached_by_detach)
    trial.searches(
        aliases,
        scope=detached_by_detach,
        condition=".data",
        breaks=_two_versions,
        title=".data shares memory and has a version of its own",
        shown=lambda judged: tuple(f"{name}._version" for name in _sides(judged)),
    )


def _sides(judged: Judged) -> list[str]:
    """The tensor and its alias."""
    step = next(s for s in judged.program.steps if isinstance(s, Apply) and s.op == "data")
    return [str(step.args[0]), step.to[0]]


def _two_versions(judged: Judged) -> str | None:
    """The alias lies in the tensor's memory and counts its writes by itself."""
    one, other = (judged.observation.values.get(name) for name in _sides(judged))
    if not isinstance(one, TensorSeen) or not isinstance(other, TensorSeen):
        return None
    if one.storage != other.storage or one.version == other.version:
        return None
    name, alias = _sides(judged)
    return (
        f"{name} and {alias} share memory, and {name} is at version {one.version} and {alias} at "
        f"{other.version}"
    )
