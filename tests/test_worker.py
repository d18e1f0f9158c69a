"""The worker: what it reports of a program, and its half of the protocol."""

from __future__ import annotations

import ast
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from conformance.subjects import JsonSeen, Observation, TensorSeen, worker
from conformance.subjects.protocol import Answer

SCRIPT = Path(worker.__file__)


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Load torch once, in this process."""
    assert "failed" not in worker.load("cpu")


def observe(body: str, *names: str, **request: Any) -> Observation:
    """Run a body in process and return what was seen."""
    answer = worker.execute({"id": 1, "body": body, "observe": list(names), **request}, "cpu")
    return msgspec.convert(json.loads(worker.encoded(answer)), Answer).observation()


def tensor(seen: Observation, name: str) -> TensorSeen:
    """Return the tensor of that name."""
    value = seen.values[name]
    assert isinstance(value, TensorSeen)
    return value


def plain(seen: Observation, name: str) -> Any:
    """Return the JSON of that name."""
    value = seen.values[name]
    assert isinstance(value, JsonSeen)
    return value.json


# -- contents


def test_nan_payload_and_negative_zero_keep_their_bits() -> None:
    """float64 travels as bytes: a NaN's payload and the sign of zero are kept."""
    body = (
        "bits = torch.tensor([0x7FF8000000000123, -0x8000000000000000], dtype=torch.int64)\n"
        "x = bits.view(torch.float64)"
    )
    seen = tensor(observe(body, "x"), "x")
    assert seen.array().view("<u8").tolist() == [0x7FF8000000000123, 0x8000000000000000]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("float16", [1.5, -0.0, math.inf]),
        ("float32", [1.5, -0.0, -math.inf]),
        ("bfloat16", [1.5, -0.0, 2.0**100]),
        ("complex64", [1.5 + 2j, -0.0]),
        ("complex128", [1.5 + 2j, 0.0]),
        ("bool", [True, False]),
        ("uint8", [0, 255]),
        ("int64", [-(2**63), 2**63 - 1]),
    ],
)
def test_dtypes_are_exact(dtype: str, values: list[Any]) -> None:
    """Every dtype of the op table arrives with its exact values and the signs of its zeros."""
    names = "inf = math.inf\n"
    seen = tensor(observe(f"{names}x = torch.tensor({values}, dtype=torch.{dtype})", "x"), "x")
    assert seen.dtype == dtype
    assert seen.array().tolist() == values
    assert np.signbit(seen.array().real).tolist() == np.signbit(np.array(values).real).tolist()


def test_contents_are_in_c_order_whatever_the_strides() -> None:
    """A transposed view's contents are those that indexing shows; its strides are its own."""
    seen = tensor(observe("x = torch.arange(6.0).reshape(2, 3).t()[1:]", "x"), "x")
    assert seen.array().tolist() == [[1, 4], [2, 5]]
    assert (seen.shape, seen.strides, seen.offset) == ((2, 2), (1, 3), 1)


def test_lazy_conjugation_is_resolved() -> None:
    """A conjugate view shows the conjugate."""
    seen = tensor(observe("x = torch.tensor([1 + 2j]).conj()", "x"), "x")
    assert seen.array().tolist() == [1 - 2j]


def test_sparse_gradient_is_made_dense() -> None:
    """A sparse gradient is reported by its contents."""
    body = (
        "w = torch.ones(3, 1, requires_grad=True)\n"
        "F.embedding(torch.tensor([2]), w, sparse=True).sum().backward()"
    )
    grad = tensor(observe(body, "w"), "w").grad
    assert grad is not None and grad.array().tolist() == [[0], [0], [1]]


def test_gradient_without_memory_is_read() -> None:
    """The zeros that sgn's derivative gives are reported by their contents."""
    body = "x = torch.ones(2, requires_grad=True)\nx.sgn().sum().backward()"
    grad = tensor(observe(body, "x"), "x").grad
    assert grad is not None and grad.array().tolist() == [0, 0]


def test_storages_are_numbered_by_identity() -> None:
    """Tensors that share memory share a number, and two empty tensors do not."""
    body = "a = torch.zeros(3)\nb = a[1:]\nc = torch.zeros(0)\nd = torch.zeros(0)\ne = c.view(0, 2)"
    seen = observe(body, *"abcde")
    assert [tensor(seen, name).storage for name in "abcde"] == [0, 0, 1, 2, 1]


def test_values_that_are_no_tensors() -> None:
    """JSON comes as JSON; what JSON cannot hold as a string."""
    body = (
        "facts['n'] = [float('nan'), float('inf'), -0.5, None, True, 2**80]\n"
        "facts['t'] = (torch.float64, torch.Size([2, 3]), torch.zeros(1), object())\n"
        "loop = [1]\nloop.append(loop)\ns = '\\ud800'"
    )
    seen = observe(body, "facts", "loop", "s")
    assert plain(seen, "facts") == {
        "n": ["nan", "inf", -0.5, None, True, str(2**80)],
        "t": ["torch.float64", [2, 3], "<Tensor>", "<object>"],
    }
    assert plain(seen, "loop")[0] == 1
    assert plain(seen, "s") == "?"


