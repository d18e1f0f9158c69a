"""The numbers of leaves and cotangents: generators that no library decides."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.program import Data, Generated, Number, ProgramError
from strategies.values import GENERATORS, materialise, splitmix64


def test_splitmix64_is_the_published_generator() -> None:
    """Steele, Lea and Flood's reference gives these words for the seed 1234567."""
    words = list(itertools.islice(splitmix64(1234567), 3))
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]


RANGES = {
    "dyadic": (-2.0, 2.0, 8),
    "uniform": (-1.0, 1.0, 2**52),
    "positive": (0.25, 3.875, 8),
    "kinked": (-6.0, 6.0, 2),
}


def test_every_generator_has_a_range_here() -> None:
    assert set(RANGES) == set(GENERATORS)


@pytest.mark.parametrize("generator", GENERATORS)
@given(seed=st.integers(0, 2**64 - 1))
def test_generators_stay_on_their_grid(generator: str, seed: int) -> None:
    low, high, grid = RANGES[generator]
    array = materialise(Generated(generator, seed), (20,), "float64", "leaf 'a'")
    assert low <= array.min() and array.max() <= high
    assert np.all(array * grid == np.floor(array * grid))


def test_dyadic_numbers_are_never_zero_and_kinked_ones_sometimes_minus_zero() -> None:
    dyadic = materialise(Generated("dyadic", 7), (500,), "float64", "")
    kinked = materialise(Generated("kinked", 7), (500,), "float64", "")
    assert np.all(dyadic != 0)
    assert np.any((kinked == 0) & np.signbit(kinked))


def test_generated_data_depend_on_the_seed_alone() -> None:
    """The first values of seed 0, so that a change of the generator is noticed."""
    array = materialise(Generated("dyadic", 0), (2, 2), "float64", "")
    assert array.tolist() == DYADIC_OF_SEED_0
    longer = materialise(Generated("dyadic", 0), (3, 3), "float64", "")
    assert longer.ravel().tolist()[:4] == array.ravel().tolist()


DYADIC_OF_SEED_0 = [[1.25, -0.5], [-1.0, 0.125]]


@pytest.mark.parametrize("written", [0.1, -0.0, 1e-320, "nan", "inf", "-inf", 3])
def test_written_numbers_arrive_exactly(written: Number) -> None:
    (value,) = materialise([written], (1,), "float64", "").tolist()
    wanted = float(written)
    assert value == wanted or (math.isnan(value) and math.isnan(wanted))
    assert math.copysign(1, value) == math.copysign(1, wanted) or math.isnan(wanted)


@pytest.mark.parametrize(
    ("data", "shape", "dtype", "sentence"),
    [
        ([1.0], (2,), "float64", r"leaf 'a': shape \[2\] needs 2 values and 1 are given\."),
        (Generated("gauss", 1), (), "float64", "leaf 'a': unknown generator 'gauss'; use one of"),
        ([2.0], (1,), "bool", "leaf 'a': a bool tensor holds only 0 and 1"),
        ([0.5], (1,), "int64", "leaf 'a': an int64 tensor holds only integers"),
        (["nan"], (1,), "int64", "leaf 'a': an int64 tensor holds only integers"),
    ],
)
def test_wrong_data_are_refused(
    data: Data, shape: tuple[int, ...], dtype: str, sentence: str
) -> None:
    with pytest.raises(ProgramError, match=sentence):
        materialise(data, shape, dtype, "leaf 'a'")


def test_the_numbers_of_a_seed_go_on() -> None:
    """However many were asked for before, a generator gives the same ones from its first."""
    data = Generated("dyadic", 977)
    few, many, again = (materialise(data, (count,), "float64", "x").tolist() for count in (2, 5, 3))
    assert few == many[:2] and again == many[:3] and len(set(many)) > 1
