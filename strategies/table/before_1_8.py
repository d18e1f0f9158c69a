"""What operations were before torch 1.8, and not only before 1.12.

What nodes save stands in derivatives.yaml: an operand that only one of the derivatives names is
saved if that is wanted, and one that several name always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from strategies.layout import contiguous
from strategies.table import activations, added, extremes, pointwise
from strategies.table.change import Change
from strategies.table.changed_meanings import (
    celu_by_exponential,
    elu_by_exponential,
    selu_by_exponential,
)
from strategies.table.composed import along, leave_open, still
from strategies.table.former import CUT, cut_apart
from strategies.table.results import tensors
from strategies.table.row import Made, saves

_DERIVATIVES = "derivatives.yaml"
_ELU = "elu_backward by the result (derivatives.yaml); elu-by-result in the register"
_BY_RESULT = {"saves_in_place": saves("result")}


def _of_result(by_exponential: Callable[[str], Any]) -> Callable[..., Any]:
    """A derivative that is computed from the result, whose sign is not always the operand's."""

    def meaning(m: Any, self: Any, *, alpha: float) -> Any:
        values = by_exponential("_by_result")(m, self, alpha=alpha)
        if not m.deviates("sign of the operand"):
            return values
        positive = m.apply("gt", values, 0.0)
        return m.apply("where", positive, m.apply("carry", values, self), values)

    return meaning


def _open_at_its_poles(primitive: str) -> Callable[..., Any]:
    """At integers up to 0, and at minus infinity, digamma was infinity before it was NaN."""

    def meaning(m: Any, self: Any) -> Any:
        integers = m.apply("eq", m.apply("floor", self), self)
        poles = m.apply("logical_and", integers, m.apply("le", self, 0.0))
        leave_open(m, poles)
        return m.apply(primitive, self)

    return meaning


def _first_polygamma(m: Any, self: Any, *, n: int) -> Any:
    """digamma: others than the one with n=0 are not there."""
    return _open_at_its_poles("digamma")(m, self)


def _digamma_out(m: Any, out: Any, self: Any, **params: int) -> Any:
    return _open_at_its_poles("digamma")(m, self)


def _addr(m: Any, self: Any, vec1: Any, vec2: Any, *, beta: float, alpha: float) -> Any:
    """Left open where zero meets infinity or NaN: a BLAS does not multiply by zero."""
    column = vec1[:, None]
    zero = m.apply("logical_or", m.apply("eq", column, 0.0), m.apply("eq", vec2, 0.0))
    product = m.apply("mul", column, vec2)
    left_out = m.apply("logical_and", zero, m.apply("ne", product, product))
    leave_open(m, left_out)
    (row,) = (row for row in added.ROWS if row.name == "addr")
    assert callable(row.meaning)
    return row.meaning(m, self, vec1, vec2, beta=beta, alpha=alpha)


def _addr_out(m: Any, out: Any, *operands: Any, **params: float) -> Any:
    return _addr(m, *operands, **params)


_EXTREMES = {row.name: row for row in extremes.ROWS}


def _rrelu(m: Any, self: Any, **params: Any) -> Any:
    """What is not a number passes its gradient on."""
    (row,) = (row for row in activations.ROWS if row.name == "rrelu")
    assert callable(row.meaning)
    values = row.meaning(m, self, **params)
    passes = m.apply("ne", self, self)
    return m.apply("where", passes, m.apply("carry", values, self), values)


def _power(m: Any, self: Any, exponent: Any) -> Any:
    """The derivative by the exponent had no case of its own for zero and its infinite logarithm."""
    (row,) = (row for row in pointwise.ROWS if row.name == "pow")
    assert callable(row.meaning)
    value = row.meaning(m, self, exponent)
    if not isinstance(exponent, np.ndarray):
        return value
    slope = m.apply("mul", value, m.apply("log", self))
    by_exponent = m.apply("mul", exponent, still(m, slope))
    by_base = m.apply("pow", self, still(m, exponent))
    return m.apply("carry", value, m.apply("add", by_base, by_exponent))


