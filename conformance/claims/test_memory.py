"""What an activation allocates, in place and out of place."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hypothesis import strategies as st

from conformance.claims._activations import ACTIVATIONS
from conformance.claims._seeing import Shown, expecting, unless
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.trial import NotExercised, Script, Trial

SAVES_RESULT = ("ReLU", "LeakyReLU", "ELU", "CELU", "SELU")
"""Their backward needs the result alone, so that in place they need no copy of the input."""
COPIES_INPUT = ("ReLU6", "Hardtanh", "Threshold", "Hardsigmoid", "Hardswish", "SiLU", "Mish")
"""Their backward needs the input, which an in-place call that is recorded has to copy."""
DRAWS_NOISE = (
    *("RReLU", "Dropout", "AlphaDropout", "FeatureAlphaDropout"),
    *("Dropout1d", "Dropout2d", "Dropout3d"),
)
"""They draw noise: RReLU in every mode, dropouts in the training mode that they are made in. Those
that draw one number a channel need little memory for it.
"""

_MEASURES: dict[str, str] = {
    "cpu": """\
from torch.autograd import profiler


def most_allocated(call):
    with profiler.profile(profile_memory=True) as profile:
        call()
    names = ("self_cpu_memory_usage", "cpu_memory_usage")
    events = profile.function_events
    key = next(name for name in names if all(hasattr(event, name) for event in events))
    return max([getattr(event, key) for event in events] + [0])
""",
    "cuda": """\
def most_allocated(call):
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
""",
}
"""Device -> a function that says how many bytes a call allocates: at once, or at its peak."""

_BODY = """\
{measure}

layer = nn.{module}({arguments}inplace={inplace})
x = torch.linspace(-4.0, 4.0, {count}, device=DEVICE).reshape({shape})
x = x.requires_grad_({recorded}).clone()
facts["size"] = x.numel() * x.element_size()
facts["allocated"] = most_allocated(lambda: layer(x))
"""


@proves("inplace-saves-memory")
def test_inplace_saves_memory(trial: Trial) -> None:
    """inplace=True allocates no tensor of the activation's size (article 003)."""
    device = trial.device.partition(":")[0]
    if device not in _MEASURES:
        raise NotExercised(f"allocations on {trial.device} cannot be measured")
    if device == "cpu" and _too_old(trial):
        raise NotExercised("before torch 1.6 the profiler does not show memory")
    there = trial.examiner.subject.names["nn"]
    saving = tuple(name for name in SAVES_RESULT if name in there)
    copying = tuple(name for name in COPIES_INPUT if name in there)
    for name in (*saving, *copying):
        trial.once(_script(device, name, _SQUARE, recorded=False))
        trial.once(_plain(device, name))
    for name in saving:
        trial.once(_script(device, name, _SQUARE, recorded=True))
    every = (*saving, *copying, *(name for name in DRAWS_NOISE if name in there))
    scripts = memory_scripts(device, among=every)
    trial.scripts(scripts, examples=min(trial.profile.scripts, 40))
    for condition, title in _OUTSIDE.items():
        trial.searches_scripts(
            scripts, condition=condition, title=title, kinds=("wrong aliasing",), fragment=_COPY
        )


_COPIES, _NOISE = "copies its input", "noise"
_OUTSIDE = {
    _COPIES: "Where a gradient is wanted, an activation whose backward needs its input copies it",
    _NOISE: "RReLU, and a dropout in training mode, allocate their noise",
}
"""Condition of the scope -> what the report says beyond it."""
_COPY = "bytes for an input of"
_SQUARE = (512, 512)
_FITS = 'facts["allocated"] >= facts["size"]'


def _too_old(trial: Trial) -> bool:
    numbers = trial.examiner.subject.torch.split("+")[0].split(".")
    return (int(numbers[0]), int(numbers[1])) < (1, 6)


@st.composite
def memory_scripts(draw: st.DrawFn, device: str, *, among: tuple[str, ...]) -> Script:
    """Activations in place on 1 MB and more, in every mode of recording: within the claim's scope
    and beyond it. Examples shrink towards the first on the smallest vector, unrecorded.
    """
    name, recorded = draw(st.sampled_from(among)), draw(st.booleans())
    rows, side = draw(st.integers(1, 4)), draw(st.sampled_from((512, 600, 1024)))
    shape = draw(st.sampled_from([_shape(rank, rows, side) for rank in _ranks(name)]))
    return _script(device, name, shape, recorded=recorded)


def _condition(name: str, *, recorded: bool) -> str:
    """The condition of the scope that a call breaks, or none."""
    if name in DRAWS_NOISE:
        return _NOISE
    return _COPIES if recorded and name in COPIES_INPUT else ""


def _ranks(name: str) -> tuple[int, ...]:
    return tuple(rank for rank in ACTIVATIONS[name].ranks if rank)


def _shape(rank: int, rows: int, side: int) -> tuple[int, ...]:
    """A shape of `rows * side * 512` elements."""
    return {
        1: (rows * side * 512,),
        2: (rows * side, 512),
        3: (rows, side, 512),
        4: (rows, side, 16, 32),
        5: (rows, side, 8, 8, 8),
    }[rank]


def _script(device: str, name: str, shape: tuple[int, ...], *, recorded: bool) -> Script:
    """A script in which the layer in place must allocate less than its input's size."""
    call = f"nn.{name}(inplace=True) {'with' if recorded else 'without'} grad"

    def check(shown: Shown) -> Iterator[Finding]:
        size, allocated = shown.fact("size").value, shown.fact("allocated").value
        message = f"{call} allocates {allocated} {_COPY} {size}"
        found = Finding("wrong aliasing", message, f"less than {size} bytes", str(allocated))
        yield from unless(
            shown.look(f"not {_FITS}", allocated < size),
            f"{call} allocates as much as its input has",
            found,
        )

    body = _body(device, name, shape, recorded=recorded, inplace=True)
    return Script(body, ("facts",), expecting(check), _condition(name, recorded=recorded))


def _plain(device: str, name: str) -> Script:
    """A script in which the layer out of place must be seen to allocate."""

    def check(shown: Shown) -> Iterator[Finding]:
        size, allocated = shown.fact("size").value, shown.fact("allocated").value
        call = f"nn.{name}(inplace=False)"
        message = f"{call} allocates {allocated} {_COPY} {size}: no result"
        found = Finding("wrong aliasing", message, f"at least {size} bytes", str(allocated))
        yield from unless(
            shown.look(_FITS, allocated >= size), f"{call} allocates less than its input has", found
        )

    body = _body(device, name, _SQUARE, recorded=False, inplace=False)
    return Script(body, ("facts",), expecting(check))


def _body(device: str, name: str, shape: tuple[int, ...], *, recorded: bool, inplace: bool) -> str:
    arguments = ACTIVATIONS[name].arguments[0]
    return _BODY.format(
        measure=_MEASURES[device],
        module=name,
        arguments=f"{arguments}, " if arguments else "",
        inplace=inplace,
        count=math.prod(shape),
        shape=list(shape),
        recorded=recorded,
    )
