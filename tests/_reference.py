"""A second opinion on whole programs: plain jax on a checked draft, one walk.

It shares no code with the oracle's machine and takes nothing from the model: a memory is a flat
jax array for each history, a view is numpy's own view of an array of places, a write is
`.at[].set`, and `jax.vjp` does the rest. It is right for programs that raise nothing, as long as
all their numbers are finite. Left out is what it cannot express: `requires_grad_`, since jax's
variables are all there from the start; `detach_` of what has an alias; and `as_strided`, since
every result lies in row-major order here, whatever its strides are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from numpy.typing import NDArray

from conformance.oracle import cache
from strategies.draft import Draft, Shaped, Value
from strategies.program import Backward, Leaf, inferring, recording
from strategies.table import TABLE
from strategies.values import materialise

cache.prepare()

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Compute = Callable[..., Any]

UNARY: dict[str, Compute] = {
    "neg": jnp.negative,
    "square": lambda x: x * x,
    "exp": jnp.exp,
    "exp2": jnp.exp2,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "sqrt": jnp.sqrt,
    "rsqrt": lambda x: 1.0 / jnp.sqrt(x),
    "reciprocal": lambda x: 1.0 / x,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "sinh": jnp.sinh,
    "cosh": jnp.cosh,
    "tanh": jnp.tanh,
    "atan": jnp.arctan,
    "asinh": jnp.arcsinh,
    "acosh": jnp.arccosh,
    "atanh": jnp.arctanh,
    "sigmoid": lambda x: 0.5 * (1.0 + jnp.tanh(0.5 * x)),
    "erf": jax.scipy.special.erf,
    "silu": lambda x: x * jax.nn.sigmoid(x),
    "mish": lambda x: x * jnp.tanh(jax.nn.softplus(x)),
    "clone": lambda x: x,
}
ARITHMETIC: dict[str, Compute] = {
    "add": lambda x, y, alpha: x + alpha * y,
    "sub": lambda x, y, alpha: x - alpha * y,
    "mul": jnp.multiply,
    "div": jnp.divide,
    "atan2": jnp.arctan2,
    "addcmul": lambda x, y, z, value: x + value * y * z,
    "addcdiv": lambda x, y, z, value: x + value * y / z,
    "lerp": lambda x, end, weight: x + weight * (end - x),
    "pow": jnp.power,
    "copy": lambda x, y: y,
    "fill": lambda x, y: y,
    "zero": jnp.zeros_like,
    "setitem": lambda x, y: y,
}
PRODUCTS: dict[str, Compute] = dict.fromkeys(("matmul", "mm", "mv", "dot", "bmm"), jnp.matmul)
SUMS: dict[str, Compute] = {
    "sum": lambda x, dim, keepdim: jnp.sum(x, dim if x.ndim else None, keepdims=keepdim),
    "mean": lambda x, dim, keepdim: jnp.mean(x, dim if x.ndim else None, keepdims=keepdim),
}
SMOOTH = UNARY | ARITHMETIC | PRODUCTS | SUMS
"""Row -> what it computes, for rows without kinks."""

_SELU = (1.0507009873554805, 1.6732632423543772)
BENT: dict[str, Compute] = {
    "relu": lambda x: jnp.where(x > 0, x, 0.0),
    "relu6": lambda x: _between(x, 0.0, 6.0),
    "hardtanh": lambda x, min_val, max_val: _between(x, min_val, max_val),
    "threshold": lambda x, threshold, value: jnp.where(x > threshold, x, value),
    "leaky_relu": lambda x, negative_slope: jnp.where(x > 0, x, negative_slope * x),
    "rrelu": lambda x, lower, upper: jnp.where(x > 0, x, x * (lower + upper) / 2),
    "elu": lambda x, alpha: jnp.where(x > 0, x, alpha * _below(jnp.expm1, x)),
    "celu": lambda x, alpha: jnp.where(x > 0, x, alpha * _below(jnp.expm1, x, alpha)),
    "selu": lambda x: _SELU[0] * jnp.where(x > 0, x, _SELU[1] * _below(jnp.expm1, x)),
    "hardsigmoid": lambda x: _between(x, -3.0, 3.0) / 6 + 0.5,
    "hardswish": lambda x: jnp.where(x <= -3, 0.0, jnp.where(x < 3, x * (x + 3) / 6, x)),
    "abs": lambda x: jnp.where(x > 0, x, jnp.where(x < 0, -x, 0.0)),
    "sign": lambda x: stop_gradient(jnp.sign(x)),
    "floor": lambda x: stop_gradient(jnp.floor(x)),
    "ceil": lambda x: stop_gradient(jnp.ceil(x)),
    "round": lambda x: stop_gradient(jnp.round(x)),
    "trunc": lambda x: stop_gradient(jnp.trunc(x)),
    "clamp": lambda x, min, max: _at_most(_at_least(x, min), max),
    "clamp_min": lambda x, min: _at_least(x, min),
    "clamp_max": lambda x, max: _at_most(x, max),
    "maximum": lambda x, y: jnp.where(x > y, x, jnp.where(x < y, y, (x + y) / 2)),
    "minimum": lambda x, y: jnp.where(x < y, x, jnp.where(x > y, y, (x + y) / 2)),
    "masked_fill": lambda x, mask, value: jnp.where(mask != 0, value, x),
    "where": lambda mask, x, y: jnp.where(mask != 0, x, y),
    "heaviside": lambda x, values: stop_gradient(jnp.where(x == 0, values, 1.0 * (x > 0))),
    "gt": lambda x, y: 1.0 * (x > y),
    "ge": lambda x, y: 1.0 * (x >= y),
    "lt": lambda x, y: 1.0 * (x < y),
    "le": lambda x, y: 1.0 * (x <= y),
    "eq": lambda x, y: 1.0 * (x == y),
    "ne": lambda x, y: 1.0 * (x != y),
}
"""Row -> what it computes, for rows with kinks; gradients there are torch's."""