def _shared_by_none(name: str) -> Callable[..., Any]:
    """Each of the elements that equal the result got its whole gradient; where NaN comes among them
    nobody said of median.
    """

    def meaning(m: Any, self: Any) -> Any:
        if name == "median":
            leave_open(m, m.apply("ne", self, self))
        value = _meaning(name)(m, self)
        if not m.deviates("ties share a gradient"):
            return value
        rows = self.reshape(-1)
        tied = m.apply("where", m.apply("eq", rows, value), rows, 0.0)
        return m.apply("carry", value, m.total(tied, (0,), False))

    return meaning


def _any_of(name: str) -> Callable[..., Any]:
    """Nobody said which of several equal elements is given."""

    def meaning(m: Any, self: Any, *, dim: int, keepdim: bool) -> Any:
        rows, value = along(self, dim), _meaning(name)(m, self, dim=dim, keepdim=keepdim)
        tied = m.apply("eq", rows, value.reshape(rows.shape[1:]))
        m.apply("sole", m.total(tied, (0,), False))
        return value

    return meaning


def _meaning(name: str) -> Callable[..., Any]:
    meaning = _EXTREMES[name].meaning
    assert callable(meaning)
    return meaning


BEFORE_1_8: tuple[Change, ...] = (
    Change("mm", "<1.8", {"saves": saves("self, mat2")}, _DERIVATIVES),
    Change("addmm", "<1.8", {"saves": saves("mat1, mat2")}, _DERIVATIVES),
    Change(
        "linear_bias",
        "<1.8",
        {"saves": saves("input, weight")},
        "addmm, or mm of more dimensions (Linear.cpp)",
    ),
    Change("elu", "<1.8", {"meaning": _of_result(elu_by_exponential)}, _ELU, form="plain"),
    Change(
        "celu",
        "<1.8",
        {"meaning": _of_result(celu_by_exponential)},
        _ELU,
        form="plain",
    ),
    Change(
        "selu",
        "<1.8",
        {"meaning": selu_by_exponential("_by_result")},
        "elu_backward by the result (derivatives.yaml)",
        form="plain",
    ),
    Change("celu elu selu", "<1.8", {"saves": saves("result")}, _DERIVATIVES),
    Change("relu6", "<1.8", _BY_RESULT, "hardtanh_backward by the result (derivatives.yaml)"),
    Change("index_copy", "<1.8", {"saves": saves("index")}, _DERIVATIVES),
    Change("index_add", "<1.8", {"saves": saves("index if source")}, _DERIVATIVES),
    Change("take", "<1.8", {"saves": saves("index")}, _DERIVATIVES),
    Change("pow", "<1.4", {"saves": saves("self, exponent")}, _DERIVATIVES),
    Change("pow", "<1.8", {"meaning": _power}, "pow_backward_exponent (FunctionsManual.cpp)"),
    Change(
        "pow",
        ">=1.4,<1.8",
        {"saves": saves("self, exponent if self, result if tensor exponent")},
        _DERIVATIVES,
    ),
    Change(
        "group_norm",
        "<1.8",
        {
            "result": lambda layouts, params: (Made(contiguous(tensors(layouts)[0].shape)),),
            "copies_first": lambda layouts, params: not tensors(layouts)[0].is_contiguous,
            "viewed": lambda layouts: (0,),
            "behind_view": lambda layouts, recorded: True,
        },
        "batch_norm of another shape (Normalization.cpp), and a view of that",
    ),
    Change("repeat", "<1.8", {"saves": saves("self")}, _DERIVATIVES),
    Change(
        "getitem_at getitem_rows getitem_second getitem_twice",
        "<1.4",
        {"saves": saves("self, index")},
        "index_backward(zeros_like(self), ...) in derivatives.yaml",
    ),
    Change(
        "layer_norm_affine",
        "<1.8",
        {"saves": saves("self, weight, private")},
        _DERIVATIVES,
    ),
    Change(
        "layer_norm layer_norm_affine",
        "<1.8",
        {"copies_first": lambda layouts, params: not tensors(layouts)[0].is_contiguous},
        "native_layer_norm of input.contiguous() (layer_norm.cpp)",
    ),
    Change(
        "mse_loss",
        "<1.8",
        {"saves": saves("self if no target, target if no target, private")},
        "(input - target) ** 2 where target requires grad, else its own kernel (functional.py)",
    ),
    Change(
        "einsum",
        "<1.8",
        {"behind_view": lambda layouts, recorded: True},
        "einsum before 1.8 (Linear.cpp) views what it multiplied, an outer product too (observed)",
    ),
    Change("chunk split", "<1.8", {"saves": saves("self")}, _DERIVATIVES),
    Change("conv3d conv3d_bias", "<1.8", {"copies_first": cut_apart}, CUT),
    Change("rrelu", "<1.8", {"meaning": _rrelu}, "RReLU.c: grad * negative_slope if input <= 0"),
    Change("addr", "<1.8", {"meaning": _addr}, "ger of a BLAS, or TH's own"),
    Change("addr_out", "<1.8", {"meaning": _addr_out}, "ger of a BLAS, or TH's own"),
    Change("digamma_out", "<1.8", {"meaning": _digamma_out}, "digamma (Math.h)"),
    Change("polygamma_out", "<1.8", {"meaning": _digamma_out}, "digamma (Math.h) for n=0"),
    Change("digamma", "<1.8", {"meaning": _open_at_its_poles("digamma")}, "digamma (Math.h)"),
    Change("polygamma", "<1.8", {"meaning": _first_polygamma}, "digamma (Math.h) for n=0"),
    Change("lgamma", "<1.8", {"meaning": _open_at_its_poles("lgamma")}, "digamma (Math.h)"),
    Change("lerp", "<1.4", {"ungraded": "weight"}, _DERIVATIVES),
    Change("polygamma", "<1.4", {"undifferentiable": "in place"}, _DERIVATIVES),
    Change(
        "addcdiv addcmul atan2",
        "<1.4",
        {"expands": True},
        "operands are expanded to the target before they are looked at (TensorMethods.h)",
        form="in place",
    ),
    Change(
        "fmod masked_fill pow remainder",
        "<1.8",
        {"expands": True},
        "operands are expanded to the target before they are looked at (TensorMethods.h)",
        form="in place",
    ),
    *(
        Change(
            name,
            "<1.8",
            {"meaning": _shared_by_none(name)},
            "select_equals_backward (derivatives.yaml); ties-get-all-gradient in the register",
        )
        for name in ("max", "min", "median")
    ),
    *(
        Change(
            name,
            "<1.8",
            {"meaning": _any_of(name)},
            "torch.max before 1.7 does not say that it gives the first of equal elements",
        )
        for name in ("max_dim", "min_dim")
    ),
    Change(
        "addbmm addcdiv addcmul addmm addr clamp clamp_max clamp_min copy digamma eq erfinv ge gt "
        "index_copy le lerp lgamma lt ne polygamma pow renorm setitem sign",
        "<1.4",
        {"unchecked_overlap": True},
        "kernels of TH, which did not look",
        form="in place",
    ),
    Change("addr", "<1.8", {"unchecked_reads": True}, "a kernel of TH, which did not look"),
    Change(
        "atan2 bernoulli cauchy fmod log_normal masked_scatter random remainder scatter "
        "scatter_add uniform",
        "<1.8",
        {"unchecked_overlap": True},
        "kernels of TH, which did not look",
        form="in place",
    ),
    Change(
        "atan2 fmod remainder",
        "<1.8",
        {"unchecked_reads": True},
        "TensorIterator without check_mem_overlap, or TH",
        form="in place",
    ),
    Change(
        "celu elu hardtanh leaky_relu relu6 rrelu selu",
        "<1.8",
        {"unchecked_overlap": True},
        "TensorIterator without check_internal_overlap, or THNN (Activation.cpp)",
        form="in place",
    ),
)
