"""Rules of autograd that not every version of torch follows, and since when they are followed.

Where a rule came with a sentence of documentation, that is the source; all others are observed. A
boundary lies between two versions that were tried, and bears the later one's number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from conformance.model.errors import Kind
from strategies.table.change import within


@dataclass(frozen=True, slots=True)
class Law:
    """A rule that torch has not always followed, since when it does, and where torch says so."""

    name: str
    """The kind of error that it raises, if it raises one."""
    since: str
    """The first version that follows it."""
    source: str


RESULTS_FIT = "what cannot be cast to its target is refused"
STRIDES_COUNT = "operands of one range and other strides overlap partially"
LEAVES_SAVED = "a view from no_grad can be saved"
INDEX_LOOKS = "what writes by an index refuses operands that overlap its target"
SAVED_BY_NAME = "what was saved is looked at by name"
ERRORS_FIRST = "what has no derivative runs first"
VALUE_LOOKS = "fill_ of a tensor refuses cells that repeat"
DETACHED_MOVES = "a detached tensor may change its shape"
ALIASES_KEEP = "multiply and divide keep a number as mul and div do"
QUIET_FIRST = "views that came with others in no_grad are views from no_grad"
PIECES_REFUSED = "pieces of split and chunk are refused in place"
QUIET_REFUSED = "a view from no_grad is refused in place whatever its base is"
DERIVED_IF_ASKED = "derivatives that nobody asks for are not computed"
SLICES_ASK = "the gradient of a slice is written where it is wanted"
OUT_ASKS = "what could not be written in place is refused as out="
MATMUL_LOOKS = "matmul looks itself whether out= is where autograd records"
ALL_LOOK = "every kernel in place looks at cells that repeat"
ONES_REPEAT_NOTHING = "a dimension of size 1 and stride 0 repeats nothing"
TARGET_FIRST = "kl_div reads its target first"
OUT_LOOKS = "kernels look at cells that repeat in out="
NUMBERS_FILL = "x[index] = number fills"
ONE_IS_MULTIPLIED = "the derivative of a product has the dimension of the operand"
TRANSPOSES_APART = "what is transposed by nothing is a view, of an inference tensor too"
INDEX_FILLS = "x[index] = value fills with a value of no dimensions"

_VIEWS = (
    "release notes of 1.5, 'Tensor.detach, views and in-place': views that came with others, and "
    "those made in no_grad, are refused in place (VariableTypeUtils.h, check_inplace)"
)

LAWS: tuple[Law, ...] = (
    Law(
        Kind.VIEW_OF_LEAF_INPLACE,
        "1.8",
        "VariableTypeUtils.h from 1.8 on, check_inplace; before, the leaf became a part of the "
        "graph, and backward said so",
    ),
    Law(Kind.MULTI_VIEW_INPLACE, "1.5", _VIEWS),
    Law(Kind.MULTI_VIEW_REBASED, "1.5", _VIEWS),
    Law(Kind.NO_GRAD_VIEW_INPLACE, "1.5", _VIEWS),
    Law(
        Kind.NO_GRAD_VIEW_REBASED,
        "1.10",
        "variable.cpp from 1.10 on: a view made in no_grad gets no new node",
    ),
    Law(
        Kind.OVERLAP_PARTIAL,
        "1.4",
        "TensorIterator from 1.4 on, compute_mem_overlaps: assert_no_partial_overlap",
    ),
    Law(
        Kind.BACKWARD_OVERLAP,
        "1.4",
        "copy_ from 1.4 on, by TensorIterator: assert_no_internal_overlap",
    ),
    Law(
        Kind.SAVED_DETACHED,
        "1.10",
        "saved_variable.cpp from 1.10 on looks whether an operand has its node still",
    ),
    Law(
        RESULTS_FIT,
        "1.4",
        "release notes of 1.3, type promotion: an in-place operation whose result cannot be cast "
        "raises; before, a number was cast to the tensor's dtype",
    ),
    Law(
        STRIDES_COUNT,
        "1.12",
        "MemoryOverlap.cpp from 1.12 on: FULL only if the strides are the same as well; before, "
        "only row-major tensors were looked at",
    ),
    Law(
        LEAVES_SAVED,
        "1.12",
        "saved_variable.cpp from 1.12 on; before, 'No grad accumulator for a saved leaf!'",
    ),
    Law(
        INDEX_LOOKS,
        "1.8",
        "TensorAdvancedIndexing.cpp from 1.8 on: assert_no_overlap, assert_no_partial_overlap",
    ),
    Law(
        DETACHED_MOVES,
        "1.13",
        "torch.Tensor.detach before 1.13: 'In-place size / stride / storage changes [...] will "
        "instead trigger an error'",
    ),
    Law(
        ALIASES_KEEP,
        "1.12",
        "native_functions.yaml of 1.8: multiply and divide of a Scalar have nodes of their own",
    ),
    Law(
        QUIET_FIRST,
        "1.12",
        "VariableTypeManual of 1.8: MULTI_OUTPUT_NODE whatever the mode",
    ),
    Law(
        PIECES_REFUSED,
        "1.12",
        "warning of 1.8: 'Inplace operators on such views are being deprecated'",
    ),
    Law(
        QUIET_REFUSED,
        "1.12",
        "variable.cpp of 1.8, handle_view_on_rebase: where nothing requires grad yet, it warns",
    ),
    Law(
        DERIVED_IF_ASKED,
        "1.13",
        "generated backward functions from 1.13 on: task_should_compute_output; before, what has "
        "no derivative raised for operands that nobody asked for",
    ),
    Law(
        SLICES_ASK,
        "1.13",
        "CopySlices::apply from 1.13 on (functions/tensor.cpp): task_should_compute_output",
    ),
    Law(
        INDEX_FILLS,
        "1.12",
        "TensorIndexing.h from 1.12 on, copy_to: dst.fill_(src) if src is of no dimensions",
    ),
    Law(
        VALUE_LOOKS,
        "2.4",
        "Fill.cpp from 2.4 on: fill_ of a tensor is copy_; before, it was fill_ of its number",
    ),
    Law(
        SAVED_BY_NAME,
        "2.4",
        "load_derivatives.py from 2.4 on sorts saved inputs; before, they came as the formulas of "
        "derivatives.yaml name them (observed)",
    ),
    Law(
        OUT_ASKS,
        "2.4",
        "autograd's fallback for out= without a derivative (autograd_not_implemented_fallback.cpp) "
        "before 2.4 says what an operation in place says there (observed)",
    ),
    Law(
        MATMUL_LOOKS,
        "2.4",
        "_matmul_impl (LinearAlgebra.cpp) since 2.4: a TORCH_CHECK of requires_grad and "
        "GradMode::is_enabled",
    ),
    Law(
        ALL_LOOK,
        "1.12",
        "some kernels of TH looked for some operands (observed)",
    ),
    Law(
        ONES_REPEAT_NOTHING,
        "1.8",
        "MemoryOverlap.cpp of 1.4, has_internal_overlap: any stride of 0 where a tensor is not "
        "row-major; later only one of a size above 1",
    ),
    Law(
        TARGET_FIRST,
        "1.13",
        "kl_div (Loss.cpp) before 1.13 had a derivative of its own (observed)",
    ),
    Law(
        OUT_LOOKS,
        "1.8",
        "TensorIterator from 1.8 on looks at out= of every operation; kernels of TH did not",
    ),
    Law(
        NUMBERS_FILL,
        "2.15",
        "python_variable_indexing.cpp from 2.15 on: x[index] = number is fill_ of it, which "
        "may be written into cells that repeat; before, it was a copy of a tensor of it (observed)",
    ),
    Law(
        ONE_IS_MULTIPLIED,
        "1.13",
        "prod_backward (FunctionsManual.cpp) from 1.13 on; prod-of-one-zero in the register",
    ),
    Law(
        TRANSPOSES_APART,
        "1.13",
        "TensorShape.cpp from 1.13 on: transpose of equal dimensions is an alias; before, it was "
        "the tensor itself, of which autograd made a view where it looked",
    ),
    Law(
        ERRORS_FIRST,
        "2.13",
        "basic_ops.h from 2.13 on: 'it should be executed asap', by sequence_nr UINT64_MAX",
    ),
)
"""What is not here holds in every version."""


@cache
def broken_in(torch: str) -> frozenset[str]:
    """The names of the rules that a version of torch does not follow; what is no version follows
    all of them.
    """
    return frozenset(law.name for law in LAWS if within(f"<{law.since}", torch))
