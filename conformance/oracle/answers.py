"""What the oracle can say of a program."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

NOT_ASKED = "the oracle was not asked"
"""Why an answer says nothing where nobody asked."""


class Entries(Struct, frozen=True):
    """Expected numbers and how far each may be off."""

    values: NDArray[np.float64]
    slack: NDArray[np.float64]


class Answer(Struct, frozen=True):
    """What the oracle says of a program; `unspecified` says why it cannot."""

    values: dict[str, Entries]
    gradients: dict[str, Entries]
    unspecified: str = ""
    gave_up: bool = False
    """Whether it cannot because the program is too large, which says nothing of the program."""
