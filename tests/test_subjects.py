"""The host's half: naming subjects, starting workers, and surviving what they do."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from conformance.subjects import (
    JsonSeen,
    Subject,
    SubjectError,
    SubjectSpec,
    TensorSeen,
    WorkerSubject,
    available_subjects,
    open_subject,
    parse_subject,
)
from conformance.subjects.naming import WORKER

ROOT = Path(__file__).parents[1]
FakeWorker = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def eager() -> Iterator[Subject]:
    """One worker for all tests here; those that bring it down leave a new one."""
    with open_subject("eager-cpu") as subject:
        yield subject


def serves(subject: Subject) -> bool:
    """Whether the subject runs a program as it should."""
    seen = subject.run("x = 6 * 7", ["x"], timeout_s=60)
    return seen.values == {"x": JsonSeen(json=42)}


# -- what brings a worker down costs one program


def test_segmentation_fault(eager: Subject) -> None:
    """A signal is reported with its name and the program's line; the next program runs."""
    seen = eager.run("import os\nos.kill(os.getpid(), 11)", [])
    assert seen.crash == "signal 11 (SIGSEGV) at line 2"
    assert not seen.hang and seen.values == {}
    assert serves(eager)


def test_the_host_works_while_a_program_runs(eager: Subject, tmp_path: Path) -> None:
    """A program ends that waits for what the host does in the meantime."""
    sign = tmp_path / "sign"
    body = f"import os\nwhile not os.path.exists({str(sign)!r}):\n    pass\nx = 6 * 7"
    seen = eager.run(body, ["x"], timeout_s=60, meanwhile=sign.touch)
    assert seen.values == {"x": JsonSeen(json=42)}


def test_an_answer_that_nobody_awaits_is_not_taken_for_the_next(eager: Subject) -> None:
    """What the host's own work raises leaves a subject that serves."""
    with pytest.raises(ZeroDivisionError):
        eager.run("x = 1", ["x"], meanwhile=lambda: print(1 / 0))
    assert serves(eager)


def test_last_words_are_kept(eager: Subject) -> None:
    """What the program that crashed printed to stderr is reported, that of earlier ones is not."""
    eager.run("import os\nos.write(2, b'earlier')", [])
    seen = eager.run("import os\nos.write(2, b'goodbye')\nos._exit(9)", [])
    assert seen.crash == "exit status 9\ngoodbye"
    assert serves(eager)


def test_busy_loop(eager: Subject) -> None:
    """A program that exceeds its time is killed and reported as a hang; the next program runs."""
    started = time.monotonic()
    seen = eager.run("while True: pass", [], timeout_s=0.5)
    assert seen.hang and seen.crash is None
    assert 0.5 <= time.monotonic() - started < 5
    assert serves(eager)


def test_exit_is_a_crash(eager: Subject) -> None:
    """A program that ends the interpreter is reported with the exit status."""
    assert eager.run("import sys\nsys.exit(4)", []).crash == "exit status 4"


def test_worker_that_died_idle_is_replaced(eager: Subject) -> None:
    """A worker that dies between two programs is not held against the second."""
    assert isinstance(eager, WorkerSubject) and serves(eager)
    os.kill(eager.pid, signal.SIGKILL)
    time.sleep(0.2)
    assert serves(eager)


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited on Linux only")
def test_memory_limit() -> None:
    """An allocation above the limit raises in the program; one below does not."""
    with open_subject("eager-cpu", memory_mb=512) as subject:
        seen = subject.run("x = torch.ones(2 ** 28)", ["x"])
        assert seen.error is not None and "alloc" in seen.error.message
        assert subject.run("x = torch.ones(2 ** 22)", []).error is None


def test_hidden_output_does_not_disturb(eager: Subject) -> None:
    """What is written to descriptor 1 below Python enters no answer."""
    seen = eager.run("import os\nos.write(1, b'{\\n' * 50000)\nx = 1", ["x"])
    assert seen.values == {"x": JsonSeen(json=1)}


def test_long_lines_both_ways(eager: Subject) -> None:
    """Requests and answers far larger than a pipe holds arrive whole."""
    body = f"# {'x' * 3_000_000}\na = torch.arange(500_000, dtype=torch.float64)"
    seen = eager.run(body, ["a"]).values["a"]
    assert isinstance(seen, TensorSeen)
    assert seen.array()[-1] == 499_999


# -- workers end with the host


