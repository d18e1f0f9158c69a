"""How each in-place method of a tensor is called, and those that are left out, with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass

from conformance.claims._targets import DYADIC, LAYOUTS, Shape, Target

SETUP: dict[str, str] = {
    "y": "y = torch.full_like(x, {two})",
    "mask": "mask = torch.arange(x.numel(), device=DEVICE).reshape(x.shape) % 2 == 0",
    "rows": "rows = torch.arange(x.shape[0] - 1, -1, -1, device=DEVICE)",
    "grid": "grid = torch.zeros(x.shape, dtype=torch.int64, device=DEVICE)\n"
    "grid += torch.arange(x.shape[0] - 1, -1, -1, device=DEVICE).reshape(-1, 1)",
    "flat": "flat = torch.arange(x.numel() - 1, -1, -1, device=DEVICE).reshape(x.shape)",
    "source": "source = torch.arange(x.numel(), device=DEVICE).reshape(x.shape).to(x.dtype)",
    "left": "left = torch.full((x.shape[0], 2), 0.1, dtype=x.dtype, device=DEVICE)",
    "right": "right = torch.full((2, x.shape[1]), 0.3, dtype=x.dtype, device=DEVICE)",
    "lefts": "lefts = torch.full((2, x.shape[-2], 2), 0.1, dtype=x.dtype, device=DEVICE)",
    "rights": "rights = torch.full((2, 2, x.shape[-1]), 0.3, dtype=x.dtype, device=DEVICE)",
    "matrix": "matrix = torch.full((x.shape[0], 2), 0.5, dtype=x.dtype, device=DEVICE)",
    "vector": "vector = torch.full((2,), 1.5, dtype=x.dtype, device=DEVICE)",
    "column": "column = torch.full((x.shape[0],), 0.5, dtype=x.dtype, device=DEVICE)",
    "row": "row = torch.full((x.shape[1],), 1.5, dtype=x.dtype, device=DEVICE)",
}
"""Name used in a call's arguments -> the line that makes it from `x`."""

_EXAMPLES: dict[str, Shape] = {
    "any": (2, 3),
    "rows": (2, 3),
    "matrix": (2, 3),
    "vector": (3,),
    "batch": (2, 2, 3),
}
_LARGE: dict[str, Shape] = {
    "any": (6, 11),
    "rows": (6, 11),
    "matrix": (6, 11),
    "vector": (66,),
    "batch": (2, 6, 11),
}
"""Shapes of more elements than kernels handle one by one, and than fill whole vectors."""
RANKS: dict[str, tuple[int, ...]] = {
    "any": (0, 1, 2, 3),
    "rows": (2,),
    "matrix": (2,),
    "vector": (1,),
    "batch": (3,),
}
"""What shapes a method accepts -> the ranks to draw; `batch` always has two matrices."""


@dataclass(frozen=True, slots=True)
class Method:
    """An in-place method: the arguments in a call, and which targets it accepts.

    `plain` says whether the name without its underscore is the same operation out of place.
    """

    name: str
    arguments: str = ""
    shapes: str = "any"
    dtype: str = "float64"
    plain: bool = True
    layouts: tuple[str, ...] = LAYOUTS
    pool: tuple[float, ...] = DYADIC
    host_only: bool = False
    metadata: bool = False

    @property
    def given(self) -> tuple[str, ...]:
        """The names that its arguments use, but for `y`, which a script may draw."""
        words = re.findall(r"[a-z]+", self.arguments)
        return tuple(dict.fromkeys(word for word in words if word in SETUP and word != "y"))

    @property
    def takes_y(self) -> bool:
        return "y" in re.findall(r"[a-z]+", self.arguments)

    def example(self, layout: str, *, dtype: str = "", large: bool = False) -> Target:
        """A target of the ordinary kind, or a large one, with positive elements."""
        shape = (_LARGE if large else _EXAMPLES)[self.shapes]
        return Target("x", (0.75, 1.0, 2.0, 3.0), shape, dtype or self.dtype, layout)


