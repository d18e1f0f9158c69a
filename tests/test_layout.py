"""Layouts against the strides of numpy and torch, which share no code with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies import layout as lay
from strategies.drawing import layouts, shapes
from strategies.layout import Layout
from tests.on_torch import layout_of, tensor_at


def memory(cells: int) -> NDArray[np.int32]:
    """A memory whose every cell holds its own number."""
    return np.arange(cells, dtype=np.int32)


def array_at(layout: Layout) -> NDArray[np.int32]:
    """The numpy view of a large enough memory that a layout describes."""
    cells = memory(layout.span[1] + 1)[layout.offset :]
    strides = tuple(4 * stride for stride in layout.strides)
    return np.lib.stride_tricks.as_strided(cells, layout.shape, strides)


def dims_of(data: st.DataObject, layout: Layout) -> int:
    return data.draw(st.integers(-layout.ndim, layout.ndim - 1), label="dim")


@given(layouts())
def test_cells_are_where_numpy_finds_them(layout: Layout) -> None:
    np.testing.assert_array_equal(layout.cells(), array_at(layout))


@given(shapes())
def test_contiguous_is_row_major(shape: tuple[int, ...]) -> None:
    made = lay.contiguous(shape)
    np.testing.assert_array_equal(made.cells(), np.arange(made.numel).reshape(shape))
    assert made == layout_of(torch.empty(shape))
    assert made.is_contiguous and made.is_dense and not made.repeats_a_cell


@given(layouts(), st.data())
def test_permuted_moves_dimensions(layout: Layout, data: st.DataObject) -> None:
    dims = tuple(data.draw(st.permutations(range(layout.ndim)), label="dims"))
    expected = array_at(layout).transpose(dims)
    np.testing.assert_array_equal(lay.permuted(layout, dims).cells(), expected)
    assert lay.permuted(layout, dims) == layout_of(tensor_at(layout).permute(dims))


@given(layouts(least_ndim=1), st.data())
def test_transposed_swaps_two_dimensions(layout: Layout, data: st.DataObject) -> None:
    one, two = dims_of(data, layout), dims_of(data, layout)
    expected = np.swapaxes(array_at(layout), one, two)
    np.testing.assert_array_equal(lay.transposed(layout, one, two).cells(), expected)


@given(layouts(), st.data())
def test_squeezed_drops_ones(layout: Layout, data: st.DataObject) -> None:
    dim = data.draw(st.sampled_from((None, *range(-layout.ndim, layout.ndim))), label="dim")
    tensor = tensor_at(layout)
    seen = tensor.squeeze() if dim is None else tensor.squeeze(dim)
    assert lay.squeezed(layout, dim) == layout_of(seen)
    if dim is None:
        np.testing.assert_array_equal(
            lay.squeezed(layout, None).cells(), array_at(layout).squeeze()
        )


@given(layouts(), st.data())
def test_unsqueezed_adds_a_one(layout: Layout, data: st.DataObject) -> None:
    dim = data.draw(st.integers(-layout.ndim - 1, layout.ndim))
    made = lay.unsqueezed(layout, dim)
    np.testing.assert_array_equal(made.cells(), np.expand_dims(array_at(layout), dim))
    assert made == layout_of(tensor_at(layout).unsqueeze(dim))


@given(layouts(), st.data())
def test_expanded_repeats_cells(layout: Layout, data: st.DataObject) -> None:
    lead = data.draw(st.lists(st.integers(0, 3), max_size=2), label="lead")
    kept = [n if n != 1 else data.draw(st.integers(0, 3)) for n in layout.shape]
    shape = (*lead, *kept)
    made = lay.expanded(layout, shape)
    np.testing.assert_array_equal(made.cells(), np.broadcast_to(array_at(layout), shape))
    assert made == layout_of(tensor_at(layout).expand(shape))


@pytest.mark.parametrize(
    ("have", "wanted"),
    [((2, 3), (3,)), ((2,), (3,)), ((2,), (-1, 2)), ((0,), (2,)), ((3,), (2, -2))],
)
def test_expanded_refuses_what_numpy_refuses(
    have: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="dimensions than|does not expand"):
        lay.expanded(lay.contiguous(have), wanted)


@given(layouts(least_ndim=1, least_size=1), st.data())
def test_selected_takes_one_index(layout: Layout, data: st.DataObject) -> None:
    dim = dims_of(data, layout)
    size = layout.shape[dim]
    index = data.draw(st.integers(-size, size - 1), label="index")
    expected = np.take(array_at(layout), index, axis=dim)
    np.testing.assert_array_equal(lay.selected(layout, dim, index).cells(), expected)


@given(layouts(least_ndim=1), st.data())
def test_sliced_takes_a_range(layout: Layout, data: st.DataObject) -> None:
    dim = dims_of(data, layout)
    bound = st.none() | st.integers(-5, 5)
    part = slice(data.draw(bound), data.draw(bound), data.draw(st.none() | st.integers(1, 3)))
    index = [slice(None)] * layout.ndim
    index[dim] = part
    made = lay.sliced(layout, dim, part.start, part.stop, part.step)
    np.testing.assert_array_equal(made.cells(), array_at(layout)[tuple(index)])
    assert made == layout_of(tensor_at(layout)[tuple(index)])


@given(layouts(least_ndim=2), st.data())
def test_diagonal_walks_two_dimensions(layout: Layout, data: st.DataObject) -> None:
    one, two, *_ = data.draw(st.permutations(range(layout.ndim)), label="dims")
    offset = data.draw(st.integers(-3, 3), label="offset")
    made = lay.diagonal(layout, offset, one, two)
    np.testing.assert_array_equal(made.cells(), array_at(layout).diagonal(offset, one, two))
    assert made == layout_of(tensor_at(layout).diagonal(offset, one, two))


@given(layouts(), st.data())
def test_unfolded_has_a_dimension_of_windows(layout: Layout, data: st.DataObject) -> None:
    dim = dims_of(data, layout) if layout.ndim else 0
    size = data.draw(st.integers(0, layout.shape[dim] if layout.ndim else 1), label="size")
    step = data.draw(st.integers(1, 3), label="step")
    made = lay.unfolded(layout, dim, size, step)
    assert made == layout_of(tensor_at(layout).unfold(dim, size, step))
    if layout.ndim and size:
        windows = np.lib.stride_tricks.sliding_window_view(array_at(layout), size, dim)
        every = [slice(None)] * layout.ndim
        every[dim] = slice(None, None, step)
        np.testing.assert_array_equal(made.cells(), windows[tuple(every)])


@given(layouts(), st.data())
def test_restrided_is_as_strided_inside_its_operand(layout: Layout, data: st.DataObject) -> None:
    """Exactly what reaches no other cells than the operand's; torch allows more."""
    size = data.draw(st.lists(st.integers(0, 3), max_size=3), label="size")
    strides = [data.draw(st.integers(0, 4), label="stride") for _ in size]
    offset = data.draw(st.none() | st.integers(0, 8), label="offset")
    asked = Layout(tuple(size), tuple(strides), layout.offset if offset is None else offset)
    held = set(layout.cells().ravel().tolist())
    if not held.issuperset(asked.cells().ravel().tolist()):
        with pytest.raises(ValueError, match="reach memory that its operand of shape"):
            lay.restrided(layout, tuple(size), tuple(strides), offset)
        return
    made = lay.restrided(layout, tuple(size), tuple(strides), offset)
    assert made == layout_of(tensor_at(layout).as_strided(size, strides, offset)) == asked


