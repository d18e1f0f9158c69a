"""Calls of `torch.nn.functional` with all that they are given, and which of it they write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from conformance.claims._seeing import Shown, exactly, expecting, flag
from conformance.claims._targets import Shape, elements, literal
from conformance.judge import Finding
from conformance.trial import Script

ROWS = 0
"""In a shape: as many as are drawn."""
INDICES = ("index", "classes")
"""Operands that hold whole numbers below three; the others hold any numbers."""
LEAVES = "leaves its operands as they were"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call as text, its operands with their shapes, and what it writes by contract, if so."""

    text: str
    shapes: dict[str, Shape]
    writes: str = ""

    @property
    def function(self) -> str:
        """The function's name in F."""
        return self.text.partition("(")[0].removeprefix("F.")


STATISTICS, MAX_NORM, IN_PLACE = "running statistics", "max_norm", "inplace=True"

_ROW: dict[str, Shape] = {"x": (ROWS, 3)}
_CELLS: dict[str, Shape] = {"x": (ROWS, 2, 4)}
_TWO: dict[str, Shape] = {"x": (ROWS, 3), "target": (ROWS, 3)}
_CLASSES: dict[str, Shape] = {"x": (ROWS, 3), "classes": (ROWS,)}
_AFFINE: dict[str, Shape] = {"weight": (2,), "bias": (2,)}
_BATCH: dict[str, Shape] = {"x": (ROWS, 2), "mean": (2,), "variance": (2,)}
_TABLE: dict[str, Shape] = {"index": (ROWS, 2), "weight": (3, 2)}


def _calls(shapes: dict[str, Shape], *texts: str, writes: str = "") -> tuple[FunctionCall, ...]:
    return tuple(FunctionCall(f"F.{text}", shapes, writes) for text in texts)


CALLS: tuple[FunctionCall, ...] = (
    *_calls(_ROW, "relu(x)", "gelu(x)", "elu(x)", "leaky_relu(x)", "selu(x)", "celu(x)"),
    *_calls(_ROW, "hardtanh(x)", "softplus(x)", "softsign(x)", "logsigmoid(x)", "normalize(x)"),
    *_calls(_ROW, "threshold(x, 0.5, 1.0)", "softmax(x, 1)", "log_softmax(x, 1)"),
    *_calls(_ROW, "dropout(x, 0.5, training=True)", "alpha_dropout(x, 0.5, training=True)"),
    *_calls(_ROW, "rrelu(x, training=True)"),
    *_calls({**_ROW, "weight": (1,)}, "prelu(x, weight)"),
    *_calls({**_ROW, "weight": (2, 3), "bias": (2,)}, "linear(x, weight, bias)"),
    *_calls({**_TWO, "weight": (2, 3, 3)}, "bilinear(x, target, weight)"),
    *_calls({**_CELLS, "weight": (3, 2, 2), "bias": (3,)}, "conv1d(x, weight, bias)"),
    *_calls({**_CELLS, "weight": (2, 3, 2), "bias": (3,)}, "conv_transpose1d(x, weight, bias)"),
    *_calls(_CELLS, "max_pool1d(x, 2)", "avg_pool1d(x, 2)", "adaptive_avg_pool1d(x, 2)"),
    *_calls(_CELLS, 'pad(x, (1, 1), "reflect")', "interpolate(x, scale_factor=2)", "glu(x, 2)"),
    *_calls({**_ROW, "weight": (3,), "bias": (3,)}, "layer_norm(x, (3,), weight, bias)"),
    *_calls({**_CELLS, **_AFFINE}, "group_norm(x, 2, weight, bias)"),
    *_calls({**_BATCH, **_AFFINE}, "batch_norm(x, mean, variance, weight, bias)"),
    *_calls({"x": (ROWS, 2), **_AFFINE}, "batch_norm(x, None, None, weight, bias, training=True)"),
    *_calls({**_CELLS, **_AFFINE}, "instance_norm(x, None, None, weight, bias)"),
    *_calls(_TABLE, "embedding(index, weight)", "embedding_bag(index, weight)"),
    *_calls({"index": (ROWS,)}, "one_hot(index, 3)"),
    *_calls(_TWO, "mse_loss(x, target)", "l1_loss(x, target)", "smooth_l1_loss(x, target)"),
    *_calls(_TWO, "kl_div(x, target)", "binary_cross_entropy_with_logits(x, target)"),
    *_calls(_TWO, "cosine_similarity(x, target)", "pairwise_distance(x, target)"),
    *_calls(_CLASSES, "cross_entropy(x, classes)", "nll_loss(x, classes)"),
    *_calls(_BATCH, "batch_norm(x, mean, variance, training=True)", writes=STATISTICS),
    *_calls({**_BATCH, **_CELLS}, "instance_norm(x, mean, variance)", writes=STATISTICS),
    *_calls(
        _TABLE,
        "embedding(index, weight, max_norm=1.0)",
        "embedding_bag(index, weight, max_norm=1.0)",
        writes=MAX_NORM,
    ),
    *_calls(
        _ROW,
        "relu(x, inplace=True)",
        "elu(x, inplace=True)",
        "leaky_relu(x, inplace=True)",
        "hardtanh(x, inplace=True)",
        "threshold(x, 0.5, 1.0, inplace=True)",
        "dropout(x, 0.5, training=True, inplace=True)",
        writes=IN_PLACE,
    ),
)


@st.composite
def operand_scripts(draw: st.DrawFn, *, there: Set[str]) -> Script:
    """Calls of the functions that there are, those that write by contract among them; examples
    shrink towards F.relu on two rows of ones.
    """
    writes = draw(st.sampled_from(("", STATISTICS, MAX_NORM, IN_PLACE)))
    usable = [call for call in CALLS if call.writes == writes and call.function in there]
    call = draw(st.sampled_from(usable))
    dtype = draw(st.sampled_from(("float64", "float32")))
    rows = draw(st.integers(2, 4))
    operands = {
        name: _filled(name, [side or rows for side in shape], draw(elements()))
        for name, shape in call.shapes.items()
    }
    lines = [
        f"{name} = {literal(array, 'int64' if name in INDICES else dtype)}"
        for name, array in operands.items()
    ]
    body = "\n".join([*lines, call.text, ""])

    def check(shown: Shown) -> Iterator[Finding]:
        why = f"F.{call.function} {LEAVES}"
        for name, array in operands.items():
            yield from exactly(name, shown.array(name), array, why)
            version = shown.attribute(name, "version")
            yield from flag(f"{name}'s _version", version, 0, why, "wrong flag")

    return Script(body, tuple(operands), expecting(check), call.writes)


def _filled(name: str, shape: Sequence[int], values: tuple[float, ...]) -> NDArray[Any]:
    array = np.resize(np.array(values, np.float64), shape)
    if name in INDICES:
        return np.floor(np.abs(array)) % 3
    return np.abs(array) + 0.5 if name == "variance" else array
