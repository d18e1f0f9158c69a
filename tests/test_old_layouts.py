"""Where results lay in old versions of torch, as each of them was seen to lay them."""

from __future__ import annotations

import pytest

from strategies.draft import check
from strategies.program import Apply, Leaf, Program
from tests._agreement import program

ROWS, LAST = "row-major", "channels next to each other"
PERMUTED = "a = const(2, 3, 2, 2)\nb = a.permute(dims=[0, 3, 1, 2])\n"
"""b has shape (2, 2, 3, 2), and its channels are next to each other."""


def strides(torch: str, text: str) -> tuple[int, ...]:
    return program(text).as_in(torch).values["x"].layout.strides


@pytest.mark.parametrize(
    ("operation", "versions"),
    [
        ("x = b.exp()", {"1.2.0": ROWS, "1.4.0": LAST, "1.8.1": LAST}),
        ("x = b.elu()", {"1.2.0": ROWS, "1.4.0": ROWS, "1.8.1": LAST}),
        ("x = b.clone()", {"1.2.0": ROWS, "1.4.0": ROWS, "1.8.1": LAST}),
        ("x = b.glu(dim=0)", {"1.8.1": ROWS, "1.12.1": LAST}),
        ("w = const(1)\nx = b.prelu(w)", {"1.13.1": ROWS, "2.0.1": LAST}),
        ("c = b.gt(0.5)\nx = c.where(b, b)", {"1.8.1": ROWS, "1.12.1": LAST}),
        ("c = const(2, 2, 3, 2)\nx = c.add(b)", {"1.2.0": ROWS, "1.4.0": LAST, "1.8.1": ROWS}),
        ("c = const(2, 2, 3, 2)\nx = c.atan2(b)", {"1.2.0": ROWS, "1.4.0": LAST, "1.8.1": ROWS}),
        ("w = const(2, 1, 1, 1)\nx = b.conv_transpose2d(w)", {"1.13.1": ROWS, "2.0.1": LAST}),
    ],
)
def test_results_lay_otherwise_before(operation: str, versions: dict[str, str]) -> None:
    for torch, where in versions.items():
        shape = program(PERMUTED + operation).values["x"].layout.shape
        _, channels, rows, columns = shape
        block = channels * rows * columns
        expected = {
            ROWS: (block, rows * columns, columns, 1),
            LAST: (block, 1, columns * channels, channels),
        }
        assert strides(torch, PERMUTED + operation) == expected[where], torch


def test_a_sum_of_losses_has_no_channels() -> None:
    assert strides("1.4.0", PERMUTED + "x = b.mse_loss(b)") == ()


@pytest.mark.parametrize(
    ("torch", "expected"), [("1.4.0", (2, 1)), ("1.8.1", (2, 1)), ("1.12.1", (1, 2))]
)
def test_clone_kept_only_dense_strides(torch: str, expected: tuple[int, ...]) -> None:
    gaps = "a = const(2, 2, 2)\nb = a.diagonal()\nx = b.clone()"
    assert strides(torch, gaps) == expected


def test_padding_by_less_than_nothing_was_such_a_clone() -> None:
    leaf = Leaf("a", (2, 2, 3), [float(number) for number in range(12)])
    steps = (
        Apply("permute", ("a",), {"dims": [1, 2, 0]}, ("b",)),
        Apply("pad", ("b",), {"pad": [0, 0, -1, 0]}, ("x",)),
    )
    draft = check(Program((leaf,), steps))
    assert draft.as_in("1.8.1").values["x"].layout.strides == (4, 2, 1)
    assert draft.as_in("1.12.1").values["x"].layout.strides == (2, 1, 4)


def test_a_dimension_of_size_1_had_no_place_by_its_stride() -> None:
    text = (
        "a = const(2, 2)\nb = a.unfold(dimension=0, size=1, step=1)\nc = const(2, 1)\nx = b.mul(c)"
    )
    for torch, strides in (("1.4.0", (2, 1, 1)), ("1.8.1", (2, 1, 2))):
        assert program(text).as_in(torch).values["x"].layout.strides == strides


def test_channels_were_suggested_whatever_lies_between_them() -> None:
    """By the order of strides of sizes above 1, of what is not row-major."""
    made = "a = const(1, 2, 2, 1)\nc = const(1, 2, 2, 2)\n"
    text = made + "b = a.transpose(dim0=1, dim1=2)\nx = b.mul(c)"
    for torch, strides in (("1.4.0", (8, 1, 4, 2)), ("1.8.1", (8, 2, 4, 1))):
        assert program(text).as_in(torch).values["x"].layout.strides == strides