def test_workers_die_with_a_killed_host() -> None:
    """A host that is killed leaves no idle worker."""
    code = (
        "import os, signal\nfrom conformance.subjects import open_subject\n"
        "s = open_subject('eager-cpu')\nprint(s.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert _gone(int(done.stdout), within_s=20)


def test_close_ends_the_worker() -> None:
    """close() kills the worker at once, and may be called again."""
    subject = open_subject("eager-cpu")
    assert isinstance(subject, WorkerSubject)
    subject.close()
    subject.close()
    assert _gone(subject.pid, within_s=0)


def _gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # Where nobody reaps orphans the process stays as a zombie.
        status = Path(f"/proc/{pid}/status")
        if status.exists() and "State:\tZ" in status.read_text():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


# -- one code, with and without the process


def test_in_process_sees_the_same(eager: Subject) -> None:
    """Worker and in-process subject give equal observations, time aside."""
    body = "w = torch.ones(2, requires_grad=True)\nwatch(0)\nx = w * 2\nx.sum().backward()\nboom"
    with open_subject("eager-cpu", in_process=True) as here:
        near, far = here.run(body, ["w", "x"]), eager.run(body, ["w", "x"])
        # Other tests import more of torch into this process, and its modules show among the names.
        assert replace(here.hello, names={}) == replace(eager.hello, names={})
    assert (near.error, near.values, near.trace) == (far.error, far.values, far.trace)
    assert near.error is not None and near.error.line == 5


@pytest.mark.parametrize("body", ["x = 1 is 1", "x = (", "x = 1 / 0", "x = '\\0'", "x = 2\0"])
def test_what_is_compiled_ahead_is_seen_the_same(body: str) -> None:
    """Warnings and errors of compiling come when a body runs, though it was compiled before."""
    with open_subject("eager-cpu", in_process=True) as here:
        plainly = here.run(body, ["x"])
        here.expect([body, "x = 2"])
        assert replace(here.run(body, ["x"]), seconds=plainly.seconds) == plainly
        assert here.run("x = 2", ["x"]).values == {"x": JsonSeen(json=2)}


def test_a_subject_says_what_it_is(eager: Subject) -> None:
    """Name, versions, device and mode are there for the report."""
    assert (eager.name, eager.device, eager.mode) == ("eager-cpu", "cpu", "eager")
    assert eager.torch and eager.python and eager.device_name
    assert {"add_", "relu_"} <= eager.names["Tensor"]


# -- naming


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("eager-cpu", SubjectSpec(name="eager-cpu")),
        ("eager-cuda", SubjectSpec(name="eager-cuda", device="cuda")),
        ("device=mps", SubjectSpec(name="device=mps", device="mps")),
        ("python=py", SubjectSpec(name="python=py", python="py")),
        (
            "python=py,device=npu:1,import=a.b,import=c",
            SubjectSpec(
                name="python=py,device=npu:1,import=a.b,import=c",
                python="py",
                device="npu:1",
                imports=("a.b", "c"),
            ),
        ),
        (
            "command=ssh box 'my python' worker.py --import=a,b",
            SubjectSpec(
                name="command=ssh box 'my python' worker.py --import=a,b",
                command=("ssh", "box", "my python", "worker.py", "--import=a,b"),
            ),
        ),
    ],
)
def test_names_are_understood(text: str, spec: SubjectSpec) -> None:
    """Every way to name a subject means what the documentation says."""
    assert parse_subject(text) == spec


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "possible are"),
        ("eager", "eager-cpu, eager-cuda, torch==VERSION, python=PATH"),
        ("eager-cpu=1", "possible are"),
        ("python", "possible are"),
        ("python=", "nothing after it"),
        ("command=", "nothing after it"),
        ("command='", "cannot be split"),
        ("eager-cpu,device=cuda", "more than one device"),
        ("device=cpu'", "is no device; name one as torch does"),
    ],
)
def test_names_that_mean_nothing(text: str, fragment: str) -> None:
    """A name that means nothing is refused in one sentence that says why."""
    with pytest.raises(SubjectError, match=fragment):
        parse_subject(text)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("python=/no/such/python", "no such file"),
        (f"python={ROOT}", "is a folder"),
        (f"python={WORKER}", "not executable"),
        ("python=ls", "is it a Python"),
        ("device=nonsense", "has no device 'nonsense'"),
        ("device=meta", "no value can be read on the device 'meta'"),
        ("import=no_such_module", "No module named 'no_such_module'"),
        ("command=no-such-command", "cannot be run"),
        ("command=echo hello", "not as a worker does"),
    ],
)
def test_subjects_that_cannot_start(text: str, fragment: str) -> None:
    """What cannot be started is refused in one sentence that begins with the subject's name."""
    with pytest.raises(SubjectError, match=fragment) as refused:
        open_subject(text)
    assert str(refused.value).startswith(f"{text}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "memory_mb", "fragment"),
    [
        ("python=python3", None, "in process"),
        ("eager-cpu", 100, "needs a worker process"),
    ],
)
def test_in_process_has_limits(text: str, memory_mb: int | None, fragment: str) -> None:
    """In process there is no other interpreter and no memory limit."""
    with pytest.raises(SubjectError, match=fragment):
        open_subject(text, in_process=True, memory_mb=memory_mb)


