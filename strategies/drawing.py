"""Hypothesis strategies for what programs are made of: shapes, layouts, and programs.

Every name is a plural, every argument is by keyword, and every docstring says what examples shrink
towards.
"""

from __future__ import annotations

from hypothesis import strategies as st

from strategies import layout as lay
from strategies.build import DEFAULT, Recipe, build
from strategies.choices import Choose, chance
from strategies.drawn import Drawn
from strategies.lacking import suited
from strategies.layout import Layout
from strategies.novelty import novel
from strategies.program import Program
from strategies.recalls import with_a_call_again


def shapes(
    *, least_ndim: int = 0, most_ndim: int = 4, least_size: int = 0, most_size: int = 3
) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of tensors: 0-d, empty and with ones among them.

    Examples shrink towards few dimensions and, in each, the least size. Raises ValueError where
    no shape has such bounds.
    """
    if not 0 <= least_ndim <= most_ndim:
        raise ValueError(
            f"least_ndim is {least_ndim} and must lie between 0 and most_ndim, {most_ndim}."
        )
    if not 0 <= least_size <= most_size:
        raise ValueError(
            f"least_size is {least_size} and must lie between 0 and most_size, {most_size}."
        )
    sizes = st.integers(min_value=least_size, max_value=most_size)
    return st.lists(sizes, min_size=least_ndim, max_size=most_ndim).map(tuple)


@st.composite
def layouts(
    draw: st.DrawFn,
    *,
    shape: tuple[int, ...] | None = None,
    least_ndim: int = 0,
    least_size: int = 0,
) -> Layout:
    """Layouts of strided tensors: permuted, sliced with gaps, expanded, at an offset.

    Examples shrink towards a row-major layout at offset 0, of the shape if one is given.
    """
    if shape is None:
        shape = draw(shapes(least_ndim=least_ndim, least_size=least_size))
    if not draw(st.booleans()):
        return lay.contiguous(shape)
    order = draw(st.permutations(range(len(shape))))
    strides = [0] * len(shape)
    stride = 1
    for axis in reversed(order):
        kind = draw(st.sampled_from(("dense", "gap", "expanded")))
        if kind == "expanded":
            continue
        strides[axis] = stride * (2 if kind == "gap" else 1)
        stride = strides[axis] * max(shape[axis], 1)
    return Layout(shape, tuple(strides), draw(st.integers(min_value=0, max_value=3)))


def programs(*, recipe: Recipe = DEFAULT) -> st.SearchStrategy[Program]:
    """Programs of a recipe, each legal by construction.

    Examples shrink towards one leaf of shape (2,) that requires grad, one operation and a backward
    call; in each choice, towards what its list has first.
    """
    return _programs(recipe)


@st.composite
def _programs(draw: st.DrawFn, recipe: Recipe) -> Program:
    return suited(Drawn(draw), lambda choose: build(choose, recipe))


@st.composite
def programs_with_functions(draw: st.DrawFn) -> Program:
    """Programs of the default recipe, of which one or two runs of steps are functions: of several
    cuts the one with the most features. In one of three, a function is called again with other
    tensors.

    Examples shrink towards short functions at the start of short programs.
    """
    return suited(Drawn(draw), _with_functions)


def _with_functions(choose: Choose) -> Program:
    program = novel(choose, build(choose))
    return with_a_call_again(choose, program) if chance(choose, 33) else program
