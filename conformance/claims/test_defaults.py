"""The default of `inplace`, wherever it is a parameter."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.claims._seeing import Shown, expecting, flag
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.trial import Script, Trial

_INTROSPECTION = """\
import inspect

layers = [n for n in dir(nn) if isinstance(getattr(nn, n), type)]
layers = [n for n in layers if issubclass(getattr(nn, n), nn.Module)]
for name in layers:
    parameters = inspect.signature(getattr(nn, name).__init__).parameters
    if "inplace" in parameters:
        facts["nn." + name] = parameters["inplace"].default
        # What has no default is a number: the threshold and its value.
        required = [p for p in list(parameters.values())[1:] if p.default is p.empty]
        required = [p for p in required if p.kind is p.POSITIONAL_OR_KEYWORD]
        layer = getattr(nn, name)(*[0.5 for _ in required])
        facts["nn." + name + "(...).inplace"] = layer.inplace

opaque = []
for name in dir(F):
    function = getattr(F, name)
    if not callable(function) or isinstance(function, type):
        continue
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        opaque.append(name)
        continue
    if "inplace" in parameters:
        facts["F." + name] = parameters["inplace"].default
mentioned = [n for n in opaque if "inplace" in (getattr(F, n).__doc__ or "")]
"""


@proves("relu-default")
def test_relu_default(trial: Trial) -> None:
    """Whatever takes `inplace` takes it as False unless told otherwise (article 000)."""
    trial.once(Script(_INTROSPECTION, ("facts", "mentioned"), expecting(_all_false)))


def _all_false(shown: Shown) -> Iterator[Finding]:
    facts = shown.facts()
    if "nn.ReLU(...).inplace" not in facts or "F.relu" not in facts:
        message = f"nn.ReLU and F.relu do not take inplace; those that do: {sorted(facts)}"
        yield Finding("wrong value", message, "nn.ReLU and F.relu", str(sorted(facts)))
    for name, default in sorted(facts.items()):
        yield from flag(
            name, default, False, "inplace is False unless asked for (torch.nn)", "wrong value"
        )
    for name in shown.names("mentioned"):
        message = f"F.{name} mentions inplace and shows no signature: its default cannot be read"
        yield Finding("wrong value", message, "a signature", "none")
