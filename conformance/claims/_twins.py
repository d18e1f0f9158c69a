"""Scripts that put a layer beside its function, and that look at what either keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from conformance.claims._inplace import left_out
from conformance.claims._layer import RUNNING, Layer
from conformance.claims._layers import LAYERS, WITHOUT_TWIN
from conformance.claims._seeing import Shown, exactly, expecting, flag, same_bits, same_contents
from conformance.claims._targets import Shape, literal
from conformance.judge import Finding
from conformance.trial import Script, Trial

_SETTING = """\
import copy

torch.manual_seed({seed})
m = {layer}
x = torch.randn({shape}, dtype=torch.{dtype}, device=DEVICE)


def by_layer(m, x):
{setup}    torch.manual_seed({seed})
    return m({call})


def by_function(m, x):
{setup}    torch.manual_seed({other_seed})
    return {twin}


"""
_ALONE = """\
torch.manual_seed({seed})
m = {layer}
x = torch.randn({shape}, dtype=torch.{dtype}, device=DEVICE)
layer_leaf = x.clone().requires_grad_()
torch.manual_seed({seed})
layer_out = m(layer_leaf)
function_leaf = x.clone().requires_grad_()
torch.manual_seed({other_seed})
function_out = {twin}
incoming = torch.linspace(-1.0, 1.0, layer_out.numel(), dtype=torch.{dtype}, device=DEVICE)
layer_out.backward(incoming.reshape(layer_out.shape))
function_out.backward(incoming.reshape(function_out.shape))
"""
_COMPARED = """\
def run(call, m):
    leaf = x.clone().requires_grad_({differentiable})
    out = call(m, leaf)
    out = out[0] if isinstance(out, tuple) else out
    weights = torch.linspace(-1.0, 1.0, out.numel(), dtype=out.dtype, device=DEVICE)
    out.backward(weights.reshape(out.shape))
    tensors = [p.grad for p in m.parameters() if p.grad is not None] + list(m.buffers())
    tensors = [t.reshape(-1) for t in tensors if t.is_floating_point()]
    rest = torch.cat(tensors) if tensors else torch.empty(0)
    facts[call.__name__] = leaf.grad is None
    return out, torch.empty(0) if leaf.grad is None else leaf.grad, rest


twin = copy.deepcopy(m)
layer_out, layer_grad, layer_rest = run(by_layer, m)
function_out, function_grad, function_rest = run(by_function, twin)
"""
_SEEN = ("out", "grad", "rest")
_GRAD = "silent wrong gradient"
_WHAT = {
    "out": "the same output",
    "grad": "the same gradient of the input",
    "rest": "the same gradients of parameters, and buffers",
}


def layers_of(trial: Trial, modules: Sequence[str]) -> tuple[list[Layer], str]:
    """The layers to compare, of all `modules` that there are, and a note on those left out."""
    functions = trial.examiner.subject.names["F"]
    layers = [
        layer
        for name, layer in LAYERS.items()
        if name in modules and set(layer.functions) <= functions
    ]
    alone = sorted((set(modules) & set(LAYERS)) - {layer.name for layer in layers})
    unknown = sorted(set(modules) - set(LAYERS) - set(WITHOUT_TWIN))
    notes = left_out(unknown, "unknown layer"), left_out(alone, "no function in this torch")
    return layers, "; ".join(filter(None, notes))


MODULES = """\
modules = [n for n in dir(nn) if isinstance(getattr(nn, n), type)]
modules = [n for n in modules if issubclass(getattr(nn, n), nn.Module)]
"""
"""Every layer that there is, as a subject's text finds it."""


DEFAULT, TRAINING, SEED, ARGUMENTS = "default mode", "training mode", "seed", "arguments"


@dataclass(frozen=True, slots=True)
class Pair:
    """A layer and its function, what both are given, and what sets the function apart, if so.

    Where the mode is left to the defaults, neither says whether it trains. `others` are the
    function's arguments where these are apart.
    """

    layer: Layer
    arguments: str
    shape: Shape
    dtype: str = "float64"
    training: bool = True
    seed: int = 0
    apart: str = ""
    others: str = ""

    @property
    def is_alone(self) -> bool:
        """Whether the layer needs neither parameters nor anything besides its input."""
        layer = self.layer
        bare = layer.call == "x" and not layer.setup and layer.differentiable
        return bare and not layer.state(self.arguments)

    @property
    def other_seed(self) -> int:
        """The function's seed."""
        return self.seed + (self.apart == SEED)

    @property
    def made(self) -> str:
        """The call that makes the layer."""
        # A layer is made in training mode.
        mode = "" if self.training or self.apart == DEFAULT else ".eval()"
        return f"nn.{self.layer.name}({self.arguments}).to(DEVICE, torch.{self.dtype}){mode}"

    @property
    def called(self) -> str:
        """The function's call, of the layer `m` and the input `x`."""
        given = self.others if self.apart == ARGUMENTS else self.arguments
        twin = self.layer.twin.replace("{arguments}", given)
        if self.apart == DEFAULT:
            twin = twin.replace(_MODE, "")
        twin = twin.replace("m.training", str(self.training != (self.apart == TRAINING)))
        return twin.replace(", )", ")").replace(", ,", ",")


