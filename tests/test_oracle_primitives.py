"""The register machine's primitives: values by numpy, derivatives by differences, kinks by table.

Kinks and ties follow torch's `tools/autograd/derivatives.yaml`, `FunctionsManual.cpp` and CPU
kernels; they are written out here as numbers, so that nothing of torch is imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special  # type: ignore[import-untyped]
from numpy.typing import NDArray

from conformance.oracle import Assembly
from conformance.oracle.functions import PARTIALS, VALUES
from conformance.oracle.machine import Machine
from conformance.oracle.primitives import CODES, PRIMITIVES, Primitive

Floats = NDArray[np.float64]

INF, NAN = math.inf, math.nan


def _vector(function: Callable[[float], float]) -> Callable[[Floats], Floats]:
    return np.vectorize(function, otypes=[float])


def _sigmoid(a: Floats) -> Floats:
    return 1 / (1 + np.exp(-a))


def _softplus(a: Floats, beta: Floats | float = 1.0, threshold: Floats | float = 20.0) -> Floats:
    return np.where(a * beta > threshold, a, np.log1p(np.exp(a * beta)) / beta)


def _elu(a: Floats, alpha: Floats | float) -> Floats:
    return np.where(a > 0, a, alpha * (np.exp(a) - 1))


_erf = _vector(math.erf)
_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805

_SPECIALS = """
    i0 erfinv digamma logit
"""

_NUMPYS = """
    heaviside abs sign floor ceil trunc maximum minimum fmax fmin square sqrt reciprocal fmod
    remainder exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh hypot logical_and
    logical_or logical_xor logical_not copysign nextafter logaddexp logaddexp2 sinc