ROWS = SMOOTH | BENT
"""Row -> what it computes."""


def _below(compute: Compute, x: jax.Array, scale: float = 1.0) -> Any:
    """`compute` of what is negative: elsewhere its overflow would poison the gradient."""
    return compute(jnp.where(x > 0, 0.0, x) / scale)


def _between(x: jax.Array, low: float, high: float) -> Any:
    """`x` held between two bounds, with no slope at them."""
    return jnp.where((x > low) & (x < high), x, jnp.where(x >= high, high, low))


def _at_least(x: jax.Array, low: float | None) -> Any:
    return x if low is None else jnp.where(x >= low, x, low)


def _at_most(x: jax.Array, high: float | None) -> Any:
    return x if high is None else jnp.where(x <= high, x, high)


def _slice(item: Any) -> Any:
    return ... if item == "..." else slice(*item) if isinstance(item, list) else item


def _at(x: Places, index: list[Any]) -> Places:
    return np.asarray(x[tuple(map(_slice, index))])


def _expanded(x: Places, shape: list[int]) -> Places:
    lead = len(shape) - x.ndim
    sizes = [x.shape[i - lead] if n == -1 else n for i, n in enumerate(shape)]
    return np.broadcast_to(x, sizes)


def _squeezed(x: Places, dim: int | None) -> Places:
    if dim is None or not x.ndim:
        return x.squeeze()
    return x.squeeze(dim) if x.shape[dim] == 1 else x


def _flat(shape: tuple[int, ...], start: int, end: int) -> tuple[int, ...]:
    if not shape:
        return (1,)
    start, end = start % len(shape), end % len(shape) + 1
    return (*shape[:start], math.prod(shape[start:end]), *shape[end:])


def _windows(x: Places, dimension: int, size: int, step: int) -> Places:
    if not x.ndim:
        return x.reshape(1)[:size]
    windows = np.lib.stride_tricks.sliding_window_view(x, size, dimension)
    return windows.take(range(0, windows.shape[dimension], step), dimension)


def _cut(x: Places, each: int, dim: int) -> list[Places]:
    return np.split(x, range(each, x.shape[dim], each), dim)


