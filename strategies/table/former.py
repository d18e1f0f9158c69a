"""What operations were before torch 1.12.

Versions of fresh results were read from tensors; the rest stands in derivatives.yaml, in the
kernels, or in the messages of the versions that are named.
"""

from __future__ import annotations

from strategies.table.change import Change
from strategies.table.row import saves

_DERIVATIVES = "derivatives.yaml"
_COPIED = "self.clone() written in place, which counts (TensorAdvancedIndexing.cpp)"

FORMER: tuple[Change, ...] = (
    Change(
        "contiguous contiguous_channels_last index_add index_copy index_fill index_put "
        "index_put_rows index_put_twice masked_fill masked_scatter scatter scatter_add",
        "<1.12",
        {"begins_at": lambda layouts, params: 1},
        _COPIED,
    ),
    Change(
        "diag_embed",
        "<1.12",
        {"begins_at": lambda layouts, params: 2},
        "zeros written through a view (TensorShape.cpp)",
    ),
    Change("diag_embed", "<1.12", {"saves": saves("private")}, "a copy into a view"),
    Change("cumprod", "<1.12", {"saves": saves("self")}, _DERIVATIVES),
    Change("relu", "<1.12", {"saves": saves("self")}, _DERIVATIVES, form="plain"),
    Change("relu", "<1.12", {"saves_in_place": saves("result")}, _DERIVATIVES),
    Change("softplus", "<1.12", {"saves": saves("self, result")}, _DERIVATIVES),
    Change("softmax log_softmax", "<1.12", {"saves": saves("self, result")}, _DERIVATIVES),
    Change(
        "cross_entropy",
        "<1.12",
        {"saves": saves("self, target, private")},
        "log_softmax, which saves its operand, and nll_loss",
    ),
    Change("kl_div", "<1.12", {"saves": saves("self, target")}, _DERIVATIVES),
    Change("hardtanh threshold", "<1.12", {"saves_in_place": saves("result")}, _DERIVATIVES),
    Change("remainder", "<1.12", {"saves": (), "ungraded": "other"}, _DERIVATIVES),
    Change(
        "fmod",
        "<1.12",
        {"saves": saves("other if other"), "undifferentiable": "in other"},
        _DERIVATIVES,
    ),
    Change(
        "l1_loss",
        "<1.12",
        {"saves": saves("self if no target, target if no target, private")},
        "abs(input - target) where target requires grad, else its own kernel (functional.py)",
    ),
)
