"""Scripts on networks of convolutions, with activations as layers and as calls."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from conformance.claims._seeing import Shown, expecting, same_bits, within
from conformance.judge import Finding
from conformance.oracle import networks as oracle
from conformance.oracle.networks import BATCH, Block, follow
from conformance.tolerances import NETWORK_ATOL, ORACLE_RTOL
from conformance.trial import Script

_GRAD = "silent wrong gradient"


@dataclass(frozen=True, slots=True)
class Stage:
    """One convolution of a network, its batch norm, and its activation."""

    block: Block
    module: str
    function: str
    values: tuple[float, ...] = ()

    def layers(self, *, inplace: bool, bias: bool) -> str:
        """The stage as layers of an nn.Sequential."""
        given = ", ".join([*map(repr, self.values), f"inplace={inplace}"])
        return f"{self.norms(bias=bias)}, nn.{self.module}({given})"

    def norms(self, *, bias: bool) -> str:
        """The stage without its activation."""
        one, two = self.block.channels
        shape = f"{one}, {two}, {self.block.kernel}, stride={self.block.stride}"
        shape += f", padding={self.block.padding}"
        return f"nn.Conv2d({shape}{'' if bias else ', bias=False'}), nn.BatchNorm2d({two})"

    def call(self, x: str) -> str:
        """The activation as a call."""
        return f"F.{self.function}({', '.join([x, *map(repr, self.values)])})"


# The parameters are all given, in the order that module, function and oracle share.
_ACTIVATIONS: tuple[tuple[str, str, tuple[tuple[float, ...], ...]], ...] = (
    ("ReLU", "relu", ((),)),
    ("ReLU6", "relu6", ((),)),
    ("LeakyReLU", "leaky_relu", ((0.01,), (0.5,))),
    ("Hardtanh", "hardtanh", ((-1.0, 1.0), (-0.5, 2.0))),
    ("Threshold", "threshold", ((0.0, 0.0), (0.5, -1.0))),
    ("ELU", "elu", ((1.0,), (0.5,))),
    ("CELU", "celu", ((1.0,), (2.0,))),
    ("SELU", "selu", ((),)),
    ("Hardswish", "hardswish", ((),)),
    ("SiLU", "silu", ((),)),
    ("Mish", "mish", ((),)),
)
_BY_RESULT = ("ELU", "CELU", "SELU")
"""In place their gradient comes from the result: the same number by another formula."""


@st.composite
def _stages(draw: st.DrawFn, there: Set[str], blocks: bool) -> tuple[Stage, ...]:
    """One to three stages; examples shrink towards one, with ReLU."""
    usable = [a for a in _ACTIVATIONS if a[1] in there]
    stages: list[Stage] = []
    for _ in range(draw(st.integers(1, 3))):
        before = stages[-1].block if stages else None
        block = draw(st.sampled_from(follow(before))) if blocks else draw(_free_block(before))
        module, function, choices = draw(st.sampled_from(usable))
        stages.append(Stage(block, module, function, draw(st.sampled_from(choices))))
        if not follow(stages[-1].block) and blocks:
            break
    return tuple(stages)


@st.composite
def _free_block(draw: st.DrawFn, before: Block | None) -> Block:
    channels, side = (
        (draw(st.integers(1, 4)), 7)
        if before is None
        else (
            before.channels[1],
            before.sides[1],
        )
    )
    kernel = draw(st.integers(1, min(3, side)))
    stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, kernel - 1))
    after = (side + 2 * padding - kernel) // stride + 1
    return Block((channels, draw(st.integers(1, 5))), kernel, stride, padding, (side, after))


_CLASSES = """\
class WithLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            {layers}
        )

    def forward(self, x):
        return self.features(x)


class WithCalls(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.ModuleList([
            {norms}
        ])

    def forward(self, x):
        {calls}
        return x


torch.manual_seed({seed})
dtype = torch.{dtype}
layers = WithLayers().to(DEVICE, dtype).train({training})
calls = WithCalls().to(DEVICE, dtype).train({training})
with torch.no_grad():
    for tensor in list(layers.parameters()) + list(layers.buffers()):
        if tensor.is_floating_point():
            tensor.add_(torch.rand(tensor.shape, dtype=dtype).to(DEVICE) * 0.5)
    for one, other in zip(layers.parameters(), calls.parameters()):
        other.copy_(one)
    for one, other in zip(layers.buffers(), calls.buffers()):
        other.copy_(one)
x = torch.randn({shape}, dtype=dtype).to(DEVICE)


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors if t.is_floating_point()])


def run(net):
    leaf = x.clone().requires_grad_()
    out = net(leaf)
    weights = torch.linspace(-1.0, 1.0, out.numel(), dtype=dtype, device=DEVICE)
    out.backward(weights.reshape(out.shape))
    gradients = [p.grad for p in net.parameters()]
    return out, leaf.grad, flat(gradients), flat(net.buffers())


