"""Which dtypes can require grad, by every way to ask, and that all have the same gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from numpy.typing import NDArray
from packaging.version import Version

from conformance.claims import _dtype_gradients
from conformance.claims._inplace import methods_of
from conformance.claims._seeing import Look, Shown, exactly, expecting, flag, sums_up, unless
from conformance.claims._targets import Target, elements, shapes
from conformance.claims.claim import proves
from conformance.judge import Finding
from conformance.script_verdict import Judgement
from conformance.subjects import Observation
from conformance.trial import NotExercised, Script, Trial

WAYS: dict[str, str] = {
    "torch.tensor": "x = torch.tensor([1, 0], dtype=dtype, device=DEVICE{})",
    "torch.zeros": "x = torch.zeros(shape, dtype=dtype, device=DEVICE{})",
    "torch.empty": "x = torch.empty(shape, dtype=dtype, device=DEVICE{})",
    "torch.zeros_like": "x = torch.zeros_like(plain{})",
    "new_zeros": "x = plain.new_zeros(shape{})",
    "requires_grad_": "x = torch.empty(shape, dtype=dtype, device=DEVICE)\nx.requires_grad_({})",
    "attribute": "x = torch.empty(shape, dtype=dtype, device=DEVICE)\nx.requires_grad = {}",
    "nn.Parameter": "x = nn.Parameter(plain{})",
}
"""How one asks for requires_grad; the braces hold the request."""

_BARE = ("requires_grad_", "attribute")
_FRAGMENTS = ("floating point", "can require gradients")
_WHY = "floating-point and complex tensors alone can require grad (torch.Tensor.requires_grad_)"
_LEAST = ("float32", "float64", "int64", "bool")
_DIFFERENTIABLE = ("float", "bfloat", "complex", "bcomplex")
_COMPLEX_SINCE = Version("1.6")

# -- every dtype


def _asking(way: str, value: bool) -> str:
    return WAYS[way].format(value if way in _BARE else f", requires_grad={value}")


def _silent(way: str) -> str:
    return "x = plain" if way in _BARE else WAYS[way].format("")


def _sweep() -> str:
    lines = [
        "def tried(statement, dtype, shape=(2,)):",
        '    space = {"torch": torch, "nn": nn, "DEVICE": DEVICE, "dtype": dtype, "shape": shape}',
        "    try:",
        '        space["plain"] = torch.empty(shape, dtype=dtype, device=DEVICE)',
        "        exec(statement, space)",
        "    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:",
        "        return str(error)",
        '    return bool(space["x"].requires_grad)',
        "",
        "",
        "dtypes = {str(v)[6:]: v for v in vars(torch).values() if isinstance(v, torch.dtype)}",
        "ways = {",
    ]
    for way in WAYS:
        # A parameter asks for itself unless told otherwise.
        silent = _asking(way, False) if way == "nn.Parameter" else _silent(way)
        statements = (silent, _asking(way, True), _asking(way, False))
        lines.append(f"    {way!r}: {statements!r},")
    lines += [
        "}",
        "for name, dtype in sorted(dtypes.items()):",
        "    facts[name] = {w: [tried(s, dtype) for s in ways[w]] for w in ways}",
        "    empty = [tried(ways[w][0], dtype, (0,)) for w in ways]",
        '    facts[name]["without elements"] = [e for e in empty if isinstance(e, str)]',
    ]
    return "\n".join(lines) + "\n"


@proves("float-only-grad")
def test_float_only_grad(trial: Trial) -> None:
    """Floating-point and complex tensors alone can require grad, however asked (article 004)."""
    made: list[tuple[str, str]] = []
    unmade: set[str] = set()
    complexes = _has_complex(trial)

    def check(shown: Shown) -> Iterator[Finding]:
        aside = shown.aside()
        _sum_up(shown, complexes=complexes)
        for dtype, ways in shown.facts().items():
            if not complexes and dtype.startswith("complex"):
                continue
            if ways.pop("without elements"):
                unmade.add(dtype)
            for way, (control, asked, declined) in ways.items():
                if isinstance(control, str):
                    unmade.add(dtype)
                    continue
                made.append((dtype, way))
                answered = _answered(f"{dtype} by {way}", dtype, aside.look("", asked))
                yield from _forgotten(way, asked, answered)
                why = "asking for requires_grad=False is always allowed"
                where = f"{dtype} by {way}, asked for False"
                kind = "spurious error" if isinstance(declined, str) else "wrong flag"
                yield from flag(where, aside.look("", declined), False, why, kind)
        least = {(dtype, way) for dtype in _LEAST for way in WAYS}
        for dtype, way in sorted(least - set(made)):
            message = f"no {dtype} tensor could be made by {way}"
            yield Finding("spurious error", message, "a tensor", "none")

    trial.once(Script(_sweep(), ("facts",), expecting(check)))
    # Packed and quantized dtypes lack some factory functions: there is nobody to ask.
    trial.note = f"made in some ways only: {', '.join(sorted(unmade))}" if unmade else ""
    trial.scripts(_requests(among=[pair for pair in made if pair[0] not in unmade]))


_FOUND = "[(d, w) for d in facts for w in facts[d] if w in {ways} and {asked}]"
"""In the script: dtypes by ways that can be asked, and are answered so."""


def _sum_up(shown: Shown, *, complexes: bool) -> None:
    """The same in the script, whatever dtypes its torch has."""
    asked = "not isinstance(facts[d][w][0], str)"
    if not complexes:
        asked += " and not d.startswith('complex')"
    can = f"d.startswith({_DIFFERENTIABLE!r})"
    refused = f"isinstance(facts[d][w][1], str) and ({_mentioned('facts[d][w][1]')})"
    for what, condition in (
        ("what may require grad and does not", f"{can} and facts[d][w][1] is not True"),
        ("what may not require grad and is not refused", f"not {can} and not ({refused})"),
        ("what requires grad though asked not to", "facts[d][w][2] is not False"),
    ):
        code = _FOUND.format(ways=tuple(WAYS), asked=f"{asked} and {condition}")
        sums_up(shown, what, code, [])
    least = (
        f"[(d, w) for d in {_LEAST!r} for w in {tuple(WAYS)!r} if isinstance(facts[d][w][0], str)]"
    )
    sums_up(shown, "what could not be made", least, [])


def _mentioned(said: str) -> str:
    return " or ".join(f"{fragment!r} in {said}" for fragment in _FRAGMENTS)


def _has_complex(trial: Trial) -> bool:
    return Version(trial.examiner.subject.torch).release >= _COMPLEX_SINCE.release


def can_require_grad(dtype: str) -> bool:
    """Whether tensors of a dtype of this name can require grad."""
    return dtype.startswith(_DIFFERENTIABLE)


def _answered(where: str, dtype: str, look: Look[Any]) -> Iterator[Finding]:
    asked = look.value
    if can_require_grad(dtype):
        kind = "spurious error" if isinstance(asked, str) else "wrong flag"
        yield from flag(f"{where}, asked for True", look, True, _WHY, kind)
        return
    refused = isinstance(asked, str)
    message = f"{where} should refuse requires_grad=True and does not: {_WHY}"
    found = Finding("missing error", message, "an error", "none")
    if refused:
        message = f"{where} should say that it {_FRAGMENTS[1]}; it says: {asked}"
        found = Finding("missing error", message, _FRAGMENTS[1], asked)
    said = refused and any(fragment in asked for fragment in _FRAGMENTS)
    code = f"isinstance({look.code}, str) and ({_mentioned(look.code)})"
    wrong = f"{where} does not say that it {_FRAGMENTS[1]}"
    yield from unless(look.derived(code, said), wrong, found)


def _forgotten(way: str, asked: Any, findings: Iterable[Finding]) -> Iterator[Finding]:
    """With the name of the registered deviation: nothing raised, and nothing requires grad."""
    quirk = "new-tensors-forget-requires-grad" if way == "new_zeros" and asked is False else ""
    yield from (replace(finding, quirk=quirk) for finding in findings)


# -- one dtype, one way, any shape

_REQUEST = """\
dtype = torch.{dtype}
shape = {shape}
plain = torch.empty(shape, dtype=dtype, device=DEVICE)
{statement}
"""


@st.composite
def _requests(draw: st.DrawFn, *, among: list[tuple[str, str]]) -> Script:
    dtype, way = draw(st.sampled_from(among))
    value = draw(st.booleans())
    shape = list(draw(shapes()))
    body = _REQUEST.format(dtype=dtype, shape=shape, statement=_asking(way, value))

    refuses = value and not can_require_grad(dtype)

    def judge(observation: Observation) -> Judgement:
        error = observation.error
        judged = expecting(answered)(observation)
        if refuses and error is not None:
            said = Look("", error.message, [])
            judged = Judgement(list(_answered(f"{dtype} by {way}", dtype, said)))
        return replace(judged, allows=_mentioned("str(error)")) if refuses else judged

    def answered(shown: Shown) -> Iterator[Finding]:
        seen = shown.attribute("x", "requires_grad")
        if refuses:
            found = _answered(f"{dtype} by {way}", dtype, seen)
        else:
            found = flag("x.requires_grad", seen, value, _WHY, "wrong flag")
        yield from _forgotten(way, seen.value if value else None, found)

    return Script(body, ("x",), judge)


# -- gradients in every dtype


@proves("gradients-in-every-dtype")
def test_gradients_in_every_dtype(trial: Trial) -> None:
    """In place gives the gradients of the plain form in each dtype (Autograd mechanics)."""
    methods, trial.note = methods_of(trial)
    there = trial.examiner.subject.names["Tensor"]
    twins = [method for method in methods if method.plain and method.name[:-1] in there]
    dtypes = [
        dtype
        for dtype in _dtype_gradients.DTYPES
        if _has_complex(trial) or not dtype.startswith("complex")
    ]
    for case in _dtype_gradients.examples(twins, dtypes):
        trial.once(case.script())
    trial.scripts(
        _dtype_gradients.cases(among=twins, dtypes=dtypes).map(_dtype_gradients.Case.script)
    )


# -- complex tensors

_COMPLEX = """\
{target}
z = x.clone().requires_grad_()
loss = (z * z.conj()).real.sum()
loss.backward()
"""
_REAL = """\
{target}
z = x.clone().requires_grad_()
loss = (z * z).sum()
loss.backward()
"""
_WHOLE = """\
z = torch.tensor([1.0 + 2.0j, -3.0j], dtype=torch.complex64, device=DEVICE, requires_grad=True)
try:
    torch.tensor([1, 2], device=DEVICE, requires_grad=True)