"""

REFERENCES: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in _NUMPYS.split()},
    **{name: getattr(scipy.special, name) for name in _SPECIALS.split()},
    "logit": lambda a, low, high: scipy.special.logit(np.clip(a, low, high)),
    "lgamma": scipy.special.gammaln,
    "sinc_by_difference": np.sinc,
    "digamma_by_few_terms": scipy.special.digamma,
    **dict.fromkeys(
        ("polygamma", "polygamma_by_few_terms"), lambda a, n: scipy.special.polygamma(n, a)
    ),
    "igamma": scipy.special.gammainc,
    "igammac": scipy.special.gammaincc,
    "div_floor": np.floor_divide,
    "div_trunc": lambda a, b: np.trunc(a / b),
    "finite_or": lambda a, b: np.where(np.isfinite(a), a, b),
    "copy": np.copy,
    "summed": np.copy,
    "overwrite": lambda a, b: a,
    "higher": np.maximum,
    "before": np.less_equal,
    "sole": np.copy,
    "comparable": np.copy,
    "ordered": np.copy,
    "bounded": np.copy,
    "neg": np.negative,
    "round": np.rint,
    "carry": lambda a, b: a,
    "no_tie": lambda a, b: np.zeros_like(a),
    "where": lambda a, b, c: np.where(a != 0, b, c),
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    **dict.fromkeys(("clamp", "clamp_split"), lambda a, b, c: np.minimum(np.maximum(a, b), c)),
    "larger": np.maximum,
    "clamp_min": np.maximum,
    "clamp_max": np.minimum,
    "relu": lambda a: np.maximum(a, 0),
    "guided_relu": lambda a: np.maximum(a, 0),
    "relu6": lambda a: np.clip(a, 0, 6),
    "hardtanh": lambda a, b, c: np.minimum(np.maximum(a, b), c),
    "threshold": lambda a, b, c: np.where(a > b, a, c),
    "hardshrink": lambda a, b: np.where(np.abs(a) > b, a, 0),
    "softshrink": lambda a, b: np.sign(a) * np.maximum(np.abs(a) - b, 0),
    "add": np.add,
    "add3": lambda a, b, c: a + b + c,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "lerp": lambda a, b, c: a + c * (b - a),
    "lerp_signed": lambda a, b, c: a + c * (b - a),
    "frac": lambda a: np.modf(a)[0],
    "leaky_relu": lambda a, b: np.where(a > 0, a, a * b),
    "hardsigmoid": lambda a: np.clip(a + 3, 0, 6) / 6,
    "hardsigmoid_float_constant": lambda a: np.clip(a + 3, 0, 6) / 6,
    "hardswish": lambda a: a * np.clip(a + 3, 0, 6) / 6,
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "atan2": np.arctan2,
    "erf": _erf,
    "erfc": _vector(math.erfc),
    "sigmoid": _sigmoid,
    "silu": lambda a: a * _sigmoid(a),
    "mish": lambda a: a * np.tanh(_softplus(a)),
    "logsigmoid": lambda a: np.log(_sigmoid(a)),
    "gelu": lambda a: a / 2 * (1 + _erf(a / math.sqrt(2))),
    "gelu_tanh": lambda a: a / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3))),
    "softplus": _softplus,
    "xlogy": lambda a, b: a * np.log(b),
    "elu": _elu,
    "elu_by_result": _elu,
    "celu": lambda a, b: np.where(a > 0, a, b * (np.exp(a / b) - 1)),
    "celu_by_result": lambda a, b: np.where(a > 0, a, b * (np.exp(a / b) - 1)),
    "selu": lambda a: _SCALE * _elu(a, _ALPHA),
    "selu_by_result": lambda a: _SCALE * _elu(a, _ALPHA),
}

# First operands lie in (-2.5, 2.5), the others in (0.6, 2.4), but for these.
POSITIVE = {"sqrt", "rsqrt", "log", "log2", "log10", "log1p", "pow", "lgamma", "igamma", "igammac"}
UNIT = {"asin", "acos", "atanh", "erfinv", "logit", "tan"}
# Operands in which nothing is derived.
UNDERIVED = {"where", "logit", "polygamma", "polygamma_by_few_terms", "igamma", "igammac"}
# Accurate to nine digits.
ROUGH = {"polygamma_by_few_terms"}
# Derivatives that are a convention of torch's, not the function's.
CONVENTIONAL = {"carry", "guided_relu", "higher", "sole"}


def _operands(primitive: Primitive, number: int) -> list[Floats]:
    """Random operands at which the primitive is smooth, up to [40] each."""
    rng = np.random.default_rng(number)
    first = rng.uniform(0.1, 2.5, 40) * rng.choice([-1.0, 1.0], 40)
    if primitive.name in POSITIVE:
        first = np.abs(first) + 0.1
    elif primitive.name in UNIT:
        first = first / 2.6
    elif primitive.name == "acosh":
        first = np.abs(first) + 1.1
    operands = [first, *rng.uniform(0.6, 2.4, (primitive.arity - 1, 40))]
    if primitive.name in ("clamp", "clamp_split", "hardtanh"):
        operands[1] -= 1.5
        operands[2] += 1.0
    elif primitive.name == "logit":
        operands[1:] = [operands[1] / 10, 1 - operands[2] / 10]
    elif primitive.name.startswith("polygamma"):
        operands[1] = np.rint(operands[1])
    if "digamma" in primitive.name or "polygamma" in primitive.name:
        far = np.abs(operands[0] - np.rint(operands[0])) > 0.03
        operands = [operand[far] for operand in operands]
    if primitive.margins is not None:
        padded = operands + operands[:1] * (3 - len(operands))
        clear = np.min([np.abs(margin) for margin in primitive.margins(*padded)], 0) > 1e-3
        operands = [operand[clear] for operand in operands]
    return operands


def _evaluate(
    machine: Machine, name: str, operands: list[Floats], cotangent: float = 1.0
) -> tuple[Floats, list[Floats], Assembly]:
    assembly = Assembly()
    handles = [assembly.leaf(operand) for operand in operands]
    result = assembly.apply(name, *handles)
    assembly.loss(0, result, cotangent)
    out = machine.run(assembly, [(0,)])
    return out.values[result], [out.gradients[0][handle] for handle in handles], assembly


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine()


def test_every_primitive_has_a_function_and_a_reference() -> None:
    """The table, the functions and this module's references name the same primitives."""
    assert set(CODES) == set(VALUES) == set(REFERENCES)
    assert set(PARTIALS) <= set(VALUES)


@pytest.mark.parametrize("primitive", PRIMITIVES, ids=lambda primitive: primitive.name)
def test_value_is_numpys(machine: Machine, primitive: Primitive) -> None:
    """At random points the value is numpy's, within a few rounding errors."""
    operands = _operands(primitive, CODES[primitive.name])
    value, _, _ = _evaluate(machine, primitive.name, operands)
    near = 1e-9 if primitive.name in ROUGH else 2e-14
    np.testing.assert_allclose(value, REFERENCES[primitive.name](*operands), near, near / 10)


