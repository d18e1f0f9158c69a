"""Run short torch programs for a host that speaks JSON Lines on stdin and stdout.

One file that needs torch and Python 3.6 or newer, and nothing else, so that any environment can be
judged without installing anything in it: ``python worker.py [--device cpu] [--import MODULE]...
[--memory-mb N]``. The protocol is described in docs/subject-protocol.md. Nothing here may use
syntax newer than Python 3.6.
"""
# Annotations that Python 3.6 knows:
# ruff: noqa: UP006, UP035, UP045
# To run a program, and to survive whatever it raises, is what this file is for:
# ruff: noqa: BLE001, S102

import argparse
import binascii
import ctypes
import faulthandler
import importlib
import json
import math
import os
import platform
import random
import select
import sys
import threading
import time
import warnings
from typing import Any, BinaryIO, Dict, List, Optional, Sequence, Tuple

PROTOCOL = 1
PROGRAM = "<program>"
MAX_MESSAGE = 2000
MAX_WARNINGS = 20
MAX_DEPTH = 8
CANNOT_START = 3
ORPHAN_PATIENCE_S = 60.0

torch: Any = None
Json = Dict[str, Any]
Named = List[Tuple[str, Any]]


class CannotStart(Exception):
    """The subject cannot be set up; the message goes into the hello."""


# -- setting up


def load(device: str, modules: Sequence[str] = (), memory_mb: Optional[int] = None) -> Json:
    """Import torch and the named modules, make ``device`` deterministic, and return the hello.

    Never raises: what goes wrong is the hello's ``failed``.
    """
    global torch
    try:
        if device.partition(":")[0] != "cpu":
            # cuBLAS reads it once, when the first handle is made.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch = importlib.import_module("torch")
        put_off = (("is_conj", "resolve_conj"), ("is_neg", "resolve_neg"))
        _LAZY[:] = [pair for pair in put_off if hasattr(torch.Tensor, pair[0])]
        if modules and os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        for module in modules:
            importlib.import_module(module)
        torch.set_num_threads(1)
        _try_device(device)
        if device.partition(":")[0] != "cpu":
            _make_deterministic()
        hello = _hello(device)
        if memory_mb is not None:
            _limit_memory(memory_mb)
        return hello
    except CannotStart as failure:
        return {"hello": PROTOCOL, "failed": str(failure)}
    except Exception as failure:
        return {"hello": PROTOCOL, "failed": f"{type(failure).__name__}: {_text(failure)}"}


