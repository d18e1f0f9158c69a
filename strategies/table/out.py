"""The `out=` forms: a row whose function takes `out` has one, derived from its plain form.

In programs `add_out` (its name in C++) is an in-place operation on the tensor that it writes, its
first operand; it has the shape of the result. Where torch gives indices as well, they are written
into a tensor of their own. "Functions with out=... arguments don't support
automatic differentiation" (torch's own words): they raise if anything requires grad where autograd
records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from strategies.layout import Layout
from strategies.table.results import cloned, pointwise, tensors, without_numbers
from strategies.table.row import Layouts, Made, Operand, Params, Refused, Row

SUFFIX = "_out"
WITHOUT = frozenset(
    """
    clone masked_fill rrelu celu selu relu rsub index_fill put index_put index_put_twice
    index_put_rows masked_scatter diag_embed flip roll rot90 diagonal_scatter select_scatter trace
    median nanmedian prelu einsum
    """.split()
)
"""Rows with a function of torch that takes no `out`."""
_STEPS: dict[str, Callable[[Layouts, Params], int]] = {
    # A sum, and then a quotient.
    "nanmean": lambda layouts, params: 2,
    # A product of matrices, of which one dimension then goes.
    "matmul": lambda layouts, params: 1 + ([x.ndim for x in tensors(layouts)[1:]] == [1, 2]),
}
"""Rows whose `out=` form writes in several steps."""
_VALUES, _INDICES = ").values", "torch.empty(0, dtype=torch.int64, device={0}.device)"
APART = frozenset({"cross", "gather", "index_select", "kthvalue", "take", "take_along_dim"})
"""Rows whose kernels refuse an operand that shares memory with `out`, were it `out` itself."""
BY_MATRIX = frozenset({"tril", "triu"})
"""Rows that write `out` as if its matrices were one stride apart (the register has a script)."""
BY_F = frozenset({"normalize"})
"""Rows of which a function of torch.nn.functional takes `out`."""
WITH_DIM = frozenset({"sum", "prod"})
"""Rows that take `out` only with `dim`."""


def out_rows(table: Mapping[str, Row]) -> dict[str, Row]:
    """Name in programs -> the row of an `out=` form."""
    rows = (_out(row) for row in table.values() if _takes_out(row))
    return {row.name: row for row in rows}


def _takes_out(row: Row) -> bool:
    fresh = row.kind == "fresh" and not row.multi
    return fresh and _function(row).endswith((")", _VALUES)) and row.name not in WITHOUT


def _function(row: Row) -> str:
    """How the plain form is spelled that takes `out` by its documentation; empty if none is."""
    function = row.plain.get("functional" if row.name in BY_F else "function", "")
    return function if function.startswith("torch.") or row.name in BY_F else ""


def _out(row: Row) -> Row:
    return replace(
        row,
        name=row.name + SUFFIX,
        operands=(Operand("out"), *row.operands),
        meaning=_meaning(row),
        plain={},
        in_place={"function": _template(_function(row), len(row.operands))},
        saves=(),
        saves_in_place=(),
        reads_apart=row.reads_apart or row.name in APART,
        acts_as=None,
        writes_in=_STEPS.get(row.name, row.writes_in),
        viewed=lambda layouts: tuple(place + 1 for place in row.viewed(layouts[1:])),
        broadcasts=row.result in (pointwise, without_numbers, cloned),
        result=lambda layouts, params: _shape(row, layouts[1:], params),
        dtype="float64",
        needs=lambda layouts: row.needs(layouts[1:]),
        fits=lambda layouts, params: _fits(row, layouts, params),
        # It may write outside of all memory.
        drawn=lambda layouts: row.name not in BY_MATRIX or not _unevenly(layouts, {}),
        astray=lambda layouts, params: _astray(row, layouts, params),
        wants=None,
        indexing=None if row.indexing is None else _shifted(row),
        undifferentiable="",
        forbids=lambda params: False,
        writes_out=True,
        derivative="none: it raises where autograd records",
    )


def _shape(row: Row, layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """The result, of which the shape alone counts: `out` has strides of its own."""
    try:
        return row.result(layouts, params)
    except Refused as refused:
        return (Made(refused.instead),)


def _fits(row: Row, layouts: Layouts, params: Params) -> str:
    if row.name in WITH_DIM and params["dim"] is None:
        return f"{row.name} takes out with dim only"
    return row.fits(layouts[1:], params)


def _astray(row: Row, layouts: Layouts, params: Params) -> str:
    if row.name in BY_MATRIX:
        return _unevenly(layouts, params)
    return row.astray(layouts[1:], params)


def _unevenly(layouts: Layouts, params: Params) -> str:
    """If matrix number n of `out` does not begin n strides of the last batch dimension on."""
    (out, *_) = tensors(layouts)
    if out.ndim < 3 or not out.numel:
        return ""
    begins = Layout(out.shape[:-2], out.strides[:-2]).cells().ravel()
    even = (begins == np.arange(begins.size) * (out.strides[-3] or 1)).all()
    return "" if even else "matrices of out= that are not one stride apart"


def _template(function: str, count: int) -> str:
    """`torch.add({0}, {1}{p})` as `torch.add({1}, {2}{p}, out={0})`."""
    for place in reversed(range(count)):
        function = function.replace(f"{{{place}}}", f"{{{place + 1}}}")
    if function.endswith(_VALUES):
        return f"{function.removesuffix(_VALUES)}, out=({{0}}, {_INDICES}))"
    return f"{function[:-1]}, out={{0}})"


def _meaning(row: Row) -> Any:
    """What the row computes, without a look at what is overwritten."""
    meaning = row.meaning
    if isinstance(meaning, str):
        return lambda m, out, *operands, **params: m.apply(meaning, *operands, *params.values())
    assert meaning is not None
    return lambda m, out, *operands, **params: meaning(m, *operands, **params)


def _shifted(row: Row) -> Any:
    indexing = row.indexing
    assert indexing is not None

    def bound(layouts: Layouts, params: Mapping[str, Any]) -> int:
        return indexing.bound(layouts[1:], params)

    return replace(indexing, bound=bound)