@pytest.mark.parametrize(
    "primitive",
    [primitive for primitive in PRIMITIVES if primitive.name not in CONVENTIONAL],
    ids=lambda primitive: primitive.name,
)
def test_derivative_is_a_central_difference(machine: Machine, primitive: Primitive) -> None:
    """Where the primitive is smooth, each derivative is the slope of numpy's function."""
    operands = _operands(primitive, CODES[primitive.name])
    _, gradients, _ = _evaluate(machine, primitive.name, operands)
    reference, step = REFERENCES[primitive.name], 1e-5
    severed = {*primitive.severed} if primitive.name in UNDERIVED else set()
    for number in set(range(primitive.arity)) - severed:
        up, down = list(operands), list(operands)
        up[number], down[number] = operands[number] + step, operands[number] - step
        slope = (1.0 * reference(*up) - 1.0 * reference(*down)) / (2 * step)
        np.testing.assert_allclose(gradients[number], slope, 1e-6, 1e-6)


KINKS: list[tuple[str, tuple[float, ...], tuple[float, ...]]] = [
    ("logit", (0.0,), (INF,)),
    ("logit", (-1.0,), (NAN,)),
    ("logit", (0.25, 0.25, 0.75), (16 / 3,)),
    ("logit", (0.0, 0.25, 0.75), (0.0,)),
    ("logit", (NAN, 0.25, 0.75), (NAN,)),
    ("sinc", (0.0,), (0.0,)),
    ("sinc", (1e-8,), (-1e-8 * math.pi**2 / 3,)),
    ("copysign", (0.0, -1.0), (0.0, 0.0)),
    ("copysign", (2.0, -0.0), (-1.0, 0.0)),
    ("copysign", (INF, -1.0), (NAN, 0.0)),
    ("finite_or", (INF, 2.0), (0.0, 0.0)),
    ("nextafter", (1.0, 1.0), (0.0, 0.0)),
    ("nextafter", (1.0, 2.0), (1.0, 0.0)),
    ("div_floor", (5.5, 2.0), (0.0, 0.0)),
    ("div_trunc", (0.0, 0.0), (0.0, 0.0)),
    ("logaddexp", (1.0, 1.0), (0.5, 0.5)),
    ("logaddexp", (-INF, -INF), (NAN, NAN)),
    ("logaddexp2", (INF, -INF), (1.0, 0.0)),
    ("erfinv", (1.0,), (INF,)),
    ("lgamma", (0.0,), (-INF,)),
    ("digamma", (0.0,), (INF,)),
    ("relu", (0.0,), (0.0,)),
    ("relu", (NAN,), (1.0,)),
    ("guided_relu", (0.0,), (0.0,)),
    ("abs", (0.0,), (0.0,)),
    ("abs", (NAN,), (0.0,)),
    ("sign", (0.0,), (0.0,)),
    ("heaviside", (0.0, 2.0), (0.0, 1.0)),
    ("heaviside", (NAN, 2.0), (0.0, 0.0)),
    ("relu6", (0.0,), (0.0,)),
    ("relu6", (6.0,), (0.0,)),
    ("relu6", (NAN,), (1.0,)),
    ("hardtanh", (-1.0, -1.0, 1.0), (0.0,)),
    ("hardtanh", (1.0, -1.0, 1.0), (0.0,)),
    ("hardtanh", (NAN, -1.0, 1.0), (1.0,)),
    ("threshold", (0.5, 0.5, 3.0), (0.0,)),
    ("threshold", (NAN, 0.5, 3.0), (1.0,)),
    ("hardsigmoid", (3.0,), (0.0,)),
    ("hardsigmoid", (-3.0,), (0.0,)),
    ("hardswish", (-3.0,), (0.0,)),
    ("hardswish", (3.0,), (1.0,)),
    ("hardswish", (-1.5,), (0.0,)),
    ("hardshrink", (0.5, 0.5), (0.0,)),
    ("hardshrink", (-0.5, 0.5), (0.0,)),
    ("softshrink", (0.5, 0.5), (0.0,)),
    ("softshrink", (-0.5, 0.5), (0.0,)),
    ("leaky_relu", (0.0, 0.25), (0.25,)),
    ("elu", (0.0, 1.5), (1.5,)),
    ("celu", (0.0, 1.5), (1.0,)),
    ("selu", (0.0,), (_ALPHA * _SCALE,)),
    ("clamp", (1.0, 1.0, 2.0), (1.0, 0.0, 0.0)),
    ("clamp", (2.0, 1.0, 2.0), (1.0, 0.0, 0.0)),
    ("clamp", (NAN, 1.0, 2.0), (0.0, 0.0, 0.0)),
    ("clamp", (0.0, 2.0, 1.0), (0.0, 0.0, 1.0)),
    ("clamp_split", (1.0, 1.0, 2.0), (0.5, 0.5, 0.0)),
    ("clamp_split", (2.0, 1.0, 2.0), (0.5, 0.0, 0.5)),
    ("clamp_split", (NAN, 1.0, 2.0), (1.0, 0.0, 0.0)),
    ("clamp_split", (0.0, 2.0, 1.0), (0.0, 0.0, 1.0)),
    ("clamp_split", (0.0, 1.0, 1.0), (0.0, 1.0, 0.0)),
    ("clamp_min", (1.0, 1.0), (1.0, 0.0)),
    ("clamp_max", (1.0, 1.0), (1.0, 0.0)),
    ("maximum", (1.0, 1.0), (0.5, 0.5)),
    ("minimum", (1.0, 1.0), (0.5, 0.5)),
    ("maximum", (NAN, 1.0), (1.0, 1.0)),
    ("larger", (1.0, 1.0), (1.0, 0.0)),
    ("larger", (NAN, 1.0), (1.0, 0.0)),
    ("larger", (NAN, NAN), (0.0, 1.0)),
    ("fmax", (1.0, 1.0), (1.0, 0.0)),
    ("fmin", (1.0, 1.0), (1.0, 0.0)),
    ("fmax", (NAN, 1.0), (0.0, 1.0)),
    ("fmax", (1.0, NAN), (1.0, 0.0)),
    ("hypot", (0.0, 0.0), (NAN, NAN)),
    ("atan2", (0.0, 0.0), (0.0, 0.0)),
    ("pow", (0.0, 0.0), (0.0, 0.0)),
    ("pow", (-2.0, 3.0), (12.0, NAN)),
    ("pow", (-2.0, 0.0), (0.0, NAN)),
    ("pow", (0.0, 2.0), (0.0, 0.0)),
    ("xlogy", (0.0, 0.0), (0.0, NAN)),
    ("sqrt", (0.0,), (INF,)),
    ("log", (0.0,), (INF,)),
    ("reciprocal", (0.0,), (-INF,)),
    ("fmod", (5.5, 2.0), (1.0, -2.0)),
    ("remainder", (-5.5, 2.0), (1.0, 3.0)),
    ("softplus", (21.0, 1.0, 20.0), (1.0,)),
    ("round", (0.5,), (0.0,)),
]