def _make_deterministic() -> None:
    if hasattr(torch, "use_deterministic_algorithms"):
        torch.use_deterministic_algorithms(True)
    elif hasattr(torch, "set_deterministic"):
        torch.set_deterministic(True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    for module in (getattr(torch.backends.cuda, "matmul", None), torch.backends.cudnn):
        if hasattr(module, "allow_tf32"):
            module.allow_tf32 = False  # type: ignore[union-attr]


def _try_device(device: str) -> None:
    if device.partition(":")[0] == "cuda" and not torch.cuda.is_available():
        raise CannotStart(f"torch {torch.__version__} sees no CUDA device")
    try:
        made = torch.zeros(1, device=device)
    except Exception as failure:
        why = _text(failure).partition("\n")[0]
        raise CannotStart(
            f"torch {torch.__version__} has no device {device!r} ({why})"
        ) from failure
    try:
        _bytes(made)
    except Exception as failure:
        why = _text(failure).partition("\n")[0]
        raise CannotStart(
            f"no value can be read on the device {device!r}, so that nothing can be judged ({why})"
        ) from failure


def _hello(device: str) -> Json:
    spaces = {
        "Tensor": torch.Tensor,
        "torch": torch,
        "special": getattr(torch, "special", None),
        "nn": torch.nn,
        "F": torch.nn.functional,
    }
    return {
        "hello": PROTOCOL,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "device": device,
        "device_name": _device_name(device),
        "platform": platform.platform(),
        "names": {key: _names(space) for key, space in spaces.items()},
        "cuda": bool(torch.cuda.is_available()),
        "float64": _holds_float64(device),
    }


def _names(space: Any) -> List[str]:
    """The public names in it, and those of the functions on lists of tensors."""
    return [name for name in dir(space) if name[0] != "_" or name.startswith("_foreach_")]


def _device_name(device: str) -> str:
    kind = device.partition(":")[0]
    if kind != "cpu":
        ask = getattr(getattr(torch, kind, None), "get_device_name", None)
        return str(ask(torch.device(device))) if ask else kind
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _holds_float64(device: str) -> bool:
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except Exception:
        # Each backend has an error of its own for what its device cannot hold.
        return False
    return True


def _limit_memory(memory_mb: int) -> None:
    resource = importlib.import_module("resource")
    try:
        with open("/proc/self/statm") as sizes:
            used = int(sizes.read().split()[0]) * resource.getpagesize()
    except OSError as failure:
        raise CannotStart("a memory limit needs Linux's /proc, which is not here") from failure
    limit = used + memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


# -- running a program


def compiled(body: str) -> Any:
    """The code of a body; raises whatever compiling it raises."""
    return compile(body, PROGRAM, "exec")


def execute(request: Json, device: str, code: Any = None) -> Json:
    """Run the request's ``body`` and return the answer: error, values, trace, warnings, seconds.

    Whatever the body raises is recorded; KeyboardInterrupt and SystemExit, the host's, pass.
    ``code`` is what the body was compiled to, if it was.
    """
    observe = request.get("observe", [])
    retained = request.get("retained", [])
    with_flags = bool(request.get("flags", True))
    trace: List[Json] = []
    space = _namespace(device)
    if request.get("watch", True) and with_flags:
        space["watch"] = lambda step: trace.append(
            {"step": _plain(step), "flags": read_flags(_tensors(space, observe))}
        )
    heard = _Warnings()
    dtype = torch.get_default_dtype()
    error = None
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = heard.hear
        _seed(device)
        if request.get("compiles"):
            _forget_compiled()
        started = time.perf_counter()
        try:
            exec(compiled(request["body"]) if code is None else code, space)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as raised:
            error = _error(raised)
        finally:
            seconds = time.perf_counter() - started
            heard.listening = False
            torch.set_grad_enabled(True)
            torch.set_default_dtype(dtype)
        compiler = _compiler_counts() if request.get("compiles") else None
        values = _values(space, observe, retained, with_flags)
    # Functions in the body refer to the namespace that holds them; without this their tensors would
    # live on until the next collection of cycles.
    space.clear()
    return {
        "id": request.get("id"),
        "error": error,
        "values": values,
        "trace": trace,
        "warnings": heard.messages,
        "seconds": seconds,
        "compiler": compiler,
    }


def _forget_compiled() -> None:
    # What was compiled before could be used again, and beyond a limit nothing is compiled.
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


def _compiler_counts() -> Json:
    counters = torch._dynamo.utils.counters
    graphs = int(counters["stats"]["unique_graphs"])
    return {"graphs": graphs, "breaks": [_text(reason) for reason in counters["graph_break"]]}


def _seed(device: str) -> None:
    random.seed(0)
    if device == "cpu":
        # manual_seed queues a call for every accelerator that is not in use: 0.15 ms a program.
        torch.default_generator.manual_seed(0)
    else:
        torch.manual_seed(0)


def _namespace(device: str) -> Json:
    return {
        "__name__": "program",
        "torch": torch,
        "nn": torch.nn,
        "F": torch.nn.functional,
        "math": math,
        "random": random,
        "facts": {},
        "watch": lambda step: None,
        "DEVICE": device,
    }


class _Warnings:
    """Keeps the first warnings of a body and drops those that come from observing it."""

    def __init__(self) -> None:
        self.messages: List[str] = []
        self.listening = True

    def hear(self, message: Any, category: Any, *where: Any, **more: Any) -> None:
        if self.listening and len(self.messages) < MAX_WARNINGS:
            self.messages.append(f"{category.__name__}: {_text(message)}")


def _error(raised: BaseException) -> Json:
    line = raised.lineno if isinstance(raised, SyntaxError) and raised.filename == PROGRAM else None
    frame = raised.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == PROGRAM:
            line = frame.tb_lineno
        frame = frame.tb_next
    return {"class": type(raised).__name__, "message": _text(raised), "line": line}


def _text(value: Any) -> str:
    try:
        text = str(value)
    except Exception:
        # An error of anybody's whose own text cannot be made is still an observation.
        text = f"<{type(value).__name__}>"
    # A lone surrogate is legal in Python's strings and in none that travels.
    return text[:MAX_MESSAGE].encode("utf-8", "replace").decode("utf-8")


# -- observing


def _tensors(space: Json, observe: Sequence[str]) -> Named:
    return [(name, space[name]) for name in observe if isinstance(space.get(name), torch.Tensor)]


def read_flags(tensors: Named) -> Json:
    """Read requires_grad, version, is_leaf and grad_fn, in the one order that is always used.

    Reading ``is_leaf`` or ``grad_fn`` of a view can make its node anew, and can raise: so what
    cannot disturb anything is read first, for all tensors, and what was raised is kept as
    ``flags_error``.
    """
    flags = {name: _quiet_flags(tensor) for name, tensor in tensors}
    for name, tensor in tensors:
        seen = flags[name]
        try:
            seen["is_leaf"] = bool(tensor.is_leaf)
        except Exception as raised:
            seen["flags_error"] = _text(raised)
        try:
            seen["grad_fn"] = tensor.grad_fn is not None
        except Exception as raised:
            seen["flags_error"] = seen["flags_error"] or _text(raised)
    return flags


def _quiet_flags(tensor: Any) -> Json:
    try:
        version = tensor._version
    except RuntimeError:
        # Inference tensors have no version.
        version = None
    return {
        "requires_grad": bool(tensor.requires_grad),
        "version": version,
        "is_leaf": None,
        "grad_fn": None,
        "flags_error": None,
    }


def _values(space: Json, observe: Sequence[str], retained: Sequence[str], with_flags: bool) -> Json:
    tensors = _tensors(space, observe)
    flags = read_flags(tensors) if with_flags else {n: _quiet_flags(t) for n, t in tensors}
    storages: Dict[int, int] = {}
    values: Json = {}
    for name in observe:
        if name in flags:
            want_grad = flags[name]["is_leaf"] or not with_flags or name in retained
            values[name] = _tensor(space[name], flags[name], bool(want_grad), storages)
        elif name in space:
            values[name] = {"type": "json", "json": _plain(space[name])}
    return values


def _tensor(tensor: Any, flags: Json, want_grad: bool, storages: Dict[int, int]) -> Json:
    try:
        seen = _contents(tensor)
        strided = tensor.layout == torch.strided
        seen.update(flags)
        seen["type"] = "tensor"
        seen["storage"] = storages.setdefault(_storage(tensor), len(storages)) if strided else None
        seen["offset"] = tensor.storage_offset() if strided else None
        seen["strides"] = list(tensor.stride()) if strided else None
        seen["grad"] = _grad(tensor) if want_grad else None
        return seen
    except Exception as raised:
        what = f"<Tensor that cannot be read: {type(raised).__name__}: {_text(raised)}>"
        return {"type": "json", "json": what}


def _grad(tensor: Any) -> Optional[Json]:
    try:
        grad = tensor.grad
    except RuntimeError:
        # The same error as reading is_leaf, recorded there.
        return None
    return None if grad is None else _contents(grad)


def _contents(tensor: Any) -> Json:
    # .data and not detach(): it asks autograd nothing, whatever state the view's history is in.
    plain = tensor.data
    if plain.layout != torch.strided:
        plain = _dense(plain)
    if _without_memory(plain):
        plain = plain.clone()
    dtype = plain.dtype
    if dtype not in _DTYPES:
        _DTYPES[dtype] = str(dtype)[len("torch.") :]
    return {
        "dtype": _DTYPES[dtype],
        "shape": list(plain.shape),
        "data": _bytes(plain),
    }


_DTYPES: Dict[Any, str] = {}
"""The names of dtypes that were met."""
_LAZY: List[Tuple[str, str]] = []
"""What torch may have put off: how to ask a tensor, and how to have it done."""


def _without_memory(plain: Any) -> bool:
    # The zeros that the derivative of sgn makes; torch before 1.11 has none.
    return hasattr(plain, "_is_zerotensor") and bool(plain._is_zerotensor())


def _dense(plain: Any) -> Any:
    if plain.layout != torch.sparse_coo:
        return plain.to_dense()
    # to_dense() of a single entry whose strides are zero, as sum() makes it, is zero in torch 2.13.
    dense = torch.zeros(plain.shape, dtype=plain.dtype, device=plain.device)
    return dense.index_put_(tuple(plain._indices()), plain._values(), accumulate=True)


def _bytes(plain: Any) -> bytes:
    for bit, resolve in _LAZY:
        if getattr(plain, bit)():
            plain = getattr(plain, resolve)()
    if plain.numel() == 0:
        return b""
    plain = plain.cpu().contiguous()
    address = plain.data_ptr()
    if address == 0:
        raise RuntimeError("the tensor has no memory")
    data = ctypes.string_at(address, plain.numel() * plain.element_size())
    if sys.byteorder == "little":
        return data
    size = plain.element_size() // (2 if "complex" in str(plain.dtype) else 1)
    return b"".join(data[i : i + size][::-1] for i in range(0, len(data), size))


def _storage(tensor: Any) -> int:
    # StorageImpl's address: unlike data_ptr, it tells empty tensors apart.
    try:
        whole = hasattr(tensor, "untyped_storage")
        holder = tensor.untyped_storage() if whole else tensor.storage()
    except RuntimeError:
        # torch 1.8 has complex32 tensors and no class of their storages.
        return int(tensor.data_ptr())
    return int(holder._cdata if hasattr(holder, "_cdata") else tensor.data_ptr())


def _plain(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else str(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, (list, tuple)) and depth < MAX_DEPTH:
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict) and depth < MAX_DEPTH:
        return {_text(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (complex, torch.dtype, torch.device, torch.layout)):
        return str(value)
    # Not str(): that of a tensor reads its grad_fn, that of most objects is an address.
    return f"<{type(value).__name__}>"


# -- the protocol


class _Channel:
    """The two descriptors of the protocol, taken away from everything else in the process."""

    def __init__(self) -> None:
        self.source = os.dup(0)
        self.reader: BinaryIO = os.fdopen(self.source, "rb")
        self.writer: BinaryIO = os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    def say(self, answer: Json) -> None:
        self.writer.write(encoded(answer) + b"\n")
        self.writer.flush()


def understood(line: bytes) -> Any:
    """What a line holds; raises ValueError if it is no JSON."""
    return json.loads(line.decode("utf-8"))


def encoded(answer: Json) -> bytes:
    """The line that holds an answer, without its end."""
    return json.dumps(answer, allow_nan=False, default=_base64).encode("ascii")


def _base64(data: bytes) -> str:
    """How the elements of a tensor, which alone are bytes, stand in a line."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


class _Orphans(threading.Thread):
    """Ends the process when the host is gone and a program runs for ever."""

    def __init__(self, source: int) -> None:
        super().__init__(daemon=True)
        self.source = source
        self.served = 0
        self.start()

    def run(self) -> None:
        hangup = select.poll()
        hangup.register(self.source, 0)
        hangup.poll()
        # Requests written before the host left are still served.
        served = -1
        while served != self.served:
            served = self.served
            time.sleep(ORPHAN_PATIENCE_S)
        os._exit(1)


def answer(line: bytes, device: str) -> Json:
    """Return the answer to one line; a line that is no request gives a ``fault``."""
    try:
        request = understood(line)
    except ValueError as failure:
        return {"id": None, "fault": f"The request is not JSON: {_text(failure)}."}
    fault = _fault(request)
    if fault:
        return {"id": None, "fault": fault}
    if request.get("ping"):
        return {"id": request["id"], "pong": True}
    return execute(request, device)


def _fault(request: Any) -> Optional[str]:
    if not isinstance(request, dict):
        return "The request is not an object."
    if not isinstance(request.get("id"), int):
        return "The request has no whole number as its id."
    if request.get("ping"):
        return None
    if not isinstance(request.get("body"), str):
        return "The request's body is not a string."
    for key in ("observe", "retained"):
        names = request.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return f"The request's {key} is not a list of names."
    return None


def main() -> int:
    """Speak the protocol until stdin ends; return the exit status."""
    parser = argparse.ArgumentParser(description="Run torch programs sent as JSON Lines.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--import", dest="modules", action="append", default=[], metavar="MODULE")
    parser.add_argument("--memory-mb", type=int, default=None)
    options = parser.parse_args()
    channel = _Channel()
    faulthandler.enable(all_threads=False)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # The folder of this file is no place to import from: it would hide modules of the same name.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    hello = load(options.device, options.modules, options.memory_mb)
    channel.say(hello)
    if "failed" in hello:
        return CANNOT_START
    if hasattr(torch, "set_warn_always"):
        # Otherwise a program's warnings depend on the programs before it.
        torch.set_warn_always(True)
    orphans = _Orphans(channel.source)
    for line in iter(channel.reader.readline, b""):
        channel.say(answer(line, options.device))
        orphans.served += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