_WHOLE = (1.0, 2.0, 3.0, 0.0)
_UNARY = """abs absolute acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan
atanh ceil conj_physical cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 fix floor frac i0
lgamma log log10 log1p log2 logical_not logit nan_to_num neg negative rad2deg reciprocal relu round
rsqrt sgn sigmoid sign sin sinc sinh sqrt square tan tanh trunc""".split()
_BINARY = """add arctan2 atan2 copysign div divide eq float_power floor_divide fmod ge greater
greater_equal gt heaviside hypot igamma igammac ldexp le less less_equal logical_and logical_or
logical_xor lt mul multiply ne nextafter not_equal pow remainder sub subtract true_divide
xlogy""".split()
_WHOLE_BINARY = """bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor gcd
lcm""".split()
_CALLS = (
    Method("addcdiv_", "y, y"),
    Method("addcmul_", "y, y, value=0.5"),
    Method("clamp_", "0.5, 1.5"),
    Method("clamp_max_", "1.5"),
    Method("clamp_min_", "0.5"),
    Method("clip_", "0.5, 1.5"),
    Method("lerp_", "y, 0.25"),
    Method("mvlgamma_", "1", pool=(0.75, 1.0, 2.0)),
    Method("polygamma_", "1", pool=(0.75, 1.0, 2.0)),
    Method("bitwise_not_", dtype="int64", pool=_WHOLE),
    Method("masked_fill_", "mask, 2.0"),
    Method("masked_scatter_", "mask, source"),
    Method("cumprod_", "0", "rows"),
    Method("cumsum_", "0", "rows"),
    Method("renorm_", "2, 0, 1.0", "matrix"),
    Method("tril_", "", "matrix"),
    Method("triu_", "", "matrix"),
    Method("addmm_", "left, right", "matrix"),
    Method("addbmm_", "lefts, rights", "matrix"),
    Method("baddbmm_", "lefts, rights", "batch"),
    Method("addmv_", "matrix, vector", "vector"),
    Method("addr_", "column, row", "matrix"),
    Method("index_add_", "0, rows, source", "rows"),
    Method("index_copy_", "0, rows, source", "rows"),
    Method("index_fill_", "0, rows, 2.0", "rows"),
    Method("index_put_", "(rows,), source", "rows"),
    Method("index_reduce_", '0, rows, source, "amax"', "rows"),
    Method("put_", "flat, source", "rows"),
    Method("scatter_", "0, grid, source", "rows"),
    Method("scatter_add_", "0, grid, source", "rows"),
    Method("scatter_reduce_", '0, grid, source, "amax"', "rows"),
    Method("bernoulli_", "0.5"),
    # A tensor has these in place only.
    Method("copy_", "y", plain=False),
    Method("fill_", "2.0", plain=False),
    Method("zero_", plain=False),
    Method("fill_diagonal_", "2.0", "matrix", plain=False),
    Method("apply_", "lambda element: element + 1", plain=False, host_only=True),
    Method("map_", "y, lambda element, other: element + other", plain=False, host_only=True),
    Method("map2_", "y, y, lambda a, b, c: a + b + c", plain=False, host_only=True),
    Method("cauchy_", plain=False),
    Method("exponential_", plain=False),
    Method("geometric_", "0.5", plain=False),
    Method("log_normal_", plain=False),
    Method("normal_", plain=False),
    Method("random_", plain=False),
    Method("uniform_", plain=False),
    Method("requires_grad_", plain=False),
    # These change what the tensor says of itself, and no element.
    Method("t_", "", "matrix", metadata=True),
    Method("transpose_", "0, 1", "matrix", metadata=True),
    Method("swapaxes_", "0, 1", "matrix", metadata=True),
    Method("swapdims_", "0, 1", "matrix", metadata=True),
    Method("squeeze_", metadata=True),
    Method("unsqueeze_", "0", metadata=True),
    Method("as_strided_", "(2,), (1,)", "matrix", pool=_WHOLE, metadata=True),
    # A view cannot be detached in place.
    Method("detach_", layouts=("contiguous",)),
)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        *(Method(f"{name}_") for name in _UNARY),
        *(Method(f"{name}_", "y") for name in _BINARY),
        *(Method(f"{name}_", "y", dtype="int64", pool=_WHOLE) for name in _WHOLE_BINARY),
        *_CALLS,
    )
}
"""Name -> method, of every public in-place method that keeps its memory."""

MOVING: dict[str, str] = {
    "resize_": "it may need more memory than there is",
    "resize_as_": "it may need more memory than there is",
    "set_": "it takes another storage, as asked",
    "share_memory_": "it moves the storage to memory that processes share",
}
"""In-place methods that return their self and may change the storage: name -> why."""

EXCLUDED: dict[str, str] = {
    "resize_as_sparse_": "it is for sparse tensors, which have no strided storage",
    "sparse_resize_": "it is for sparse tensors, which have no strided storage",
    "sparse_resize_and_clear_": "it is for sparse tensors, which have no strided storage",
}
"""In-place methods that are not called at all: name -> why."""

FORMER: dict[str, str] = {
    "rename_": "it names dimensions, and changes neither elements nor memory",
}
"""In-place methods of older versions alone, which are not called: name -> why."""