given = [t.detach().clone() for t in list(layers.parameters()) + list(layers.buffers())]
given = flat(given)
layer_out, layer_grad, layer_parameters, layer_buffers = run(layers)
call_out, call_grad, call_parameters, call_buffers = run(calls)
"""
_SEEN = ("out", "grad", "parameters", "buffers")


def _network_body(
    stages: tuple[Stage, ...], *, dtype: str, training: bool, seed: int, inplace: bool, bias: bool
) -> str:
    exact = dtype == "float64"
    first = stages[0].block
    comma = ",\n            "
    return _CLASSES.format(
        layers=comma.join(
            s.layers(inplace=inplace and (exact or s.module not in _BY_RESULT), bias=bias)
            for s in stages
        )
        + ",",
        norms=comma.join(f"nn.Sequential({s.norms(bias=bias)})" for s in stages) + ",",
        calls="\n        ".join(
            f"x = {stage.call(f'self.features[{i}](x)')}" for i, stage in enumerate(stages)
        ),
        seed=seed,
        dtype=dtype,
        training=training,
        shape=[BATCH, first.channels[0], first.sides[0], first.sides[0]],
    )


@st.composite
def networks(draw: st.DrawFn, *, there: Set[str]) -> Script:
    """Networks with nn.X(inplace=True) beside the same with F.x; examples shrink to one stage."""
    stages = draw(_stages(there, False))
    dtype = draw(st.sampled_from(("float64", "float32")))
    body = _network_body(
        stages,
        dtype=dtype,
        training=draw(st.booleans()),
        seed=draw(st.integers(0, 99)),
        inplace=not draw(st.booleans()),
        bias=not draw(st.booleans()),
    )
    by_result = dtype == "float64" and any(s.module in _BY_RESULT for s in stages)

    def check(shown: Shown) -> Iterator[Finding]:
        return _same_networks(shown, by_result=by_result)

    names = [f"{side}_{what}" for what in _SEEN for side in ("layer", "call")]
    return Script(body, tuple(names), expecting(check))


def _same_networks(shown: Shown, *, by_result: bool) -> Iterator[Finding]:
    why = "activations as layers and as calls make the same network"
    for what in _SEEN:
        one, other = f"layer_{what}", f"call_{what}"
        kind = _GRAD if what in ("grad", "parameters") else "wrong value"
        if by_result and kind == _GRAD:
            wanted = shown.array(other)
            yield from within(one, shown.array(one), wanted, _room(wanted.value), why, kind)
            continue
        for finding in same_bits(shown, one, other, why):
            yield replace(finding, kind=kind)


def _room(wanted: oracle.Real) -> oracle.Real:
    return NETWORK_ATOL + ORACLE_RTOL * abs(wanted)


# -- beside jax


@st.composite
def networks_by_jax(draw: st.DrawFn, *, there: Set[str]) -> Script:
    """Networks in float64 whose numbers come from jax too; examples shrink to one stage."""
    stages = draw(_stages(there, True))
    training = draw(st.booleans())
    body = _network_body(
        stages,
        dtype="float64",
        training=training,
        seed=draw(st.integers(0, 99)),
        inplace=True,
        bias=True,
    )

    def check(shown: Shown) -> Iterator[Finding]:
        return _as_jax(shown, stages, training=training)

    names = ("x", "given", "layer_out", "layer_grad", "layer_parameters", "layer_buffers")
    return Script(body, names, expecting(check))


def _as_jax(shown: Shown, stages: tuple[Stage, ...], *, training: bool) -> Iterator[Finding]:
    layers = [(s.block, s.function, s.values) for s in stages]
    sizes = [_sizes(s.block) for s in stages]
    given = shown.array("given").value
    split, rest = _split(given, [size[:4] for size in sizes])
    statistics, _ = _split(rest, [size[4:] for size in sizes])
    weights = [{**one, **two} for one, two in zip(split, statistics, strict=True)]
    out = shown.array("layer_out").value
    cotangent = np.linspace(-1.0, 1.0, out.size).reshape(out.shape)
    answer = oracle.run_network(
        layers, weights, shown.array("x").value, cotangent, training=training
    )
    parameters = [p[key].ravel() for p in answer.parameters for key in oracle.PARAMETERS]
    buffers = [s[key].ravel() for s in answer.statistics for key in ("mean", "variance")]
    wanted = {
        "out": answer.output,
        "grad": answer.gradient,
        "parameters": np.concatenate(parameters),
        "buffers": np.concatenate(buffers),
    }
    for what, numbers in wanted.items():
        kind = _GRAD if what in ("grad", "parameters") else "wrong value"
        seen = shown.array(f"layer_{what}")
        yield from within(f"layer_{what}", seen, numbers, _room(numbers), "jax", kind)


def _sizes(block: Block) -> list[tuple[str, tuple[int, ...]]]:
    one, two = block.channels
    weight = (two, one, block.kernel, block.kernel)
    names = ("bias", "gamma", "beta", "mean", "variance")
    return [("weight", weight), *((name, (two,)) for name in names)]


def _split(
    row: oracle.Real, sizes: list[list[tuple[str, tuple[int, ...]]]]
) -> tuple[list[dict[str, oracle.Real]], oracle.Real]:
    """Cut a row into named arrays, block by block, and what is left of it."""
    blocks = []
    for block in sizes:
        arrays = {}
        for name, shape in block:
            count = 1
            for side in shape:
                count *= side
            arrays[name] = row[:count].reshape(shape)
            row = row[count:]
        blocks.append(arrays)
    return blocks, row
