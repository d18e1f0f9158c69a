"""Complex tensors overwritten in place, through their real and imaginary views as well."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from conformance.claims._seeing import Shown, expecting, within
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.oracle.complex_chains import gradients
from conformance.tolerances import COMPLEX_RTOL
from conformance.trial import NotExercised, Script, Trial

SPELLED: dict[str, tuple[str, ...]] = {
    "exp": ("x = x.exp().clone()", "x.exp_(); x = x.clone()"),
    "sin": ("x = x.sin()", "x.sin_()"),
    "tanh": ("x = x.tanh().clone()", "x.tanh_(); x = x.clone()"),
    "square": ("x = x * x", "x.square_()", "x.pow_(2)"),
    "neg": ("x = -x", "x.neg_()"),
    "scale": ("x = x * (0.5 - 1j)", "x.mul_(0.5 - 1j)", "x *= 0.5 - 1j"),
    "mul": ("x = x * w", "x.mul_(w)", "x *= w"),
    "add": (
        "x = x.add(w, alpha=2)",
        "x.add_(w, alpha=2)",
        "x[:1] += 2 * w[:1]; x[1:] += 2 * w[1:]",
    ),
    "sub": ("x = x - w", "x.sub_(w)", "x -= w"),
    "div": ("x = x / (w + 3)", "x.div_(w + 3)"),
    "addcmul": ("x = torch.addcmul(x, w, w)", "x.addcmul_(w, w)"),
    "conj": ("x = x.conj()", "x.conj_physical_()", "x.imag.neg_()"),
    "conjugate product": ("x = (x.conj() * w).conj()", "x.conj().mul_(w)"),
    "real scaled": (
        "x.real.mul_(2)",
        "x = x.resolve_conj(); torch.view_as_real(x)[..., 0].mul_(2)",
    ),
    "imaginary part gains real": ("x.imag.add_(x.real.clone())",),
    "real part overwritten": (
        "x.real.copy_(w.imag)",
        "x = x.resolve_conj(); torch.view_as_real(x)[..., 0] = w.imag",
    ),
    "parts negated": ("x = x.resolve_conj(); torch.view_as_real(x).neg_()",),
    "modulus": ("x = x.abs() + 0j",),
    "turned": ("x = x * x.conj() * 1j", "x.mul_(x.conj().clone()).mul_(1j)"),
}
"""Link of the oracle's chains -> statements that do it, plain and in place.

What saves its result is cloned, or the next write would be refused.
"""

# Every number has a modulus of its own, and none is zero.
_Z = ((0.5 + 0.25j, -0.75 + 0.5j, 0.25 - 1j), (1 + 0j, 0.125j, -0.5 - 0.25j))
_W = ((0.75 - 0.5j, 1 + 0.25j, -0.25 + 0.5j), (0.5 + 0.5j, -1j, 0.375 + 0j))

_BODY = """\
z = torch.tensor({z}, dtype=torch.complex128, device=DEVICE, requires_grad=True)
w = torch.tensor({w}, dtype=torch.complex128, device=DEVICE, requires_grad=True)
x = z.clone()
{steps}
c = torch.tensor({c}, dtype=torch.complex128, device=DEVICE)
loss = (x.real * c.real + x.imag * c.imag).sum()
loss.backward()
if w.grad is None:
    w.grad = torch.zeros_like(w)
result, at_z, at_w = (torch.view_as_real(t.resolve_conj()) for t in (x.detach(), z.grad, w.grad))
"""


@proves("complex-gradients")
def test_complex_gradients(trial: Trial) -> None:
    """The gradient of a real loss is dL/dx + i dL/dy (Autograd for Complex Numbers)."""
    if "resolve_conj" not in trial.examiner.subject.names["Tensor"]:
        raise NotExercised("before torch 1.10 conjugation is not lazy, and scripts resolve it")
    for link, statements in SPELLED.items():
        for statement in statements:
            trial.once(script(((link, statement),), 1.0))
    trial.scripts(scripts())


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Chains of one to four different links, so that nothing overflows; examples shrink towards
    one plain exp.
    """
    links = draw(st.lists(st.sampled_from(list(SPELLED)), min_size=1, max_size=4, unique=True))
    steps = tuple((link, draw(st.sampled_from(SPELLED[link]))) for link in links)
    return script(steps, draw(st.sampled_from((1.0, 0.5, -1.0))))


def script(steps: tuple[tuple[str, str], ...], scale: float) -> Script:
    """The script of a chain on numbers of a scale, with what the oracle says of it."""
    z, w = scale * np.array(_Z, np.complex128), np.array(_W, np.complex128)
    cotangent = w[::-1] - 0.25
    links = [link for link, _ in steps]
    body = _BODY.format(
        z=z.tolist(), w=w.tolist(), c=cotangent.tolist(), steps="\n".join(s for _, s in steps)
    )

    def check(shown: Shown) -> Iterator[Finding]:
        wanted = gradients(links, z, w, cotangent)
        names = (("result", "wrong value"), ("at_z", _GRADIENT), ("at_w", _GRADIENT))
        for (name, kind), numbers in zip(names, wanted, strict=True):
            parts = _as_real(numbers)
            room = COMPLEX_RTOL * float(np.abs(parts).max())
            yield from within(name, shown.array(name), parts, room, f"jax, {links}", kind)

    return Script(body, ("result", "at_z", "at_w"), expecting(check))


_GRADIENT = "silent wrong gradient"


def _as_real(numbers: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.stack([numbers.real, numbers.imag], -1)