VIEWS: dict[str, Callable[..., Any]] = {
    "view": lambda x, shape: x.reshape(shape),
    "reshape": lambda x, shape: x.reshape(shape),
    "view_as": lambda x: x,
    "flatten": lambda x, start_dim, end_dim: x.reshape(_flat(x.shape, start_dim, end_dim)),
    "unfold": _windows,
    "contiguous": lambda x: x,
    "transpose": lambda x, dim0, dim1: x.swapaxes(dim0, dim1),
    "permute": lambda x, dims: x.transpose(dims),
    "t": lambda x: x.T,
    "squeeze": _squeezed,
    "unsqueeze": lambda x, dim: np.expand_dims(x, dim),
    "expand": _expanded,
    "select": lambda x, dim, index: x.take(index, dim),
    "narrow": lambda x, dim, start, length: x.take(range(start, start + length), dim),
    "index": _at,
    "diagonal": lambda x, offset, dim1, dim2: np.diagonal(x, offset, dim1, dim2),
    "unbind": lambda x, dim: [x.take(i, dim) for i in range(x.shape[dim])],
    "chunk": lambda x, chunks, dim: _cut(x, -(-x.shape[dim] // chunks), dim),
    "split": lambda x, split_size, dim: _cut(x, split_size, dim),
}
"""Row -> the same view of an array of places."""

_OPTIONS: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}

IDLE = frozenset(name for name, row in TABLE.items() if row.inert)
"""Dropouts in evaluation mode: they give what they are given."""
ALIASES = frozenset({"detach", "data"})
KNOWN = frozenset({*ROWS, *VIEWS, *IDLE, *ALIASES})
"""Names of the rows that the reference understands."""


def understands(draft: Draft) -> bool:
    """Whether the reference can express every step of a program."""
    lying: Counter[int] = Counter(draft.values[leaf.name].memory for leaf in draft.leaves)
    for step in draft.shaped:
        if isinstance(step, Backward):
            continue
        first = step.operands[0]
        parts = step.in_place and step.row.name == "detach" and isinstance(first, Value)
        if step.row.name not in KNOWN or (parts and lying[first.memory] > 1):  # type: ignore[union-attr]
            return False
        lying.update(result.memory for result in step.results)
    return True


@dataclass(slots=True, eq=False)
class _History:
    """A memory as one history sees it: all that shares both shares this object."""

    memory: int
    cells: Any


@dataclass(slots=True, eq=False)
class _Tensor:
    """Where a tensor lies; all names of one tensor share this object."""

    history: _History
    places: Places
    mute: bool = False
    """Whether it is a view made where nothing is recorded: no gradient flows back through it."""


Received = tuple[tuple[str, ...] | None, frozenset[str]]
"""The only leaves that a loss's gradient is for, or None for all; and those that are silent."""


@dataclass(slots=True)
class _Walk:
    tensors: dict[str, _Tensor] = field(default_factory=dict)
    histories: list[_History] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    """Leaves that were detached in place: no gradient arrives there any more."""
    losses: list[Any] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)

    def own(self, name: str, memory: int, array: jax.Array) -> None:
        """A tensor with a memory of its own."""
        history = _History(memory, array.ravel())
        self.histories.append(history)
        places = np.arange(array.size).reshape(array.shape)
        self.tensors[name] = _Tensor(history, places)

    def read(self, name: str, *, records: bool = True) -> jax.Array:
        tensor = self.tensors[name]
        array: jax.Array = tensor.history.cells[tensor.places]
        return array if records and not tensor.mute else stop_gradient(array)

    def step(self, step: Shaped | Backward) -> None:
        if isinstance(step, Backward):
            self._backward(step)
        elif step.in_place and step.row.name == "detach":
            self._part(step)
        elif step.in_place and step.moved is not None:
            tensor = self.tensors[str(step.step.args[0])]
            tensor.places = VIEWS[step.row.name](tensor.places, **step.params)
        elif step.in_place:
            self._write(step)
        elif step.row.name in ALIASES:
            self._alias(step)
        elif step.made[0].how == "fresh":
            value = step.results[0]
            array = jnp.broadcast_to(self._mean(step), value.layout.shape)
            self.own(value.name, value.memory, array)
        else:
            self._view(step)

    def _mean(self, step: Shaped) -> jax.Array:
        """What the step computes; nothing of it has a derivative where nothing is recorded."""
        records = recording(step.step.modes)
        given = [
            self.read(each.name, records=records) if isinstance(each, Value) else each
            for each in step.operands
        ]
        params = {name: value for name, value in step.params.items() if name != "index"}
        if step.row.name in VIEWS:
            return jnp.reshape(given[0], step.results[0].layout.shape)
        array = jnp.asarray(ROWS[step.row.name](*given, **params))
        return array if records else stop_gradient(array)

    def _view(self, step: Shaped) -> None:
        source = self.tensors[str(step.step.args[0])]
        view = VIEWS.get(step.row.name)
        made = source.places if view is None else view(source.places, **step.params)
        parts = made if isinstance(made, list) else [made]
        if step.made[0].how == "same":
            self.tensors[step.step.to[0]] = source
            return
        mute = source.mute or not recording(step.step.modes)
        for name, places in zip(step.step.to, parts, strict=True):
            self.tensors[name] = _Tensor(source.history, np.asarray(places), mute)

    def _alias(self, step: Shaped) -> None:
        source = self.tensors[str(step.step.args[0])]
        history = _History(source.history.memory, stop_gradient(source.history.cells))
        self.histories.append(history)
        self.tensors[step.step.to[0]] = _Tensor(history, source.places)

    def _part(self, step: Shaped) -> None:
        """`detach_()` of what has no alias; in inference mode it does nothing."""
        name = str(step.step.args[0])
        if not inferring(step.step.modes):
            history = self.tensors[name].history
            history.cells = stop_gradient(history.cells)
            self.silent.add(name)

    def _write(self, step: Shaped) -> None:
        if step.row.name in IDLE:
            return
        target = self.tensors[str(step.step.args[0])]
        index = step.params.get("index")
        places = target.places if index is None else _at(target.places, index)
        new = self._mean(step)
        while new.ndim > places.ndim:
            new = new[0]
        for history in self.histories:
            if history.memory != target.history.memory:
                continue
            old = history.cells
            written = old.at[places].set(new)
            if history is target.history and recording(step.step.modes):
                history.cells = written
            else:
                # For a finite number this is exactly `written`, with the derivative of `old`.
                history.cells = stop_gradient(written) + (old - stop_gradient(old))

    def _backward(self, step: Backward) -> None:
        loss: Any = 0.0
        for number, name in enumerate(step.of):
            root = self.read(name)
            data = step.cotangents[number] if step.cotangents else None
            weights = 1.0 if data is None else materialise(data, root.shape, "float64", name)
            loss += jnp.sum(root * jnp.asarray(weights, jnp.float64))
        self.losses.append(loss)
        self.received.append((step.inputs or None, frozenset(self.silent)))


