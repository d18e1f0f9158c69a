"""Scripts on in-place methods: what they write into, and what they write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from conformance.claims._methods import EXCLUDED, METHODS, MOVING, RANKS, SETUP, Method
from conformance.claims._seeing import Shown, expecting, flag, same_bits, within
from conformance.claims._targets import Shape, Target, elements, shapes
from conformance.judge import Finding
from conformance.tolerances import few_ulps
from conformance.trial import Script, Trial


def left_out(names: Sequence[str], why: str) -> str:
    """A note that says what was left out, or nothing."""
    return f"left out ({why}): {', '.join(names)}" if names else ""


def methods_of(trial: Trial) -> tuple[list[Method], str]:
    """The in-place methods that the subject's tensors have, and a note on those left out."""
    there = {n for n in trial.examiner.subject.names["Tensor"] if n.endswith("_")}
    unknown = sorted(there - set(METHODS) - set(MOVING) - set(EXCLUDED))
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
        setup=_setup(method, target, None), name=method.name, arguments=method.arguments
    )

    def check(shown: Shown) -> Iterator[Finding]:
        return in_its_own_memory(shown, f"x.{method.name}()")

    return Script(body, ("x", "alias", "out", "facts"), expecting(check))


def in_its_own_memory(shown: Shown, call: str) -> Iterator[Finding]:
    """Findings unless `out` is `x`, in the storage of `alias` and at the same address."""
    facts, kind = shown.facts(), "wrong aliasing"
    why = f"{call} is an in-place operation"
    yield from flag("whether it returned its own self", facts["is_self"], True, why, kind)
    for name in ("x", "out"):
        same = shown.tensor(name).storage == shown.tensor("alias").storage
        yield from flag(f"one storage for {name} and what it was", same, True, why, kind)
    yield from flag("the same address", facts["same_address"], True, why, kind)


@st.composite
def same_storage_scripts(draw: st.DrawFn, *, among: Sequence[Method]) -> Script:
    """Calls on drawn targets; examples shrink towards the first method on a contiguous target."""
    method = draw(st.sampled_from(among))
    target = _drawn(draw, method, method.dtype, draw(st.sampled_from(method.layouts)))
    return same_storage(method, target)


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
    for name, is_self in shown.facts().items():
        why = "it returns its own self, whatever it does to the storage"
        yield from flag(f"{name} is self", is_self, True, why, "wrong aliasing")
    for name in ("x", "out"):
        same = shown.tensor(name).storage == shown.tensor("alias").storage
        why = "as_strided_ stays in its storage"
        yield from flag(f"one storage for {name} and alias", same, True, why, "wrong aliasing")
    yield from flag("the offset of x", shown.tensor("x").offset, 2, "as asked", "wrong aliasing")


# -- the values that are written

_EQUALS = """\
{setup}


def attempt(name, call):
    torch.manual_seed(0)
    try:
        return call()
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        facts[name] = type(error).__name__ + ": " + str(error)


plain = attempt("plain raised", lambda: x.{plain}({arguments}).clone())
attempt("in place raised", lambda: x.{name}({arguments}))
cast = None if facts else plain.to(x.dtype)
"""
_DTYPES = """float64 float32 int64 complex128 bool float16 bfloat16 int32 uint8
complex64""".split()
_CATEGORIES = ("bool", "int", "float", "complex")
# Their in-place forms exist for fewer dtypes than the plain ones, as their messages say.
_SAME_DTYPE_ONLY = ("float_power_",)
_REAL_ONLY = ("abs_", "absolute_")
_PRODUCTS = "addcdiv_ addcmul_ cumprod_ div_ divide_ mul_ multiply_ pow_ square_".split()
_MATRIX_PRODUCTS = ("addmm_", "addbmm_")


def equals_plain(method: Method, target: Target, y: Target | None = None) -> Script:
    """A script that calls the method and its plain form; `y` is its operand, if one was drawn."""
    body = _EQUALS.format(
        setup=_setup(method, target, y),
        plain=method.name[:-1],
        name=method.name,
        arguments=method.arguments,
    )

    def check(shown: Shown) -> Iterator[Finding]:
        return _equal(shown, method, target)

    return Script(body, ("x", "plain", "cast", "facts"), expecting(check))


