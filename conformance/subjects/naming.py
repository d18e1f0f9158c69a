"""How the user names a subject, and how it is then started."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import msgspec

from conformance.subjects.environments import environments, find_torch, wanted_torch, why_none
from conformance.subjects.errors import SubjectError
from conformance.subjects.process import InProcessSubject, WorkerSubject
from conformance.subjects.protocol import Hello
from conformance.subjects.subject import Subject
from strategies.printer import is_device
from strategies.transforms import TRANSFORMS

WORKER = Path(__file__).with_name("worker.py")
POSSIBLE = (
    "eager-cpu, eager-cuda, torch==VERSION, python=PATH, device=NAME, import=MODULE, a mode "
    "such as compile-aot_eager (these may be joined by commas) or command=COMMAND"
)
_SHORT = {"eager-cpu": "cpu", "eager-cuda": "cuda"}


class SubjectSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A subject as named: interpreter (None: this one), device and modules; or a command.

    With ``torch``, a version, the interpreter is that of the worker environment which holds it.
    """

    name: str
    python: str | None = None
    torch: str | None = None
    device: str = "cpu"
    imports: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    mode: str = "eager"


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a subject can be used here, and if not, why; what is unknown is empty."""

    name: str
    available: bool
    reason: str = ""
    torch: str = ""
    device: str = ""
    device_name: str = ""


def parse_subject(text: str) -> SubjectSpec:
    """Return what ``text`` names, starting nothing; raises SubjectError for anything else."""
    text = text.strip()
    if text.startswith("command="):
        return SubjectSpec(name=text, command=_split(text))
    python: str | None = None
    torch: str | None = None
    device: str | None = None
    mode: str | None = None
    imports: list[str] = []
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if equals and not value:
            raise SubjectError(f"{key}= in the subject {text!r} has nothing after it.")
        if (not equals and key in _SHORT) or (equals and key == "device"):
            device = _only(text, "device", device, _SHORT.get(key, value))
            if not is_device(device):
                raise SubjectError(
                    f"{device!r} in the subject {text!r} is no device; name one as torch does, "
                    "such as cuda or cuda:1."
                )
        elif not equals and key in TRANSFORMS:
            mode = _only(text, "mode", mode, key)
        elif equals and key == "python":
            python = _only(text, "interpreter", torch or python, value)
        elif equals and key == "torch" and value[0] == "=":
            torch = _only(text, "interpreter", torch or python, value[1:].strip())
            wanted_torch(torch)
        elif equals and key == "import":
            imports.append(value)
        else:
            raise SubjectError(f"There is no subject {text!r}; possible are {POSSIBLE}.")
    return SubjectSpec(
        name=text,
        python=python,
        torch=torch,
        device=device or "cpu",
        imports=tuple(imports),
        mode=mode or "eager",
    )


def _split(text: str) -> tuple[str, ...]:
    try:
        words = shlex.split(text.partition("=")[2])
    except ValueError as problem:
        raise SubjectError(
            f"The subject {text!r} cannot be split into words ({problem})."
        ) from None
    if not words:
        raise SubjectError("command= in the subject has nothing after it.")
    return tuple(words)


def _only(text: str, key: str, before: str | None, value: str) -> str:
    if before is not None:
        raise SubjectError(f"The subject {text!r} names more than one {key}.")
    return value


def open_subject(
    spec: SubjectSpec | str, *, in_process: bool = False, memory_mb: int | None = None
) -> Subject:
    """Start the subject and return it once it has said what it is.

    ``in_process`` runs programs in this interpreter. ``memory_mb`` lets a worker's address space
    grow by so many MiB once torch is loaded (Linux; not for CUDA, which reserves more than it uses;
    not for ``command=``). Raises SubjectError, one sentence, where that cannot be.
    """
    if isinstance(spec, str):
        spec = parse_subject(spec)
    if in_process:
        return _open_here(spec, memory_mb)
    if spec.command:
        if memory_mb is not None:
            raise SubjectError(
                f"{spec.name}: give a memory limit in the command, as --memory-mb N."
            )
        return WorkerSubject(spec.name, spec.command)
    python = _interpreter(spec)
    command = [python, str(WORKER), "--device", spec.device]
    for module in spec.imports:
        command += ["--import", module]
    if memory_mb is not None:
        command += ["--memory-mb", str(memory_mb)]
    env = _environment(foreign=python != sys.executable)
    return WorkerSubject(spec.name, command, env=env, mode=spec.mode)


def _open_here(spec: SubjectSpec, memory_mb: int | None) -> Subject:
    if spec.command or spec.python is not None or spec.torch is not None:
        raise SubjectError(
            f"{spec.name}: in process runs only the interpreter of the suite itself."
        )
    if memory_mb is not None:
        raise SubjectError(f"{spec.name}: a memory limit needs a worker process.")
    return InProcessSubject(spec.name, spec.device, spec.imports, mode=spec.mode)


def _interpreter(spec: SubjectSpec) -> str:
    if spec.torch is not None:
        environment = find_torch(spec.torch)
        if environment is None:
            raise SubjectError(f"{spec.name}: {why_none(spec.torch)}")
        return str(environment.python)
    if spec.python is None:
        return sys.executable
    named = os.path.expanduser(spec.python)
    found = shutil.which(named)
    if found:
        # Absolute, and links kept: a virtual environment is known by the link that was called.
        return os.path.abspath(found)
    if os.path.isdir(named):
        raise SubjectError(
            f"{spec.name}: that is a folder; name the interpreter in it (bin/python)."
        )
    if os.path.exists(named):
        raise SubjectError(f"{spec.name}: that file is not executable; name a Python interpreter.")
    raise SubjectError(
        f"{spec.name}: there is no such file; name a Python interpreter that has torch."
    )


def _environment(*, foreign: bool) -> dict[str, str]:
    # This interpreter's own search path breaks one of another version.
    own = ("PYTHONHOME", "PYTHONPATH") if foreign else ()
    return {key: value for key, value in os.environ.items() if key not in own}


def available_subjects() -> list[Availability]:
    """Try the subjects that need no further naming; starts torch, and again where it has CUDA."""
    cpu, cpu_hello = _tried("eager-cpu")
    if cpu_hello and cpu_hello.cuda:
        return [cpu, availability("eager-cuda")]
    reason = cpu.reason or f"torch {cpu.torch} sees no CUDA device"
    return [cpu, Availability(name="eager-cuda", available=False, reason=reason)]


def prepared_subjects() -> list[Availability]:
    """The subjects of worker environments at hand, each version once; starts none of them."""
    by_name = {one.subject: one.torch for one in environments()}
    return [
        Availability(name=name, available=True, torch=torch, device="cpu")
        for name, torch in by_name.items()
    ]


def availability(name: str) -> Availability:
    """Start the subject of this name and let it go; what it said of itself, or why it cannot be."""
    return _tried(name)[0]


def _tried(name: str) -> tuple[Availability, Hello | None]:
    try:
        with open_subject(name) as subject:
            found = Availability(
                name=name,
                available=True,
                torch=subject.torch,
                device=subject.device,
                device_name=subject.device_name,
            )
            return found, subject.hello
    except SubjectError as problem:
        return Availability(name=name, available=False, reason=str(problem)), None