def test_names_that_do_not_exist_are_left_out() -> None:
    """Names that the program did not reach are not reported, the others are."""
    seen = observe("a = torch.zeros(1)\nraise ValueError\nb = a", "a", "b")
    assert list(seen.values) == ["a"]


# -- flags


def test_flags_of_leaf_result_and_view() -> None:
    """requires_grad, is_leaf, grad_fn and version are those of torch."""
    body = "w = torch.ones(2, requires_grad=True)\nx = w * 2\nv = x[:1]\nv.mul_(3)"
    seen = observe(body, "w", "x", "v")
    read = {
        name: (flags.requires_grad, flags.is_leaf, flags.grad_fn, flags.version)
        for name, flags in ((name, tensor(seen, name).flags) for name in "wxv")
    }
    assert read == {
        "w": (True, True, False, 0),
        "x": (True, False, True, 1),
        "v": (True, False, True, 1),
    }


def test_view_whose_flags_raise() -> None:
    """Reading a multi-output view whose base was written raises; that is recorded."""
    body = "x = torch.ones(2, requires_grad=True).clone()\na, b = x.unbind()\nx.mul_(2)"
    seen = tensor(observe(body, "a"), "a")
    assert (seen.is_leaf, seen.grad_fn, seen.grad) == (None, None, None)
    assert "returns multiple views" in (seen.flags_error or "")
    assert seen.array().tolist() == 2.0


def test_inference_tensor_has_no_version() -> None:
    """A tensor made in inference mode reports its values, and None as version."""
    body = "with torch.inference_mode():\n    x = torch.ones(2) * 3"
    seen = tensor(observe(body, "x"), "x")
    assert seen.version is None
    assert seen.array().tolist() == [3, 3]


def test_watching_traces_flags_and_changes_nothing_else() -> None:
    """A watched program has a trace, an unwatched one has none, and both the same outcome."""
    body = "w = torch.ones(1, requires_grad=True)\nwatch(0)\nx = w * 2\nwatch(1)\nx.backward()"
    watched, unwatched = observe(body, "w", "x"), observe(body, "w", "x", watch=False)
    assert [(step.step, list(step.flags)) for step in watched.trace] == [
        (0, ["w"]),
        (1, ["w", "x"]),
    ]
    assert unwatched.trace == ()
    assert watched.values == unwatched.values


def test_without_flags_gradients_are_still_read() -> None:
    """flags=False reads neither is_leaf nor grad_fn, yet the gradient."""
    body = "w = torch.ones(1, requires_grad=True)\n(w * 2).backward()"
    seen = tensor(observe(body, "w", flags=False), "w")
    assert (seen.is_leaf, seen.grad_fn) == (None, None)
    assert seen.grad is not None and seen.grad.array().tolist() == [2]


@pytest.mark.parametrize(("retained", "expected"), [(["x"], [1.0]), ([], None)])
def test_gradient_of_a_non_leaf_is_read_when_asked(
    retained: list[str], expected: list[float] | None
) -> None:
    """retain_grad's gradient is reported for the names asked for, without torch's warning."""
    body = "x = torch.ones(1, requires_grad=True) * 2\nx.retain_grad()\nx.backward()"
    seen = observe(body, "x", retained=retained)
    grad = tensor(seen, "x").grad
    assert (None if grad is None else grad.array().tolist()) == expected
    assert seen.warnings == ()


# -- errors, warnings, leaks


@pytest.mark.parametrize(
    ("body", "name", "line"),
    [
        ("a = 1\nraise ValueError('no')", "ValueError", 2),
        ("def f():\n    return 1 / 0\n\nf()", "ZeroDivisionError", 2),
        ("a = 1\nb = (", "SyntaxError", 2),
        ("import json\njson.loads('{')", "JSONDecodeError", 2),
        ("def f(): f()\nf()", "RecursionError", 1),
        ("raise GeneratorExit", "GeneratorExit", 1),
        ("x = '\ud800'", "UnicodeEncodeError", None),
    ],
)
def test_error_has_class_and_line_of_the_body(body: str, name: str, line: int | None) -> None:
    """An exception is recorded with its class and the deepest line of the body."""
    error = observe(body).error
    assert error is not None
    assert (error.class_name, error.line) == (name, line)


def test_long_message_is_cut() -> None:
    """Messages are cut at 2000 characters."""
    error = observe("raise ValueError('x' * 5000)").error
    assert error is not None and len(error.message) == 2000


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "SystemExit"])
def test_exceptions_of_the_host_pass(raised: str) -> None:
    """KeyboardInterrupt and SystemExit are not a program's errors."""
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        observe(f"raise {raised}")


