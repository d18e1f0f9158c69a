"""The default of `inplace`, wherever it is a parameter."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.claims._seeing import Shown, expecting, flag, sums_up, unless
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
    taking, kind = sorted(shown.facts()), "wrong value"
    wrong = "nn.ReLU and F.relu do not take inplace"
    message = f"{wrong}; those that do: {taking}"
    found = Finding(kind, message, "nn.ReLU and F.relu", str(taking))
    both = {"nn.ReLU(...).inplace", "F.relu"}
    asked = shown.look(f"set(facts).issuperset({sorted(both)!r})", both.issubset(taking))
    yield from unless(asked, wrong, found)
    for name in taking:
        why = "inplace is False unless asked for (torch.nn)"
        yield from flag(name, shown.aside().fact(name), False, why, kind)
    sums_up(shown, "what is not False", "{n: d for n, d in facts.items() if d is not False}", {})
    for name in shown.names("mentioned").value:
        message = f"F.{name} mentions inplace and shows no signature: its default cannot be read"
        yield Finding(kind, message, "a signature", "none")
    sums_up(shown, "what mentions inplace and shows no signature", "mentioned", [])