@pytest.mark.parametrize(("name", "at", "expected"), KINKS)
def test_kink_is_torchs(
    machine: Machine, name: str, at: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    """Where the derivative is not unique, torch's formula decides, not jax's convention."""
    _, gradients, _ = _evaluate(machine, name, [np.array(number) for number in at])
    np.testing.assert_allclose(gradients[: len(expected)], expected, 1e-14)


@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        ("relu", (-1.0,), 0.0),
        ("where", (0.0, 1.0, 2.0), 0.0),
        ("clamp_min", (0.0, 1.0), 0.0),
        ("pow", (2.0, 0.0), 0.0),
        ("abs", (0.0,), NAN),
        ("mul", (1.0, 0.0), NAN),
    ],
)
def test_infinite_incoming_gradients_are_masked_or_multiplied(
    machine: Machine, name: str, at: tuple[float, ...], expected: float
) -> None:
    """Masks drop an infinite gradient, products with zero make it NaN, as torch's formulas do."""
    _, gradients, _ = _evaluate(machine, name, [np.array(number) for number in at], INF)
    np.testing.assert_equal(gradients[1 if name == "where" else 0], expected)


@pytest.mark.parametrize(("cotangent", "expected"), [(2.0, [0.0, 0.0, 2.0]), (-1.0, [0.0] * 3)])
def test_guided_relu_passes_positive_gradients_only(
    machine: Machine, cotangent: float, expected: list[float]
) -> None:
    """Its gradient is ReLU's where the incoming one is positive, and zero elsewhere."""
    _, gradients, _ = _evaluate(machine, "guided_relu", [np.array([-1.0, 0.0, 3.0])], cotangent)
    np.testing.assert_array_equal(gradients[0], expected)


def test_nan_passes_through_activations(machine: Machine) -> None:
    """NaN in, NaN out."""
    for name in ("relu", "relu6", "hardtanh", "hardshrink", "softshrink", "leaky_relu", "selu"):
        assembly = Assembly()
        result = assembly.apply(name, assembly.leaf(np.array([NAN])))
        assert np.isnan(machine.run(assembly, []).values[result]).all(), name