def test_warnings_are_recorded_up_to_twenty(capfd: pytest.CaptureFixture[str]) -> None:
    """A program's warnings are reported, twenty at most, and not printed."""
    seen = observe("import warnings\nfor i in range(30): warnings.warn(str(i))")
    assert seen.warnings == tuple(f"UserWarning: {i}" for i in range(20))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("leak", "probe"),
    [
        ("torch.set_grad_enabled(False)", "torch.is_grad_enabled()"),
        ("torch.set_default_dtype(torch.float64)", "torch.zeros(1).dtype == torch.float32"),
        (
            "mode = torch.inference_mode()\nmode.__enter__()",
            "not torch.is_inference_mode_enabled()",
        ),
        ("left = 1", "'left' not in globals()"),
    ],
)
def test_a_program_leaves_nothing_behind(leak: str, probe: str) -> None:
    """Modes and names that a program leaves set are gone in the next."""
    observe(leak)
    assert plain(observe(f"ok = {probe}", "ok"), "ok") is True


def test_every_program_starts_from_the_same_seed() -> None:
    """torch's and Python's random numbers do not depend on the programs before."""
    body = "a = torch.rand(3)\nb = random.random()"
    assert observe(body, "a", "b").values == observe(body, "a", "b").values


# -- the file itself


def test_source_is_python_36() -> None:
    """The worker parses with the grammar of Python 3.6."""
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))


def test_source_imports_the_standard_library_only() -> None:
    """Besides torch, which is imported by name, the worker needs nothing."""
    tree = ast.parse(SCRIPT.read_text())
    modules = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    modules += [str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in modules} <= sys.stdlib_module_names


def test_source_compiles_with_a_real_python_36(tmp_path: Path) -> None:
    """Where there is an interpreter of that version, it compiles the worker."""
    python = _python36()
    if python is None:
        pytest.skip("no working python3.6 on PATH or among pyenv's versions")
    target = tmp_path / "worker.pyc"
    code = f"import py_compile; py_compile.compile({str(SCRIPT)!r}, {str(target)!r}, doraise=True)"
    subprocess.run([python, "-c", code], check=True, timeout=60)
    assert target.exists()


def _python36() -> str | None:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [str(path) for path in sorted(root.glob("versions/3.6.*/bin/python3.6"))]
    found += [path for path in (shutil.which("python3.6"),) if path]
    # pyenv's shims are on PATH for versions that are not active, and fail.
    return next(
        (p for p in found if not subprocess.run([p, "-c", ""], check=False).returncode), None
    )


# -- the protocol


def converse(*lines: str, options: tuple[str, ...] = ()) -> tuple[list[Any], int]:
    """Give a worker these lines and the end of its input; return its answers and exit status."""
    done = subprocess.run(
        [sys.executable, *options, str(SCRIPT)],
        input="".join(f"{line}\n" for line in lines),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=120,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def test_conversation() -> None:
    """Hello, one answer a line, faults named, and exit status 0 at the end of input."""
    noise = "import os\nos.write(1, b'noise')\nprint('noise')\nx = os.read(0, 1) == b''"
    answers, status = converse(
        '{"id": 5, "ping": true}',
        "no json",
        '{"id": 6}',
        "[]",
        '{"id": 7, "body": "", "observe": "x"}',
        json.dumps({"id": 8, "body": noise, "observe": ["x"]}),
    )
    hello, pong, *faults, last = answers
    assert hello["hello"] == 1 and hello["device"] == "cpu" and hello["float64"] is True
    assert "relu_" in hello["names"]["torch"] and "mul_" in hello["names"]["Tensor"]
    assert "_foreach_exp_" in hello["names"]["torch"] and "expit" in hello["names"]["special"]
    assert pong == {"id": 5, "pong": True}
    assert [fault["id"] for fault in faults] == [None] * 4
    assert all(fault["fault"].endswith(".") for fault in faults)
    assert last["error"] is None and last["values"]["x"] == {"type": "json", "json": True}
    assert status == 0


def test_orphan_ends_itself() -> None:
    """A worker whose host is gone does not run its last program for ever."""
    code = (
        "import sys\nfrom conformance.subjects import worker\n"
        "worker.ORPHAN_PATIENCE_S = 0.5\nsys.exit(worker.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=b'{"id": 1, "body": "while True: pass"}\n',
        cwd=SCRIPT.parents[2],
        timeout=60,
        check=False,
    )
    assert done.returncode == 1


def test_interpreter_without_torch() -> None:
    """Without torch the hello says so, and the exit status is 3."""
    answers, status = converse(options=("-S",))
    assert answers == [{"hello": 1, "failed": "ModuleNotFoundError: No module named 'torch'"}]
    assert status == 3