except RuntimeError as error:
    facts["int64"] = str(error)
"""


@proves("errata-complex-grad")
def test_errata_complex_grad(trial: Trial) -> None:
    """Complex tensors can require grad too, integer ones cannot (article 004)."""
    if not _has_complex(trial):
        raise NotExercised("before torch 1.6 complex tensors have no gradients")
    trial.once(Script(_WHOLE, ("z", "facts"), expecting(_whole)))
    trial.scripts(asked())
    trial.searches_scripts(
        asked(),
        condition=WHOLE,
        title="An integer tensor refuses",
        kinds=("spurious error",),
        fragment=_FRAGMENTS[1],
    )


WHOLE = "not floating-point or complex"
_ASKED = ("complex128", "complex64", "float64", "float32", "int64", "int32", "uint8", "bool")


def _whole(shown: Shown) -> Iterator[Finding]:
    seen = shown.attribute("z", "requires_grad")
    yield from flag("z.requires_grad", seen, True, _WHY, "wrong flag")
    yield from _answered("int64 by torch.tensor", "int64", shown.fact_or("int64"))


@st.composite
def asked(draw: st.DrawFn) -> Script:
    """Tensors of any dtype that are to require grad; examples shrink towards a complex number."""
    dtype = draw(st.sampled_from(_ASKED))
    shape = draw(shapes())
    if not dtype.startswith("complex"):
        return _real(Target("x", draw(elements()), shape, dtype))
    real = Target("real", draw(elements()), shape)
    imaginary = Target("imaginary", draw(elements()), shape)
    x = f"x = torch.complex(real, imaginary).to(torch.{dtype})"
    body = _COMPLEX.format(target=f"{real.text}\n{imaginary.text}\n{x}")
    return _squared(body, 2 * (real.array + 1j * imaginary.array), "")


def _real(target: Target) -> Script:
    beyond = "" if can_require_grad(target.dtype) else WHOLE
    return _squared(_REAL.format(target=target.text), 2 * target.array, beyond)


def _squared(body: str, wanted: NDArray[Any], beyond: str) -> Script:
    def check(shown: Shown) -> Iterator[Finding]:
        seen = shown.attribute("z", "requires_grad")
        yield from flag("z.requires_grad", seen, True, _WHY, "wrong flag")
        why = "the gradient of |z|^2 is 2z"
        yield from exactly("z.grad", shown.grad("z"), wanted, why, "silent wrong gradient")

    return Script(body, ("z", "loss"), expecting(check), beyond)