def test_a_module_may_patch_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """import=MODULE finds a module in the current folder, which may change torch."""
    (tmp_path / "faulty_relu.py").write_text("import torch\ntorch.relu = lambda x: x\n")
    monkeypatch.chdir(tmp_path)
    with open_subject("device=cpu,import=faulty_relu") as subject:
        seen = subject.run("x = torch.relu(torch.tensor(-1.0)).item()", ["x"])
    assert seen.values == {"x": JsonSeen(json=-1.0)}


def test_any_command_may_start_a_worker() -> None:
    """command= starts whatever speaks the protocol."""
    with open_subject(f"command={shlex.join([sys.executable, str(WORKER)])}") as subject:
        assert serves(subject)


def test_available_subjects() -> None:
    """The processor is always there; CUDA is there, or a reason why not."""
    cpu, cuda = available_subjects()
    assert (cpu.name, cpu.available, cpu.device) == ("eager-cpu", True, "cpu")
    assert cuda.name == "eager-cuda"
    assert cuda.available or "sees no CUDA device" in cuda.reason


# -- workers that break the protocol


@pytest.fixture
def fake(tmp_path: Path) -> FakeWorker:
    """Make the command of a worker that says hello and then runs the given lines."""

    def command(lines: str) -> list[str]:
        path = tmp_path / "fake.py"
        path.write_text(f"import sys, os\nprint('{{\"hello\": 1}}', flush=True)\n{lines}\n")
        return [sys.executable, str(path)]

    return command


SHORT_TENSOR = (
    '{"id": 1, "values": {"x": {"type": "tensor", "dtype": "float64", "shape": [2],'
    ' "data": "AAAA", "requires_grad": false, "version": 0, "is_leaf": true,'
    ' "grad_fn": false, "storage": 0, "offset": 0, "strides": [1], "grad": null}}}'
)


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        ("nonsense", "an answer that is none"),
        ('{"id": 99}', "an answer to request 99, not 1"),
        ('{"id": 1, "values": {"x": {"type": "new"}}}', "an answer that is none"),
        (SHORT_TENSOR, "3 bytes are no float64 of shape [2]"),
    ],
)
def test_broken_answers_are_crashes(fake: FakeWorker, answer: str, fragment: str) -> None:
    """An answer that cannot be understood is the worker's failure at that program."""
    command = fake(f"input()\nprint('''{answer}''', flush=True)\ninput()")
    with WorkerSubject("fake", command) as subject:
        assert fragment in (subject.run("", []).crash or "")


def test_a_request_not_understood_is_our_fault(fake: FakeWorker) -> None:
    """A worker's fault is raised, since no program is to blame."""
    command = fake('input()\nprint(\'{"id": null, "fault": "What?"}\', flush=True)\ninput()')
    with (
        WorkerSubject("fake", command) as subject,
        pytest.raises(SubjectError, match="could not read a request: What"),
    ):
        subject.run("", [])


def test_another_version_of_the_protocol(tmp_path: Path) -> None:
    """A worker of another version is refused."""
    with pytest.raises(SubjectError, match="version 2 of the protocol"):
        WorkerSubject("fake", ["echo", '{"hello": 2}'])


def test_a_worker_on_no_device() -> None:
    """What a worker calls its device stands in scripts: it must have the form of one."""
    with pytest.raises(SubjectError, match="which is no device"):
        WorkerSubject("fake", ["echo", '{"hello": 1, "device": "cpu\\"); boom(\\""}'])


def test_a_worker_that_says_nothing() -> None:
    """A worker that says no hello in time is killed."""
    with pytest.raises(SubjectError, match=r"said no hello in 0\.3 s"):
        WorkerSubject("silent", ["sleep", "60"], start_s=0.3)


def test_a_worker_that_cannot_start_again(tmp_path: Path) -> None:
    """A worker that starts once and then never is given up after three tries."""
    path = tmp_path / "once.py"
    path.write_text(
        "import pathlib, sys\nlog = pathlib.Path(__file__).with_name('log')\n"
        "first = not log.exists()\nlog.open('a').write('x')\n"
        "print('{\"hello\": 1}', flush=True) if first else sys.exit('broken')\ninput()\nsys.exit(5)"
    )
    with WorkerSubject("once", [sys.executable, str(path)]) as subject:
        assert subject.run("", []).crash == "exit status 5"
        with pytest.raises(SubjectError, match=r"3 times \(exit status 1: broken\)"):
            subject.run("", [])
    assert (tmp_path / "log").read_text() == "xxxx"
