"""What the oracle says of a program's forward derivatives, and of the gradient of its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conformance.model.prediction import Prediction
from conformance.oracle.answering import multiplies_itself
from conformance.oracle.answers import Entries
from conformance.oracle.assembly import TooMuch, Undecided
from conformance.oracle.interpret import Walk
from conformance.oracle.machine import Machine
from conformance.oracle.quirks import REPLACED, SELF_PRODUCT
from strategies.draft import Draft


@dataclass(frozen=True, slots=True)
class Movement:
    """How a program moves along tangents; `unspecified` says why nobody knows."""

    values: Mapping[str, Entries]
    tangents: Mapping[str, Entries]
    """Of every tensor, its forward derivative."""
    second: Mapping[str, Entries]
    """Of every leaf that moves, the gradient of what the losses move by."""
    unspecified: str = ""


def movement(
    draft: Draft,
    prediction: Prediction,
    machine: Machine,
    directions: Mapping[str, NDArray[np.float64]],
    *,
    twice: bool,
    quirks: frozenset[str] = frozenset(),
    opinions: int = 1,
) -> Movement:
    """How a program moves where these leaves, each of which requires grad, move so.

    Jax differentiates the function that the whole program is; if twice, again. More opinions find
    wider bounds where errors that cancel are all that there is.
    """
    ran = zip(draft.shaped, prediction.acted, strict=False)
    if SELF_PRODUCT in quirks and any(map(multiplies_itself, ran)):
        return Movement({}, {}, {}, "an in-place matrix product that reads its results")
    replaced = {old: new for q in quirks for old, new in REPLACED.get(q, {}).items()}
    walk = Walk(draft, prediction, replaced)
    leaves = {name: walk.leaves[name][0] for name in directions}
    try:
        for step, acted in zip(draft.shaped, prediction.acted, strict=False):
            walk.arrive(step, acted)
            walk.step(step, acted)
        if twice and walk.assembly.held:
            raise Undecided("a derivative is written out, and has none of its own")
        tangents = np.zeros(walk.assembly.input_count)
        origins = walk.assembly.origins()
        for name, cells in leaves.items():
            tangents[origins[cells]] = directions[name].ravel()
        found = machine.along(walk.assembly, tangents, twice=twice, opinions=opinions)
    except (TooMuch, Undecided) as reason:
        return Movement({}, {}, {}, str(reason))
    if found.ill_conditioned:
        return Movement({}, {}, {}, f"ill-conditioned: {found.ill_conditioned}")
    places = {n: walk.handle(n, layout) for n, layout in prediction.layouts.items()}
    shapes = {name: direction.shape for name, direction in directions.items()}
    return Movement(
        {n: Entries(found.values[at], found.value_slack[at]) for n, at in places.items()},
        {n: Entries(found.tangents[at], found.tangent_slack[at]) for n, at in places.items()},
        {
            n: Entries(
                found.second[cells].reshape(shapes[n]),
                found.second_slack[cells].reshape(shapes[n]),
            )
            for n, cells in leaves.items()
        },
    )
