"""In-place names of torch that the table leaves out, one reason each.

Nothing here has a gradient together with a meaning in jax or in closed form. Names are qualified:
`Tensor.NAME`, `torch.NAME`, `F.NAME`, `nn.NAME`; a `*` stands for every space that has the name.
"""

from __future__ import annotations

_SPARSE = "for sparse tensors, which have no strided memory"
_WHOLE = "integers and bools only, which have no gradient; claims ask it by scripts"
_CALLS_PYTHON = "calls Python for each element, records nothing and bumps no version; a known hole"
_RANDOM = "random numbers that no seed of ours foretells; a claim asks it by scripts"

EXCLUDED: dict[str, str] = {
    "*.resize_as_sparse_": _SPARSE,
    "*.sparse_resize_": _SPARSE,
    "*.sparse_resize_and_clear_": _SPARSE,
    "*.share_memory_": "moves memory between processes and computes nothing",
    "*.apply_": _CALLS_PYTHON,
    "*.map_": _CALLS_PYTHON,
    "*.map2_": _CALLS_PYTHON,
    "*.bitwise_and_": _WHOLE,
    "*.bitwise_or_": _WHOLE,
    "*.bitwise_xor_": _WHOLE,
    "*.bitwise_not_": _WHOLE,
    "*.bitwise_left_shift_": _WHOLE,
    "*.bitwise_right_shift_": _WHOLE,
    "*.__iand__": _WHOLE,
    "*.__ior__": _WHOLE,
    "*.__ixor__": _WHOLE,
    "*.__ilshift__": _WHOLE,
    "*.__irshift__": _WHOLE,
    "*.gcd_": _WHOLE,
    "*.lcm_": _WHOLE,
    "*.exponential_": _RANDOM,
    "*.__idiv__": "Python 2's name of __itruediv__, which no operator calls today",
    "torch.feature_dropout_": "what nn.Dropout2d and nn.Dropout3d call; the rows spell those",
    "torch.embedding_renorm_": "writes its weight by contract, under no_grad, as max_norm= asks",
}
FORMER = {"torch.s_native_addmm_": "what addmm_ calls; the row spells that"}
"""The same of names that only versions before the table's torch have."""


def excluded(name: str) -> str:
    """Why a qualified name is left out; "" if it is not."""
    return EXCLUDED.get(name) or FORMER.get(name) or EXCLUDED.get(f"*.{name.partition('.')[2]}", "")