def moving(draft: Draft) -> dict[str, jax.Array]:
    """The leaves that require grad, by name."""
    return {leaf.name: _array(leaf) for leaf in draft.leaves if leaf.requires_grad}


def _array(leaf: Leaf) -> jax.Array:
    return jnp.asarray(materialise(leaf.data, leaf.shape, leaf.dtype, leaf.name), float)


def _walked(draft: Draft, moved: Mapping[str, jax.Array]) -> tuple[_Walk, dict[str, jax.Array]]:
    """A whole program from these `moving` leaves, and every tensor's value at its end."""
    walk = _Walk()
    for leaf in draft.leaves:
        array = moved.get(leaf.name, _array(leaf))
        walk.own(leaf.name, draft.values[leaf.name].memory, array)
    for step in draft.shaped:
        walk.step(step)
    return walk, {name: walk.read(name) for name in walk.tensors}


def loss_of(draft: Draft) -> Callable[[Mapping[str, jax.Array]], tuple[Any, dict[str, jax.Array]]]:
    """The sum of a program's losses, and all values, as a function of `moving` leaves."""

    def loss(moved: Mapping[str, jax.Array]) -> tuple[Any, dict[str, jax.Array]]:
        walk, values = _walked(draft, moved)
        return sum(walk.losses, jnp.zeros(())), values

    return loss


def reference(draft: Draft) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Every tensor's value at the end, and the gradient at each leaf that requires grad.

    Both by name, float64. The program must raise nothing and be one that `understands` admits.
    """
    leaves = moving(draft)
    received: list[Received] = []

    def losses(moved: Mapping[str, jax.Array]) -> tuple[Any, dict[str, jax.Array]]:
        walk, values = _walked(draft, moved)
        received[:] = walk.received
        return jnp.stack(walk.losses or [jnp.zeros(())]), values

    def slopes(moved: Mapping[str, jax.Array]) -> tuple[dict[str, jax.Array], list[Any]]:
        every, pull, values = jax.vjp(losses, moved, has_aux=True)
        return values, [pull(unit)[0] for unit in jnp.eye(every.size)]

    # Compiling is all the time it takes.
    values, pulled = jax.jit(slopes).lower(leaves).compile(_OPTIONS)(leaves)
    gradients = {
        name: sum(
            (
                np.asarray(slope[name], np.float64)
                for slope, (inputs, silent) in zip(pulled, received, strict=False)
                if name in (inputs or leaves) and name not in silent
            ),
            np.zeros(leaf.shape),
        )
        for name, leaf in leaves.items()
    }
    return {name: np.asarray(value, np.float64) for name, value in values.items()}, gradients