@st.composite
def equals_plain_scripts(
    draw: st.DrawFn, *, among: Sequence[Method], complexes: bool = True
) -> Script:
    """Calls on drawn targets and operands; examples shrink towards float64 without broadcasting."""
    method = draw(st.sampled_from(among))
    whole = method.dtype == "int64"
    dtypes = [d for d in _DTYPES if not whole or d.startswith(("int", "uint", "bool"))]
    dtypes = [d for d in dtypes if complexes or not d.startswith("complex")]
    dtype = draw(st.sampled_from(dtypes))
    target = _drawn(draw, method, dtype, draw(st.sampled_from(method.layouts)))
    if not (method.takes_y and draw(st.booleans())):
        return equals_plain(method, target)
    shape = draw(_operand_shapes(target.shape))
    other = draw(st.sampled_from([dtype, *dtypes]))
    y = Target("y", draw(elements(pool=method.pool)), shape, other)
    return equals_plain(method, target, y)


def _operand_shapes(shape: Shape) -> st.SearchStrategy[Shape]:
    """The target's shape, those that broadcast to it, and one that does not fit into it."""
    kept = [shape, shape[1:], tuple(1 for _ in shape), (2, *shape)]
    return st.sampled_from(kept)


def _equal(shown: Shown, method: Method, target: Target) -> Iterator[Finding]:
    facts = shown.facts()
    plain, written = facts.get("plain raised"), facts.get("in place raised")
    must_raise = plain or _why_not(shown, method)
    if must_raise and not written:
        message = f"x.{method.name}() should raise and does not: {must_raise}"
        yield Finding("missing error", message, str(must_raise), "no error")
    elif written and not must_raise:
        message = f"x.{method.name}() raises and should not: {written}"
        yield Finding("spurious error", message, "no error", str(written))
    elif not written:
        yield from _same_values(shown, method, target)


def _why_not(shown: Shown, method: Method) -> str | None:
    """Why the plain result cannot be written into the target, if it cannot."""
    x, plain = shown.tensor("x"), shown.tensor("plain")
    if not method.metadata and plain.shape != x.shape:
        return f"the result has shape {plain.shape} and the target {x.shape}"
    narrower = _category(x.dtype) < _category(plain.dtype)
    only = method.name in _SAME_DTYPE_ONLY and x.dtype != plain.dtype
    unreal = method.name in _REAL_ONLY and _category(x.dtype) == _CATEGORIES.index("complex")
    if narrower or only or unreal:
        return f"the result is {plain.dtype} and the target {x.dtype}"
    return None


def _category(dtype: str) -> int:
    return next(i for i, word in enumerate(_CATEGORIES) if word in dtype.replace("uint", "int"))


def _same_values(shown: Shown, method: Method, target: Target) -> Iterator[Finding]:
    why = f"after x.{method.name}(), x holds what x.{method.name[:-1]}() returns"
    inexact = target.dtype.startswith(("float", "bfloat", "complex"))
    complex_product = target.dtype.startswith("complex") and method.name in _PRODUCTS
    spread = inexact and method.name in _MATRIX_PRODUCTS and target.lies != "contiguous"
    if not (complex_product or spread):
        yield from same_bits(shown, "x", "cast", why)
        return
    seen, wanted = shown.array("x"), shown.array("cast")
    yield from within("x", seen, wanted, few_ulps(wanted), why)


def _setup(method: Method, target: Target, y: Target | None) -> str:
    lines = [target.text]
    if y is not None:
        lines.append(y.text)
    elif method.takes_y:
        lines.append(SETUP["y"].format(two="True" if target.dtype == "bool" else "2"))
    return "\n".join([*lines, *(SETUP[name] for name in method.given)])


def _drawn(draw: st.DrawFn, method: Method, dtype: str, layout: str) -> Target:
    empty = method.shapes == "any"
    shape = draw(shapes(ranks=RANKS[method.shapes], empty=empty))
    if method.shapes == "batch":
        shape = (2, *shape[1:])
    if method.name == "as_strided_":
        shape = (2, *shape[1:])
    return Target("x", draw(elements(pool=method.pool)), shape, dtype, layout)
