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
FOREACH_UNSEEN = "foreach-in-place-unseen"
LDEXP_OUT = "ldexp-in-place-refused"
LOOKS_ITSELF = frozenset({"matmul_out"})
"""Rows whose `out=` forms look at the grad mode and at gradients before autograd is asked, and so
refuse them in inference mode as well.
"""
RESHAPES_AFTER = frozenset({"matmul_out"})
"""Rows whose `out=` forms end with a change of shape in place, which inference mode does not count.
"""
BY_FALLBACK = frozenset({"log_softmax_out", "slice_scatter_out", "softmax_out"})
"""Rows whose `out=` forms autograd records as operations in place without a derivative."""
QUIRKS = frozenset(
    {
        *(NO_GRAD_VIEW, STALE_LEAF, INFERENCE_ALIAS, LOGIC_UNSEEN, CLAMP_SHAPES, BEHIND_VIEW),
        *(UNWATCHED, OUT_RECORDED),
    }
)
"""Those of the torch that the op table is of."""
FORMER = frozenset({LDEXP_OUT, FOREACH_UNSEEN})
"""Those of older versions alone."""