@given(layouts(), st.data())
def test_flattened_is_torchs_shape(layout: Layout, data: st.DataObject) -> None:
    """One dimension flattened is the very tensor (observed)."""
    first = data.draw(st.integers(0, max(layout.ndim - 1, 0)), label="first")
    last = data.draw(st.integers(first, max(layout.ndim - 1, 0)), label="last")
    tensor = tensor_at(layout)
    flat = tensor.flatten(first - layout.ndim if layout.ndim else 0, last)
    assert lay.flattened(layout.shape, first, last) == tuple(flat.shape)
    assert (flat is tensor) == (tuple(flat.shape) == layout.shape)


@given(layouts(), st.data())
def test_viewed_is_a_view_exactly_where_torch_has_one(layout: Layout, data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from(factorings(layout.numel)), label="shape")
    try:
        expected = layout_of(tensor_at(layout).view(shape))
    except RuntimeError:
        assert lay.viewed(layout, shape) is None
        return
    made = lay.viewed(layout, shape)
    assert made == expected
    np.testing.assert_array_equal(expected.cells(), array_at(layout).reshape(shape))


def factorings(numel: int) -> list[tuple[int, ...]]:
    """Shapes of this many elements, some with ones."""
    if not numel:
        return [(0,), (0, 2), (3, 0), (1, 0, 1)]
    two = [(n, numel // n) for n in range(1, numel + 1) if numel % n == 0]
    three = [(a, m, b // m) for a, b in two for m in range(1, b + 1) if b % m == 0]
    return [(numel,), *two, *three, *([()] if numel == 1 else [])]


def test_resolved_infers_one_size() -> None:
    assert lay.resolved((2, -1), 6) == (2, 3)
    with pytest.raises(ValueError, match="invalid for 6 elements"):
        lay.resolved((4, -1), 6)


@given(st.lists(shapes(), min_size=1, max_size=3))
def test_broadcast_shapes_is_numpys(several: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*several)
    except ValueError:
        with pytest.raises(ValueError, match="do not broadcast"):
            lay.broadcast_shapes(*several)
        return
    assert lay.broadcast_shapes(*several) == expected


@given(layouts())
def test_without_leading_ones_keeps_the_cells(layout: Layout) -> None:
    made = lay.without_leading_ones(layout)
    assert made.cells().ravel().tolist() == layout.cells().ravel().tolist()
    assert not made.shape or made.shape[0] != 1


@given(layouts(least_ndim=1, least_size=1), st.data())
def test_pieces_are_the_tensors_parts(layout: Layout, data: st.DataObject) -> None:
    dim = dims_of(data, layout)
    each = data.draw(st.integers(1, 3))
    expected = [layout_of(part) for part in tensor_at(layout).split(each, dim)]
    sizes = [part.shape[dim] for part in expected]
    assert lay.pieces(layout, sizes, dim) == expected


@given(layouts())
def test_preserved_is_the_layout_of_a_clone(layout: Layout) -> None:
    assert lay.preserved(layout) == layout_of(tensor_at(layout).clone())


@st.composite
def operands(draw: st.DrawFn, *, most: int) -> list[Layout]:
    """Layouts of shapes that broadcast together; shrinks towards one contiguous operand."""
    shape = draw(shapes())
    made = []
    for _ in range(draw(st.integers(1, most))):
        lead = draw(st.integers(0, len(shape)))
        kept = tuple(1 if draw(st.booleans()) else n for n in shape[lead:])
        made.append(draw(layouts(shape=kept)))
    return made


ELEMENTWISE: dict[int, Callable[..., torch.Tensor]] = {
    1: torch.exp,
    2: torch.add,
    3: torch.addcmul,
}


@given(operands(most=3))
def test_elementwise_is_the_layout_of_a_fresh_result(given_: list[Layout]) -> None:
    tensors: Any = [tensor_at(one) for one in given_]
    assert lay.elementwise(*given_) == layout_of(ELEMENTWISE[len(tensors)](*tensors))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=3))
def test_overlaps_itself_counts_cells(pairs: list[tuple[int, int]]) -> None:
    """Strides may meet without being 0, as those of windows that overlap do."""
    layout = Layout(tuple(size for size, _ in pairs), tuple(stride for _, stride in pairs))
    cells = layout.cells().ravel().tolist()
    assert layout.overlaps_itself == (len(set(cells)) < len(cells))
    assert layout.overlaps_itself or not (layout.repeats_a_cell and cells)


@given(layouts())
def test_traits_agree_with_torch(layout: Layout) -> None:
    tensor = tensor_at(layout)
    assert layout.is_contiguous == tensor.is_contiguous()
    assert layout.repeats_a_cell == any(
        n > 1 and s == 0 for n, s in zip(tensor.shape, tensor.stride(), strict=True)
    )
    cells = layout.cells().ravel().tolist()
    assert layout.span == (
        (min(cells), max(cells)) if cells else (layout.offset, layout.offset - 1)
    )
    assert layout.overlaps_itself == (len(set(cells)) < len(cells))
    if layout.numel and layout.is_dense:
        assert sorted(cells) == list(range(layout.offset, layout.offset + layout.numel))
