"""What operations were before torch 2.0, and not only before 1.12."""

from __future__ import annotations

from strategies.table.change import Change
from strategies.table.results import cloned
from strategies.table.row import saves

_WITH_STEP = "{dim}, {start}, {start} + {length}, 1"

BEFORE_2: tuple[Change, ...] = (
    Change(
        "mean",
        ">=1.13,<2.0",
        {"saves": saves("self if given dim")},
        "MeanBackward1 keeps self in 1.13 (derivatives.yaml, mean.dim)",
    ),
    Change(
        "maximum minimum",
        "<2.0",
        {"reads_first": True},
        "_foreach_maximum_ copies what it computed before 2.0 (ForeachOpsKernels.cpp)",
        way="foreach",
    ),
    Change(
        "diagonal_scatter select_scatter slice_scatter",
        "<2.0",
        {"result": cloned},
        "clone() of self before 2.0, and not of all of its memory (TensorShape.cpp)",
    ),
    # The step that is not given is read from nowhere; the register has a script.
    Change(
        "slice_scatter",
        ">=1.13,<2.0",
        {
            "plain": {
                "method": f"{{0}}.slice_scatter({{1}}, {_WITH_STEP})",
                "function": f"torch.slice_scatter({{0}}, {{1}}, {_WITH_STEP})",
            }
        },
        "slice-scatter-reads-no-step, in the register",
    ),
)
