"""What operations were before torch 1.12.

Versions of fresh results were read from tensors; the rest stands in derivatives.yaml, in the
kernels, or in the messages of the versions that are named.
"""

from __future__ import annotations

from strategies.table.change import Change

_COPIED = "self.clone() written in place, which counts (TensorAdvancedIndexing.cpp)"

FORMER: tuple[Change, ...] = (
    Change(
        "contiguous contiguous_channels_last index_add index_copy index_fill index_put "
        "index_put_rows index_put_twice masked_fill masked_scatter scatter scatter_add",
        "<1.12",
        {"begins_at": lambda layouts: 1},
        _COPIED,
    ),
    Change(
        "diag_embed",
        "<1.12",
        {"begins_at": lambda layouts: 2},
        "zeros written through a view (TensorShape.cpp)",
    ),
)