_MODE = ", training=m.training"
"""How a twin says whether it trains, where it may leave that out."""


def compared(pair: Pair) -> Script:
    """A script that runs the layer and its function on the same input and weights."""
    return _compared_alone(pair) if pair.is_alone else _compared_whole(pair)


def _compared_alone(pair: Pair) -> Script:
    body = _ALONE.format(
        seed=pair.seed,
        other_seed=pair.other_seed,
        layer=pair.made,
        shape=list(pair.shape),
        dtype=pair.dtype,
        twin=re.sub(r"\bx\b", "function_leaf", pair.called),
    )
    name = pair.layer.name

    def check(shown: Shown) -> Iterator[Finding]:
        why = f"nn.{name} and its function give {_WHAT['out']}"
        yield from same_bits(shown, "layer_out", "function_out", why)
        one, other = (shown.grad_contents(f"{side}_leaf") for side in ("layer", "function"))
        without = [
            look.derived(f"({look.code} is None)", look.value is None) for look in (one, other)
        ]
        why = "both give a gradient, or neither does"
        yield from flag("no gradient", without[0], without[1], why, _GRAD)
        if one.value is not None and other.value is not None:
            gradients = one.derived(one.code, one.value), other.derived(other.code, other.value)
            why = f"nn.{name} and its function give {_WHAT['grad']}"
            yield from same_contents(*gradients, why, _GRAD)

    seen = ("layer_out", "function_out", "layer_leaf", "function_leaf")
    return Script(body, seen, expecting(check, error=pair.layer.error), pair.apart)


def _compared_whole(pair: Pair) -> Script:
    layer = pair.layer
    body = _setting(pair) + _COMPARED.format(differentiable=layer.differentiable)

    def check(shown: Shown) -> Iterator[Finding]:
        for what in _SEEN:
            why = f"nn.{layer.name} and its function give {_WHAT[what]}"
            for finding in same_bits(shown, f"layer_{what}", f"function_{what}", why):
                yield finding if what == "out" else replace(finding, kind=_GRAD)
        one, other = shown.fact("by_layer"), shown.fact("by_function")
        yield from flag("no gradient", one, other, "both give a gradient, or neither does", _GRAD)

    names = [f"{side}_{what}" for what in _SEEN for side in ("layer", "function")]
    return Script(body, (*names, "facts"), expecting(check), pair.apart)


def _setting(pair: Pair) -> str:
    return _SETTING.format(
        seed=pair.seed,
        other_seed=pair.other_seed,
        layer=pair.made,
        shape=list(pair.shape),
        dtype=pair.dtype,
        setup="".join(f"    {line}\n" for line in pair.layer.setup.splitlines()),
        call=pair.layer.call,
        twin=pair.called,
    )


@st.composite
def compared_scripts(draw: st.DrawFn, *, among: Sequence[Layer]) -> Script:
    """Layers beside their functions, given the same or set apart; examples shrink towards the first
    one's first arguments, given to both.
    """
    usable = {apart: [layer for layer in among if _can(layer, apart)] for apart in _APART}
    apart = draw(st.sampled_from([apart for apart, layers in usable.items() if layers]))
    layer = draw(st.sampled_from(usable[apart]))
    arguments = draw(st.sampled_from(layer.variants))
    others = [variant for variant in layer.variants if variant != arguments]
    pair = Pair(
        layer,
        arguments,
        dtype=draw(st.sampled_from(("float64", "float32"))),
        shape=draw(_grown(layer)),
        training=not draw(st.booleans()),
        seed=draw(st.integers(0, 99)),
        apart=apart,
        others=draw(st.sampled_from(others)) if apart == ARGUMENTS else "",
    )
    return compared(pair)


_APART = ("", DEFAULT, TRAINING, SEED, ARGUMENTS)


def _can(layer: Layer, apart: str) -> bool:
    """Whether a layer and its function can be set apart in this way: those draw random numbers
    that train otherwise than by statistics, and fractional pooling.
    """
    if apart == ARGUMENTS:
        return "{arguments}" in layer.twin and len(layer.variants) > 1
    if apart == SEED:
        return _MODE in layer.twin or "F.fractional" in layer.twin
    return {DEFAULT: _MODE, TRAINING: "m.training"}.get(apart, "") in layer.twin


def _grown(layer: Layer) -> st.SearchStrategy[Shape]:
    sides = (
        st.integers(side, side + 2) if axis in layer.free else st.just(side)
        for axis, side in enumerate(layer.shape)
    )
    return st.tuples(*sides)


