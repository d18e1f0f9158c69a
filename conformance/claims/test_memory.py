"""What an activation allocates, in place and out of place."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from conformance.claims._activations import ACTIVATIONS
from conformance.claims._seeing import Shown, expecting
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.trial import NotExercised, Script, Trial

SAVES_RESULT = ("ReLU", "LeakyReLU", "ELU", "CELU", "SELU")
"""Their backward needs the result alone, so that in place they need no copy of the input."""
COPIES_INPUT = ("ReLU6", "Hardtanh", "Threshold", "Hardsigmoid", "Hardswish", "SiLU", "Mish")
"""Their backward needs the input, which an in-place call that is recorded has to copy."""

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
    square = (512, 512)
    for name in (*saving, *copying):
        trial.once(_script(device, name, square, recorded=False, saves=True))
        trial.once(_script(device, name, square, recorded=False, inplace=False, saves=False))
    for name in saving:
        trial.once(_script(device, name, square, recorded=True, saves=True))
    trial.scripts(_scripts(device, saving, copying), examples=min(trial.profile.scripts, 40))
    for name in copying:
        trial.shows(
            _script(device, name, square, recorded=True, saves=False),
            f"nn.{name}(inplace=True) copies its input where a gradient is wanted",
            "its backward needs the input, so the in-place call allocates as much as the plain one",
        )


def _too_old(trial: Trial) -> bool:
    numbers = trial.examiner.subject.torch.split("+")[0].split(".")
    return (int(numbers[0]), int(numbers[1])) < (1, 6)


@st.composite
def _scripts(
    draw: st.DrawFn, device: str, saving: tuple[str, ...], copying: tuple[str, ...]
) -> Script:
    """Shapes of 1 MB and more; examples shrink towards ReLU on the smallest, unrecorded."""
    recorded = draw(st.booleans())
    name = draw(st.sampled_from(saving if recorded else saving + copying))
    rows = draw(st.integers(1, 4))
    side = draw(st.sampled_from((512, 600, 1024)))
    shape = draw(st.sampled_from(((rows * side, side), (rows, side, 512), (rows * side * 512,))))
    return _script(device, name, shape, recorded=recorded, saves=True)


def _script(
    device: str,
    name: str,
    shape: tuple[int, ...],
    *,
    recorded: bool,
    saves: bool,
    inplace: bool = True,
) -> Script:
    arguments = ACTIVATIONS[name].arguments[0]
    count = 1
    for side in shape:
        count *= side
    body = _BODY.format(
        measure=_MEASURES[device],
        module=name,
        arguments=f"{arguments}, " if arguments else "",
        inplace=inplace,
        count=count,
        shape=list(shape),
        recorded=recorded,
    )
    call = f"nn.{name}(inplace={inplace}) {'with' if recorded else 'without'} grad"

    def check(shown: Shown) -> Iterator[Finding]:
        size, allocated = shown.facts()["size"], shown.facts()["allocated"]
        if saves and allocated >= size:
            message = f"{call} allocates {allocated} bytes for an input of {size}"
            yield Finding("wrong aliasing", message, f"less than {size} bytes", str(allocated))
        elif not saves and allocated < size:
            message = f"{call} allocates {allocated} bytes for an input of {size}: no copy is made"
            yield Finding("wrong aliasing", message, f"at least {size} bytes", str(allocated))

    return Script(body, ("facts",), expecting(check))
