"""Layers and functions: that they agree, and which of them keep anything."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from conformance.claims import _networks, _twins
from conformance.claims._layer import Layer
from conformance.claims._operands import IN_PLACE, LEAVES, MAX_NORM, STATISTICS, operand_scripts
from conformance.claims._seeing import Shown, exactly, expecting, flag, unless
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.trial import Script, Trial


@proves("module-equals-functional")
def test_module_equals_functional(trial: Trial) -> None:
    """A layer and its function agree to the last bit, alone and in networks (001, 002)."""
    layers = _known(trial)
    for layer in layers:
        for training in (False, True):
            trial.once(
                _twins.compared(
                    _twins.Pair(layer, layer.variants[0], layer.shape, training=training)
                )
            )
    there = trial.examiner.subject.names["F"]
    compared = _twins.compared_scripts(among=layers)
    trial.scripts(compared)
    dropouts = [name for name in _twins.DROPOUTS if name in there]
    trial.scripts(_twins.dropout_scripts(among=dropouts), examples=trial.profile.networks)
    trial.scripts(_networks.networks(there=there))
    few = min(trial.profile.networks, 30)
    trial.scripts(_networks.networks_by_jax(there=there), examples=few)
    trial.once(_twins.DEFAULTS)
    kinds = ("wrong value", "silent wrong gradient")
    for condition, title in _APART.items():
        trial.searches_scripts(compared, condition=condition, title=title, kinds=kinds)


_APART = {
    _twins.DEFAULT: "nn.RReLU, nn.AlphaDropout and nn.FeatureAlphaDropout train by default, and "
    "their functions do not",
    _twins.TRAINING: "In different training modes a layer and its function differ",
    _twins.SEED: "With different seeds a layer that draws random numbers differs from its function",
    _twins.ARGUMENTS: "With different arguments a layer and its function differ",
}
"""Condition of the scope -> what the report says beyond it."""


def _known(trial: Trial) -> list[Layer]:
    """The layers to compare, of all that the subject has; what is left out is noted."""
    found: list[str] = []

    def check(shown: Shown) -> Iterator[Finding]:
        modules = shown.names("modules")
        found.extend(modules.value)
        wanted = ["BatchNorm2d", "Conv2d", "ReLU"]
        there = modules.derived(f"set(modules).issuperset({wanted})", set(found).issuperset(wanted))
        message = f"the layers found are {found} alone"
        missing = Finding("wrong value", message, str(wanted), str(found))
        yield from unless(there, "layers are missing", missing)

    trial.once(Script(_twins.MODULES, ("modules",), expecting(check)))
    layers, trial.note = _twins.layers_of(trial, found)
    return layers


@proves("functional-is-stateless")
def test_functional_is_stateless(trial: Trial) -> None:
    """A stateless layer adds nothing to state_dict, and an F call keeps nothing (article 001)."""
    layers = _known(trial)
    for layer in layers:
        for arguments in layer.variants:
            trial.once(_twins.stateless(layer, arguments, training=True, seed=0))
    trial.scripts(_nested(layers))
    trial.once(_STATISTICS)
    calls = operand_scripts(there=trial.examiner.subject.names["F"])
    trial.scripts(calls)
    for condition, title in _WRITTEN.items():
        trial.searches_scripts(
            calls, condition=condition, title=title, kinds=("wrong value",), fragment=LEAVES
        )


_WRITTEN = {
    STATISTICS: "F.batch_norm and F.instance_norm write their running statistics",
    MAX_NORM: "F.embedding and F.embedding_bag shorten rows that are longer than max_norm",
    IN_PLACE: "A function with inplace=True writes its input",
}
"""What is written by contract -> what the report says of it."""


_NESTED = """\
net = {net}
keys = list(net.state_dict())
"""


@st.composite
def _nested(draw: st.DrawFn, layers: list[Layer]) -> Script:
    """Layers in containers in containers; examples shrink towards one layer."""
    tree = st.deferred(lambda: st.one_of(leaf, st.lists(tree, min_size=1, max_size=3).map(tuple)))
    leaf = st.sampled_from(layers).flatmap(
        lambda layer: st.tuples(st.just(layer.name), st.sampled_from(layer.variants))
    )
    by_name = {layer.name: layer for layer in layers}

    def text(node: object) -> str:
        assert isinstance(node, tuple)
        if isinstance(node[0], str):
            return f"nn.{node[0]}({node[1]})"
        return "nn.Sequential(" + ", ".join(map(text, node)) + ")"

    def keys(node: object, prefix: str) -> list[str]:
        assert isinstance(node, tuple)
        if isinstance(node[0], str):
            return [prefix + key for key in by_name[node[0]].state(node[1])]
        return [key for i, part in enumerate(node) for key in keys(part, f"{prefix}{i}.")]

    node = (draw(tree),)
    wanted = sorted(keys(node, ""))

    def check(shown: Shown) -> Iterator[Finding]:
        why = "layers with parameters appear in state_dict and others do not"
        keys = shown.names("keys")
        in_order = keys.derived("sorted(keys)", sorted(keys.value))
        yield from flag("state_dict", in_order, wanted, why, "wrong value")

    return Script(_NESTED.format(net=text(node)), ("keys",), expecting(check))


_STATISTICS = Script(
    """\
x = torch.tensor([[1.0, 2.0], [3.0, 6.0]], device=DEVICE)
mean = torch.zeros(2, device=DEVICE)
variance = torch.ones(2, device=DEVICE)
F.batch_norm(x, mean, variance, training=True, momentum=0.5)
weight = torch.tensor([[3.0, 4.0], [0.0, 0.5]], device=DEVICE)
F.embedding(torch.tensor([0], device=DEVICE), weight, max_norm=1.0)
""",
    ("mean", "variance", "weight"),
    expecting(lambda shown: _statistics(shown)),
)


def _statistics(shown: Shown) -> Iterator[Finding]:
    why = "F.batch_norm updates its running statistics"
    yield from exactly("mean", shown.array("mean"), np.array([1.0, 2.0]), why)
    yield from exactly("variance", shown.array("variance"), np.array([1.5, 4.5]), why)
    weight = shown.array("weight")
    short = float(np.linalg.norm(weight.value[0])) < 1.001
    why = "F.embedding(max_norm=1.0) shortens the rows that it looks up"
    seen = weight.derived("float(weight[0].norm()) < 1.001", short)
    yield from flag("whether the row is short", seen, True, why, "wrong value")
