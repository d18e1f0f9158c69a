"""Scripts on in-place methods: what they return, and the memory that they write into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from conformance.claims._methods import EXCLUDED, FORMER, METHODS, MOVING, RANKS, SETUP, Method
from conformance.claims._seeing import Shown, expecting, flag
from conformance.claims._targets import Target, elements, shapes
from conformance.judge import Finding
from conformance.trial import Script, Trial


def left_out(names: Sequence[str], why: str) -> str:
    """A note that says what was left out, or nothing."""
    return f"left out ({why}): {', '.join(names)}" if names else ""


def methods_of(trial: Trial) -> tuple[list[Method], str]:
    """The in-place methods that the subject's tensors have, and a note on those left out."""
    there = {n for n in trial.examiner.subject.names["Tensor"] if n.endswith("_")}
    unknown = sorted(there.difference(METHODS, MOVING, EXCLUDED, FORMER))
    methods = [method for name, method in METHODS.items() if name in there]
    if trial.device != "cpu":
        methods = [method for method in methods if not method.host_only]
    return methods, left_out(unknown, "unknown method")


# -- the memory that is written

_SAME_STORAGE = """\
{setup}
alias = x.detach()
address = x.data_ptr()
out = x.{name}({arguments})
facts["is_self"] = out is x
facts["same_address"] = x.data_ptr() == address
"""


def same_storage(method: Method, target: Target) -> Script:
    """A script that calls the method and looks at what it returned, and where that lies."""
    body = _SAME_STORAGE.format(
        setup=setup(method, target), name=method.name, arguments=method.arguments
    )

    def check(shown: Shown) -> Iterator[Finding]:
        return in_its_own_memory(shown, f"x.{method.name}()")

    return Script(body, ("x", "alias", "out", "facts"), expecting(check))


def in_its_own_memory(shown: Shown, call: str) -> Iterator[Finding]:
    """Findings unless `out` is `x`, in the storage of `alias` and at the same address."""
    kind, why = "wrong aliasing", f"{call} is an in-place operation"
    is_self, address = shown.fact("is_self"), shown.fact("same_address")
    yield from flag("whether it returned its own self", is_self, True, why, kind)
    for name in ("x", "out"):
        same = shown.one_memory(name, "alias")
        yield from flag(f"one storage for {name} and what it was", same, True, why, kind)
    yield from flag("the same address", address, True, why, kind)


MOVED = Script(
    """\
def called(name, *arguments):
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], device=DEVICE)
    return getattr(x, name)(*arguments) is x


other = torch.tensor([[5.0], [6.0]], device=DEVICE)
for name, arguments in (
    ("resize_", (2,)),
    ("resize_", (1000,)),
    ("resize_as_", (other,)),
    ("set_", (other,)),
    ("share_memory_", ()),
):
    facts[name + str(len(facts))] = called(name, *arguments)

x = torch.tensor([1.0, 2.0, 3.0, 4.0], device=DEVICE)
alias = x.detach()
out = x.as_strided_((2,), (1,), 2)
facts["as_strided_"] = out is x
""",
    ("x", "alias", "out", "facts"),
    expecting(lambda shown: _moved(shown)),
)
"""What may change the storage returns its self too; `as_strided_` may change the address."""


def _moved(shown: Shown) -> Iterator[Finding]:
    for name in shown.facts():
        why = "it returns its own self, whatever it does to the storage"
        yield from flag(f"{name} is self", shown.fact(name), True, why, "wrong aliasing")
    for name in ("x", "out"):
        same = shown.one_memory(name, "alias")
        why = "as_strided_ stays in its storage"
        yield from flag(f"one storage for {name} and alias", same, True, why, "wrong aliasing")
    offset = shown.attribute("x", "offset")
    yield from flag("the offset of x", offset, 2, "as asked", "wrong aliasing")


# -- what they are called on


def setup(method: Method, target: Target, y: str | None = None) -> str:
    """The lines that make a call's operands; `y` is the one that makes y, or y is all twos."""
    lines = [target.text]
    if y is not None:
        lines.append(y)
    elif method.takes_y:
        lines.append(SETUP["y"].format(two="True" if target.dtype == "bool" else "2"))
    return "\n".join([*lines, *(SETUP[name] for name in method.given)])


def drawn_target(draw: st.DrawFn, method: Method, dtype: str) -> Target:
    """A target of a shape and a layout that the method accepts."""
    layout = draw(st.sampled_from(method.layouts))
    empty = method.shapes == "any"
    shape = draw(shapes(ranks=RANKS[method.shapes], empty=empty))
    if method.shapes == "batch":
        shape = (2, *shape[1:])
    if method.name == "as_strided_":
        shape = (2, *shape[1:])
    return Target("x", draw(elements(pool=method.pool)), shape, dtype, layout)
