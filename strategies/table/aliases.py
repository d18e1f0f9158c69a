"""Further ways of writing an operation that torch has under several names, as data."""

from __future__ import annotations

from dataclasses import replace

from strategies.table.foreach import listed
from strategies.table.row import Row, in_place_method, methods

ALIASES: dict[str, str] = {
    "abs": "absolute",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "clamp": "clip",
    "div": "divide true_divide",
    "ge": "greater_equal",
    "gt": "greater",
    "le": "less_equal",
    "lt": "less",
    "mul": "multiply",
    "ne": "not_equal",
    "neg": "negative",
    "pow": "float_power",
    "sub": "subtract",
    "trunc": "fix",
}
"""Row -> its other names, as methods and as functions of torch."""

SPECIAL: dict[str, str] = {
    "sigmoid": "expit",
    "digamma": "psi",
    "igamma": "gammainc",
    "igammac": "gammaincc",
    "lgamma": "gammaln",
    "mvlgamma": "multigammaln",
    **{name: name for name in "erf erfc erfinv exp2 expm1 i0 log1p logit round sinc xlogy".split()},
}
"""Row -> its name in torch.special."""

FUNCTIONS = frozenset(
    """
    abs acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil clamp
    clamp_max clamp_min clip conj_physical cos cosh deg2rad erf erfc exp exp2 expm1 fill fix floor
    frac i0 ldexp log log10 log1p log2 logit nan_to_num neg negative rad2deg reciprocal round rsqrt
    sigmoid sin sinc sinh sqrt square tan tanh trunc xlogy zero
    addmv as_strided detach resize_as
    """.split()
)
"""Names that torch has as a function `torch.name_(x)` besides the in-place method."""

FOREACH = frozenset(
    """
    abs acos asin atan ceil clamp_max clamp_min cos cosh erf erfc exp expm1 floor frac lgamma log
    log10 log1p log2 maximum minimum neg pow
    reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc
    """.split()
)
"""Rows that torch has for lists of tensors too, with nodes that keep the same."""

FOREACH_IN_PLACE = FOREACH | {"add", "addcdiv", "addcmul", "lerp", "sub", "zero"}
"""Rows whose in-place form torch has for lists of tensors too."""

_LISTED = {"clamp_max": ("max",), "clamp_min": ("min",)}
"""Parameters of which the forms for lists take one for each tensor."""


def with_aliases(row: Row) -> Row:
    """The row with all further ways in which torch lets it be written."""
    plain, in_place = dict(row.plain), dict(row.in_place)
    count = len(row.operands)
    for name in (row.name, *ALIASES.get(row.name, "").split()):
        if name != row.name:
            method, function = methods(name, count).values()
            plain |= {name: method, f"torch.{name}": function}
            if in_place:
                in_place[name] = in_place_method(name, count)["method"]
        if name in FUNCTIONS:
            in_place[f"torch.{name}_"] = methods(f"{name}_", count)["function"]
    if row.name in SPECIAL:
        name = f"special.{SPECIAL[row.name]}"
        plain[name] = methods(name, count)["function"]
    of_lists, into_lists = listed(row, *_LISTED.get(row.name, ()))
    if row.name in FOREACH:
        plain |= of_lists
    if row.name in FOREACH_IN_PLACE:
        in_place |= into_lists
    return replace(row, plain=plain, in_place=in_place)