# -- dropouts: the gradient is the mask

_DROPPED = """\
x = {x}
x.requires_grad_()
torch.manual_seed({seed})
out = F.{function}(x, {p}, training=True)
out.backward({incoming})
twin = x.detach().clone().requires_grad_()
torch.manual_seed({seed})
written = F.{function}(twin.clone(), {p}, training=True, inplace=True)
written.backward({incoming})
"""
DROPOUTS = {"dropout": (3, 4), "dropout1d": (2, 3, 4), "dropout2d": (2, 3, 2, 2)}
"""Dropouts that set to zero and scale -> a shape that they accept."""


@st.composite
def dropout_scripts(draw: st.DrawFn, *, among: Sequence[str]) -> Script:
    """Dropouts in training mode; examples shrink towards F.dropout with one half."""
    function = draw(st.sampled_from(among))
    share = draw(st.sampled_from((0.5, 0.25, 0.0, 1.0)))
    shape = DROPOUTS[function]
    x, gradient = np.full(shape, 1.5), np.resize([1.0, -2.0, 0.5], shape)
    incoming = literal(gradient, "float64")
    body = _DROPPED.format(
        x=literal(x, "float64"),
        incoming=incoming,
        function=function,
        p=share,
        seed=draw(st.integers(0, 99)),
    )

    def check(shown: Shown) -> Iterator[Finding]:
        out = shown.array("out")
        mask = (out.value != 0).astype(np.float64)
        scale = 1.0 if share == 1 else 1 / (1 - share)
        scaled = f"(out.data != 0).double() * {scale!r} * "
        kept = out.derived(f"({scaled}x.data)", x * (mask * scale))
        yield from exactly("out", out, kept, "the input times the scaled mask")
        passed = out.derived(f"({scaled}{incoming})", gradient * (mask * scale))
        why = "the incoming gradient times mask / (1 - p)"
        yield from exactly("x.grad", shown.grad("x"), passed, why, _GRAD)
        why = "in place and plain agree for the same seed"
        yield from same_bits(shown, "written", "out", why)
        yield from exactly("twin.grad", shown.grad("twin"), shown.grad("x"), why, _GRAD)

    return Script(body, ("x", "out", "twin", "written"), expecting(check))


DEFAULTS = Script(
    """\
import inspect

for module, function in (("RReLU", F.rrelu), ("AlphaDropout", F.alpha_dropout),
                         ("FeatureAlphaDropout", F.feature_alpha_dropout), ("Dropout", F.dropout)):
    by_default = inspect.signature(function).parameters["training"].default
    facts[module] = [getattr(nn, module)().training, by_default]
""",
    ("facts",),
    expecting(lambda shown: _defaults(shown)),
)
"""Layers train by default; of their functions, that of Dropout alone does."""


def _defaults(shown: Shown) -> Iterator[Finding]:
    for module in shown.facts():
        why = "whether the layer and its function train by default (torch.nn.functional)"
        yield from flag(module, shown.fact(module), [True, module == "Dropout"], why, "wrong value")


# -- what is kept

_KEPT = """\
import weakref


def operands():
    return [t.detach().clone() for t in [x] + list(m.parameters()) + list(m.buffers())]


before = operands()
first = by_function(m, x)
first = first[0] if isinstance(first, tuple) else first
copied = first.detach().clone()
# A dropout that does nothing returns its input, which lives on by right.
grave = (lambda: None) if first is x else weakref.ref(first)
del first
facts["kept"] = grave() is not None
facts["changed"] = [i for i, (a, b) in enumerate(zip(before, operands())) if not same(a, b)]
by_function(m, x * 2)
again = by_function(m, x)
again = (again[0] if isinstance(again, tuple) else again).detach()
facts["keys"] = sorted(m.state_dict())
"""
_SAME = """\
def same(a, b):
    return a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())


"""


def stateless(layer: Layer, arguments: str, *, training: bool, seed: int) -> Script:
    """A script that calls the function three times: nothing may stay of the first two calls."""
    # Batch norm's running statistics are written by contract, in training mode.
    tracked = set(RUNNING) <= set(layer.state(arguments))
    pair = Pair(layer, arguments, layer.shape, training=training and not tracked, seed=seed)
    keys = sorted(layer.state(arguments))

    def check(shown: Shown) -> Iterator[Finding]:
        why = f"F.{layer.functions[0]} keeps nothing"
        lives, changed = shown.fact("kept"), shown.fact("changed")
        yield from flag("whether its result lives on", lives, False, why, "wrong aliasing")
        yield from flag("the operands that changed", changed, [], why, "wrong value")
        yield from same_bits(shown, "again", "copied", why)
        why = f"what nn.{layer.name} saves"
        yield from flag("state_dict", shown.fact("keys"), keys, why, "wrong value")

    return Script(_setting(pair) + _SAME + _KEPT, ("again", "copied", "facts"), expecting(check))
