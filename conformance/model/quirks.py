"""Places where torch does not do what its documentation says, as the model knows them by name."""

from __future__ import annotations

NO_GRAD_VIEW = "no-grad-view-requires-grad"
STALE_LEAF = "stale-view-counts-as-leaf"
INFERENCE_ALIAS = "inference-alias-has-version"
LOGIC_UNSEEN = "logic-in-place-unseen"
UNSEEN = frozenset({"logical_and", "logical_or", "logical_xor", "logical_not"})
"""Rows whose in-place forms autograd does not see."""
MEMORYLESS = frozenset({"sgn", "sgn_"})
"""Operations whose derivative gives zeros without memory: what becomes of them later is nowhere
documented, and the register has a script of it."""
VIEWS_INSIDE = frozenset(
    {"roll", "repeat", "stack", "diagonal_scatter", "select_scatter", "slice_scatter"}
)
"""Rows whose kernels make views, which autograd sees where all operands are inference tensors."""
WRITE_GRADIENTS = frozenset({"std", "norm"})
"""Operations whose derivative overwrites the gradient that comes, which zeros like that refuse."""
CLAMP_SHAPES = "clamp-of-broadcast-bounds"
BEHIND_VIEW = "result-is-a-view"
UNWATCHED = "kron-saves-out-of-sight"
OUT_RECORDED = "out-by-fallback"
COMPARISON_OUT = "comparison-out-unseen"
LOGIC_OUT = "logic-out-unseen"
COMPARED = frozenset({"gt_out", "ge_out", "lt_out", "le_out", "eq_out", "ne_out"})
OUT_UNSEEN = {
    **dict.fromkeys(COMPARED, COMPARISON_OUT),
    **{f"{name}_out": LOGIC_OUT for name in UNSEEN},
}
"""Row whose `out=` form autograd does not see -> the quirk."""
COMPARISON_UNVERSIONED = "comparison-out-unversioned"
KRON_OUT = "kron-out-unseen"
FOREACH_UNSEEN = "foreach-in-place-unseen"
LDEXP_OUT = "ldexp-in-place-refused"
LOOKS_ITSELF = frozenset({"matmul_out"})
"""Rows whose `out=` forms look at the grad mode and at gradients before autograd is asked, and so
refuse them in inference mode as well.
"""
RESHAPES_AFTER = frozenset({"matmul_out"})
"""Rows whose `out=` forms end with a change of shape in place, which inference mode does not count.
"""
NANMEAN_OUT = "nanmean-out-unseen"
VIEW_ASSERTED = "view-of-no-grad-view-asserts"
QUIET_PASSES = "view-of-no-grad-view-passes-gradient"
SLICES_WANT_ALL = "slices-want-all"
UNGRADED_QUIETLY = "operand-refused-in-no-grad"
PIECES_APART = "split-gives-no-views"
PIECES_ASSERTED = "later-of-several-views-asserts"
SLOPE_UNSEEN = "negative-slope-in-place-unseen"
COMPOSED_OUT = "composed-with-out"
SOUGHT_NOWHERE = "gradient-of-what-no-graph-reaches"
PAD_ITSELF = "pad-by-nothing-is-its-operand"
DOT_OUT = "matmul-out-of-vectors"
NORM_OUT = "norm-out-unseen"
NOTHING_SUMMED = "einsum-of-nothing"
FOREACH_UNVERSIONED = "foreach-in-place-unversioned"
PIECES_STALE = "pieces-of-split-go-stale"
ROOT_RUNS = "sought-root-runs"
SPLITS = frozenset({"split", "chunk"})
"""Rows whose results could be written in place, once, though they are several views."""
BY_FALLBACK = frozenset(
    """
    floor_divide_out heaviside_out log_softmax_out scatter_combined_out slice_scatter_out
    softmax_out
    """.split()
)
"""Rows whose `out=` forms autograd records as operations in place without a derivative."""
UNCHECKED = "saved-tensors-unchecked"
"""No way to deviate, but what is computed where nobody looks at versions: to subjects that may have
copies of what they save, the gradient of what was computed is as right as an error.
"""
QUIRKS = frozenset(
    {
        *(NO_GRAD_VIEW, STALE_LEAF, INFERENCE_ALIAS, LOGIC_UNSEEN, CLAMP_SHAPES, BEHIND_VIEW),
        *(UNWATCHED, OUT_RECORDED, COMPARISON_OUT, LOGIC_OUT, KRON_OUT),
    }
)
"""Those of the torch that the op table is of."""
FORMER = frozenset(
    {
        *(LDEXP_OUT, FOREACH_UNSEEN, NANMEAN_OUT, VIEW_ASSERTED, SLICES_WANT_ALL),
        QUIET_PASSES,
        *(UNGRADED_QUIETLY, PIECES_APART, PIECES_ASSERTED, SLOPE_UNSEEN, PAD_ITSELF, COMPOSED_OUT),
        *(NOTHING_SUMMED, FOREACH_UNVERSIONED, PIECES_STALE, ROOT_RUNS, SOUGHT_NOWHERE, DOT_OUT),
        NORM_OUT,
        COMPARISON_UNVERSIONED,
    }
)
"""Those of older versions alone."""
