"""What the suite says of a layer: its input, its function, its state."""

from __future__ import annotations

import re
from dataclasses import dataclass

RUNNING = ("running_mean", "running_var", "num_batches_tracked")
"""What a layer keeps of the batches that it saw."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: its input's shape, its constructor's arguments to draw, and its function's call.

    `twin` is an expression of the layer `m` and the input `x`; the axes in `free` may be longer.
    `setup` makes what else the call needs; `keys` are those of a state_dict.
    """

    name: str
    shape: tuple[int, ...]
    twin: str
    variants: tuple[str, ...] = ("",)
    free: tuple[int, ...] = (0,)
    call: str = "x"
    setup: str = ""
    keys: tuple[str, ...] = ()
    differentiable: bool = True
    error: tuple[str, str] | None = None
    """A part of what some torch says instead of a gradient, and the quirk that this is."""

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions of F that it is compared with."""
        return tuple(re.findall(r"F\.(\w+)", self.twin))

    def state(self, arguments: str) -> tuple[str, ...]:
        """The keys of its state_dict, made with these arguments."""
        dropped: tuple[str, ...] = ("bias",) if "bias=False" in arguments else ()
        if "affine=False" in arguments:
            dropped = ("weight", "bias")
        kept = tuple(key for key in self.keys if key not in dropped)
        affine = ("weight", "bias") if " affine=True" in arguments else ()
        running = RUNNING if "track_running_stats=True" in arguments else ()
        return (*kept, *affine, *running)
