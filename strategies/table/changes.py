"""What an operation was, or has become, in other versions of torch than the table is of.

A boundary lies between two versions that were tried, and bears the later one's number.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from strategies.table import changed_meanings as meanings
from strategies.table.before_1_8 import BEFORE_1_8
from strategies.table.before_2 import BEFORE_2
from strategies.table.change import Arrival, Change, Form, within
from strategies.table.former import FORMER
from strategies.table.later import LATER
from strategies.table.old_layouts import OLD_LAYOUTS
from strategies.table.row import Row, saves

if TYPE_CHECKING:
    from strategies.draft import Shaped


TABLES = "2.13.0"
"""The torch that the table is of."""


_LEAST_NORM = (
    "Gradients for non-differentiable functions (Autograd mechanics): 'use the sub-gradient of "
    "minimum norm'; derivatives.yaml follows it for bounds from 2.15 on"
)
_EXPANDED = (
    "can_use_expanded_index_path of 2.0 (TensorAdvancedIndexing.h) looks at strides alone; the "
    "register has a script"
)
_UNDIFFERENTIABLE = {"saves": (), "saves_in_place": (), "undifferentiable": "always"}

_DERIVATIVES: dict[Form, str] = {"plain": "", "in place": "_by_result"}
"""What the primitives of each form are called, by how they are derived."""

CHANGES: tuple[Change, ...] = (
    Change(
        "nextafter",
        "<2.13",
        {"saves": (), "undifferentiable": "of each"},
        "derivatives.yaml before 2.13: not_implemented, for self and for other",
    ),
    Change(
        "",
        "<2.0",
        _UNDIFFERENTIABLE,
        "derivatives.yaml before 2.0 has no _foreach function",
        way="foreach",
    ),
    Change(
        "",
        ">=2.0,<2.4",
        _UNDIFFERENTIABLE,
        "derivatives.yaml of 2.0 has _foreach functions of one list alone",
        way="foreach",
        operands=2,
    ),
    Change(
        "clamp_min clamp_max",
        ">=2.0,<2.4",
        _UNDIFFERENTIABLE,
        "derivatives.yaml of 2.0 has no _foreach function that takes a number",
        way="foreach",
    ),
    Change(
        "mean",
        ">=2.0,<2.4",
        {"saves": saves("self")},
        "derivatives.yaml of 2.0: self.sym_numel(), of a self that is saved for it",
    ),
    Change(
        "masked_scatter",
        ">=1.8,<2.4",
        {"astray": meanings.by_memory},
        "masked_scatter__cpu before 2.4: no enforce_linear_iteration (the register has a script)",
        form="in place",
    ),
    Change(
        "index_fill",
        "<1.8",
        {"astray": meanings.filled_as_a_block},
        "isTransposed (THTensor.cpp) before 1.8, by which fill was chosen; in the register",
        form="in place",
    ),
    Change(
        "baddbmm baddbmm_out",
        "<2.4",
        {"astray": meanings.times_nothing},
        "baddbmm_cpu_kernel (LinearAlgebra.cpp) before 2.4: r2[j] *= beta; in the register",
    ),
    Change("gather gather_out", ">=2.0,<2.4", {"astray": meanings.gathered_by_columns}, _EXPANDED),
    Change(
        "scatter scatter_add scatter_reduce",
        ">=2.0,<2.4",
        {"astray": meanings.by_columns},
        _EXPANDED,
    ),
    Change(
        "logit",
        "<2.4",
        {"meaning": meanings.logit},
        "logit_backward_kernel (BinaryOpsKernel.cpp); the register has a script",
    ),
    Change(
        "pad",
        "<2.13",
        {"fits": meanings.pads_to_something},
        "constant_pad_nd (PadNd.cpp) before 2.13: new_dim > 0; the register has a script",
    ),
    Change(
        "atan2",
        "<2.13",
        {"meaning": meanings.atan2},
        "atan2_backward (FunctionsManual.cpp): (self * self + other * other).reciprocal()",
    ),
    *(
        Change(
            name,
            "<2.8",
            {"meaning": by_exponential(derivative)},
            "elu_kernel (Activation.cpp) before 2.8: exp(x) - 1",
            form=form,
        )
        for name, by_exponential in (
            ("elu", meanings.elu_by_exponential),
            ("celu", meanings.celu_by_exponential),
            ("selu", meanings.selu_by_exponential),
        )
        for form, derivative in _DERIVATIVES.items()
    ),
    Change(
        "group_norm",
        ">=2.15",
        {"copies_first": lambda layouts, params: False},
        "group_norm.cpp from 2.15 on saves what it was given (observed)",
    ),
    *(
        Change(
            name,
            "<2.0",
            {"meaning": meaning},
            "lerp_kernel (LerpKernel.cpp) before 2.0: weight < 0.5, and not its magnitude",
        )
        for name, meaning in (("lerp", "lerp_signed"), ("lerp_out", meanings.lerp_out))
    ),
    Change(
        "ldexp",
        ">=1.12,<2.8",
        {"result": meanings.times_a_power},
        "composed of mul and of pow(2.0, other), which is row-major, before 2.8 (BinaryOps.cpp)",
    ),
    Change(
        "ldexp",
        "<2.13",
        {
            "saves": saves("self if other, other if other, private if self"),
            # The power is a node of its own, which stands between the product and its exponent.
            "viewed": lambda layouts: (1,),
            "saved_before": "other",
        },
        "composed of mul and pow before 2.13 (BinaryOps.cpp)",
    ),
    Change(
        "ldexp_out",
        "<2.13",
        {"viewed": lambda layouts: (2,)},
        "the power comes first, and reads the node of its exponent (BinaryOps.cpp)",
    ),
    Change(
        "setitem_second",
        "<2.13",
        {"part": lambda layout, params: layout, "views_its_part": True},
        "x[:, i] = v viewed x[:] first before 2.13 (python_variable_indexing.cpp)",
    ),
    Change(
        "setitem",
        "<2.13",
        {"views_its_part": True},
        "x[:] = v viewed x before 2.13 (python_variable_indexing.cpp)",
    ),
    Change(
        "hardswish", "<2.8", {"meaning": meanings.hardswish}, "hardswish_backward (Activation.cpp)"
    ),
    Change("clamp", ">=2.15", {"meaning": meanings.clamp}, _LEAST_NORM),
    Change("clamp_min", ">=2.15", {"meaning": meanings.clamp_min}, _LEAST_NORM),
    Change("clamp_max", ">=2.15", {"meaning": meanings.clamp_max}, _LEAST_NORM),
    Change("normalize", ">=2.15", {"meaning": meanings.normalize}, _LEAST_NORM),
    Change("clamp_tensor", ">=2.15", {"meaning": "clamp_split"}, _LEAST_NORM),
    Change("clamp_min_tensor", ">=2.15", {"meaning": "maximum"}, _LEAST_NORM),
    Change("clamp_max_tensor", ">=2.15", {"meaning": "minimum"}, _LEAST_NORM),
    Change("fmax", ">=2.15", {"meaning": meanings.fmax}, _LEAST_NORM),
    Change("fmin", ">=2.15", {"meaning": meanings.fmin}, _LEAST_NORM),
    *BEFORE_2,
    *FORMER,
    *BEFORE_1_8,
    *OLD_LAYOUTS,
)


def _with_number(step: Shaped) -> bool:
    return any(not isinstance(operand, str) for operand in step.step.args)


ARRIVALS: tuple[Arrival, ...] = (
    Arrival(
        "lerp",
        "2.8",
        "torch._foreach_lerp_ with a list of numbers",
        lambda step: step.step.via == "foreach" and _with_number(step),
    ),
    Arrival("max_out", "2.0", "torch.max with out= and without dim", lambda step: True),
    Arrival("min_out", "2.4", "torch.min with out= and without dim", lambda step: True),
    Arrival(
        "mean_out",
        "2.8",
        "torch.mean with out= and without dim",
        lambda step: step.params["dim"] is None,
    ),
    Arrival(
        "gt_out ge_out lt_out le_out eq_out ne_out",
        "1.4",
        "comparisons with an out= that is not bool",
        lambda step: True,
    ),
    Arrival(
        "kron_out", "1.12", "torch.kron with an out= that it leaves its size", lambda step: True
    ),
    Arrival("slice_scatter_out", "2.4", "torch.slice_scatter with out=", lambda step: True),
    *LATER,
)


def missing_form(step: Shaped, torch: str) -> str:
    """What a step needs that a version of torch does not have yet, or ""."""
    arrivals = _arrivals_after(torch)
    if not arrivals:
        return ""
    return next(
        (
            arrival.what
            for arrival in arrivals
            if step.row.name in (arrival.rows or (step.row.name,)) and arrival.holds(step)
        ),
        "",
    )


@cache
def _arrivals_after(torch: str) -> tuple[Arrival, ...]:
    """What a version of torch does not have yet."""
    return tuple(arrival for arrival in ARRIVALS if within(f"<{arrival.since}", torch))


@cache
def changes_in(torch: str) -> tuple[Change, ...]:
    """The changes that a version of torch is concerned by."""
    return tuple(change for change in CHANGES if within(change.torch, torch))


def row_in(row: Row, way: str, torch: str, *, in_place: bool = False) -> Row:
    """A row of the table, spelled in a way and form, as it is in a version of torch."""
    for change in changes_in(torch):
        named = row.name in (change.rows or (row.name,)) and change.way in ("", way)
        named = named and change.form in ("", "in place" if in_place else "plain")
        if named and len(row.operands) >= change.operands:
            row = replace(row, **change.fields)
    return row
