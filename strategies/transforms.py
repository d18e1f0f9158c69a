"""Ways to run part of a program otherwise than eagerly, as the text that a script begins with.

Each defines `transformed`, which the functions of a program are decorated with.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transform:
    """What a function of a program becomes, and by which page it must compute the same."""

    name: str
    setup: str
    """The statements that define `transformed`."""
    source: str
    sentence: str
    """What that page promises, in its words."""
    compiles: bool = False
    """Whether the compiler must have made a graph of all of it, or nothing was tried."""


def _compiled(backend: str, *, dynamic: bool, whole: bool) -> Transform:
    options = f'backend="{backend}", dynamic={dynamic}' + (", fullgraph=True" if whole else "")
    name = f"compile-{backend}" + "-dynamic" * dynamic + "-fullgraph" * whole
    return Transform(
        name,
        f"transformed = lambda function: torch.compile(function, {options})",
        "https://docs.pytorch.org/docs/stable/generated/torch.compile.html",
        "torch.compile: 'Optimizes given model/function using TorchDynamo and specified backend'; "
        "it changes how fast, not what is computed",
        compiles=True,
    )


_CHECKPOINTED = """\
from torch.utils.checkpoint import checkpoint
transformed = lambda function: lambda *tensors: checkpoint(function, *tensors, use_reentrant={})\
"""
_COPIED = """\
def transformed(function):
    def call(*tensors):
        with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda saved: saved):
            return function(*tensors)
    return call\
"""

TRANSFORMS: dict[str, Transform] = {
    transform.name: transform
    for transform in (
        *(
            _compiled(backend, dynamic=dynamic, whole=whole)
            for backend in ("eager", "aot_eager", "inductor")
            for dynamic in (False, True)
            for whole in (False, True)
        ),
        Transform(
            "functionalize",
            "transformed = torch.func.functionalize",
            "https://docs.pytorch.org/docs/stable/generated/torch.func.functionalize.html",
            "'a transform that can be used to remove (intermediate) mutations and aliasing from a "
            "function, while preserving the function's semantics'",
        ),
        Transform(
            "saved-copied",
            _COPIED,
            "https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.graph.saved_tensors_hooks",
            "'unpack_hook(pack_hook(t)) should be equal to t': a copy cannot be modified",
        ),
        *(
            Transform(
                "checkpoint" + "-reentrant" * reentrant,
                _CHECKPOINTED.format(reentrant),
                "https://docs.pytorch.org/docs/stable/checkpoint.html",
                "'Checkpoint a model or part of the model': memory is traded for compute",
            )
            for reentrant in (False, True)
        ),
    )
}
"""Name of a mode -> what it does."""
