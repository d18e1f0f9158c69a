"""Options by their weights: what is summed before draws what is summed each time."""

from __future__ import annotations

import pytest

from strategies.choices import Replayed, Weights, weighted

OPTIONS = (("a", 1), ("b", 3), ("never", 0), ("c", 2))


@pytest.mark.parametrize("point", range(6))
def test_weights_draw_what_weighted_draws(point: int) -> None:
    drawn = Weights(OPTIONS).one(Replayed([point]))
    assert drawn == weighted(Replayed([point]), OPTIONS) == "abbbcc"[point]
