"""Runs scripts under one torch, each in a process of its own, and prints their output as JSON.

`PYTHON apart.py < scripts.json`, where the JSON is an object of scripts by name. It imports torch
once and forks for each script, since importing takes longer than most scripts do. Written for the
Python of the oldest torch, 3.6, and imports nothing of the suite.
"""

import json
import os
import runpy
import signal
import sys
import tempfile
import traceback
import warnings

LIMIT = 240
"""After so many seconds a script is ended."""


def run(script: str) -> str:
    """What the script prints to either stream, with its traceback if it raises."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _become(script, writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8", errors="replace") as stream:
        output = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        output += f"\nended by signal {os.WTERMSIG(status)}\n"
    return output


def _become(script: str, writing: int) -> None:
    """The child's whole life: nothing of the parent's may run after it."""
    for stream in (1, 2):
        os.dup2(writing, stream)
    os.close(writing)
    signal.alarm(LIMIT)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "script.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write(script)
            runpy.run_path(path, run_name="__main__")
    except BaseException:  # noqa: BLE001
        traceback.print_exc(file=sys.stdout)
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    """Reads the scripts, runs them in their order, and prints the version and each one's output."""
    scripts = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    # A pool of compilers would be made anew for each script.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    import torch

    torch.set_num_threads(1)
    if any("torch.compile" in script for script in scripts.values()):
        try:
            import torch._dynamo
            import torch._functorch.aot_autograd
        except (ImportError, RuntimeError):
            pass  # an older torch, of which each script will say so
    outputs = {name: run(script) for name, script in scripts.items()}
    json.dump({"torch": torch.__version__, "outputs": outputs}, sys.stdout)


if __name__ == "__main__":
    main()
