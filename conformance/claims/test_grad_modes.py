"""What no_grad does to results, to gradient flow, and to tensors written inside it; and detach."""

from __future__ import annotations

from conformance.claims.claim import proves
from conformance.examine import Judged
from conformance.model import Kind
from conformance.subjects import TensorSeen
from conformance.trial import Trial
from strategies import scenes
from strategies.program import Apply
from strategies.staging import drawn


@proves("no-grad-result")
def test_no_grad_result(trial: Trial) -> None:
    """A fresh result of no_grad has no grad_fn and its backward raises (article 004)."""
    trial.holds(drawn(scenes.computed_in_region), watched=True)
    trial.searches(
        drawn(scenes.viewed_in_region),
        breaks=_view_requires_grad,
        title="a view made in no_grad says that it requires grad, and has no grad_fn",
        shown=lambda judged: tuple(
            f"{name}.{flag}" for name in _made(judged) for flag in ("requires_grad", "grad_fn")
        ),
    )


def _made(judged: Judged) -> list[str]:
    """The names of what the program's steps made."""
    return [name for step in judged.program.steps if isinstance(step, Apply) for name in step.to]


def _view_requires_grad(judged: Judged) -> str | None:
    for name, seen in judged.observation.values.items():
        if not name.startswith("x") or not isinstance(seen, TensorSeen):
            continue
        if seen.requires_grad and seen.grad_fn is False:
            return f"{name} was made in no_grad: requires_grad is True and grad_fn is None"
    return None


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
    trial.holds(drawn(scenes.written_in_no_grad))
    trial.searches(
        drawn(scenes.written_in_no_grad),
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
    trial.holds(drawn(scenes.detached))
