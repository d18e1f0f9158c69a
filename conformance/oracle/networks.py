"""Convolution - batch norm - activation networks in plain jitted jax.

The register machine has no convolutions. Networks are made of a few blocks of fixed shape, so that
each is compiled once; activations run on rows of fixed length, with the machine's own formulas.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from conformance.oracle import activations
from conformance.oracle.cache import prepare

Real = NDArray[np.float64]
BATCH = 3
_ROW = 512
_EPS = 1e-5
_MOMENTUM = 0.1


@dataclass(frozen=True, slots=True)
class Block:
    """A convolution with its batch norm: channels in and out, kernel, stride, padding, sides."""

    channels: tuple[int, int]
    kernel: int
    stride: int
    padding: int
    sides: tuple[int, int]


BLOCKS: tuple[Block, ...] = (
    Block((2, 3), 3, 1, 1, (6, 6)),
    Block((2, 3), 3, 2, 1, (6, 3)),
    Block((3, 2), 1, 1, 0, (6, 6)),
    Block((3, 3), 2, 2, 0, (6, 3)),
    Block((3, 2), 3, 1, 1, (3, 3)),
)
"""Every block that a network may have; one follows another where channels and sides fit."""

PARAMETERS = ("weight", "bias", "gamma", "beta")
Layers = Sequence[tuple[Block, str, tuple[float, ...]]]
"""A network: blocks, each with the name and the parameters of the activation that follows it."""


@dataclass(frozen=True, slots=True)
class NetworkAnswer:
    """Output, gradient of the input, and for each block gradients and running statistics."""

    output: Real
    gradient: Real
    parameters: tuple[Mapping[str, Real], ...]
    statistics: tuple[Mapping[str, Real], ...]


def follow(block: Block | None) -> tuple[Block, ...]:
    """The blocks that may come after `block`, or first of all."""
    channels, side = (2, 6) if block is None else (block.channels[1], block.sides[1])
    return tuple(b for b in BLOCKS if (b.channels[0], b.sides[0]) == (channels, side))


def run_network(
    layers: Layers,
    weights: Sequence[Mapping[str, Real]],
    x: Real,
    cotangent: Real,
    *,
    training: bool,
) -> NetworkAnswer:
    """The network's output and gradients.

    Each block's weights are `weight`, `bias`, `gamma`, `beta`, `mean` and `variance`; float64.
    `cotangent` is the gradient of the loss by the output.
    """
    prepare()
    inputs, normed, statistics = [x], [], []
    for (block, name, values), given in zip(layers, weights, strict=True):
        arguments = [np.asarray(given[key]) for key in PARAMETERS]
        running = np.asarray(given["mean"]), np.asarray(given["variance"])
        y, mean, variance = _forward(block)(inputs[-1], *arguments, *running, training)
        normed.append(np.asarray(y))
        statistics.append({"mean": np.asarray(mean), "variance": np.asarray(variance)})
        inputs.append(_activate(name, values, normed[-1])[0])
    gradient, parameters = cotangent, []
    for index in reversed(range(len(layers))):
        block, name, values = layers[index]
        given = weights[index]
        gradient = gradient * _activate(name, values, normed[index])[1]
        arguments = [np.asarray(given[key]) for key in PARAMETERS]
        running = np.asarray(given["mean"]), np.asarray(given["variance"])
        parts = _backward(block)(inputs[index], *arguments, *running, training, gradient)
        gradient, *rest = (np.asarray(part) for part in parts)
        parameters.append(dict(zip(PARAMETERS, rest, strict=True)))
    return NetworkAnswer(inputs[-1], gradient, tuple(reversed(parameters)), tuple(statistics))


# -- blocks


@functools.cache
def _forward(block: Block) -> Any:
    return jax.jit(functools.partial(_block, block))


@functools.cache
def _backward(block: Block) -> Any:
    def pulled(
        x: Any,
        weight: Any,
        bias: Any,
        gamma: Any,
        beta: Any,
        mean: Any,
        variance: Any,
        training: Any,
        cotangent: Any,
    ) -> Any:
        def output(*moved: Any) -> Any:
            x, weight, bias, gamma, beta = moved
            return _block(block, x, weight, bias, gamma, beta, mean, variance, training)[0]

        _, back = jax.vjp(output, x, weight, bias, gamma, beta)
        return back(cotangent)

    return jax.jit(pulled)


def _block(
    block: Block,
    x: Any,
    weight: Any,
    bias: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    variance: Any,
    training: Any,
) -> tuple[Any, Any, Any]:
    """Convolution and batch norm, and the running statistics after it."""
    y = jax.lax.conv_general_dilated(
        x,
        weight,
        (block.stride, block.stride),
        ((block.padding, block.padding),) * 2,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )
    y = y + bias[:, None, None]
    seen = jnp.mean(y, (0, 2, 3)), jnp.var(y, (0, 2, 3))
    used = tuple(jnp.where(training, s, r) for s, r in zip(seen, (mean, variance), strict=True))
    scale = gamma / jnp.sqrt(used[1] + _EPS)
    normed = (y - used[0][:, None, None]) * scale[:, None, None] + beta[:, None, None]
    # The running variance is the unbiased one; the batch is normalised by the biased one.
    count = y.size // y.shape[1]
    fresh = seen[0], seen[1] * (count / (count - 1))
    kept = tuple(
        jnp.where(training, (1 - _MOMENTUM) * r + _MOMENTUM * f, r)
        for r, f in zip((mean, variance), fresh, strict=True)
    )
    return normed, kept[0], kept[1]


# -- activations


@functools.cache
def _activation(name: str) -> Any:
    def both(row: Any, *values: Any) -> Any:
        result = activations.VALUES[name](row, *values)
        return result, activations.PARTIALS[name](result, row, *values)[0]

    return jax.jit(both)


def _activate(name: str, values: tuple[float, ...], x: Real) -> tuple[Real, Real]:
    """Value and derivative at each entry."""
    row = np.full(_ROW, 0.5)
    row[: x.size] = x.ravel()
    result, partial = (
        np.asarray(part)[: x.size].reshape(x.shape) for part in _activation(name)(row, *values)
    )
    return result, np.where(partial == activations.DROPPED, 0.0, partial)
